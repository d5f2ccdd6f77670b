# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt-get says it would do, on recorded answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    EXITED,
    TIMED_OUT,
    Result,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import apt
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import (
    PackageChange,
    Simulation,
    Upgrade,
    held_lock,
    parse_simulation,
    parse_upgrade,
    run_patiently,
)

INSTALLS = """\
Reading package lists...
The following NEW packages will be installed:
  jq libjq1
Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])
Remv systemd-timesyncd [252.39] [systemd:amd64 ]
Inst libjq1 (1.6-2.1 Debian:12 [amd64])
Inst jq (1.6-2.1 Debian:12 [amd64])
Conf jq (1.6-2.1 Debian:12 [amd64])
"""
UNKNOWN = """\
E: Unable to locate package nosuch
E: Package 'docker-ce' has no installation candidate
"""


def answer(code: int, stdout: str = "", stderr: str = "") -> Result:
    return Result(("apt-get",), EXITED, code, "", stdout, stderr)


def test_what_would_be_installed_upgraded_and_removed() -> None:
    assert parse_simulation(answer(0, INSTALLS)) == Simulation(
        ("libjq1", "jq"), ("libc6",), ("systemd-timesyncd",)
    )


def test_every_name_without_a_candidate_is_told() -> None:
    assert parse_simulation(answer(100, "", UNKNOWN)).unknown == ("nosuch", "docker-ce")


def test_no_answer_is_a_problem() -> None:
    assert "held broken" in parse_simulation(answer(100, "", "E: held broken packages\n")).problem
    late = Result(("apt-get",), TIMED_OUT, None, "did not end within 1 s")
    assert parse_simulation(late).problem == "did not end within 1 s"


def test_what_a_full_upgrade_would_come_to() -> None:
    kept = "The following packages have been kept back:\n  held other\n"
    phased = "The following upgrades have been deferred due to phasing:\n  phased\n1 upgraded\n"
    assert parse_upgrade(answer(0, INSTALLS + kept + phased)) == Upgrade(
        (
            PackageChange("libc6", "2.36-9", "2.36-10"),
            PackageChange("systemd-timesyncd", "252.39", ""),
            PackageChange("libjq1", "", "1.6-2.1"),
            PackageChange("jq", "", "1.6-2.1"),
        ),
        ("held", "other", "phased"),
    )
    assert parse_upgrade(answer(0, INSTALLS)).removals == ("systemd-timesyncd",)
    assert "held broken" in parse_upgrade(answer(100, "", "E: held broken packages\n")).problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "E: Could not get lock /var/lib/apt/lists/lock."
            " It is held by process 81 (packagekitd)\n"
            "E: Unable to lock directory /var/lib/apt/lists/\n",
            "/var/lib/apt/lists/lock is held by process 81 (packagekitd)",
        ),
        (
            "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 81\n",
            "/var/cache/apt/archives/lock is held by process 81",
        ),
        (
            "E: Could not get lock /var/lib/apt/lists/lock - open (11: Resource temporarily"
            " unavailable)\n",
            "/var/lib/apt/lists/lock is held by another process",
        ),
        ("W: Could not get lock /a. It is held by process 1 (x)\nE: Failed to fetch x\n", ""),
        ("", ""),
    ],
)
def test_a_lock_that_has_ended_apt_get_is_named(text: str, said: str) -> None:
    assert held_lock(Result(("apt-get",), EXITED, 100, stderr=text)) == said
    assert held_lock(Result(("apt-get",), EXITED, 0, stderr=text)) == ""


LOCKED = """#!/bin/sh
echo run >>{root}/runs
[ $(wc -l <{root}/runs) -gt {refusals} ] && exit 0
echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 81 (packagekitd)' >&2
exit 100
"""


@pytest.mark.parametrize(("refusals", "patience", "ok"), [(2, 30, True), (9, 0, False)])
def test_a_lock_of_the_lists_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int, patience: float, ok: bool
) -> None:
    monkeypatch.setattr(apt, "_RETRY_SECONDS", 0.01)
    program = tmp_path / "apt-get"
    program.write_text(LOCKED.format(root=tmp_path, refusals=refusals))
    program.chmod(0o755)
    result = run_patiently([str(program), "update"], 5, patience, {})
    assert result.ok is ok
    assert len((tmp_path / "runs").read_text().splitlines()) == (refusals + 1 if ok else 1)
