# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make` prints what there is. Needed beforehand: git, Python 3.11 to 3.13 with venv, and, for the lab,
# a Docker engine and an SSH client. PYTHON=/path/to/python3.12 chooses the interpreter of a new .venv.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

tools := tests/tools
bin := $(CURDIR)/.venv/bin
export PATH := $(bin):$(PATH)
# Common in containers; it makes a pipelined Ansible module read its payload byte by byte.
unexport PYTHONUNBUFFERED

# pytest's own closing line stays the last one of `make test`.
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## print this
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14 | sed 's/^/  /'

##
## See it work

.PHONY: demo demo-down lab
demo: venv ## build the lab, then check, converge and serve a model on two nodes
	@tests/lab/demo.sh

demo-down: ## remove the lab: nodes, networks, images, wheels, keys
	@python3 tests/lab/lab.py down --all

lab: venv ## build the lab and start its nodes, nothing more
	@python3 tests/lab/lab.py up

##
## Test it

.PHONY: test test-all test-fast unit test-matrix lint sanity build molecule molecule-short
test: venv-dev ## all but the longest, in just under an hour; needs no step before
	@$(tools)/browser.sh
	@$(tools)/phases.sh lint+build+lab sanity+test-matrix demo molecule-short unit

test-all: venv-dev ## everything: faults and survival of launches take another half hour
	@$(tools)/browser.sh
	@$(tools)/phases.sh lint+build+lab sanity+test-matrix demo molecule unit

test-fast: venv-dev ## what to run while editing: no containers, three minutes
	@ruff check --output-format concise
	@$(tools)/mypy.sh
	@yamllint --strict .
	@$(MAKE) unit

unit: venv-dev ## unit tests with the Python and the ansible-core of .venv
	@ANSIBLE_INJECT_FACT_VARS=false python -m pytest --numprocesses auto --maxprocesses 4

test-matrix: venv-dev ## unit tests with the other ansible-core, and with a node's oldest Python
	@$(tools)/matrix.sh

lint: venv-dev ## ruff, mypy, yamllint, ansible-lint, shellcheck, docs, changelog and licence linters
	@$(tools)/lint.sh

sanity: venv-dev ## ansible-test sanity with every Python that is found
	@$(tools)/sanity.sh

build: venv ## build the collection, install it from that tarball, resolve its playbooks
	@$(tools)/build.sh

# Molecule remembers, outside of the checkout and by its path, what an earlier one has prepared.
molecule: venv-dev ## all Molecule scenarios, on the lab
	@molecule reset --scenario-name default >/dev/null 2>&1
	@molecule test --all --no-command-borders

molecule-short: venv-dev ## the same without fabric and updates, and without the tests that take minutes each
	@molecule reset --scenario-name default >/dev/null 2>&1
	@PYTEST_ADDOPTS='-m "not long"' molecule test --all --exclude fabric --exclude updates --no-command-borders

bench: venv-dev ## what things cost, on the lab and on this machine; asserts nothing
	@for file in tests/benchmarks/bench_*.py; do echo "bench: $$file"; python "$$file"; done

##
## Keep it

.PHONY: venv venv-dev contracts format clean
venv: ## make or complete .venv: what a controller needs
	@$(tools)/venv.sh

venv-dev: ## and what the tests and linters need
	@$(tools)/venv.sh dev

contracts: venv-dev ## write the modules' documentation into docs/contracts
	@python tests/tools/contracts.py

format: venv-dev ## let ruff order the imports and format the Python files
	@ruff check --fix
	@ruff format

clean: ## remove .venv, caches and what tools left in the tree; the lab is for demo-down
	@rm -rf .venv .cache/{build,matrix,mypy,pytest,ruff,sanity,venv.*} .ansible tests/output
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
