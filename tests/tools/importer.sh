#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Imports the tarball of `make build` as Ansible Galaxy does, with galaxy-importer in an environment of its own.
# Where pip cannot install it, this is skipped. A warning fails, but those of flake8 that contradict `ruff format`.
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

# Its ansible-lint finds collections beside the tarball's own or in the environment: the dependencies of .venv.
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
dependencies=$(.venv/bin/python -c 'import ansible_collections.community as c; print(list(c.__path__)[0])')
mkdir -p "$packages/ansible_collections"
ln -sfn "$dependencies" "$packages/ansible_collections/community"

# Galaxy runs ansible-lint; Automation Hub runs flake8 as well.
printf '[galaxy-importer]\nrun_ansible_lint = True\nrun_flake8 = True\n' >"$cache/config"
# It copies the tarball's tree to a temporary folder and asks that folder's ansible-doc.
if ! (cd "$cache" && GALAXY_IMPORTER_CONFIG=$cache/config PATH=$venv/bin:$PATH "$venv/bin/python" -m galaxy_importer.main "$tarball") \
    >"$cache/log" 2>&1 </dev/null; then
    cat "$cache/log" >&2
    echo "importer: Galaxy would refuse ${tarball##*/}" >&2
    exit 1
fi
# A space before a slice's colon, a line that begins with an operator, and a stub's body on the line of its def
# are `ruff format`'s, and the importer takes no configuration for flake8 from a collection.
formats='E203 whitespace before|W503 line break before binary operator|E704 multiple statements on one line \(def\)'
if grep -E '^(WARNING|ERROR|CRITICAL)' "$cache/log" | grep -vE ":[0-9]+:[0-9]+: ($formats)"; then
    echo "importer: warnings of Galaxy's importer, see above" >&2
    exit 1
fi
echo "importer: Galaxy would accept ${tarball##*/}"
