# make demo    try it: a virtual environment, an embedded PostgreSQL, a live demonstration
# make test    every test but the long ones; TESTS=tests/unit for some, ARGS="-x -k name" for pytest
# make test-all  the long ones as well: every pair, every cell of the matrices
# make bench   measure pgqueue and its peers; the tables are in docs/benchmarks; half an hour
# make chaos   half an hour of faults against a million jobs, and a verdict; MINUTES=5 SEED=17
# make new-user  follow docs/guide/start.md in an empty directory, and say how long each section takes
# make check   all that CI checks besides the tests: lint types imports
# make pages   write the pages that are made from code: docs/guide/errors.md, docs/reference
# make lock    resolve requirements/*.lock anew from pyproject.toml

PYTHON ?= python3
VENV ?= .venv
TESTS ?= tests
WORKERS ?= auto
LOG ?= .venvs/logs/test
ARGS ?=
MINUTES ?= 30
SEED ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" pyproject.toml

.PHONY: demo test test-all bench chaos new-user check lint types imports format pages lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	@$(BIN)/pgqueue demo $(ARGS)

test: $(VENV)/.dev
	@mkdir -p .venvs && echo '*' > .venvs/.gitignore
	@$(BIN)/python -m tests.harness.suite --workers $(WORKERS) --log $(LOG) $(SUITE_ARGS) -- $(TESTS) $(ARGS)

test-all: SUITE_ARGS = --long
test-all: test

# A virtual environment of its own: what is measured is what `pip install` gives.
bench: .venvs/bench/pgqueue/.bench
	@.venvs/bench/pgqueue/bin/python -m benchmarks.install
	@.venvs/bench/pgqueue/bin/python -m benchmarks all --report docs/benchmarks $(ARGS)

# What was found in one part says nothing of the others: all are run.
chaos: $(VENV)/.dev
	@failed=0; \
	$(BIN)/python -m chaos --parts torture,arenas --minutes $(MINUTES) --report docs/chaos \
		$(if $(SEED),--seed $(SEED)) $(ARGS) || failed=1; \
	$(BIN)/python -m chaos.matrix --report docs/chaos $(if $(SEED),--seed $(SEED)) || failed=1; \
	$(BIN)/python -m chaos.figures --report docs/chaos $(if $(SEED),--seed $(SEED)) || failed=1; \
	exit $$failed

new-user:
	@$(PYTHON) -m tests.guide.new_user

check: lint types imports

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python

imports: $(VENV)/.dev
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pages: $(VENV)/.dev
	$(BIN)/python -m tests.mistakes
	$(BIN)/python -m tests.reference

lock: $(VENV)/.dev
	$(UV_COMPILE) --extra embedded --extra uvloop --group build -o requirements/demo.lock
	$(UV_COMPILE) --all-extras --group dev -o requirements/dev.lock
	$(UV_COMPILE) --extra embedded --extra uvloop --extra psycopg --group build \
		benchmarks/requirements.in -o requirements/bench.lock

clean:
	rm -rf $(VENV) .venvs .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Stamps: what is installed stays installed until a lock or pyproject.toml changes.

$(VENV)/.demo: $(VENV)/.made requirements/demo.lock pyproject.toml
	@echo "installing pgqueue into $(VENV)"
	@$(PIP) --require-hashes -r requirements/demo.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.made requirements/dev.lock pyproject.toml
	@echo "installing pgqueue and what its tests need into $(VENV)"
	@$(PIP) --require-hashes -r requirements/dev.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

.venvs/bench/pgqueue/.bench: requirements/bench.lock pyproject.toml
	@echo "installing pgqueue and what the benchmarks need into .venvs/bench/pgqueue"
	@$(PYTHON) -m venv .venvs/bench/pgqueue
	@echo '*' > .venvs/.gitignore
	@.venvs/bench/pgqueue/bin/python -m pip --disable-pip-version-check install -qq \
		--require-hashes -r requirements/bench.lock
	@.venvs/bench/pgqueue/bin/python -m pip --disable-pip-version-check install -qq \
		--no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
		f"pgqueue needs Python 3.11 or newer; $(PYTHON) is {v.major}.{v.minor}: make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@
