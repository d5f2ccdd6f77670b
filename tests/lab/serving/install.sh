#!/bin/sh
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the lab's serving image out of a bare root file system: real vLLM (its CPU build) and real Ray in
# /opt/vllm, and the two tiny models in /model. Runs as root inside; /wheels holds the wheels, /lab this folder.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update
# vLLM compiles at the first request: without g++ the server answers /health and dies at the first completion.
apt-get install -y --no-install-recommends python3 python3-venv python3-dev g++ libnuma1 iproute2 ca-certificates
apt-get clean
rm -rf /var/lib/apt/lists/*

python3 -m venv /opt/vllm
verified() {
    /opt/vllm/bin/pip install --quiet --no-index --find-links /wheels --no-deps --no-compile --require-hashes -r "$1"
}
verified /lab/requirements.txt
verified /lab/torch-cpu.txt || verified /lab/torch.txt
site=$(/opt/vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# What the lab adds: the name vllm for the CPU build, and the platform plugin that lets Ray place CPU ranks.
# Made by images.py, so no list has their hashes.
/opt/vllm/bin/pip install --quiet --no-index --find-links /wheels --no-deps vllm dgxspark-lab-platform

# Once here, on all cores, in place of in every process of every container that imports vLLM.
/opt/vllm/bin/python -m compileall -qq -j 0 "$site" || true # some packages carry templates that are no Python

/opt/vllm/bin/python /lab/make_model.py /model
