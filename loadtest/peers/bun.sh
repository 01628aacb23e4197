#!/bin/sh
# The official server on Bun's engine: ./bun.sh PORT, or `install` to make it ready only
set -eu
port=$1
. "$(dirname "$0")/npm.sh"
# The package `bun` only chooses among these; npm installed the one that runs here.
for bun in node_modules/@oven/bun-*/bin/bun; do break; done
[ "$port" = install ] && exit
exec "$bun" bun.mjs "$port"
