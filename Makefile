# attune: `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ATTUNE_HOME ?= .attune
PORT ?= 3000
CASES ?= 4
WORLDS ?= 8
export ATTUNE_HOME
# dbt, sqlfluff and Dagster find each other's commands by name
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Spark's Java, wherever it is; looked for anew by each recipe, because the tests may install it
JAVA_HOME ?= $(patsubst %/bin/java,%,$(firstword $(shell readlink -f "$$(command -v java)" 2>/dev/null; \
	ls -d /usr/lib/jvm/*/bin/java 2>/dev/null)))
export JAVA_HOME

# the checks' own workspace: the user's is not touched
TEST_DIR := target/test
TEST_HOME := $(TEST_DIR)/home
TIMES := $(TEST_DIR)/durations.txt

# $(call step,NAME,COMMAND): run one check, say how long it took
step = @mkdir -p $(TEST_DIR); printf '\n== %s\n' '$(1)'; start=$$SECONDS; $(2); \
	printf '%-34s %5d s\n' '$(1)' $$((SECONDS - start)) | tee -a $(TIMES)

.PHONY: help
help: ## this list
	@echo 'attune: who prefers what, and which change works'
	@echo
	@echo 'Start with "make run": it needs Python 3.11 to 3.13 and nothing else.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Variables:'
	@echo '  ATTUNE_HOME=DIR          the workspace: inbox, lake, warehouse, cache (default .attune)'
	@echo '  ATTUNE_DECLARATIONS=DIR  your own declarations; "attune init DIR" copies a starter'
	@echo '  ARGS="--more-days 1"     passed on by make run: one more simulated day'
	@echo '  PYTHON=python3.12        the interpreter that makes .venv'
	@echo
	@echo 'Everything else is the attune command: .venv/bin/attune --help'

.PHONY: run
run: $(VENV)/.stamp-package ## simulate users, ingest, build, sync, publish, and say what came out
	@attune run $(ARGS)

.PHONY: ui
ui: $(VENV)/.stamp-package ## Dagster's web UI on this workspace (PORT=3000)
	@attune ui --port $(PORT)

.PHONY: serve
serve: $(VENV)/.stamp-package ## the read API on this workspace: profiles, decisions, controls (ARGS="--port 8040")
	@attune serve $(ARGS)

# mypy is one process, and so is dbt parse; a build's Python is one too: side by side they take two cores
.PHONY: test
test: test-machine $(VENV)/.stamp-dev $(VENV)/.stamp-package $(VENV)/.stamp-reference ## every check; installs what the tests need
	@mkdir -p $(TEST_DIR) && : > $(TIMES)
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types & types=$$!; \
		$(MAKE) --no-print-directory parse build-empty || { wait $$types; exit 1; }; wait $$types
	@$(MAKE) --no-print-directory lint-sql
	@printf '\n== pytest\nso far:\n'; cat $(TIMES)
	@ATTUNE_PROPERTY_CASES=$(CASES) ATTUNE_TRUTH_WORLDS=$(WORLDS) pytest -n 2 --dist loadgroup --durations=15 -q

.PHONY: test-spark
test-spark: test-machine $(VENV)/.stamp-dev $(VENV)/.stamp-package ## build both engines, compare the marts
	@pytest -m spark --durations=5 -q

.PHONY: bench
bench: bench-machine $(VENV)/.stamp-dev $(VENV)/.stamp-package $(VENV)/.stamp-reference $(VENV)/.stamp-feast ## speed of ingest, scorecards, preferences, policies, cache and API beside others (2 cores)
	@python -m benchmarks.ingest
	@python -m benchmarks.receiver
	@python -m benchmarks.experiments
	@python -m benchmarks.preferences
	@python -m benchmarks.policies
	@python -m benchmarks.serving_cache
	@python -m benchmarks.serving_api
	@python -m benchmarks.hot_path

.PHONY: bench-big
bench-big: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## load one file of 5 GB and 10,000 tiny ones under 1 GB of memory
	@mkdir -p target && python -m benchmarks.big_file

.PHONY: simulate-aa
simulate-aa: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## how often scorecards are wrong, over 2,000 experiments without an effect and 2,000 with one
	@python -m benchmarks.false_positives

.PHONY: lint
lint: $(VENV)/.stamp-dev ## ruff
	$(call step,ruff,ruff check --quiet . && ruff format --check --quiet .)

.PHONY: types
types: $(VENV)/.stamp-dev ## mypy --strict
	$(call step,mypy,mypy)

.PHONY: parse
parse: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## dbt parse, deprecations are errors
	$(call step,dbt parse,ATTUNE_HOME=$(TEST_HOME) dbt --quiet --no-partial-parse \
		--warn-error-options '{"error": ["Deprecations"]}' parse --profiles-dir .)

.PHONY: lint-sql
lint-sql: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## sqlfluff with the dbt templater
	@mkdir -p $(TEST_HOME)
	$(call step,sqlfluff,ATTUNE_HOME=$(TEST_HOME) scripts/lint-sql lint --nocolor --processes 2 models tests/dbt)

.PHONY: build-empty
build-empty: $(VENV)/.stamp-dev $(VENV)/.stamp-package ## dbt build (unit and data tests) on an empty workspace
	@rm -rf $(TEST_HOME) && mkdir -p $(TEST_HOME)
	$(call step,dbt build on an empty workspace,ATTUNE_HOME=$(TEST_HOME) dbt --quiet build --profiles-dir .)

.PHONY: test-machine
test-machine:
	@scripts/setup-machine test

.PHONY: bench-machine
bench-machine:
	@scripts/setup-machine bench

.PHONY: lock
lock: $(VENV)/.stamp-dev ## resolve the locks again from pyproject.toml (needs uv)
	@scripts/lock

.PHONY: clean
clean: ## remove .venv, the workspace and what the tools left
	find .attune -mindepth 1 -maxdepth 1 ! -name .gitkeep -exec rm -rf {} +
	rm -rf $(VENV) target logs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A changed lock makes the environment anew; a changed pyproject.toml only registers the package again.
$(VENV)/.stamp-runtime: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo 'attune needs Python 3.11 to 3.13, and "$(PYTHON)" is not one.' \
			'Install one and say which: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@echo 'Making .venv from requirements.lock (once; 1 to 3 minutes) ...'
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo 'Python cannot make an environment. On Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on \
		--require-hashes -r requirements.lock
	@touch $@

$(VENV)/.stamp-dev: requirements-dev.lock $(VENV)/.stamp-runtime
	@echo 'Adding the tools of the tests from requirements-dev.lock (once; Spark is 400 MB) ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on \
		--require-hashes -r requirements-dev.lock
	@touch $@

# apart, because gbstats pins older packages; resolved with newer ones, hence without its word on them
$(VENV)/.stamp-reference: requirements-reference.lock $(VENV)/.stamp-runtime
	@echo 'Making .venv/reference, the statistics libraries to compare with (once; half a minute) ...'
	@$(BIN)/python -m venv --clear $(VENV)/reference
	@$(VENV)/reference/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r requirements-reference.lock
	@touch $@

$(VENV)/.stamp-feast: requirements-feast.lock $(VENV)/.stamp-runtime
	@echo 'Making .venv/feast, the feature store to compare with (once; a minute) ...'
	@$(BIN)/python -m venv --clear $(VENV)/feast
	@$(VENV)/feast/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r requirements-feast.lock
	@touch $@

$(VENV)/.stamp-package: pyproject.toml $(VENV)/.stamp-runtime
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@
