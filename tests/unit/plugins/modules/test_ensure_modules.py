# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every ensure module: its documentation and its contract tell the truth."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

ROOT = Path(__file__).parents[4]
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("ensure_*.py"))
FINDING = {"check", "status", "severity", "expected", "actual", "fix", "hint"}
# What a module cannot do without; FOLDER stands for one with nothing in it.
NEEDED: dict[str, dict[str, Any]] = {
    "ensure_ptxas": {"venv": "FOLDER", "paths_file": "FOLDER/paths.env"},
    "ensure_vllm_runtime": {"venv": "FOLDER", "paths_file": "FOLDER/paths.env"},
    "ensure_vllm_venv": {"path": "FOLDER/venv", "requirements": "vllm==0.32.0"},
    "ensure_launchers": {"ray_head_address": "192.0.2.1", "ray_node_address": "192.0.2.1"},
}


# Some ask this machine for seconds.
TOLD: dict[str, dict[str, Any]] = {}


@pytest.fixture(params=MODULES)
def told(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> tuple[str, dict[str, Any]]:
    """A module's name, and what it says of this machine in check mode."""
    name = str(request.param)
    if name in TOLD:
        return name, TOLD[name]
    module = importlib.import_module("ansible_collections.dgxspark.suite.plugins.modules." + name)
    given = json.loads(json.dumps(NEEDED.get(name, {})).replace("FOLDER", str(tmp_path)))
    with patch_module_args({**given, "_ansible_check_mode": True}), pytest.raises(SystemExit):
        module.main()
    result = json.loads(capsys.readouterr().out)
    assert "failed" not in result, result
    assert list(tmp_path.iterdir()) == []
    TOLD[name] = result
    return name, result


def test_its_result_is_the_envelope_and_what_it_documents(
    told: tuple[str, dict[str, Any]],
) -> None:
    name, result = told
    module = importlib.import_module("ansible_collections.dgxspark.suite.plugins.modules." + name)
    documented = yaml.safe_load(module.RETURN)
    assert set(result) - {"changed", "invocation"} == set(documented)
    assert result["spec"] == name.removeprefix("ensure_")
    for found in result["findings"]:
        assert set(found) == FINDING
        assert found["status"] in ("ok", "drift", "blocked", "skipped")
        assert found["expected"]
        assert found["actual"]
        if found["status"] == "drift":
            assert found["fix"]
        if found["status"] == "blocked":
            assert found["hint"]
    assert result["changed"] == any(one["status"] == "drift" for one in result["findings"])


def test_each_of_its_checks_is_in_its_contract(told: tuple[str, dict[str, Any]]) -> None:
    name, result = told
    contract = (ROOT / "docs" / "contracts" / f"{name}.md").read_text(encoding="utf-8")
    described = contract.partition("## Parameters")[0]
    missing = [one["check"] for one in result["findings"] if f"`{one['check']}`" not in described]
    assert missing == []
