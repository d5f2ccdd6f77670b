#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Writes the lists that are installed (*.txt, every file of every package by its SHA-256) from the lists that
# people edit (*.in), with uv and its index settings:
#   requirements.sh                            keeps the versions that still fit
#   requirements.sh --upgrade                  takes the newest that the *.in allow
#   requirements.sh --upgrade-package NAME     takes the newest of one package
set -euo pipefail
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || { echo "requirements.sh: needs bash 4.4 or newer (macOS: brew install bash)" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=.cache/requirements
if ! [[ -x $venv/bin/uv ]]; then
    python=$(tests/tools/python.sh controller)
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/lab/node/uv.txt
fi

options=("$@")
compile() { # LIST PYTHON [OPTION OF uv pip compile]...
    local list=$1 python=$2
    shift 2
    "$venv/bin/uv" pip compile --quiet --universal --python-version "$python" --no-python-downloads --generate-hashes \
        --no-header --no-annotate "${options[@]}" "$@" --output-file "$list.txt" "$list.in" >"$venv/log"
    {
        head -n 2 "$list.in"
        echo "# Written from ${list##*/}.in by tests/tools/requirements.sh; edit that file."
        grep -v '^#' "$list.txt"
    } >"$venv/list"
    cp "$venv/list" "$list.txt"
    echo "requirements: $list.txt, $(grep -c == "$list.txt") packages"
}

# In this order: later lists take the versions of earlier ones.
compile requirements 3.11
compile requirements-dev 3.11
compile tests/requirements/build 3.11
compile tests/requirements/matrix 3.11
compile tests/requirements/importer 3.11
compile tests/requirements/docs 3.11
compile tests/requirements/node 3.9
# On the nodes, for any Python that huggingface_hub supports.
compile roles/model_download/files/requirements 3.10
compile roles/gateway/files/requirements 3.11
compile roles/control/files/requirements 3.11
# In images that nodes build.
compile recipes/services/piper/requirements 3.12
compile recipes/services/redaction/requirements 3.12

# For those who serve from a virtual environment on their Sparks: what ensure_vllm_venv takes, which has no hashes.
spark=roles/vllm_venv/files/spark-cuda13
"$venv/bin/uv" pip compile --quiet --python-platform aarch64-manylinux_2_39 --python-version 3.12 --no-python-downloads \
    --no-header --no-annotate "${options[@]}" --output-file "$spark.txt" "$spark.in" >"$venv/log"
{
    head -n 2 "$spark.in"
    echo "# Written from spark-cuda13.in by tests/tools/requirements.sh (make requirements); edit that file."
    grep -v '^#' "$spark.txt"
} >"$venv/list"
cp "$venv/list" "$spark.txt"
echo "requirements: $spark.txt, $(grep -c == "$spark.txt") packages"

# What is not resolved is complete by itself.
lab=tests/lab
for list in node/cuda node/uv triton/triton-3.5.1 triton/triton-3.9.0 serving/requirements sglang/requirements \
    minilm/requirements companions/hear companions/speak companions/store companions/redact; do
    compile "$lab/$list" 3.11 --no-deps
done
# Its only wheels.
compile "$lab/companions/compose" 3.13 --no-deps
# torch's build for CUDA brings a Triton of its own.
grep -v '^triton=' "$lab/serving/requirements.in" >"$venv/serving"
compile "$lab/serving/torch" 3.11 --constraint "$venv/serving"
