# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself: its parameters, and that its documentation tells the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import ensure_ptxas


def result_of(
    capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], check_mode: bool = False
) -> dict[str, Any]:
    """Run the module as Ansible does, up to its JSON."""
    with (
        patch_module_args({**arguments, "_ansible_check_mode": check_mode}),
        pytest.raises(SystemExit),
    ):
        ensure_ptxas.main()
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of the following is required: venv, image"),
        ({"venv": "/v", "image": "i"}, "parameters are mutually exclusive: venv|image"),
        ({"venv": "/v", "arch": "121"}, "arch: expected an architecture such as sm_121"),
        ({"venv": "/v", "timeout": -1}, "timeout: expected more than 0 seconds"),
        ({"image": "-v/:/host"}, "image: expected the name or id of an image"),
    ],
)
def test_parameters_that_cannot_be_meant_fail_by_name(
    capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], message: str
) -> None:
    result = result_of(capsys, arguments)
    assert result["failed"] is True
    assert message in result["msg"]


def test_a_missing_venv_is_reported_in_check_mode_and_fails_a_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = {
        "venv": str(tmp_path / "vllm-env"),
        "paths_file": str(tmp_path / "etc" / "paths.env"),
        "cuda_home": str(tmp_path / "cuda"),
    }
    check = result_of(capsys, arguments, check_mode=True)
    run = result_of(capsys, arguments)
    assert "failed" not in check
    assert run["failed"] is True
    assert "vllm-env is not a directory" in run["msg"]
    assert "Create the virtual environment" in run["msg"]
    assert check["findings"] == run["findings"]
    assert list(tmp_path.iterdir()) == []
