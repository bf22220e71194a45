# The project's commands. Everything lands in .venv and output/; `make clean` takes both away.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup run test check golden clean
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install the project and all that it needs into .venv

run: $(STAMP)  ## the whole retraining once, on this machine: database to output/recommendations.csv
	$(BIN)/retrain local run --config retraining.toml --output output

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest

check: $(STAMP)  ## lint, types, import directions, rendered files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/retrain check
	$(BIN)/retrain render --check

golden: $(STAMP)  ## write the rendered files under asl/ anew
	$(BIN)/retrain render

clean:  ## remove .venv and output
	rm -rf .venv output

$(STAMP): setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
