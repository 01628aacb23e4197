#!/bin/sh
# The official server on Node: ./node.sh PORT, or `install` to make it ready only
set -eu
port=$1
. "$(dirname "$0")/npm.sh"
[ "$port" = install ] && exit
exec node node.mjs "$port"
