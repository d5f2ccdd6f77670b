#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Checks the types of the plugins, of the gateway, of control, of the redaction, of the lab and of these tools. mypy takes a collection for a package
# only when its path says so, and never takes what lies below site-packages for our own code: hence a
# second link to the working tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tree=.cache/mypy
suite=$tree/ansible_collections/dgxspark/suite
mkdir -p "${suite%/*}"
ln -sfn "$PWD" "$suite"

files=()
while read -r file; do
    [[ -e $file ]] || continue # removed, not yet committed
    case $file in
        plugins/* | playbooks/*) files+=("$suite/$file") ;;
        *) files+=("$file") ;;
    esac
done < <(git ls-files --cached --others --exclude-standard 'plugins/*.py' 'playbooks/*.py' 'roles/gateway/files/*.py' 'roles/control/files/*.py' 'recipes/*.py' 'tests/lab/*.py' 'tests/tools/*.py')

# The lab and the generator are programs of several files in one folder, not packages.
services=recipes/services/redaction/files/opt/redaction:recipes/services/piper/files/opt/companion
MYPYPATH=$tree:roles/gateway/files:roles/control/files:$services:tests/lab:tests/lab/companions:tests/tools .venv/bin/mypy --cache-dir .cache/mypy/cache --explicit-package-bases "${files[@]}" |
    sed "s|$suite/||"
