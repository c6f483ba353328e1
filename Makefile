# The recipes; CI runs the same. `make check` is what a change has to pass.

CARGO ?= cargo

.PHONY: help check test clients oracle fmt clippy doc deny demo release bench man fuzz lab-nspawn lab-qemu

help: ## List the recipes
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

check: fmt clippy doc test ## Everything a change has to pass, but for deny

test: ## All tests
	$(CARGO) test --workspace --locked

clients: ## Clients of other makes, for the tests (Node and Python)
	tests/clients/install

oracle: ## cloud-init and netplan, unpacked, for the tests to compare with (Debian)
	tests/oracle/install

fmt: ## Formatting, without changing anything
	$(CARGO) fmt --all --check

clippy: ## Lints; a warning is an error
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## Documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

deny: ## Licences, duplicate versions, sources (needs cargo-deny)
	$(CARGO) deny --offline --log-level error check bans licenses sources

demo: ## Both flows, live, in a sandbox
	$(CARGO) demo

release: ## The small binary, in target/release
	$(CARGO) build --release --locked --package cloud-channel

bench: release ## What a delivery costs: the core by itself, and the daemon beside Faye
	$(CARGO) bench --locked --package cloud-channel-protocol --bench server
	$(CARGO) build --release --locked --package mgmt-sim
	mgmt-sim/load/bench

man: release ## The man page, in target/cloud-channel.1
	target/release/cloud-channel man > target/cloud-channel.1

FUZZ_SECONDS ?= 60

fuzz: ## Each fuzz target for FUZZ_SECONDS (60)
	fuzz/run $(FUZZ_SECONDS)

lab-nspawn: ## A real Debian in a container, as root (tests/labs/nspawn)
	$(CARGO) build --locked --package cloud-channel
	tests/labs/nspawn/run "$${CARGO_TARGET_DIR:-target}/debug/cloud-channel"

lab-qemu: ## A real Debian in a virtual machine, with cards that are plugged, as root (tests/labs/qemu)
	$(CARGO) build --locked --release --package cloud-channel
	tests/labs/qemu/run "$${CARGO_TARGET_DIR:-target}/release/cloud-channel"
