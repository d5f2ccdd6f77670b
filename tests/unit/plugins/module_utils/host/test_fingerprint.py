# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever could change an answer changes the state; what could not does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.fingerprint import (
    file_state,
    venv_state,
)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment of a Python that lies beside it."""
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    (base / "bin" / "python3.12").write_text("python")
    (base / "lib" / "python3.12" / "json").mkdir(parents=True)
    (base / "lib" / "python3.12" / "os.py").write_text("os")
    (base / "lib" / "python3.12" / "json" / "decoder.py").write_text("json")
    root = tmp_path / "venv"
    site = root / "lib" / "python3.12" / "site-packages"
    (site / "yaml" / "__pycache__").mkdir(parents=True)
    (site / "yaml" / "loader.py").write_text("loader")
    (site / "tidy.pth").write_text("import os; pass\n")
    (root / "lib" / "libiomp5.so").touch()
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(base / "bin" / "python3.12")
    (root / "pyvenv.cfg").write_text(f"home = {base}/bin\ninclude-system-site-packages = false\n")
    return root


def _site(venv: Path) -> Path:
    return venv / "lib" / "python3.12" / "site-packages"


def _cut(venv: Path) -> None:
    (_site(venv) / "yaml" / "loader.py").write_text("")


def _same_size_and_time(venv: Path) -> None:
    path = _site(venv) / "yaml" / "loader.py"
    before = path.stat()
    path.write_text("l0ader")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _gone(venv: Path) -> None:
    (_site(venv) / "yaml" / "loader.py").unlink()


def _more(venv: Path) -> None:
    (_site(venv) / "extra.py").touch()


def _mode(venv: Path) -> None:
    (_site(venv) / "yaml" / "loader.py").chmod(0)


def _other_python(venv: Path) -> None:
    (venv.parent / "base" / "bin" / "python3.12").write_text("pythom")


def _standard_library(venv: Path) -> None:
    (venv.parent / "base" / "lib" / "python3.12" / "json" / "decoder.py").write_text("")


@pytest.mark.parametrize(
    "change", [_cut, _same_size_and_time, _gone, _more, _mode, _other_python, _standard_library]
)
def test_what_could_change_an_answer_changes_the_state(
    venv: Path, change: Callable[[Path], None]
) -> None:
    before = venv_state(str(venv))
    assert before
    assert before == venv_state(str(venv))
    change(venv)
    assert before != venv_state(str(venv))


def test_bytecode_that_python_writes_does_not(venv: Path) -> None:
    before = venv_state(str(venv))
    (_site(venv) / "yaml" / "__pycache__" / "loader.pyc").write_bytes(b"bytecode")
    (venv.parent / "base" / "lib" / "python3.12" / "__pycache__").mkdir()
    assert before == venv_state(str(venv))


def test_a_link_to_an_environment_is_that_environment(venv: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(venv)
    assert venv_state(str(tmp_path / "link")) == venv_state(str(venv))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("lib/python3.12/site-packages/mine.pth", "/home/alice/project\n"),
        ("lib/python3.12/site-packages/__editable__.mine.pth", "import __editable__mine\n"),
        ("lib/python3.12/site-packages/up.pth", "../../elsewhere\n"),
        ("pyvenv.cfg", "include-system-site-packages = True\n"),
    ],
)
def test_what_an_environment_takes_from_elsewhere_cannot_be_told(
    venv: Path, file: str, text: str
) -> None:
    (venv / file).write_text(text)
    assert venv_state(str(venv)) == ""


def test_what_cannot_be_looked_at_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"pyvenv\.cfg"):
        venv_state(str(tmp_path))


def test_a_link_that_leads_elsewhere_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    link = tmp_path / "link"
    link.symlink_to("a")
    before = file_state(str(link))
    link.unlink()
    link.symlink_to("b")
    assert file_state(str(link)) != before
    assert "No such file" in file_state(str(tmp_path / "none"))
