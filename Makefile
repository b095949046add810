# Everything a person or a machine does with this project. Each target sets up what it needs, once.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
SOURCES := src tests bench examples

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Bytecode is kept, in the environment's own folder: without it each of the many processes that the
# demo and the tests start compiles the project anew.
export PYTHONPYCACHEPREFIX = $(CURDIR)/$(VENV)/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check format stubs bench plots cluster clean help

help:            ## This list.
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.run      ## One GPU becomes four: on the GPU in this machine, or on an emulated one.
	@$(BIN)/rota demo

test: $(VENV)/.dev      ## The whole test suite.
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup

check: $(VENV)/.dev      ## Style, types and layers.
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@echo "check: style, types and layers are well"

format: $(VENV)/.dev      ## Put the code into shape.
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

stubs: $(VENV)/.dev      ## Make the gRPC stubs from the .proto files anew.
	@$(BIN)/python -m tests.kubelet.stubs

bench: $(VENV)/.dev      ## What the device plugin costs, on this machine.
	@$(BIN)/python bench/plugin.py

plots: $(VENV)/.plots      ## Add what draws pictures (rota trace --plot, rota bench --plots).

cluster: $(VENV)/.cluster      ## Add what speaks to a Kubernetes API (rota agent --config-map).

clean:            ## Remove what the other targets made.
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@echo "Setting up $(VENV) with $(PYTHON) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: constraints/run.txt pyproject.toml | $(VENV)/bin/python
	@$(BIN)/pip install -qq --require-hashes -r constraints/run.txt
	@$(BIN)/pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(addprefix $(VENV)/.,dev plots cluster): $(VENV)/.%: constraints/%.txt $(VENV)/.run
	@$(BIN)/pip install -qq --require-hashes -r $<
	@touch $@
