#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -e
vllm=$(command -v vllm)
{ echo '#!/usr/bin/env python3'; cat server.py; } >"$vllm"
