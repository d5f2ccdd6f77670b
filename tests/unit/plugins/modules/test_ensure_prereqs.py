# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, looking at the machine that runs the tests: checks only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import ensure_prereqs

ROOT = Path(__file__).parents[4]


def checked(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    """Run the module in check mode as Ansible does, up to its JSON."""
    with (
        patch_module_args({**arguments, "_ansible_check_mode": True}),
        pytest.raises(SystemExit),
    ):
        ensure_prereqs.main()
    return dict(json.loads(capsys.readouterr().out))


def test_what_is_returned_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    result = checked(capsys)
    documented = yaml.safe_load(ensure_prereqs.RETURN)
    assert set(result) - {"changed", "invocation"} == set(documented)
    for name in ("os", "dgx_os", "time", "docker"):
        assert set(result[name]) == set(documented[name]["contains"])
    for address in result["addresses"]:
        assert set(address) == set(documented["addresses"]["contains"])


def test_every_check_is_described_in_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    contract = (ROOT / "docs" / "contracts" / "ensure_prereqs.md").read_text()
    table = contract.partition("## Checks")[2].partition("## Inst")[0]
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    described = [name.strip("|` ") for row in rows for name in row.split(",")]
    assert described == [finding["check"] for finding in checked(capsys)["findings"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"extra_packages": ["a b"]}, "extra_packages: expected the name of a package"),
        ({"skip": {"packages": ""}}, "skip: packages: expected the reason"),
        ({"time_package": "ntpdate"}, "value of time_package must be one of"),
    ],
)
def test_parameters_that_cannot_be_meant_fail_by_name(
    capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], message: str
) -> None:
    result = checked(capsys, **arguments)
    assert result["failed"] is True
    assert message in result["msg"]
