# The commands of this checkout. Each sets up what it needs first; `make help` lists them.
PYTHON ?= python3
PORTFOLIO ?=
TESTS ?= tests
PACKAGES := benchmarks cli demo deploy kernel services
BIN := .venv/bin

# Modules that are not compiled to disk cost every process seconds at its start.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup proto requirements up down reset doctor demo bench test test-long check format publish-contracts docs

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

setup: ## make .venv with the command `recoup`, the generated contracts, and fetch Kafka's jars
	@$(PYTHON) -m deploy.local.setup

proto: setup ## generate the Python of the contracts (part of setup)

requirements: setup ## pin every dependency of pyproject.toml anew, by hash
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate --generate-hashes \
	  --custom-compile-command "make requirements" pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate --generate-hashes --extra dev \
	  --custom-compile-command "make requirements" pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate --generate-hashes --extra dev \
	  --custom-compile-command "make requirements" pyproject.toml requirements/bench.in -o requirements/bench.txt

up: setup ## run the whole platform in the foreground; Ctrl-C stops it
	@$(BIN)/recoup up

down: setup ## stop what `make up` of this checkout started
	@$(BIN)/recoup down

reset: setup ## stop it and delete its data
	@$(BIN)/recoup reset

doctor: setup ## tell what is wrong with the machine or the platform, and how to mend it
	@$(BIN)/recoup doctor

demo: setup ## play a portfolio from placement to audit; PORTFOLIO=FILE takes one of yours
	@$(BIN)/python -m demo $(if $(PORTFOLIO),"$(PORTFOLIO)")

bench: setup .venv-bench/recoup.stamp ## measure against the peers, into benchmarks/latest.json
	@.venv-bench/bin/python -m benchmarks

# The peers live in an environment of their own, so that the product never depends on them.
.venv-bench/recoup.stamp: requirements/bench.txt
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --require-hashes -r requirements/bench.txt
	@printf '%s\n%s\n' "$(CURDIR)" "$(CURDIR)/gen" > .venv-bench/lib/python3.11/site-packages/recoup-checkout.pth
	@touch $@

test: setup ## run the tests; TESTS=tests/kernel runs some
	$(BIN)/python -m pytest $(TESTS)

test-long: setup ## run the tests that take minutes
	$(BIN)/python -m pytest -m long $(TESTS)

check: setup ## lint, types, import contracts, contracts, documents
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(PACKAGES) tests
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf breaking proto --against proto/published.binpb
	$(BIN)/python -m pytest -q tests/contracts/test_documents.py

format: setup ## put the source into its standard form
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format

docs: setup ## write the pages that are generated from the contracts
	@$(BIN)/python -m docs.generate

publish-contracts: setup ## make the contracts binding as they are; refused when they break published ones
	@if [ -f proto/published.binpb ]; then set -x; $(BIN)/buf breaking proto --against proto/published.binpb; fi
	$(BIN)/buf build proto -o proto/published.binpb
