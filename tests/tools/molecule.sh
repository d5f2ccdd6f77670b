#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs Molecule scenarios on the lab and leaves its nodes running:
#   molecule.sh                             all scenarios, with the slow tests
#   molecule.sh after-demo                  what `make test` runs, on the nodes of the demo
#   molecule.sh SCENARIO[,SCENARIO]...      these; Molecule orders those of one argument by name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [[ ${1:-} == after-demo ]]; then
    # The demo serves what the first scenario launches, and has repaired fresh nodes as the second would; the last
    # replaces them.
    export LAB_SITE_SEQUENCE='[converge, verify]' PYTEST_ADDOPTS='-m "not long"'
    set -- launch site base,models,ptxas first_hour
fi

scenarios() { # OPTION...
    # Molecule records, outside of the checkout, that it has prepared nodes, even those that are gone.
    molecule reset --scenario-name default >/dev/null 2>&1
    molecule test "$@" --destroy=never --no-command-borders
}

if (($# == 0)); then
    scenarios --all
fi
for argument; do
    IFS=, read -ra names <<<"$argument"
    scenarios "${names[@]/#/--scenario-name=}"
done
python3 tests/lab/lab.py tested
