# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control: the playbooks of this collection over HTTP. docs/contracts/control_api.md"""
