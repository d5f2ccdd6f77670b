#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs every linter, also after one has failed, and lists at the end those that failed.
set -euo pipefail
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || { echo "lint.sh: needs bash 4.4 or newer (macOS: brew install bash)" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export PATH=$PWD/.venv/bin:$PATH

failed=()
lint() { # NAME COMMAND...
    local name=$1 started=$SECONDS
    shift
    echo "lint: $name"
    "$@" || failed+=("$name")
    ((SECONDS - started < 10)) || echo "lint:   took $((SECONDS - started)) s"
}

shell_scripts() {
    git grep --untracked --name-only -zE '^#!.*\b(ba|da)?sh\b' -- ':!*.py' ':!tests/unit/fixtures'
}

lint ruff ruff check --quiet --output-format concise
lint "ruff format" ruff format --check
lint mypy tests/tools/mypy.sh
lint yamllint yamllint --strict .
# Playbooks are parsed, not run: the lab's inventory would ask a Docker engine.
lint ansible-lint env ANSIBLE_INVENTORY=inventories/dual_spark ansible-lint --offline --nocolor --format pep8 -q
lint antsibull-docs antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs dependent .
lint antsibull-changelog antsibull-changelog lint
lint reuse reuse lint --lines
if command -v shellcheck >/dev/null; then
    mapfile -d '' -t scripts < <(shell_scripts)
    lint shellcheck shellcheck "${scripts[@]}"
else
    echo "lint: shellcheck skipped: not installed"
fi

if ((${#failed[@]})); then
    echo "lint: FAILED: ${failed[*]}" >&2
    exit 1
fi
