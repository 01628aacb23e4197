#!/bin/sh
# socketioxide on axum: ./socketioxide.sh PORT, or `install` to make it ready only
set -eu
port=$1
cd "$(dirname "$0")/socketioxide"
cargo build --release --locked --quiet
ulimit -n "$(ulimit -Hn)"
[ "$port" = install ] && exit
exec target/release/peer-socketioxide "$port"
