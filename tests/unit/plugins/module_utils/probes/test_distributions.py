# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed, from files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.distributions import (
    Distribution,
    ask_interpreter,
    read_distributions,
    read_venv,
)


def install(site: Path, name: str, version: str, record: str | None = "") -> Path:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not a field\n"
    (folder / "METADATA").write_text(text)
    if record is not None:
        (folder / "RECORD").write_text(record)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    return site


@pytest.mark.parametrize(
    ("record", "damage"),
    [
        ("mod.py,sha256=x,4\nmod-1.dist-info/RECORD,,\n__pycache__/mod.pyc,,\n", ""),
        ('"mod.py",,\n', ""),
        ("mod.py,sha256=x,5\n", "mod.py"),
        ("gone.py,sha256=x,4\n", "gone.py"),
        ("../../../bin/tool,sha256=x,3\n", "../../../bin/tool"),
        ("", ""),
        (None, "RECORD"),
    ],
)
def test_a_file_that_is_missing_or_cut_off_is_damage(
    site: Path, record: str | None, damage: str
) -> None:
    (site / "mod.py").write_text("1234")
    install(site, "My_Mod", "1.0", record)
    assert read_distributions(str(site)) == [Distribution("my-mod", "1.0", damage)]


def test_metadata_that_is_cut_off_is_damage_and_no_crash(site: Path) -> None:
    (install(site, "mod", "1") / "METADATA").write_bytes(b"\xff\xfe\x00")
    (install(site, "other", "2") / "METADATA").unlink()
    (install(site, "third", "3") / "RECORD").write_bytes(b"\xff\xfe\x00,,\n")
    found = sorted(read_distributions(str(site)), key=lambda distribution: distribution.name)
    assert [(entry.name, entry.version, entry.damage) for entry in found] == [
        ("mod", "", "METADATA"),
        ("other", "", "METADATA"),
        ("third", "3", "RECORD"),
    ]


def test_a_folder_is_a_virtual_environment_by_its_configuration(tmp_path: Path, site: Path) -> None:
    assert read_venv(str(tmp_path / "none"), 5).kind == "absent"
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert read_venv(str(tmp_path / "link"), 5).kind == "absent"
    assert read_venv(str(tmp_path / "venv"), 5).kind == "other"
    (tmp_path / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (tmp_path / "venv" / "bin").mkdir()
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    (site / "~umpy").mkdir()
    install(site, "numpy", "2.3.5")
    venv = read_venv(str(tmp_path / "venv"), 20)
    assert (venv.kind, venv.interpreter.problem) == ("venv", "")
    assert venv.interpreter.version == "%d.%d" % sys.version_info[:2]
    assert venv.distributions == (Distribution("numpy", "2.3.5"),)
    assert venv.leftovers == (str(site / "~umpy"),)


def test_the_fingerprint_is_that_of_the_packages(tmp_path: Path, site: Path) -> None:
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    first = read_venv(str(tmp_path / "venv"), 5).fingerprint
    install(site, "numpy", "2.3.5")
    second = read_venv(str(tmp_path / "venv"), 5).fingerprint
    install(site, "torch", "2.13.0")
    assert len({first, second, read_venv(str(tmp_path / "venv"), 5).fingerprint}) == 3
    assert len(first) == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\nexit 0\n", "it is no Python"),
        ("#!/bin/sh\necho '[1]'\n", "it is no Python"),
        ("#!/bin/sh\nprintf '\\377'\n", "it is no Python"),
        ("#!/bin/sh\nkill -SEGV $$\n", "died by signal"),
        ("#!/bin/sh\nsleep 60\n", "did not end within 1 s"),
        ("#!/nowhere/python\n", "interpreter"),
    ],
)
def test_a_python_that_does_not_answer_is_told_of(tmp_path: Path, text: str, message: str) -> None:
    program = tmp_path / "python"
    program.write_text(text)
    program.chmod(0o755)
    found = ask_interpreter(str(program), 1)
    assert message in found.problem
    assert found.version == ""
