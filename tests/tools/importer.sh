#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Imports the tarball of `make build` as Ansible Galaxy does, with galaxy-importer in an environment of its own.
# Where pip cannot install it, this is skipped. Its linters are left out: `make lint` and `make sanity` run them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=$PWD/.cache/importer
venv=$cache/venv
list=$PWD/tests/requirements/importer.txt
tarball=$(compgen -G "$PWD/.cache/build/*.tar.gz") || { echo "importer: no tarball; run make build first" >&2; exit 1; }

mkdir -p "$cache"
if ! cmp -s "$list" "$venv/.installed"; then
    .venv/bin/python -m venv --clear "$venv"
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --progress-bar off \
        --require-hashes --only-binary=:all: -r "$list" >"$cache/log" 2>&1; then
        echo "importer: skipped: pip cannot install ${list#"$PWD/"}: $(tail -n 1 "$cache/log")"
        exit 0
    fi
    cp "$list" "$venv/.installed"
fi

printf '[galaxy-importer]\nrun_ansible_lint = False\nrun_flake8 = False\n' >"$cache/config"
# It copies the tarball's tree to a temporary folder and asks that folder's ansible-doc.
if ! (cd "$cache" && GALAXY_IMPORTER_CONFIG=$cache/config PATH=$venv/bin:$PATH "$venv/bin/python" -m galaxy_importer.main "$tarball") \
    >"$cache/log" 2>&1 </dev/null; then
    cat "$cache/log" >&2
    echo "importer: Galaxy would refuse ${tarball##*/}" >&2
    exit 1
fi
grep -i warning "$cache/log" || true
echo "importer: Galaxy would accept ${tarball##*/}"
