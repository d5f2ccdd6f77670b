# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which unit tests `make test-fast` leaves out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests that run playbooks read its recap; those of other callbacks set their own.
os.environ["ANSIBLE_STDOUT_CALLBACK"] = "default"

HERE = Path(__file__).parent
# They start Ansible, build environments, or wait for time limits.
SLOW = (
    {
        HERE / "plugins" / name
        for name in (
            "action/test_audit.py",
            "action/test_discover.py",
            "action/test_health_report.py",
            "action/test_recipe_registry.py",
            "action/test_status.py",
            "callback/test_brief.py",
            "callback/test_hostile_nodes.py",
            "module_utils/ensure/test_ptxas.py",
            "module_utils/ensure/test_vllm_runtime.py",
            "module_utils/ensure/test_vllm_venv.py",
            "module_utils/host/test_job.py",
            "module_utils/models/test_transfer.py",
            "module_utils/serving/test_supervisor.py",
            "modules/test_ensure_modules.py",
            "modules/test_ensure_prereqs.py",
            "modules/test_image_transfer.py",
            "modules/test_model_download.py",
            "modules/test_model_links.py",
            "plugin_utils/recipe/test_properties.py",
        )
    }
    | {HERE / "gateway" / name for name in ("test_playbook.py", "test_process.py")}
    | {HERE / "control" / name for name in ("test_api.py", "test_jobs.py", "test_schema.py")}
    | {HERE / "control_page" / name for name in ("test_control_page.py", "test_control_role.py")}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_sessionstart() -> None:
    missing = [str(path) for path in SLOW if not path.exists()]
    assert not missing, missing
