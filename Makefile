# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make` lists the targets. Required: git, Python 3.11 or newer with venv; for the lab also a Docker engine and
# an SSH client. PYTHON=/path/to/python3.12 chooses the interpreter of a new .venv.
# `make venv` and `make clean` also run on macOS: with GNU make 3.81, which ignores .SHELLFLAGS, and bash 3.2.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

tools := tests/tools
bin := $(CURDIR)/.venv/bin
export PATH := $(bin):$(PATH)
# Set in many containers; with it a pipelined Ansible module reads its payload byte by byte.
unexport PYTHONUNBUFFERED

# pytest's summary is the last line of `make test`. What a phase runs beside its first target fills the
# processors while the lab waits.
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## print this
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##
## See it work

.PHONY: demo demo-down control lab lab-images
demo: venv ## build the lab; check, converge and serve a model on two nodes
	@tests/lab/demo.sh

control: venv ## the page on 127.0.0.1:9999, in the foreground, of the lab or of INVENTORY=; PORT=
	@$(tools)/control.sh "$(or $(INVENTORY),inventories/lab)" $(PORT)

demo-down: ## remove the lab: nodes, networks, images, wheels, keys
	@python3 tests/lab/lab.py down --all

lab: venv ## build the lab and start its nodes
	@python3 tests/lab/lab.py up

lab-images: venv ## build the lab, start no node
	@python3 tests/lab/lab.py build

##
## Test it

.PHONY: test test-all test-fast fuzz model types unit unit-fast matrix matrix-all lint sanity sanity-all build docs molecule \
        molecule-after-demo
test: venv-dev ## all but the slow tests, on a lab of two nodes; needs no other step first
	@$(tools)/browser.sh
	@$(tools)/phases.sh lab-images+lint+build+docs demo+matrix molecule-after-demo+sanity+unit

test-all: venv-dev ## everything; CONTRIBUTING.md lists what this adds
	@$(tools)/browser.sh
	@$(tools)/phases.sh lab-images+lint+build+docs demo+matrix-all molecule+sanity-all+unit model

model: venv-dev ## search more interleavings of a swap: more failures, three nodes; a quarter of an hour, 4 GB
	@DGXSPARK_MODEL=1 $(tools)/pytest.sh python -n1 -rP tests/unit/plugins/module_utils/serving/test_swap_rules.py

test-fast: export DGXSPARK_FUZZ_SECONDS := 3
test-fast: venv-dev ## while editing: ruff, mypy, yamllint, all but the slow unit tests; two minutes, no container
	@ruff check --output-format concise
	@$(tools)/phases.sh unit-fast+types

fuzz: venv-dev ## ten minutes of damaged input for all parsers; SEED=N repeats a run
	@python tests/fuzz/fuzz.py --seconds 600 $(if $(SEED),--seed $(SEED))

types: venv-dev # with yamllint, what is checked beside the unit tests
	@$(tools)/mypy.sh
	@yamllint --strict .

unit: venv-dev ## unit tests with .venv's Python and ansible-core
	@$(tools)/pytest.sh python

unit-fast: venv-dev # those of test-fast
	@$(tools)/pytest.sh python -m "not slow"

matrix: venv-dev ## unit tests of plugins with the other ansible-core, of node code with a node's oldest Python
	@$(tools)/matrix.sh short

matrix-all: venv-dev ## the same, and all other tests of the controller with the other ansible-core
	@$(tools)/matrix.sh

lint: venv-dev ## ruff, mypy, yamllint, ansible-lint, shellcheck, docs, changelog and license linters
	@$(tools)/lint.sh

sanity: venv-dev ## ansible-test sanity with .venv's Python; compile with every Python that is found
	@$(tools)/sanity.sh one

sanity-all: venv-dev ## ansible-test sanity with every Python that is found
	@$(tools)/sanity.sh

build: venv ## build the collection, install it from that tarball, resolve its playbooks, import it as Galaxy does
	@$(tools)/build.sh
	@$(tools)/importer.sh

docs: venv-dev ## build the site of guides, contracts and plugins in .cache/docs/site; DOCS_ONLINE=1 links Ansible's pages
	@$(tools)/docs.sh

molecule: venv-dev ## all Molecule scenarios with their slow tests, on the lab
	@$(tools)/molecule.sh

molecule-after-demo: venv-dev # the scenarios of `make test`, on the nodes that `make demo` leaves
	@$(tools)/molecule.sh after-demo

bench: venv-dev ## measure durations on the lab and on this machine; asserts nothing
	@for file in tests/benchmarks/bench_*.py; do echo "bench: $$file"; python "$$file" || exit 1; done

##
## Keep it

.PHONY: venv venv-dev requirements contracts pictures format repository release clean bench
venv: ## make or complete .venv: what a controller needs
	@$(tools)/venv.sh

venv-dev: ## the same with what the tests and linters need
	@$(tools)/venv.sh dev

requirements: ## write requirements.txt and the other pinned lists, with hashes, from the *.in beside them
	@$(tools)/requirements.sh

contracts: venv-dev ## write the modules' documentation into docs/contracts, the roles' options and docs/variables.md
	@python tests/tools/contracts.py

pictures: venv-dev ## make the pictures of the documentation: the terminal, and with Chromium the pages
	@$(tools)/browser.sh
	@python tests/tools/pictures.py

format: venv-dev ## sort the imports and format the Python files with ruff
	@ruff check --fix
	@ruff format

repository: venv-dev ## write the project's address, URL=https://host/owner/name, wherever metadata has it
	@python tests/tools/repository.py "$(URL)"

release: venv-dev ## turn the fragments into the release VERSION=1.2.3 of galaxy.yml and CHANGELOG.rst; DATE=2026-01-31
	@$(tools)/release.sh "$(VERSION)" $(DATE)

clean: ## remove .venv, caches and the tools' output; demo-down removes the lab
	@rm -rf .venv .cache/{build,docs,importer,matrix,mypy,pytest,requirements,ruff,sanity,venv.*} .ansible tests/output
	@find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
