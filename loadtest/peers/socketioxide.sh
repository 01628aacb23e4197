#!/bin/sh
# socketioxide on axum: ./socketioxide.sh PORT, or `install` to make it ready only
set -eu
port=$1
case ${CARGO_TARGET_DIR:-/} in
/*) ;;
*) export CARGO_TARGET_DIR="$PWD/$CARGO_TARGET_DIR" ;;
esac
cd "$(dirname "$0")/socketioxide"
server=${CARGO_TARGET_DIR:-target}/release/peer-socketioxide
for source in Cargo.toml Cargo.lock src/main.rs; do
    # Asked only where something is newer: cargo waits for other builds of this machine.
    [ "$server" -nt "$source" ] || { cargo build --release --locked --quiet; touch "$server"; break; }
done
ulimit -n "$(ulimit -Hn)"
[ "$port" = install ] && exit
exec "$server" "$port"
