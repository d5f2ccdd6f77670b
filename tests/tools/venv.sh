#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes or completes .venv, with the collection visible in it:
#   venv.sh          what a controller needs (requirements.txt)
#   venv.sh dev      and what the tests and linters need (requirements-dev.txt)
# $PYTHON chooses the interpreter of a new environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=tests/tools
venv=.venv
requirements=(requirements.txt)
[[ ${1:-} != dev ]] || requirements+=(requirements-dev.txt)

key() { sha256sum constraints.txt "$1"; }
stamp() { echo "$venv/.installed-$1"; }
done_already() { [[ $(cat "$(stamp "$1")" 2>/dev/null) == "$(key "$1")" ]]; }

# Runs a slow command and shows, in one line, that it is alive. Its output is told only on failure.
step() { # LABEL COMMAND...
    local label=$1 log=.cache/venv.log started=$SECONDS shown=0 pid
    shift
    echo "venv: $label ..."
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.5
        ((SECONDS - started >= shown + 10)) || continue
        shown=$((SECONDS - started))
        # pip is silent while it unpacks; its last line still tells what it is at.
        echo "venv:   ${shown} s: $(grep -v ^WARNING "$log" | tail -n 1 | cut -c -100)"
    done
    if ! wait "$pid"; then
        cat "$log" >&2
        echo "venv: FAILED: $label. The full output is above and in $log; \`make venv\` tries again." >&2
        exit 1
    fi
    echo "venv:   done in $((SECONDS - started)) s"
}

mkdir -p .cache
exec 9>.cache/venv.lock
flock 9 2>/dev/null || true # two makes at a time would spoil each other's installation

# The first stamp comes last in the making of an environment: none means an interrupted one.
if ! [[ -e $(stamp requirements.txt) ]] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    if ! python=$("$tools/python.sh" controller); then
        echo "venv: no Python 3.11, 3.12 or 3.13 with the venv module found${PYTHON:+ at PYTHON=$PYTHON};" \
            "install one (Debian, Ubuntu: apt-get install python3-venv) or name it: make venv PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    step "making $venv with $("$python" --version)" "$python" -m venv --clear "$venv"
fi

for file in "${requirements[@]}"; do
    done_already "$file" && continue
    step "installing $file (one to three minutes the first time)" \
        "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-compile -r "$file"
    key "$file" >"$(stamp "$file")"
done

# Ansible, pytest and mypy find dgxspark.suite in the working tree itself, not in a copy.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/ansible_collections/dgxspark"
ln -sfn "$PWD" "$site/ansible_collections/dgxspark/suite"
