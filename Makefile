# Everything a contributor runs; CI calls the same targets. `make` alone lists them.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.bench-installed
SERVICES := $(BIN)/python scripts/services
# Runs what follows with the URLs of the servers in its environment.
WITH_SERVICES := $(SERVICES) up && set -a && . ./.services/env && set +a &&

# The first Python that is new enough and can make virtual environments; `make PYTHON=…` overrides.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test check format bench differential chaos simulate services-up services-down lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
	|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' Makefile

venv: $(INSTALLED) ## create .venv with everything for work on the project

demo: $(INSTALLED) ## show the main job on the embedded default; needs no server
	$(BIN)/holdfast demo

# Most tests wait for a server most of the time. JOBS=0 runs them one after the other (for --pdb).
# In their own order: the longest ones are not the last, for which one process would be left.
JOBS ?= 3
test: $(INSTALLED) ## run every test with real servers; ARGS='-k name' is handed to pytest
	$(WITH_SERVICES) HOLDFAST_TEST_REQUIRE_SERVICES=1 \
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder $(ARGS)

check: $(INSTALLED) ## lint, format, types, layers
	$(BIN)/ruff check . scripts/services
	$(BIN)/ruff format --check . scripts/services
	$(BIN)/mypy
	$(BIN)/mypy scripts/services
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(INSTALLED) ## rewrite the code in the house format
	$(BIN)/ruff check --fix . scripts/services
	$(BIN)/ruff format . scripts/services

bench: $(BENCH_INSTALLED) ## measure against the peers; ARGS is handed to the benchmarks
	$(WITH_SERVICES) $(BIN)/python -m benchmarks $(ARGS)

N ?= 1000000
differential: $(INSTALLED) ## compare all backends on N=1000000 random operations
	$(WITH_SERVICES) HOLDFAST_TEST_REQUIRE_SERVICES=1 HOLDFAST_DIFFERENTIAL_OPERATIONS=$(N) \
	$(BIN)/pytest tests/conformance/differential $(ARGS)

STORM ?= --kills 20 --operations 50000 --calm 1
chaos: $(INSTALLED) ## kill, stop and cut everything under load; python -m tests.chaos --help tells how long it can be
	$(BIN)/python -m tests.chaos $(STORM)
	$(WITH_SERVICES) HOLDFAST_TEST_REQUIRE_SERVICES=1 HOLDFAST_TEST_CHAOS=long \
	$(BIN)/pytest --numprocesses $(JOBS) --dist loadgroup --no-loadscope-reorder \
	tests/chaos --ignore tests/chaos/test_storm.py $(ARGS)

simulate: $(INSTALLED) ## simulate until N=1000000 deliveries met a fault; ARGS='--help' tells more
	$(BIN)/python -m tests.simulation --faulted $(N) $(ARGS)

services-up: $(INSTALLED) ## start RabbitMQ, PostgreSQL and Redis for the tests
	$(SERVICES) up

services-down: $(INSTALLED) ## stop them; their data stays
	$(SERVICES) down

UV := build/uv/bin/uv
COMPILE := $(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
lock: $(UV) ## resolve the dependencies anew into the two lock files
	$(COMPILE) --upgrade --extra server --group dev --output-file requirements.lock
	$(COMPILE) --upgrade --group bench --constraints requirements.lock \
	--output-file requirements-bench.lock

clean: ## stop the servers; remove .venv, .services with all data, and what tools left
	@if [ -d .services ]; then $(or $(PYTHON),python3) scripts/services down --purge; fi
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
	echo "Holdfast needs Python 3.11 or later with venv; found: $$(python3 --version 2>&1)." >&2; \
	echo "On Debian or Ubuntu: apt-get install python3 python3-venv" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED) requirements-bench.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

$(UV): $(INSTALLED)
	$(BIN)/python -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check uv
