# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook from end to end, with this machine in place of a Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.action import discover

Run = Callable[..., tuple[int, str]]
AVAHI = """\
#!/bin/sh
[ "$*" = "-p -r -t _ssh._tcp" ] || exit 9
%s
"""
FOUND = "echo '=;eth0;IPv4;spark-1a2b;_ssh._tcp;local;spark-1a2b.local;192.0.2.11;22;'"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,"]
        done = subprocess.run(
            [*command, "dgxspark.suite.discover", *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return call


def test_an_inventory_is_written_only_when_a_directory_is_named(run: Run, tmp_path: Path) -> None:
    given = ["-e", "nodes=localhost", "-e", "any_machine=true"]
    status, output = run(*given)
    assert status == 0, output
    assert (
        f"next: ansible-playbook -i localhost, dgxspark.suite.discover {' '.join(given[:2])}"
        in (output)
    )
    assert list(tmp_path.iterdir()) == []

    given += ["-e", "write=mine"]
    status, output = run(*given, "--check")
    assert (status, "changed=1" in output) == (0, True)
    assert list(tmp_path.iterdir()) == []

    status, output = run(*given)
    path = tmp_path / "mine" / "hosts.yml"
    (head,) = yaml.safe_load(path.read_text())["spark_heads"]["hosts"].values()
    assert head["ansible_connection"] == "local"
    assert (status, "changed=1" in output) == (0, True)
    assert f"next: ansible-playbook -i {path} dgxspark.suite.site --check" in output.replace(
        "-i mine/", f"-i {tmp_path}/mine/"
    )

    status, output = run(*given)
    assert (status, "changed=0" in output) == (0, True)

    path.write_text("all: {}\n")
    status, output = run(*given)
    assert status != 0
    assert "-all: {}" in output
    assert path.read_text() == "all: {}\n"


def test_a_machine_that_is_no_spark_ends_with_the_reason(run: Run) -> None:
    status, output = run("-e", "nodes=localhost")
    assert status != 0
    assert "-e any_machine=true" in output


@pytest.mark.parametrize(
    ("script", "addresses", "problem"),
    [
        (FOUND, ["192.0.2.11"], ""),
        ("echo 'Failed to create client object: Daemon not running' >&2; exit 1", [], "Daemon"),
        ("exit 0", [], ""),
    ],
)
def test_avahi_is_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    addresses: list[str],
    problem: str,
) -> None:
    program = tmp_path / "avahi-browse"
    program.write_text(AVAHI % script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found, why = discover.browse()
    assert [one.address for one in found if one.is_spark] == addresses
    assert problem in why
    assert bool(why) == bool(problem)


def test_without_avahi_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    found, why = discover.browse()
    assert found == ()
    assert "avahi-browse" in why
