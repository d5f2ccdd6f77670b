# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units, and configuration files with their drop-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import (
    Unit,
    ask_units,
    config_files,
    parse_units,
    switch,
)


def write(root: Path, path: str, said: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[Login]\nRemoveIPC=%s\n" % said)


def value(root: Path) -> tuple[bool | None, str]:
    files = config_files("logind", [str(root / "etc"), str(root / "run"), str(root / "lib")])
    said, path = switch(files, "Login", "RemoveIPC")
    return said, path[len(str(root)) + 1 :]


def test_a_drop_in_of_a_later_name_counts_whatever_its_folder(tmp_path: Path) -> None:
    assert value(tmp_path) == (None, "")
    write(tmp_path, "lib/logind.conf", "no")
    assert value(tmp_path) == (False, "lib/logind.conf")
    write(tmp_path, "etc/logind.conf", "yes")
    assert value(tmp_path) == (True, "etc/logind.conf")
    write(tmp_path, "lib/logind.conf.d/95-late.conf", "no")
    write(tmp_path, "etc/logind.conf.d/90-early.conf", "yes")
    assert value(tmp_path) == (False, "lib/logind.conf.d/95-late.conf")
    write(tmp_path, "etc/logind.conf.d/95-late.conf", "on")
    assert value(tmp_path) == (True, "etc/logind.conf.d/95-late.conf")
    (tmp_path / "etc/logind.conf.d/95-late.conf").unlink()
    (tmp_path / "etc/logind.conf.d/95-late.conf").symlink_to("/dev/null")
    assert value(tmp_path) == (True, "etc/logind.conf.d/90-early.conf")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Other]\nRemoveIPC=no\n", None),
        ("[Login]\n#RemoveIPC=no\n", None),
        ("[Login]\nRemoveIPC = off\nRemoveIPC=perhaps\n", False),
    ],
)
def test_only_what_systemd_would_read_counts(text: str, said: bool | None) -> None:
    assert switch([("x", text)], "Login", "RemoveIPC")[0] is said


def test_what_systemd_says_of_units() -> None:
    text = (
        "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=5\n"
        "ControlGroup=/system.slice/a.service\nNeedDaemonReload=yes\n\n"
        "LoadState=not-found\nActiveState=inactive\nUnitFileState=\n\ngarbage\n"
    )
    units = parse_units(text, ["a.service", "b.service", "c.service"])
    one = Unit("loaded", "active", "enabled", 5, "/system.slice/a.service", True)
    assert units == {"a.service": one, "b.service": Unit()}
    assert (one.there, one.runs, one.enabled) == (True, True, True)
    assert (Unit().there, Unit().runs, Unit().enabled) == (False, False, False)


def test_a_unit_is_known_by_the_name_it_was_asked_for_and_not_by_its_own() -> None:
    text = "LoadState=loaded\nMainPID=5\nId=ssh.service\n"
    assert parse_units(text, ["sshd.service"])["sshd.service"].pid == 5


@pytest.mark.parametrize("script", ["kill -SEGV $$", "exit 1", "printf '\\377\\376'", "sleep 60"])
def test_a_systemd_that_does_not_answer(tmp_path: Path, script: str) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\n%s\n" % script)
    systemctl.chmod(0o755)
    units, problem = ask_units(str(systemctl), ["a.service"], 0.3)
    assert units == {}
    assert problem.startswith("systemctl: ")
