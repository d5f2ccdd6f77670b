#!/bin/sh
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# The pipeline of spaCy, from its makers: it is in no index of Python packages.
set -eu
cat >/tmp/model.txt <<'END'
en_core_web_sm @ https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-3.8.0/en_core_web_sm-3.8.0-py3-none-any.whl \
    --hash=sha256:1932429db727d4bff3deed6b34cfc05df17794f4a52eeb26cf8928f7c1a0fb85
END
python3 -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/model.txt
rm /tmp/model.txt
