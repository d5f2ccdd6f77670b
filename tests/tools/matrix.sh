#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Unit tests with other versions than .venv's: with the ansible-core of the other controller Pythons (the
# oldest and the newest supported), and, for node code, with the oldest Python of a node and with that of DGX OS 7.
#   matrix.sh short    of the controller's tests only those of the plugins that Ansible loads; the oldest Python of a node
#   matrix.sh          all of the controller's tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

controllers=(3.11 3.13 3.14)
nodes=(3.9 3.12) # DGX OS 7 has 3.12
cache=.cache/matrix
# `make unit` runs the fuzzer for longer.
export DGXSPARK_FUZZ_SECONDS=3
here=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Makes the environment $cache/PYTHON unless it exists and is complete.
environment() { # PYTHON INTERPRETER LIST
    local venv=$cache/$1 interpreter=$2 list=$3 key site
    key="$interpreter $(cksum "$list")"
    if [[ $(cat "$venv/.installed" 2>/dev/null) != "$key" ]]; then
        "$interpreter" -m venv --clear "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --progress-bar off \
            --require-hashes --only-binary=:all: -r "$list" >"$venv/pip.log" 2>&1 || { cat "$venv/pip.log" >&2; exit 1; }
        site=$(collections "$venv")
        mkdir -p "$site/dgxspark"
        ln -sfn "$PWD" "$site/dgxspark/suite"
        echo "$key" >"$venv/.installed"
    fi
}

# The directory of the collections in an environment.
collections() { # VENV
    "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib") + "/ansible_collections")'
}

failed=()
unit() { # PYTHON [PATH]...
    local version=$1
    shift
    tests/tools/pytest.sh "$cache/$version/bin/python" -q "$@" || failed+=("$version")
}

# Node code needs no ansible-core: it runs with the nodes' Pythons below and with .venv's by `make unit`.
controller_tests=(tests/unit --ignore tests/unit/plugins/module_utils)
# The recipe engine is plain Python: sanity compiles it with every Python. Modules meet 3.9 below.
if [[ ${1:-} == short ]]; then
    controller_tests+=(--ignore tests/unit/plugins/plugin_utils --ignore tests/unit/plugins/modules)
    nodes=(3.9)
fi

for version in "${controllers[@]}"; do
    [[ $version != "$here" ]] || continue
    if ! interpreter=$(tests/tools/python.sh "$version"); then
        echo "matrix: skipped: controller with Python $version, not found on this machine"
        continue
    fi
    environment "$version" "$interpreter" tests/requirements/matrix.txt
    # Tests read results by the callback ansible.posix.json, and playbooks name modules of community.general.
    for namespace in ansible community; do
        ln -sfn "$(collections "$PWD/.venv")/$namespace" "$(collections "$cache/$version")/$namespace"
    done
    echo "matrix: controller with Python $version," \
        "$("$cache/$version/bin/python" -c 'import ansible.release as r; print("ansible-core", r.__version__)')"
    unit "$version" "${controller_tests[@]}"
done

for node in "${nodes[@]}"; do
    # `make unit` runs the same tests with .venv's Python.
    [[ $node != "$here" ]] || continue
    if ! interpreter=$(tests/tools/python.sh "$node"); then
        echo "matrix: skipped: node with Python $node, not found on this machine"
        continue
    fi
    # A controller's environment of the same version has another ansible-core.
    environment "node-$node" "$interpreter" tests/requirements/node.txt
    # ansible.module_utils, shipped with every module, is .venv's.
    site=$(dirname "$(collections "$cache/node-$node")")
    ln -sfn "$(.venv/bin/python -c 'import ansible, os; print(os.path.dirname(ansible.__file__))')" "$site/ansible"
    echo "matrix: node with Python $node"
    unit "node-$node" tests/unit/plugins/module_utils tests/unit/plugins/modules
done

if ((${#failed[@]})); then
    echo "matrix: FAILED with Python ${failed[*]}" >&2
    exit 1
fi
