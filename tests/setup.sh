#!/usr/bin/env bash
# Installs what the tests need beside Rust, where it is missing: a C compiler, Node and Python, nginx, haproxy, promtool and
# PostgreSQL, from Debian's packages.
set -euo pipefail
# Where Debian puts servers.
PATH=$PATH:/usr/sbin

say() { printf '\n== %s\n' "$*"; }

update() {
    [ -n "${UPDATED:-}" ] || { apt-get update -qq; UPDATED=1; }
}

# Installs Debian packages, if one of the commands after them is missing.
need() {
    local packages=$1
    shift
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 && continue
        say "apt-get install $packages (there is no $command)"
        update
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
        return
    done
}

need "make" make
need "gcc libc6-dev" cc
need "nodejs npm" node npm
need "python3" python3
python3 -c 'import ensurepip, venv' 2>/dev/null || need "python3-venv" python3-venv

need "openssl" openssl
need "nginx-light" nginx
need "haproxy" haproxy

# promtool alone: the package around it is a server that starts by itself, and needs the libraries of its page.
if ! command -v promtool >/dev/null 2>&1; then
    say "promtool out of the package prometheus"
    update
    folder=$(mktemp -d)
    (cd "$folder" && apt-get -o APT::Sandbox::User=root download -qq prometheus && dpkg-deb --extract prometheus_*.deb .)
    install -m 755 "$folder/usr/bin/promtool" /usr/local/bin/promtool
    rm -rf "$folder"
fi

node=$(node -p 'process.versions.node.split(".")[0]')
[ "$node" -ge 20 ] || { echo "the client tests want Node 20 or newer, here is $node" >&2; exit 1; }

# A test starts a PostgreSQL server of its own; the system's own one is not wanted.
if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
fi
need "postgresql" /usr/lib/postgresql/*/bin/postgres
