# The everyday verbs. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help install engine demo study docs test test-all test-unit test-contract test-sandbox test-cluster test-gpu test-integrations lint format clean
BIN := .venv/bin
# Small tensors on few cores: more threads than cores only spin.
export TOKENIZERS_PARALLELISM = false

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

install: ## Make .venv and install everything (PYTHON=..., TORCH_INDEX=... to choose)
	@.ci/setup

engine: install ## A Docker engine for the tests, where we are root on Debian (elsewhere: nothing)
	@.ci/setup engine

demo: install ## The whole way on a laptop CPU: data, SFT, PPO, one table (about 10 minutes; Ctrl-C and go on at will)
	@$(BIN)/atomforge demo --config configs/demo.yaml

study: install ## The paper's three findings at a small size, with a report (about 20 minutes on two cores; Ctrl-C and go on)
	@$(BIN)/atomforge study --config configs/studies/small.yaml --jobs 2
	@$(BIN)/atomforge report runs/study_small

docs: install ## The documentation as a site in site/, with warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: install ## Style, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: install ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint engine ## The short form of every ring (at most 15 minutes)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit --ignore tests/unit/executor -m "not slow" -n auto --dist loadfile
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/contract -m "not slow" -n auto --dist loadfile
	$(BIN)/pytest tests/unit/executor tests/sandbox tests/cluster -m "not slow"

test-all: lint engine ## Every ring, the long forms too (at most 60 minutes)
	$(BIN)/pytest

test-unit: install ## Pure functions and modules, seconds
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit --ignore tests/unit/executor -m "not slow" -n auto --dist loadfile
	$(BIN)/pytest tests/unit/executor -m "not slow"

test-contract: install ## Every atom, every YAML, every command at smoke size
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/contract -m "not slow" -n auto --dist loadfile

test-sandbox: engine ## Hostile programs in the real sandbox
	$(BIN)/pytest tests/sandbox -m "not slow"

test-cluster: engine ## Two ranks over gloo, and a real Slurm
	$(BIN)/pytest tests/cluster -m "not slow"

test-gpu: install ## What the CUDA sandbox promises, on a machine with a GPU (ATOMFORGE_SANDBOX_GPU=0 names it)
	$(BIN)/python tests/gpu/check_sandbox.py --backend bubblewrap

test-integrations: install ## The adapters against TRL, verl, OpenRLHF, verifiers, inspect_ai and lm-eval, each in its own environment (first time 30 minutes)
	$(BIN)/python tests/integrations/run.py

clean: ## Remove what tests and builds leave behind (not .venv, data or runs)
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
