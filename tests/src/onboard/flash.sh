# In the device, for each of RUNS (DURABILITY:RATE,RATE…): an agent whose spool, if it is small, has gone round; then,
# for each rate, a while of logging into memory, and what of it reached the flash:
# `F DURABILITY RATE LINES FLASH_SECTORS`.

# Seconds of logging before it counts: waits have their length by then, and the first blocks are sealed.
LEAD=20
for disk in /sys/block/vd*; do
    [ "$(cat "$disk/serial")" != flash ] || stat=$disk/stat
done
written() {
    read -r _ _ _ _ _ _ sectors _ < "$stat"
    echo "$sectors"
}
status() {
    driftlog-agent status --json --config /run/agent.toml
}
# Lines that the agent has taken: a device that is held up takes fewer than it is told.
taken() {
    lines=0
    for number in $(status | grep -oE '"(sealed|open)":[0-9]+' | cut -d : -f 2); do
        lines=$((lines + number))
    done
    echo "$lines"
}
# The logs in memory are short: with ten megabytes of them the kernel, which keeps 16 MB for devices and more
# against fragments, found none for a process and killed the largest.
# log FOLDER LINES_PER_S SECONDS OPTION…
log() {
    folder=$1
    rate=$2
    seconds=$3
    shift 3
    driftlog-writer --folder "$folder" --rate "$rate" --lines $((rate * seconds)) --rotate-bytes 500000 --kept 4 \
        --no-sync --silent "$@"
}
corpus() {
    log /run/logs "$1" "$2" --input /etc/driftlog/corpus.log
}
# Waits until nothing has been sealed for longer than the longest delay and a commit of the journal.
settled() {
    sealed=
    while now=$(status | grep -o '"sealed":[0-9]*'); [ "$now" != "$sealed" ]; do
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
    # Each file of a small spool is written, the urgent lane's with lines that hardly compress. These do not fit the memory.
    log /data/logs 60 30 --mark 1 --filling 2000 --urgent-every 3 > /dev/null
    settled
    # The others to their ends, by blocks of the usual length; and packing has been tried in every way.
    corpus 2000 100 > /dev/null
    settled
    sync
    # Counted while lines keep coming, so that nothing from before or behind is in it, and nothing left out.
    for rate in $(echo "${run#*:}" | tr , ' '); do
        corpus "$rate" $((LEAD + SECONDS_EACH + 5)) > /dev/null &
        writer=$!
        sleep $LEAD
        before=$(written)
        lines_before=$(taken)
        sleep "$SECONDS_EACH"
        after=$(written)
        echo "F $durability $rate $(($(taken) - lines_before)) $((after - before))"
        wait "$writer"
    done
    kill "$agent"
    wait "$agent"
    # For whoever asks why.
    sed 's/^/A /' /run/agent.log
done
echo END
exec sleep 1000000
