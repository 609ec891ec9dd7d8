# In the device: a backlog, logging all the while, then quiet; each second `M VMRSS_KB RSSANON_KB VMHWM_KB` and `S STATUS`.
mkdir -p /run/logs /data/logs /data/driftlog
# The broker's certificate is for 127.0.0.1.
nc -ll -p PORT -e nc 10.0.2.2 PORT &
driftlog-agent run --config /etc/driftlog/agent.toml 2> /run/agent.log &
agent=$!
kilobytes() {
    sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$agent/status"
}
(
    driftlog-writer --folder /data/logs --mark 1 --rate 1500 --filling 2000 --lines BACKLOG_LINES \
        --rotate-bytes 4000000 --kept 1000 --no-sync --silent
    echo FULL
    driftlog-writer --folder /run/logs --input /etc/driftlog/corpus.log --rate 100 --lines TAIL_LINES \
        --rotate-bytes 2000000 --kept 4 --no-sync --silent
    echo QUIET
) &
while kill -0 "$agent"; do
    echo "M $(kilobytes VmRSS) $(kilobytes RssAnon) $(kilobytes VmHWM)"
    echo "S $(driftlog-agent status --json --config /etc/driftlog/agent.toml)"
    sleep 1
done
