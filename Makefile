# Needs make, and Python 3.11 or newer with its venv module; nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

VENV  := .venv
PY    := $(VENV)/bin/python
LOCKS := requirements/runtime.txt requirements/dev.txt
STAMP := $(VENV)/set-up
FAST  := not slow and not processes and not docker
ARGUMENTS := --write
VERSIONS := 3.11 3.12 3.13

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## set up .venv with everything that is needed
	@:

$(STAMP): $(LOCKS) requirements/setup.sh
	@sh requirements/setup.sh $(VENV)
	@touch $(STAMP)

up: $(STAMP) ## start a master and two secondaries here; Ctrl-C ends them
	@exec $(VENV)/bin/replog up

test: $(STAMP) ## all tests
	@$(PY) -m pytest -q -n auto --dist loadgroup -m "not processes" # those of Docker mostly wait
	@$(PY) -m pytest -q -n 3 -m "processes"

check: $(STAMP) ## format, lint, types, import contracts, fast tests: two minutes
	@$(PY) -m ruff format --check --quiet . || { echo "make format puts this right"; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(PY) -m pytest -q -n auto --dist worksteal -m "$(FAST)"

format: $(STAMP) ## put the format right
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix --quiet .

test-fast: $(STAMP) ## the fast tests on each of Python 3.11, 3.12, 3.13 that is here
	@for version in $(VERSIONS); do \
	  PYTHON="$$(sh requirements/setup.sh --find $$version)" || { echo "Python $$version: not here, skipped"; continue; }; \
	  export PYTHON; \
	  $(MAKE) .venv-$$version/set-up && echo "Python $$version:" \
	  && .venv-$$version/bin/python -m pytest -q -n auto --dist worksteal -m "$(FAST)" || exit 1; \
	done

.venv-%/set-up: $(LOCKS) requirements/setup.sh
	@sh requirements/setup.sh .venv-$*
	@touch $@

bench: $(STAMP) ## what docs/benchmarks.md reports, measured here
	@$(PY) -m benchmarks

bench-peers: $(STAMP) ## this log beside etcd, JetStream, Redis: a quarter of an hour
	@$(PY) -m benchmarks.peers $(ARGUMENTS)

prove: $(STAMP) ## what docs/reliability.md reports, in full: hours; goes on where it ended
	@$(PY) -m proving --write $(ROWS)

fuzz: $(STAMP) ## grow proving/corpus by inputs that reach new code, a minute a decoder (Linux)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzzing.txt
	@$(PY) -m proving.fuzzing.grow $(DECODERS)

lock: ## resolve requirements/*.in anew into the hash-pinned requirements/*.txt
	@sh requirements/lock.sh

clean: ## remove what was set up and cached; replog-data stays
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup up test check format test-fast bench bench-peers prove fuzz lock clean
