#!/usr/bin/env bash
# The figures of utalk, each from a daemon of its own in a directory of its own: durable sends with ids that rise into an empty store, with random
# ones on a million messages; what a long conversation costs who reads it; 10,000 agents of one workspace; 1,000 that come back at once.
# Wants release builds of siod and loadtest, python3, curl, and a machine that nobody else uses; strace counts writes where there is one.
# usage: [SIOD=… LOADTEST=… DURATION=20 PORT=3000] loadtest/utalk.sh rising|random|long|agents|return
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
BUILT=${CARGO_TARGET_DIR:-$HERE/../target}/release
SIOD=${SIOD:-$BUILT/siod}
LOADTEST=${LOADTEST:-$BUILT/loadtest}
DURATION=${DURATION:-20}
PORT=${PORT:-3000}
KEY="a secret of at least thirty-two bytes"
DIR=$(mktemp -d "${TMPDIR:-/var/tmp}/siod-utalk.XXXXXX")
DAEMON=

end() {
    [ -z "$DAEMON" ] || { kill "$DAEMON" && wait "$DAEMON" || true; }
    DAEMON=
}
trap 'end; rm -rf "$DIR"' EXIT

cat >"$DIR/siod.toml" <<TOML
[server]
data_dir = "$DIR/data"
drain_timeout_s = 5
[[listener]]
bind = "127.0.0.1:$PORT"
root = "utalk"
[admin]
bind = "127.0.0.1:$((PORT + 1))"
[auth]
mode = "jwt"
jwt_secret = "$KEY"
[store]
url = "sqlite:$DIR/data/siod.db"
[log]
level = "warn"
[apps.lab]
enabled = true
[apps.utalk]
enabled = true
[apps.utalk.events_per_minute]
default = 0
"message:send" = 0
"typing:start" = 0
"sync:state" = 0
TOML

start() {
    "$SIOD" run --config "$DIR/siod.toml" &
    DAEMON=$!
    for _ in $(seq 100); do
        curl -fs "http://127.0.0.1:$PORT/health" >"$DIR/health" && return
        sleep 0.1
    done
    echo "siod does not answer" >&2
    exit 1
}

# So many scopes with so many messages each, put into the database of a daemon that has ended.
fill() {
    start
    end
    python3 - "$DIR/data/siod.db" "$HERE/utalk-fill.sql" "$1" "$2" <<'PY'
import sqlite3, sys, time
path, script, scopes, messages = sys.argv[1:]
began = time.time()
into = sqlite3.connect(path)
into.execute("CREATE TEMP TABLE fill AS SELECT ? AS scopes, ? AS messages", (int(scopes), int(messages)))
into.executescript(open(script).read())
count, = into.execute("SELECT count(*) FROM ut_messages").fetchone()
print(f"{count} messages are stored, which took {time.time() - began:.0f} s")
PY
    start
}

# Milliseconds of processor time so far.
cpu() {
    metric process_cpu_seconds_total 1000
}

metric() {
    curl -fs "http://127.0.0.1:$((PORT + 1))/metrics" | awk -v name="$1" -v times="${2:-1}" 'index($1, name) == 1 {sum += $2} END {printf "%.0f", sum * times}'
}

# 256 clients alone in their workspaces, eight sends of each on their way, with ids of this kind.
durable() {
    local writes commits
    disk
    writes=$(metric 'siod_store_jobs_total{job="write"}') commits=$(metric siod_store_commits_total)
    "$LOADTEST" echo --url "http://127.0.0.1:$PORT" --namespace /app --clients 256 --in-flight 8 --seconds "$DURATION" --jwt-secret "$KEY" \
        --claims '{"sub":"u{n}","role":"agent","workspaceId":"w{n}"}' --echo-event message:send --pid "$DAEMON" \
        --echo-args "{\"messageId\":\"{$1}\",\"conversationId\":\"conv_load\",\"text\":\"hola\"}"
    writes=$(($(metric 'siod_store_jobs_total{job="write"}') - writes)) commits=$(($(metric siod_store_commits_total) - commits))
    echo "$((writes / commits)) sends a commit; two statements a send"
}

# What a durable write costs at least here.
disk() {
    python3 - "$DIR/disk" <<'PY'
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
times = []
for at in range(400):
    os.pwrite(file, bytes(16384), at * 16384)
    began = time.perf_counter()
    os.fdatasync(file)
    times.append((time.perf_counter() - began) * 1e3)
times.sort()
print(f"fdatasync of 16 KiB: p50 {times[200]:.2f} ms, p99 {times[396]:.2f} ms")
PY
}

# Processor time of the daemon for each of some questions about a conversation of 100,000 messages, beside those of one of 100.
long() {
    fill 2 100000
    python3 - "$PORT" "$DAEMON" "$KEY" <<'PY'
import base64, hashlib, hmac, http.client, json, os, sys, time
port, pid, key = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(
    {"sub": "reader", "role": "admin", "workspaceId": "w0", "exp": int(time.time()) + 600})
token = signed + b"." + base64.urlsafe_b64encode(hmac.new(key, signed, hashlib.sha256).digest()).rstrip(b"=")
def cpu():
    tasks = os.listdir(f"/proc/{pid}/task")
    return sum(int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) for task in tasks) / 1e6
asks = http.client.HTTPConnection("127.0.0.1", port)
def page(path):
    asks.request("GET", path, headers={"Authorization": "Bearer " + token.decode()})
    answer = asks.getresponse()
    assert answer.status == 200, answer.status
    return json.loads(answer.read())["data"]
for what, path in [
    ("the first page of its messages", "/api/conversations/conv_load/messages?limit=100"),
    ("the conversation", "/api/conversations/conv_load"),
    ("the list of conversations", "/api/conversations?limit=100"),
]:
    page(path)
    before = cpu()
    for _ in range(200):
        page(path)
    print(f"{what}: {(cpu() - before) / 200:.2f} ms of CPU")
PY
    # A snapshot, and the first page of all that was missed.
    for args in '{"syncId":"{random}"}' "{\"syncId\":\"{random}\",\"lastSync\":\"$(date -u -d '-1 hour' +%FT%TZ)\"}"; do
        echo "sync:state $args"
        "$LOADTEST" echo --url "http://127.0.0.1:$PORT" --namespace /app --clients 1 --seconds "$DURATION" --jwt-secret "$KEY" --pid "$DAEMON" \
            --claims '{"sub":"reader","role":"admin","workspaceId":"w0"}' --echo-event sync:state --echo-args "$args"
    done
}

# What is held: by itself the allocator keeps what a crowd needed as it came, for the next one.
hold() {
    export MIMALLOC_PURGE_DELAY=0
    start
    "$LOADTEST" hold --url "http://127.0.0.1:$PORT" --clients 10000 --seconds "$DURATION" --warm-up-ms 5000 --jwt-secret "$KEY" --pid "$DAEMON" \
        --claims '{"sub":"u{n}","role":"agent","workspaceId":"w"}' --namespace "$1"
    end
}

back() {
    local cpu packets
    cpu=$(cpu) packets=$(metric siod_packets_sent_total)
    "$LOADTEST" storm --url "http://127.0.0.1:$PORT" --clients 1000 --namespace /app --back-off none --jwt-secret "$KEY" --pid "$DAEMON" \
        --claims '{"sub":"u{n}","role":"agent","workspaceId":"w"}'
    # What others are told of those who come and go is told within this time.
    sleep 4
    echo "joined, lost, back and told: $(($(cpu) - cpu)) ms of CPU, $(($(metric siod_packets_sent_total) - packets)) packets"
}

case "${1:-}" in
rising) start; durable rising ;;
random) fill 256 3907; durable random ;;
long) long ;;
agents) hold /lab; hold /app ;;
return)
    start
    back
    end
    # Counting makes them slow, so it has a run of its own.
    if command -v strace >/dev/null; then
        start
        strace -fcq -e trace=write,writev,sendto,sendmsg -o "$DIR/calls" -p "$DAEMON" & TRACE=$!
        back
        kill "$TRACE"; wait "$TRACE" || true
        cat "$DIR/calls"
    fi
    ;;
*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
esac
