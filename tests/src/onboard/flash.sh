# In the device: for each durability and rate a new spool, a while of logging into memory, and what of it
# reached the flash: `F DURABILITY RATE LOG_BYTES FLASH_SECTORS`.
for disk in /sys/block/vd*; do
    [ "$(cat "$disk/serial")" != flash ] || stat=$disk/stat
done
written() {
    read -r _ _ _ _ _ _ sectors _ < "$stat"
    echo "$sectors"
}
for durability in block interval; do
    for rate in 1 10 100 1000; do
        rm -rf /run/logs /data/driftlog
        mkdir -p /run/logs /data/driftlog
        sed "s/DURABILITY/$durability/" /etc/driftlog/agent.toml > /run/agent.toml
        driftlog-agent run --config /run/agent.toml 2> /run/agent.log &
        agent=$!
        sleep 8
        before=$(written)
        bytes=$(driftlog-writer --folder /run/logs --input /etc/driftlog/corpus.log --rate "$rate" \
            --lines $((rate * SECONDS_EACH)) --rotate-bytes 2000000 --kept 4 --no-sync --silent)
        # The longest delay before a block is sealed, and a commit of the file system's journal.
        sleep 16
        echo "F $durability $rate $bytes $(($(written) - before))"
        kill "$agent"
        wait "$agent"
    done
done
echo END
exec sleep 1000000
