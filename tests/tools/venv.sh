#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes or completes .venv, and links the collection into it:
#   venv.sh          what a controller needs (requirements.txt)
#   venv.sh dev      also what the tests and linters need (requirements-dev.txt)
# Each file that pip takes has a hash in these lists; requirements.sh writes them.
# $PYTHON chooses the interpreter of a new environment.
#
# It runs where a controller may be: with the bash 3.2 and the BSD tools of macOS, without flock or sha256sum.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=tests/tools
venv=.venv
requirements=(requirements.txt)
[[ ${1:-} != dev ]] || requirements+=(tests/requirements/build.txt requirements-dev.txt)

stamp() { echo "$venv/.installed-${1##*/}"; }

# A stamp is a copy of the list that was installed, so that no checksum program is needed.
installed() { cmp -s "$1" "$(stamp "$1")"; }

# Runs a slow command and prints its last line every ten seconds; its complete output only when it fails.
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
        # pip prints nothing while it unpacks; its last line still names the package.
        echo "venv:   ${shown} s: $(grep -v ^WARNING "$log" | tail -n 1 | cut -c -100)"
    done
    if ! wait "$pid"; then
        cat "$log" >&2
        echo "venv: FAILED: $label. The full output is above and in $log; \`make venv\` tries again." >&2
        exit 1
    fi
    echo "venv:   done in $((SECONDS - started)) s"
}

# Whether the environment is complete enough to be completed. Its programs name its interpreter by absolute path, so
# one that was copied or moved here is made anew; the stamp is written last, so one without it was interrupted.
usable() {
    [[ -e $(stamp requirements.txt) ]] &&
        grep -qF "$(pwd -P)/$venv/bin/python" "$venv/bin/ansible-playbook" &&
        "$venv/bin/python" -c 'import ansible, jinja2, yaml'
} 2>/dev/null

# Two runs at the same time would damage each other's installation. The lock belongs to this shell's descriptor and
# outlives the Python that takes it.
lock() { # PYTHON
    "$1" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null
}

mkdir -p .cache
exec 9>.cache/venv.lock
if ! lock "$venv/bin/python" || ! usable; then
    if ! python=$("$tools/python.sh" controller); then
        echo "venv: no Python 3.11 to 3.14 with the venv module found${PYTHON:+ at PYTHON=$PYTHON};" \
            "install one (Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python@3.13)" \
            "or name it: make venv PYTHON=/path/to/python3.12" >&2
        exit 1
    fi
    lock "$python" || true # as on a file system without locks
    # Another run may have made it in the meantime.
    usable || step "making $venv with $("$python" --version)" "$python" -m venv --clear "$venv"
fi

for file in "${requirements[@]}"; do
    ! installed "$file" || continue
    step "installing $file (one to three minutes the first time)" \
        "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-compile \
        --require-hashes --only-binary=:all: --no-binary=reuse --no-build-isolation -r "$file"
    cp "$file" "$(stamp "$file")"
done

[[ -x $venv/bin/ansible-playbook ]] || { echo "venv: FAILED: $venv has no ansible-playbook; remove it and run this again" >&2; exit 1; }

# Ansible, pytest and mypy find dgxspark.suite in the working tree itself, not in a copy.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/ansible_collections/dgxspark"
ln -sfn "$PWD" "$site/ansible_collections/dgxspark/suite"
