# What there is to do: `make test` before every push, `make dist` for a binary to carry away.
# Each step says what it runs, and the first one that fails ends it.

# Where cargo builds. What is run below may stand in another directory.
ifdef CARGO_TARGET_DIR
override export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
endif
BUILT   := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

CLIENTS := tests/clients
VENV    := $(CLIENTS)/.venv
SIOD    := $(BUILT)/debug/siod
TARGET  := $(shell rustc -vV | sed -n 's/^host: //p')
SUITES  :=

.PHONY: test setup fuzz setup-fuzz deny lint doc unit binary clients node python kills oracle conformance run dist clean autobahn peers compare

test: setup lint doc unit clients
	@echo "make test: everything passed"

setup:
	@tests/setup.sh

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings

# The pages that readers of the code want, private items included: a link that leads nowhere is an error.
doc:
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items

unit:
	@if cargo nextest --version >/dev/null 2>&1; \
	then echo "cargo nextest run --workspace"; cargo nextest run --workspace; \
	else echo "cargo test --workspace"; cargo test --workspace; fi

binary:
	cargo build --bin siod --example todo

# The clients people have, against the binary. `make node SUITES="fixture rest"` runs some suites only.
clients: node python

node: binary $(CLIENTS)/node_modules/.package-lock.json
	SIOD_BIN=$(SIOD) node $(CLIENTS)/run.mjs $(SUITES)

python: binary $(VENV)/installed
	SIOD_BIN=$(SIOD) $(VENV)/bin/python $(CLIENTS)/python/run.py

# utalk is killed under load so often, and what it has acknowledged is looked for; `make test` does it twenty times.
KILLS   := 200
kills: binary $(CLIENTS)/node_modules/.package-lock.json
	SIOD_BIN=$(SIOD) SIOD_KILLS=$(KILLS) node --test --test-reporter spec $(CLIENTS)/kills.test.mjs

# The same tests against the official Node server: are the tests themselves right?
oracle: $(CLIENTS)/node_modules/.package-lock.json $(VENV)/installed
	SIOD_ORACLE=1 node $(CLIENTS)/run.mjs fixture socketio
	SIOD_ORACLE=1 $(VENV)/bin/python $(CLIENTS)/python/run.py

# The servers that siod is measured beside, ready to start: loadtest/peers/node.sh PORT and so on.
peers:
	loadtest/peers/node.sh install
	loadtest/peers/socketioxide.sh install

# The table of docs/PERFORMANCE.md: siod, the floor and the peers on core 0, clients on core 1. `make compare ONLY=echo,polling`
# measures some rows and prints them only. Needs two cores that nobody else uses; ends within 15 minutes.
compare: peers
	cargo build --release --workspace --bins --example idle
	taskset -c 1 $(BUILT)/release/loadtest table --page docs/PERFORMANCE.md $(if $(ONLY),--only $(ONLY))

# Every fuzz target for so many seconds, from the corpus that `make unit` replays. What it finds stands in fuzz/artifacts, inputs
# that reach further in fuzz/target/found. Sanitizers are behind a switch of the compiler, which stays the one of the project.
FUZZ_S  := 10
fuzz: setup-fuzz
	@cd fuzz && for target in $$(ls corpus); do \
	mkdir -p target/found/$$target; \
	RUSTC_BOOTSTRAP=1 cargo fuzz run $$target target/found/$$target corpus/$$target -- \
		-max_total_time=$(FUZZ_S) -print_final_stats=1 || exit 1; done

setup-fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked --version 0.13.2

# Licences and sources of the dependencies; wants cargo-deny.
deny:
	cargo deny check bans licenses sources

# The fixture server, for test suites of others.
conformance: binary
	$(SIOD) conformance --listen 127.0.0.1:3000

# The WebSocket conformance suite Autobahn. It installs itself once and needs Python 2.7, so it is no part of `make test`.
autobahn: binary
	SIOD_BIN=$(SIOD) tests/autobahn/run.sh

run: binary
	$(SIOD)

$(CLIENTS)/node_modules/.package-lock.json: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --no-audit --no-fund

$(VENV)/installed: $(CLIENTS)/python/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# One file without shared libraries. The target is named so that build scripts and macros are not linked statically.
dist:
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --bin siod --target $(TARGET)
	mkdir -p dist
	install -m 755 $(BUILT)/$(TARGET)/release/siod dist/siod
	@case "$$(ldd dist/siod 2>&1)" in \
	*"statically linked"*|*"not a dynamic executable"*) echo "dist/siod is static: $$(wc -c < dist/siod) bytes";; \
	*) echo "dist/siod wants shared libraries:"; ldd dist/siod; exit 1;; esac

clean:
	cargo clean
	rm -rf dist loadtest/peers/node_modules loadtest/peers/socketioxide/target $(CLIENTS)/node_modules $(VENV) tests/autobahn/.venv tests/autobahn/reports
