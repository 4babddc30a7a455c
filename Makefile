# Everything runs from .venv, made from hash-locked requirements; nothing is installed elsewhere.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
# Recipes find uv, ruff and the others in .venv first, then what `tests/tools/install` made, then the machine's.
export PATH := $(BIN):$(CURDIR)/.tools/bin:$(PATH)
WORKERS ?= 2
INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url

.PHONY: help setup demo row test lint format docs site lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## make .venv with everything the other commands need

.venv/ready: requirements-demo.txt
	@command -v git >/dev/null || { echo "error: git is missing; on Debian and Ubuntu: sudo apt-get install git" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is missing; on Debian and Ubuntu: sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: Python's module venv is missing; on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@echo "Installing cookiecutter and uv into .venv ..."
	@$(INSTALL) requirements-demo.txt
	@touch .venv/ready

.venv/installed: .venv/ready requirements-dev.txt
	@echo "Installing the tools of lint and tests into .venv; takes a minute ..."
	@$(INSTALL) requirements-dev.txt
	@touch .venv/installed

demo: .venv/ready ## show a change that is turned down, then, with Docker, two releases to production and one back
	@.venv/bin/python -m tools.demo demo

row: setup ## generate the project of row ROW of the answers in .rows/ and run all that its owner would run
	.venv/bin/python -m tools.matrix "$(ROW)" .rows

test: lint ## lint, then every test that this machine has the tools for
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadfile

lint: setup ## check format, types, workflows and documents without changing them
	ruff check .
	ruff format --check .
	mypy
	.venv/bin/python -m tools.document_actions --check
	.venv/bin/python -m tools.lint

format: setup ## put the code in the form that lint wants
	ruff check --fix .
	ruff format .

docs: setup ## write the tables of actions/README.md anew
	.venv/bin/python -m tools.document_actions

site: setup ## build the pages of docs/ into .site/
	.venv/bin/python -m sphinx -W --keep-going --quiet -b html docs .site

lock: setup ## resolve the two requirements-*.txt anew from pyproject.toml
	$(COMPILE) --group dev pyproject.toml --output-file requirements-dev.txt
	$(COMPILE) --group demo pyproject.toml --constraints requirements-dev.txt --output-file requirements-demo.txt

clean: ## remove everything that the other commands made
	rm -rf .venv .tools .site .rows demo .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
