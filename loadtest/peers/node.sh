#!/bin/sh
# The official server on Node: ./node.sh PORT
set -eu
port=$1
. "$(dirname "$0")/npm.sh"
exec node node.mjs "$port"
