# One target for each habit. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

# A run of the tests starts hundreds of processes. Each would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo dev fast test coverage chaos hostile bench wheel client-package client-types schemas screenshots lint format types check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The dependency groups of pyproject.toml need pip 25.1.
.venv/.installed: pyproject.toml constraints.txt starter/journey
	@echo "installing into .venv; about a minute"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable .
	install -m 755 starter/journey $(BIN)/journey
	@touch $@

# For the tests only, the Supabase CLI applies the same migrations as `journey migrate`. axe-core and TypeScript check
# the page. The example service and the TypeScript client are built and tested.
TYPESCRIPT := clients/typescript
NODE_PACKAGES := tests/deployment/supabase_cli tests/page/npm examples/typescript-temporal $(TYPESCRIPT)
%/node_modules/.installed: %/package.json %/.npmrc
	npm install --prefix $* --no-audit --no-fund --silent
	@touch $@

setup: .venv/.installed ## create .venv with everything, the `journey` command included

demo: setup ## run the whole journey on an embedded stack, and check it
	$(BIN)/journey demo

dev: setup ## run the embedded stack, one worker and the example agents until Ctrl-C; its data stays in .journey
	$(BIN)/journey dev

fast: setup ## run the unit tests, which need no server
	$(BIN)/python -m pytest --hypothesis-profile fast tests/unit

# Four processes, each with its own servers, keep two cores busy. Files run in order, so that the short unit tests come
# last and all processes end at about the same time.
SUITE := $(BIN)/python -m pytest -n 4 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder
test: setup $(NODE_PACKAGES:=/node_modules/.installed) ## run all tests
	$(SUITE)

coverage: setup $(NODE_PACKAGES:=/node_modules/.installed) ## run all tests, and list the lines that none of them reaches
	$(SUITE) --cov

chaos: setup ## kill everything for two minutes and check the promises; SEED=.. DURATION=..
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(DURATION),--duration $(DURATION))

hostile: setup ## send every message that is meant to stop a session; ONLY="part of a case's name"
	$(BIN)/python -m tests.hostile $(if $(ONLY),--only "$(ONLY)")

bench: setup ## measure what a session costs, against what Temporal costs, and write docs/performance.md
	$(BIN)/python -m bench --docs docs

wheel: setup ## build the client's wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

schemas: setup ## renew docs/schemas after a change of a message or an answer
	$(BIN)/python -m tests.support.schemas

client-package: $(TYPESCRIPT)/node_modules/.installed ## build the TypeScript client into dist/
	mkdir -p dist
	cd $(TYPESCRIPT) && node_modules/.bin/tsc --build && npm pack --silent --pack-destination ../../dist

client-types: setup $(TYPESCRIPT)/node_modules/.installed ## renew the TypeScript client's types after a change of the gateway
	$(BIN)/python -m tests.support.typescript_client

screenshots: setup ## renew the pictures in docs/images, which needs Chromium
	$(BIN)/python -m tests.page.screenshots

lint: setup ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## fix style and formatting automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## check types, strictly
	$(BIN)/mypy

check: lint types test ## all of the above checks

clean: ## remove what the targets made
	rm -rf .venv .journey dist $(NODE_PACKAGES:=/node_modules) $(NODE_PACKAGES:=/dist) .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .hypothesis
