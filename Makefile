# Needs only python3 (3.11 or newer), git and make. Everything is installed into .venv, from locked versions.
PYTHON ?= python3
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade --no-header --quiet
# Tests run in two processes; PYTEST_ARGS="tests/unit -n 0" runs a part of them.
PYTEST_ARGS ?= -n 2 --ignore=tests/faces

.PHONY: help install demo test lint bench lock reference pictures clean

help:
	@echo "make demo   a rainy working day in district 410104, on your own machine"
	@echo "make test   everything that must hold before a change is merged"
	@echo "make lint   style, types, layers (the quick part of make test)"
	@echo "make bench  all benchmarks, each with its ratio (long)"
	@echo "make lock   choose the versions of all dependencies anew"

install:
	@$(PYTHON) tools/bootstrap.py

demo: install
	$(BIN)/gridloop up --demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy gridloop config bench tests tools
	$(BIN)/lint-imports
	$(BIN)/gridloop check --code
	$(BIN)/gridloop packs check

test: lint
	$(BIN)/pytest $(PYTEST_ARGS)
	$(BIN)/python tools/chromium.py
	$(BIN)/pytest -n 0 tests/faces

bench: install
	@set -e; for name in $$(cd bench && ls *.py | sed -n 's/^\([a-z][a-z_]*\)\.py$$/\1/p'); do \
		echo "== $$name"; $(BIN)/python -m bench.$$name; done

# The annotations are kept, the command line and the address of the index are not.
lock:
	$(LOCK) \
		--all-extras pyproject.toml -o requirements.lock
	$(LOCK) \
		--all-extras --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock

# The pictures of the documentation, from the demonstration.
pictures: install
	$(BIN)/python tools/pictures.py

reference: install
	$(BIN)/python -m tools.reference

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
