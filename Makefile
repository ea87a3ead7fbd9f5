# Rootline. `make run` and `make test` need Rust and Node and install the rest themselves; `make help` lists everything.

CARGO ?= cargo
ifeq ($(CARGO_TARGET_DIR),)
CARGO_TARGET_DIR := $(CURDIR)/target
endif
export CARGO_TARGET_DIR
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DIST_NAME := rootline-$(VERSION)-$(shell uname -s | tr A-Z a-z)-$(shell uname -m)

.DEFAULT_GOAL := help
.PHONY: help run test torture lint doc docs ui ui-check dist bench golden clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: ## Build the optimised server and start it with the demo: http://127.0.0.1:7070
	@.ci/setup build
	$(CARGO) build --release --locked --bin rootline
	exec $(CARGO_TARGET_DIR)/release/rootline serve --demo

test: ## Every test of every room, with real clients and a browser
	@.ci/test

torture: ## Fault tests for as long as you like: ROUNDS=, SEED=, ONLY=kill::, BIN=path of a server, WAL_MIB=
	@.ci/setup test
	RL_ROUNDS=$(ROUNDS) RL_SEED=$(SEED) RL_WAL_MIB=$(WAL_MIB) $(if $(BIN),RL_SERVER_BIN=$(abspath $(BIN))) \
		$(CARGO) test --workspace --features testing --locked --test server -- \
		--ignored --nocapture --test-threads=1 torture::$(ONLY)

lint: ## Formatting, clippy, dependency policy: what CI refuses
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features testing --locked -- -D warnings
	@.ci/deny

doc: ## Documentation of the code; a broken link is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

docs: ## Copy the defaults into docs/configuration.md
	sed -i -e '/^```toml$$/,/^```$$/{/^```/!d}' -e '/^```toml$$/r config/default.toml' docs/configuration.md

ui: ## Rebuild the web UI from its source into ui/dist
	cd ui/web && npm ci --no-audit --no-fund && npm run build

ui-check: ## Lint and test the web UI; ui/dist must be what its source builds
	cd ui/web && npm ci --no-audit --no-fund && npm run lint && npm test && npm run check-dist

bench: ## Measure the hot paths; the first run is what later ones are compared with
	$(CARGO) bench --locked

golden: ## A data directory of this version in tests/golden, for later versions to read; NAME=VERSION
	RL_GOLDEN=$(or $(NAME),$(VERSION)) $(CARGO) test --workspace --features testing --locked --test server golden::make -- --ignored --exact

dist: ## An archive to install: binary, systemd unit, configurations, licence
	@.ci/setup build
	ROOTLINE_COMMIT=$(COMMIT) $(CARGO) build --release --locked --bin rootline
	rm -rf dist/$(DIST_NAME)
	mkdir -p dist/$(DIST_NAME)
	cp $(CARGO_TARGET_DIR)/release/rootline packaging/rootline.service packaging/otel-collector.yaml \
		LICENSE README.md CHANGELOG.md dist/$(DIST_NAME)/
	sed -e 's/^\([a-z_]* =\)/# \1/' config/default.toml > dist/$(DIST_NAME)/rootline.toml
	cp -r docs dist/$(DIST_NAME)/docs
	tar -C dist --owner=0 --group=0 --numeric-owner -czf dist/$(DIST_NAME).tar.gz $(DIST_NAME)
	cd dist && sha256sum $(DIST_NAME).tar.gz > $(DIST_NAME).tar.gz.sha256
	@ls -l dist/$(DIST_NAME).tar.gz

clean: ## Forget what was built
	rm -rf dist
	$(CARGO) clean
