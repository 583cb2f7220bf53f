# Every target works in a fresh clone. `infra/bootstrap` makes .venv when it is missing and installs
# only when a file of pins or pyproject.toml has changed, so calling it each time costs nothing.

BIN := .venv/bin
LOCK := --quiet --upgrade --universal --python-version 3.11 --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help up test lint format bench schemas lock hooks system-deps clean runtime dev
.NOTPARALLEL:

help: ## List the targets
	@echo 'make up                     is all you need to run Yurt on this machine. The others:'
	@echo
	@awk -F ' *## ' '/^[a-z-]+:.*##/ { sub(/:.*/, "", $$1); printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Options of the command behind up, test and bench go into ARGS:  make up ARGS="--port 9000"'
	@echo 'Another Python (3.11 or newer) for .venv:                       make up PYTHON=python3.13'

up: runtime ## Run the home node on port 8080 with its data in ./data
	@exec $(BIN)/yurt up $(ARGS)

test: lint ## Run every check: format, lint, types, tests
	$(BIN)/pytest $(ARGS)

lint: dev ## Run the checks that execute nothing: format, lint, types
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy

format: dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix --exit-zero --quiet
	$(BIN)/ruff format

bench: dev ## Print the tables of the benchmarks
	@exec $(BIN)/python -m tests.bench $(ARGS)

schemas: runtime ## Generate schemas/ and the other generated files from the code
	$(BIN)/python -m infra.generate

# The development tools take the versions of what a node uses too, so that the tests see what runs.
lock: dev ## Pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile $(LOCK) pyproject.toml --output-file requirements.txt
	$(BIN)/uv pip compile $(LOCK) --group dev --constraints requirements.txt --output-file tests/requirements.txt

hooks: dev ## Let git run the quick checks before each commit
	$(BIN)/pre-commit install

system-deps: ## Install what the tests and benchmarks want from apt (root or sudo)
	@infra/system-deps

clean: ## Remove .venv, build/ and the caches; ./data stays
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime dev:
	@PYTHON='$(PYTHON)' infra/bootstrap $@
