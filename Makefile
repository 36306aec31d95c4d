# Everything here needs git, make and a Python of 3.11 or newer; the rest is brought by tools/bootstrap.py.
#
#   make demo     run the training example        make test     the whole suite
#   make check    the quick loop                  make help     the rest

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check lint unit format bench env clean

# The first interpreter that starts; the bootstrap looks further when it is too old.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
BOOTSTRAP = $(or $(PYTHON),$(error No Python starts here. Install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python)) tools/bootstrap.py
BIN := .venv/bin

# Test processes side by side; 0 runs the tests one after another in pytest itself.
TEST_WORKERS ?= 2
TEST_ARGS ?=
PYTEST = $(BIN)/pytest -n $(TEST_WORKERS) --dist loadgroup

help:
	@echo 'make demo     run examples/training/pipeline.py; everything it stores lies in .cairn-demo (CAIRN_HOME=DIR to choose)'
	@echo 'make test     the whole suite, at most 45 minutes (TEST_WORKERS=2, TEST_ARGS="-k name")'
	@echo 'make check    lint, types, layers and unit tests, within 3 minutes'
	@echo 'make lint     ruff, mypy and the import contracts'
	@echo 'make unit     the unit tests'
	@echo 'make format   let ruff rewrite what it can'
	@echo 'make bench    the benchmarks, as a table'
	@echo 'make env      only bring the tools and .venv up to date'
	@echo 'make clean    remove .venv, .tools, caches and the demo home'

env:
	@$(BOOTSTRAP)

# A home of its own in the checkout: the demo adds nothing to ~/.cairn.
demo: export CAIRN_HOME := $(or $(CAIRN_HOME),$(CURDIR)/.cairn-demo)
demo:
	@$(BOOTSTRAP) --no-dev
	@echo "Cairn home: $(CAIRN_HOME)"
	@$(BIN)/cairn run examples/training/pipeline.py

test: env
	@$(PYTEST) --session-timeout=2700 $(TEST_ARGS)

check: lint unit

lint: env
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

unit: env
	@$(PYTEST) --session-timeout=150 tests/unit $(TEST_ARGS)

format: env
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

bench: env
	@$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .tools .cairn-demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
