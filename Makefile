# make run           trains a CWAE on the embedded digits; plots and scores in runs/quickstart
# make test          formatting, lints, types and the ordinary test suite
# make check         formatting, lints and types only
# make test-slow     tests that take minutes, and those that need the extra aejax[bench] where it is
# make test-bench    tests of the benchmarks and of Table 1
# make test-compiled programs compiled for GPUs and TPUs that need not be there; ten minutes
# make accelerator   checks and times aejax on this machine's GPU or TPU, in ten minutes
# make test-lowest   the suite with the lowest versions that setup.cfg allows (Python 3.11)
# make test-latest   the suite with the newest versions, on the newest Python found
# make soak          kills, failing disks, clean environments: minutes
# make docs          the documentation as pages, docs/_build/index.html; a warning is an error
# make audit         known vulnerabilities of the pinned packages (asks a public service)
# Every target but `accelerator` makes its own environment on first use, below .venv.

PYTHON ?= python3
NEWEST ?= $(firstword $(foreach v,3.14 3.13 3.12,$(shell command -v python$(v))) $(PYTHON))
BIN := .venv/bin
COMPILED := .venv/compiled
PYTEST := -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: env run check test test-slow test-bench test-compiled accelerator
.PHONY: test-lowest test-latest soak docs audit clean

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
	$(BIN)/python $(PYTEST)

test-slow: env
	$(BIN)/python -m pytest -m slow

test-bench: env
	$(BIN)/python -m pytest -m bench

test-compiled: $(COMPILED)/installed
	JAX_ENABLE_COMPILATION_CACHE=false $(COMPILED)/bin/python -m pytest -m compiled tests/accelerators

# The compilers for TPUs and H100s, 1.2 GB; they need no device, but CUDA's ptxas and libdevice.
$(COMPILED)/installed: JAX = $(shell sed -n 's/^jax==//p' requirements.txt)
$(COMPILED)/installed: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv $(COMPILED)
	$(COMPILED)/bin/pip install --quiet --requirement requirements.txt 'jax[tpu]==$(JAX)'
	$(COMPILED)/bin/pip install --quiet --no-deps --editable . \
	  jax-cuda13-plugin==$(JAX) jax-cuda13-pjrt==$(JAX) nvidia-cuda-nvcc nvidia-nvvm
	touch $@

accelerator:
	$(PYTHON) experiments/accelerator.py

test-lowest: env
	$(PYTHON) -m venv .venv/uv
	.venv/uv/bin/pip install --quiet uv
	.venv/uv/bin/uv pip compile --quiet --resolution lowest-direct --extra dev \
	  --output-file .venv/lowest.txt setup.cfg
	.venv/uv/bin/uv venv --quiet --clear --seed --python $(PYTHON) .venv/lowest
	.venv/uv/bin/uv pip install --quiet --python .venv/lowest/bin/python -r .venv/lowest.txt
	.venv/uv/bin/uv pip install --quiet --python .venv/lowest/bin/python --no-deps --editable .
	.venv/lowest/bin/python $(PYTEST)

test-latest:
	$(NEWEST) -m venv --clear .venv/latest
	.venv/latest/bin/pip install --quiet --upgrade --editable '.[dev]'
	.venv/latest/bin/python $(PYTEST)

soak: env
	$(BIN)/pytest -s -m "slow or not slow" tests/robustness tests/test_packaging.py \
	  tests/training/test_checkpoints.py tests/training/test_distributed.py

docs: env
	$(BIN)/sphinx-build --quiet --fail-on-warning -c docs . docs/_build

audit: env
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/pip install --quiet pip-audit
	$(BIN)/pip check
	.venv/audit/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip

clean:
	rm -rf .venv .cache build docs/_build *.egg-info
