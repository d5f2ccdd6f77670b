# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A spec as a module runs it and as the audit runs it: both report the same findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import ptxas
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.audit import InvalidOption, Job
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine import spec as engine
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    Finding,
    Plan,
)

EXPIRED = {"reason": "Alice tries 590", "until": "2020-01-31"}
VALID = {"reason": "Alice tries 590", "until": "9999-12-31"}
SENTENCE = "It was accepted until 2020-01-31: Alice tries 590."


def plan(_observed: object, _wanted: object) -> Plan:
    blocked = Finding("a", BLOCKED, "e", "x", hint="Look.")
    return Plan((blocked, Finding("b", OK, "e", "e")))


TOY = Spec("toy", {}, dict, lambda wanted: wanted, plan)


def module_result(
    capsys: pytest.CaptureFixture[str], spec: Spec, options: dict[str, Any], check_mode: bool
) -> dict[str, Any]:
    """What the module of the spec returns."""
    with (
        patch_module_args({**options, "_ansible_check_mode": check_mode}),
        pytest.raises(SystemExit),
    ):
        engine.run(spec)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("check_mode", [True, False])
def test_an_expired_acceptance_is_reported_once(
    capsys: pytest.CaptureFixture[str], check_mode: bool
) -> None:
    options = {"accepted": [{"check": "a", **EXPIRED}]}
    findings = module_result(capsys, TOY, options, check_mode)["findings"]
    assert findings[0]["hint"].count(SENTENCE) == 1
    assert findings == Job(TOY, options).check()["findings"]


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, "blocked"),
        ({"accepted": [{"check": "a", **VALID}]}, "accepted"),
        ({"skip": {"a": "no GPU here"}}, "skipped"),
    ],
)
def test_a_check_and_the_audit_apply_the_same_exemptions(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], status: str
) -> None:
    findings = module_result(capsys, TOY, options, check_mode=True)["findings"]
    assert [finding["status"] for finding in findings] == [status, "ok"]
    assert findings == Job(TOY, options).check()["findings"]


def test_a_real_spec_reports_an_expired_acceptance_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = {
        "venv": str(tmp_path / "missing"),
        "paths_file": str(tmp_path / "paths.env"),
        "cuda_home": str(tmp_path / "cuda"),
        "accepted": [{"check": "ptxas_target", **EXPIRED}],
    }
    findings = module_result(capsys, ptxas.SPEC, options, check_mode=True)["findings"]
    (target,) = [finding for finding in findings if finding["check"] == "ptxas_target"]
    assert target["hint"].count(SENTENCE) == 1
    assert findings == Job(ptxas.SPEC, options).check()["findings"]


@pytest.mark.parametrize(
    "options", [{"skip": {"a": ""}}, {"accepted": [{"check": "a", **EXPIRED, "until": "soon"}]}]
)
def test_invalid_exemptions_fail_the_module_and_the_audit(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    assert module_result(capsys, TOY, options, check_mode=True)["failed"] is True
    with pytest.raises(InvalidOption, match="a: "):
        Job(TOY, options).check()
