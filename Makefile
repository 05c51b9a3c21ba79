# Targets for development. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help install engine demo study docs test test-all test-rings test-unit test-contract test-sandbox test-cluster \
  test-pythons test-device test-gpu test-integrations test-machines release-check lint format clean
SHELL := /bin/bash
BIN := .venv/bin
# The tests to run: the short form of each ring. Empty: all.
SELECT := -m "not slow"
# Two test processes, each of which takes groups of tests (tests/conftest.py), the longest groups first.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# One more than there are cores, since a test that starts a cluster, a run, a service or a sandbox waits half of its time.
CROWDED := -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist loadfile --no-loadscope-reorder
# The slowest tests are listed at the end of a run.
SLOWEST := --durations 20 --durations-min 5
# Runs one ring and prints how long it took.
ring = TIMEFORMAT='ring $(1): %0R s, CPU %0U + %0S s'; time $(2)
# Small tensors on few cores: more threads than cores only spin.
export TOKENIZERS_PARALLELISM = false
# Keep bytecode, whatever the environment says: the tests start hundreds of interpreters.
export PYTHONDONTWRITEBYTECODE =

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

install: ## Install everything in .venv (PYTHON=... and TORCH_INDEX=... select the interpreter and the index of torch)
	@.ci/setup

engine: install ## Install a Docker engine and Slurm for the tests, as root on Debian
	@.ci/setup engine

demo: install ## Run the pipeline on a laptop CPU: data, SFT, RL, one table (about 10 minutes; resumes after Ctrl-C)
	@$(BIN)/atomforge demo --config configs/demo.yaml

study: install ## Reproduce the paper's three findings at a small size, with a report (about 25 minutes on two cores; resumes)
	@$(BIN)/atomforge study --config configs/studies/small.yaml --jobs 2
	@$(BIN)/atomforge report runs/study_small

docs: install ## Build the documentation in site/, with warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: install ## Check style, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: install ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: engine ## Run the short form of all tests (at most 15 minutes)
	@$(MAKE) --no-print-directory -j2 lint test-rings

test-all: lint engine ## Run all tests, and the executor's on other interpreters (at most 60 minutes)
	@$(MAKE) --no-print-directory test-rings SELECT=
	@$(MAKE) --no-print-directory test-pythons

# All rings side by side, since those of clusters and sandboxes wait for other processes half of the time.
test-rings: engine ## Run the tests of all rings
	@$(call ring,all rings,OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit tests/contract tests/cluster tests/sandbox $(SELECT) $(SLOWEST) $(CROWDED))

test-unit: install ## Test functions and modules
	@$(call ring,unit,OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit --ignore tests/unit/executor $(SELECT) -n auto --dist loadfile)
	@$(call ring,unit of the executor,$(BIN)/pytest tests/unit/executor $(SELECT) $(PARALLEL))

test-contract: install ## Test every atom, every YAML file, and every command at smoke size
	@$(call ring,contract,OMP_NUM_THREADS=1 $(BIN)/pytest tests/contract $(SELECT) -n auto --dist loadfile)

test-sandbox: engine ## Run hostile programs in the real sandboxes
	@$(call ring,sandbox,$(BIN)/pytest tests/sandbox $(SELECT) $(SLOWEST) $(PARALLEL))

test-cluster: engine ## Test two ranks over gloo, and a real Slurm
	@$(call ring,cluster,$(BIN)/pytest tests/cluster $(SELECT))

test-pythons: install ## Run the executor's tests on every other installed Python from 3.11 to 3.14
	@$(call ring,other interpreters,tests/run_on_interpreters.sh)

test-device: install ## Test training and decoding on a simulated CUDA device (10 minutes; needs g++)
	@$(call ring,device,$(BIN)/pytest tests/device)

test-gpu: install ## Check everything on one H100 or H200 in 8 minutes, with a table
	$(BIN)/python -m benchmarks.gpu

test-integrations: install ## Test against TRL, verl, OpenRLHF, verifiers, inspect_ai, lm-eval and vLLM (first time 40 minutes)
	$(BIN)/python tests/integrations/run.py

test-machines: ## Follow the README on fresh Debian 12 and 13, as root (MACHINES=... selects; 15 minutes each)
	tests/machines/run.sh

release-check: ## Build both distributions in dist/ and check what a release needs (TAG=v0.2.0)
	@TAG=$(TAG) .ci/release-check

clean: ## Remove the output of tests and builds (not .venv, data or runs)
	rm -rf build dist site *.egg-info executor/*.egg-info executor/build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
