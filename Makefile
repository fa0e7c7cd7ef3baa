# One target for each habit. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo dev test chaos bench lint format types check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

# Only the tests use it: the real Supabase CLI applies the migrations that `journey migrate` applies.
tests/supabase_cli/node_modules/.installed: tests/supabase_cli/package.json tests/supabase_cli/.npmrc
	npm install --prefix tests/supabase_cli --no-audit --no-fund --silent
	@touch $@

setup: .venv/.installed ## create .venv with everything, the `journey` command included

demo: setup ## run the whole journey on an embedded stack, and check it
	$(BIN)/journey demo

dev: setup ## run the embedded stack and one worker until Ctrl-C
	$(BIN)/journey dev

test: setup tests/supabase_cli/node_modules/.installed ## run the tests, with coverage
	$(BIN)/python -m pytest --cov

chaos: setup ## kill everything for two minutes and check the promises; SEED=.. DURATION=..
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(DURATION),--duration $(DURATION))

bench: setup ## measure what a session costs, and write docs/performance.md
	$(BIN)/journey bench --docs docs

lint: setup ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## mend style and formatting where a machine can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## check types, strictly
	$(BIN)/mypy

check: lint types test ## all of the above checks

clean: ## remove what the targets made
	rm -rf .venv .journey tests/supabase_cli/node_modules .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
