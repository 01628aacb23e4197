#!/usr/bin/env bash
# The WebSocket conformance suite Autobahn against `siod conformance`. Cases 12 and 13 are about compression, which siod
# does not negotiate, so they are left out.
# Usage: run.sh [CASES…], such as run.sh '5.*' '6.4.1'; without any, those of spec.json.
# The suite is Python 2: PYTHON2 names an interpreter where none is found. Without one this fails; it does not skip.
# SIOD_BIN is the daemon.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
siod=${SIOD_BIN:-${CARGO_TARGET_DIR:-$here/../../target}/debug/siod}
venv=$here/.venv
reports=$here/reports

die() {
  echo "autobahn: $*" >&2
  exit 1
}

find_python2() {
  local candidate
  for candidate in "${PYTHON2:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python; do
    if [[ -n $candidate ]] && [[ $("$candidate" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null) == "(2, 7)" ]]; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# Python 2.7 has no venv; virtualenv before 20.22 still makes one for it, run by a Python 3 of its own.
install_suite() {
  local python2
  python2=$(find_python2) || die "no Python 2.7: install one (pyenv install 2.7.18) or name it by PYTHON2"
  echo "autobahn: installing the suite for $python2, once; it takes minutes"
  rm -rf "$venv"
  python3 -m venv "$venv/python3"
  "$venv/python3/bin/pip" install --quiet --disable-pip-version-check 'virtualenv<20.22'
  "$venv/python3/bin/virtualenv" --quiet --python "$python2" "$venv/python2"
  "$venv/python2/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

[[ -x $siod ]] || die "no daemon at $siod: cargo build"
cmp --quiet "$here/requirements.txt" "$venv/installed" || install_suite

rm -rf "$reports"
mkdir -p "$reports"
port=$(free_port)
"$siod" conformance --listen "127.0.0.1:$port" >"$reports/siod.log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true' EXIT

# The banner is printed once the daemon serves.
for _ in $(seq 100); do
  grep --quiet listening "$reports/siod.log" && break
  sleep 0.1
done
grep --quiet listening "$reports/siod.log" || die "the daemon does not start: $(cat "$reports/siod.log")"

python3 - "$here/spec.json" "ws://127.0.0.1:$port/echo" "$@" >"$reports/spec.json" <<'PYTHON'
import json, sys
spec = json.load(open(sys.argv[1]))
spec["servers"][0]["url"] = sys.argv[2]
spec["cases"] = sys.argv[3:] or spec["cases"]
json.dump(spec, sys.stdout)
PYTHON

# The seed keeps the order of dictionaries, and so the cases, the same in each run.
started=$SECONDS
(cd "$here" && PYTHONHASHSEED=0 "$venv/python2/bin/wstest" -m fuzzingclient -s "$reports/spec.json" >"$reports/wstest.log" 2>&1) ||
  die "the suite failed: $(tail -n 20 "$reports/wstest.log")"
kill -0 "$daemon" 2>/dev/null || die "the daemon has died: $(tail -n 20 "$reports/siod.log")"
echo "autobahn: $((SECONDS - started)) s; the report is $reports/index.html"
python3 "$here/check.py" "$reports/spec.json" "$reports/index.json"
