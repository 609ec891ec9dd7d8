# In the device, for each of RUNS (DURABILITY:RATE,RATE…): an agent through whose spool 30 MB have gone; then,
# for each rate, a while of logging into memory, and what of it reached the flash:
# `F DURABILITY RATE LOG_BYTES FLASH_SECTORS`.
for disk in /sys/block/vd*; do
    [ "$(cat "$disk/serial")" != flash ] || stat=$disk/stat
done
written() {
    read -r _ _ _ _ _ _ sectors _ < "$stat"
    echo "$sectors"
}
# log FOLDER LINES_PER_S SECONDS OPTION…
log() {
    folder=$1
    rate=$2
    seconds=$3
    shift 3
    driftlog-writer --folder "$folder" --rate "$rate" --lines $((rate * seconds)) --rotate-bytes 2000000 --kept 4 \
        --no-sync --silent "$@"
}
corpus() {
    log /run/logs "$1" "$2" --input /etc/driftlog/corpus.log
}
# Waits until nothing has been sealed for longer than the longest delay and a commit of the journal.
settled() {
    sealed=
    while now=$(driftlog-agent status --json --config /run/agent.toml | grep -o '"sealed":[0-9]*'); [ "$now" != "$sealed" ]; do
        sealed=$now
        sleep 16
    done
}
[ -z "$MOUNT" ] || mount -o "remount,$MOUNT" /data
for run in $RUNS; do
    durability=${run%%:*}
    rm -rf /run/logs /data/logs /data/driftlog
    mkdir -p /run/logs /data/logs /data/driftlog
    sed "s/DURABILITY/$durability/" /etc/driftlog/agent.toml > /run/agent.toml
    driftlog-agent run --config /run/agent.toml 2> /run/agent.log &
    agent=$!
    sleep 8
    # Hardly compressible, so that the spool's files are written again. It does not fit the memory.
    log /data/logs 500 30 --mark 1 --filling 2000 --urgent-every 10 > /dev/null
    settled
    # More blocks than go by until packing is tried in every way again.
    corpus 2000 20 > /dev/null
    settled
    sync
    for rate in $(echo "${run#*:}" | tr , ' '); do
        corpus "$rate" 20 > /dev/null
        before=$(written)
        bytes=$(corpus "$rate" "$SECONDS_EACH")
        settled
        echo "F $durability $rate $bytes $(($(written) - before))"
    done
    kill "$agent"
    wait "$agent"
done
echo END
exec sleep 1000000
