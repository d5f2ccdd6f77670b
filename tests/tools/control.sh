#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs control in the foreground, as the user who types this, with the Ansible of .venv and the working tree:
#   control.sh INVENTORY [PORT]
# Its environment, settings and jobs are in .cache/control. Ctrl-C ends it; a job that runs goes on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

inventory=${1:?usage: control.sh INVENTORY [PORT]}
port=${2:-9999}
if ! [[ -e $inventory ]]; then
    echo "control: there is no $inventory; name an inventory: make control INVENTORY=inventories/mine" >&2
    exit 2
fi
home=.cache/control
list=roles/control/files/requirements.txt
mkdir -p "$home/collections/ansible_collections/dgxspark"
chmod 700 "$home"
ln -sfn "$PWD" "$home/collections/ansible_collections/dgxspark/suite"
if ! cmp -s "$list" "$home/venv/.installed"; then
    echo "control: installing $list (half a minute the first time) ..."
    .venv/bin/python -m venv --clear "$home/venv"
    if ! "$home/venv/bin/python" -m pip install --disable-pip-version-check --require-hashes --only-binary=:all: \
        -r "$list" >"$home/pip.log" 2>&1; then
        cat "$home/pip.log" >&2
        exit 1
    fi
    cp "$list" "$home/venv/.installed"
fi
if ! .venv/bin/ansible-inventory -i "$inventory" --list >"$home/inventory.json"; then
    echo "control: $inventory cannot be read, see above" >&2
    exit 1
fi
.venv/bin/python tests/tools/control_settings.py "$inventory" "$port" "$home" >"$home/control.json"
export PYTHONPATH=$PWD/roles/control/files:$PWD/$home/collections
echo "control: http://127.0.0.1:$port (Ctrl-C ends it)"
exec "$home/venv/bin/python" -P -m dgxspark_control "$home/control.json"
