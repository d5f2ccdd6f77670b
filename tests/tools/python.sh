#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Finds interpreters. Prints a path, or fails silently:
#   python.sh controller    the newest of 3.11 to 3.13 that can make a virtual environment, else 3.14
#   python.sh 3.9           this version
# An executable can be on PATH and still not start (pyenv's shims), so each one is tried.
set -euo pipefail

candidates() { # VERSION
    type -ap "python$1" || true
    compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1*/bin/python$1" || true
    type -ap python3 || true
}

# The path behind shims and links, provided that it has the version and venv with pip.
resolve() { # VERSION EXECUTABLE
    "$2" -c '
import ensurepip, os, sys, venv
if "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit(1)
print(os.path.realpath(sys.executable))' "$1" 2>/dev/null
}

find_version() { # VERSION
    local candidate
    while read -r candidate; do
        resolve "$1" "$candidate" && return
    done < <(candidates "$1")
    return 1
}

if [[ $1 != controller ]]; then
    find_version "$1"
    exit
fi

# molecule does not list 3.14 yet.
for version in 3.13 3.12 3.11 3.14; do
    if [[ -n ${PYTHON:-} ]]; then
        resolve "$version" "$PYTHON" && exit
    else
        find_version "$version" && exit
    fi
done
exit 1
