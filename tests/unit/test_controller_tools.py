# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make venv` with the programs of a macOS controller, over a played Python and pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tests" / "tools"
# What `make venv` runs; all other scripts are for tests.
CONTROLLER = ("python.sh", "venv.sh")
# bash 3.2, of macOS, has none of these; with `set -u` it also refuses to expand an empty array.
NEWER_BASH = {
    "mapfile": r"\b(mapfile|readarray)\b",
    "associative arrays and references": r"\b(local|declare|typeset) -[a-z]*[An]",
    "case conversion": r"\$\{\w+(,,?|\^\^?)\}",
    "wait -n": r"\bwait -n\b",
    "variables": r"\bBASHPID\b|\bEPOCHSECONDS\b|\[\[ -v ",
    "redirections": r"&>>|\|&|exec \{",
    "options": r"\bshopt -s \w*(globstar|lastpipe|inherit_errexit)",
    "empty arrays": r"\w=\((\"\$@\")?\)(\s|$)",
    "negative subscripts": r"\[-\d+\]",
    "printf of times": r"printf [^|]*%\(",
}
NEEDS_NEWER = "needs bash 4.4 or newer"
# What macOS has, with what its form of it refuses.
BSD = {
    "awk": "",
    "bash": "",
    "cat": "",
    "chmod": "",
    "cmp": "",
    "cp": "-t|-T|-d",
    "cut": "",
    "dirname": "",
    "env": "",
    "grep": "-P|-z",
    "head": "",
    "ln": "-r|-T|-t",
    "mkdir": "",
    "mv": "-T|-t",
    "rm": "",
    "sed": "-r|-z|-s|-i",
    "sleep": "",
    "sort": "",
    "stat": "-c",
    "tail": "",
    "touch": "-d",
    "tr": "",
    "xargs": "-r|-d|-a",
}
GNU = ("flock", "md5sum", "nproc", "readlink", "realpath", "sha256sum", "tac", "timeout")
# A Python of version 3.13 that makes environments and installs what the tests ask it for.
PYTHON = """#!/bin/sh
echo "$*" | head -n 1 >>"$CALLS"
case "$*" in
--version) echo Python 3.13.0 ;;
*ensurepip*) [ "$3" = 3.13 ] && echo "$0" ;;
*fcntl*) exec {real} "$@" ;;
"-m venv --clear "*) rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip "*)
    [ -z "${{PIP_FAILS-}}" ] || {{ echo "no network"; exit 1; }}
    [ -z "${{PIP_EMPTY-}}" ] || exit 0
    touch .venv/packages
    echo "#!$(pwd -P)/.venv/bin/python" >.venv/bin/ansible-playbook
    chmod +x .venv/bin/ansible-playbook ;;
*"import ansible"*) [ -e .venv/packages ] ;;
*purelib*) echo "$PWD/.venv/site" ;;
*) exit 9 ;;
esac
"""


def code_of(script: Path) -> str:
    """A script without its comments."""
    lines = script.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def newer_bash(script: Path) -> list[str]:
    return [name for name, wanted in NEWER_BASH.items() if re.search(wanted, code_of(script), re.M)]


@pytest.mark.parametrize("name", CONTROLLER)
def test_what_a_controller_runs_is_for_bash_3_2(name: str) -> None:
    assert newer_bash(TOOLS / name) == []


@pytest.mark.parametrize("line", ["mapfile -t a", "local -A a", 'echo "${x,,}"', "a=()", "wait -n"])
def test_newer_bash_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "script").write_text(line, encoding="utf-8")
    assert len(newer_bash(tmp_path / "script")) == 1


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*.sh")), ids=lambda path: path.name)
def test_a_script_that_needs_a_newer_bash_says_it_first(script: Path) -> None:
    if "mapfile" in newer_bash(script) or re.search(r'\w=\("\$@"\)', code_of(script)):
        assert NEEDS_NEWER in "\n".join(code_of(script).splitlines()[:3])


class Clone:
    """A clone with the tools of `make venv`, on a machine with BSD's programs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder / "clone", folder / "bin"
        self.calls_file = folder / "calls"
        tools = self.folder / "tests" / "tools"
        tools.mkdir(parents=True)
        for name in CONTROLLER:
            shutil.copy(TOOLS / name, tools)
        shutil.copy(ROOT / "Makefile", self.folder)
        (self.folder / "requirements.txt").write_text("ansible==1\n", encoding="utf-8")
        self.path.mkdir()
        for name, refused in BSD.items():
            self.program(name, refused)
        for name in GNU:
            self.executable(name, f'#!/bin/sh\necho "{name}: not on macOS" >&2\nexit 127\n')
        self.executable("python3.13", PYTHON.format(real=sys.executable))

    def executable(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")
        (self.path / name).chmod(0o755)

    def program(self, name: str, refused: str) -> None:
        real = shutil.which(name)
        if not real:
            pytest.skip(f"{name} is not on this machine")
        options = "|".join(["--?*", *(refused.split("|") if refused else [])])
        self.executable(
            name,
            '#!/bin/sh\nfor option; do case "$option" in\n'
            + (
                ""
                if name in ("bash", "env")
                else f'{options}) echo "{name}: $option" >&2; exit 64;;\n'
            )
            + f'*) break;; esac; done\nexec {real} "$@"\n',
        )

    def make(self, command: list[str] | None = None, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            command or ["bash", "tests/tools/venv.sh"],
            cwd=self.folder,
            env={
                "PATH": str(self.path),
                "HOME": str(self.folder.parent),
                "CALLS": str(self.calls_file),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def calls(self) -> list[str]:
        """What was asked of Python since the last time, besides questions."""
        lines = self.calls_file.read_text(encoding="utf-8").splitlines()
        self.calls_file.unlink()
        return [words[1] for line in lines if (words := line.split())[:1] == ["-m"]]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_make_venv_needs_no_gnu_tools(clone: Clone) -> None:
    code, output = clone.make()
    assert (code, clone.calls()) == (0, ["venv", "pip"]), output
    assert not re.search("not on macOS|command not found|illegal", output)
    assert (clone.folder / ".venv/site/ansible_collections/dgxspark/suite").exists()
    code, output = clone.make()
    assert (code, clone.calls(), output) == (0, [], "")


def test_make_3_81_ignores_shellflags(clone: Clone) -> None:
    make = shutil.which("make")
    if not make:
        pytest.skip("make is not on this machine")
    code, output = clone.make([make, ".SHELLFLAGS=-c", "venv"])
    assert code == 0, output
    code, output = clone.make([make, ".SHELLFLAGS=-c", "venv"], PYTHON="/nowhere")
    assert code == 0, output
    shutil.rmtree(clone.folder / ".venv")
    code, output = clone.make([make, ".SHELLFLAGS=-c", "venv"], PYTHON="/nowhere")
    assert code != 0
    assert "PYTHON=/nowhere" in output


def test_an_installation_that_failed_is_tried_again(clone: Clone) -> None:
    code, output = clone.make(PIP_FAILS="1")
    assert code == 1
    assert "no network" in output
    clone.calls()
    assert clone.make()[0] == 0
    assert clone.calls() == ["venv", "pip"]


def test_an_empty_environment_is_no_success(clone: Clone) -> None:
    code, output = clone.make(PIP_EMPTY="1")
    assert code == 1
    assert "no ansible-playbook" in output
    assert clone.make()[0] == 0


@pytest.mark.parametrize("lost", [".venv", ".venv/bin/python", ".venv/packages", ".venv/bin"])
def test_a_broken_environment_is_made_anew(clone: Clone, lost: str) -> None:
    assert clone.make()[0] == 0
    clone.calls()
    path = clone.folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, output = clone.make()
    assert (code, clone.calls()) == (0, ["venv", "pip"]), output


def test_a_clone_that_was_moved_gets_a_new_environment(clone: Clone) -> None:
    assert clone.make()[0] == 0
    clone.calls()
    clone.folder = clone.folder.rename(clone.folder.parent / "moved")
    code, output = clone.make()
    assert (code, clone.calls()) == (0, ["venv", "pip"]), output


def test_a_changed_list_is_installed_into_the_same_environment(clone: Clone) -> None:
    assert clone.make()[0] == 0
    clone.calls()
    (clone.folder / "requirements.txt").write_text("ansible==2\n", encoding="utf-8")
    assert clone.make()[0] == 0
    assert clone.calls() == ["pip"]


def test_two_runs_make_one_environment(clone: Clone) -> None:
    run = "bash tests/tools/venv.sh &"
    command = f"{run} first=$!; {run} second=$!; wait $first && wait $second"
    code, output = clone.make(["bash", "-c", command])
    assert (code, clone.calls()) == (0, ["venv", "pip"]), output


def test_a_python_that_is_too_old_is_refused_by_name(clone: Clone) -> None:
    os.rename(clone.path / "python3.13", clone.path / "python3.9")
    code, output = clone.make()
    assert code == 1
    assert "no Python 3.11 to 3.14" in output
