#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -e
install -m 755 server.py "$(command -v vllm)"
