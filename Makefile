# make run    train a CWAE on the embedded digits; pictures and numbers in runs/quickstart
# make test   formatting, lints, types, and the whole test suite
# All targets make their own environment, .venv, on first use.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: env run test test-slow check clean

env: .venv/installed

.venv/installed: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

run: env
	$(BIN)/python experiments/train.py cwae --dataset digits --workdir runs/quickstart \
	  $(if $(wildcard runs/quickstart/config.json),--resume)

check: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-slow: env
	$(BIN)/pytest -m slow

clean:
	rm -rf .venv build *.egg-info
