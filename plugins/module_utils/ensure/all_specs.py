# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""All specs by name: a new one is added here, and the audit knows it."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import (
    cuda_toolchain,
    fabric,
    kernel,
    launchers,
    oom_protection,
    ptxas,
    storage,
    vllm_runtime,
    vllm_venv,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs import prereqs

SPECS = {
    module.SPEC.name: module.SPEC
    for module in (
        cuda_toolchain,
        fabric,
        kernel,
        launchers,
        oom_protection,
        prereqs,
        ptxas,
        storage,
        vllm_runtime,
        vllm_venv,
    )
}
