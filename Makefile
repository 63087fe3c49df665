# make run    train a CWAE on the embedded digits; pictures and numbers in runs/quickstart
# make test   formatting, lints, types, and the whole test suite
# make soak   kills, failing disks, clean environments: minutes, for real
# make docs   the documentation as pages, docs/_build/README.html; a warning is an error
# make audit  known vulnerabilities of the pinned packages (asks a public service)
# All targets make their own environment, .venv, on first use.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: env run test test-slow soak docs audit check clean

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

soak: env
	$(BIN)/pytest -s -m "slow or not slow" tests/robustness tests/test_packaging.py \
	  tests/training/test_checkpoints.py tests/training/test_lock.py tests/training/test_processes.py

docs: env
	$(BIN)/sphinx-build --quiet --fail-on-warning -c docs . docs/_build

audit: env
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet pip-audit
	$(BIN)/pip check
	.venv/audit/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip

clean:
	rm -rf .venv .cache build docs/_build *.egg-info
