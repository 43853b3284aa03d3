# Headwater: `make demo` runs it, `make test` proves it. Needs Python >= 3.11, git and make; the rest installs itself.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
STAMPS := .stamps
PORT ?= 8080

.PHONY: demo test test-python lint format bench docs destination-pages torture lock browser fault-tools node-sdk screenshots clean help

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Headwater needs Python 3.11 or newer; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMPS)/app: $(UV) requirements.txt pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/app requirements-dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@

$(STAMPS)/dbt: $(UV) tests/integration/models/requirements.txt
	$(UV) venv --quiet --clear --python $(BIN)/python $(VENV)/dbt
	$(UV) pip install --quiet --python $(VENV)/dbt/bin/python --compile-bytecode --require-hashes -r tests/integration/models/requirements.txt
	@touch $@

demo: $(STAMPS)/app  ## set everything up and run the demo on http://localhost:8080
	$(BIN)/headwater demo --port $(PORT)

test: $(STAMPS)/dev $(STAMPS)/dbt browser node-sdk fault-tools lint test-python  ## install what the tests need, then lint, types, layers, all tests

test-python: $(STAMPS)/dev $(STAMPS)/dbt
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not torture"

lint: $(STAMPS)/dev  ## ruff, mypy --strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMPS)/dev  ## apply ruff's fixes and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMPS)/app  ## this machine's figures, as ratios to a limit measured in the same run
	$(BIN)/headwater bench

docs: $(STAMPS)/dev  ## the documentation as a website in site/
	$(BIN)/zensical build --clean

destination-pages: $(STAMPS)/app  ## renew docs/destinations/ from the shelf
	$(BIN)/python tools/destination_pages.py

torture: $(STAMPS)/dev fault-tools  ## the full fault sets (an hour and more; some need root and Debian's nbdkit)
	$(BIN)/python -m pytest -m "torture" tests/fault tests/integration/control/test_api_fuzzed.py

browser: $(STAMPS)/dev  ## Chromium for the browser tests (Debian installs it; elsewhere the tests say what is missing)
	tools/install-browser

fault-tools:  ## strace and nbdkit for kills and power cuts (Debian installs them; elsewhere those tests are skipped)
	tools/torture-tools

node-sdk: $(STAMPS)/dev  ## Segment's Node SDK for the compatibility test
	tools/install-node-sdk

screenshots: $(STAMPS)/dev browser  ## pictures of every page into screenshots/
	$(BIN)/python -m pytest tests/browser -k screenshots --screenshots screenshots

lock: $(UV)  ## renew the hashed requirements
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt

clean:  ## remove what make made
	rm -rf $(VENV) $(STAMPS) site .mypy_cache .ruff_cache .pytest_cache
