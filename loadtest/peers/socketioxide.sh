#!/bin/sh
# socketioxide on axum: ./socketioxide.sh PORT, or `install` to make it ready only
set -eu
port=$1
cd "$(dirname "$0")/socketioxide"
server=target/release/peer-socketioxide
for source in Cargo.toml Cargo.lock src/main.rs; do
    # Asked only where something is newer: cargo waits for other builds of this machine.
    [ "$server" -nt "$source" ] || { cargo build --release --locked --quiet; touch "$server"; break; }
done
ulimit -n "$(ulimit -Hn)"
[ "$port" = install ] && exit
exec "$server" "$port"
