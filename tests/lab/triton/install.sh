#!/bin/sh
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes an image with nothing but Python and one Triton release ($1): the small stand-in for a
# serving image of that generation. Runs as root inside; /wheels holds the wheels, /lab this folder.
set -eu
export DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1

apt-get update
apt-get install -y --no-install-recommends python3 python3-venv
apt-get clean
rm -rf /var/lib/apt/lists/*
python3 -m venv /opt/vllm
/opt/vllm/bin/pip install --quiet --no-index --find-links /wheels --no-deps --no-compile --require-hashes \
    -r "/lab/triton-$1.txt"
