# Enters this directory and installs the packages of package-lock.json, where they are missing or others. Sourced.
cd "$(dirname "$0")"
installed=node_modules/installed.json
cmp -s package-lock.json "$installed" || { npm ci --ignore-scripts --silent >&2; cp package-lock.json "$installed"; }
ulimit -n "$(ulimit -Hn)"
export NODE_ENV=production
