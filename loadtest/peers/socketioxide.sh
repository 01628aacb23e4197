#!/bin/sh
# socketioxide on axum: ./socketioxide.sh PORT
set -eu
port=$1
cd "$(dirname "$0")/socketioxide"
cargo build --release --locked --quiet
ulimit -n "$(ulimit -Hn)"
exec target/release/peer-socketioxide "$port"
