#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs unit tests with an interpreter:
#   pytest.sh PYTHON [OPTION OF pytest]...
# One process more than there are processors, since some tests wait for time limits; four at most.
set -euo pipefail

processes=$("$1" -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
ANSIBLE_INJECT_FACT_VARS=false exec "$1" -m pytest --numprocesses "$processes" "${@:2}"
