#!/bin/sh
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes an image with llama.cpp out of a bare root file system of Debian testing: its server, its RPC server,
# and in /model a tiny model in two quantisations. Runs as root inside; /lab is this folder.
set -eu
export DEBIAN_FRONTEND=noninteractive

# A mirror may be weeks behind, and the signature of testing lasts for one.
apt-get -o Acquire::Check-Valid-Until=false update
apt-get install -y --no-install-recommends llama.cpp-tools llama.cpp-tools-extra libggml0-backend-rpc bash
# Debian keeps it out of the way; images that are made for this have it with the others.
ln -s /usr/libexec/*/llama/bin/ggml-rpc-server /usr/local/bin/

# Python is there for the model only: images of llama.cpp have none.
apt-get install -y --no-install-recommends python3-gguf
python3 -B /lab/make_model.py /model
apt-get purge -y --auto-remove python3-gguf
apt-get clean
rm -rf /var/lib/apt/lists/*
