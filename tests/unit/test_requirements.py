# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever pip installs for a controller, for the tests or in the lab is pinned by hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.requirements import parse

ROOT = Path(__file__).resolve().parents[2]
LISTS = sorted(
    [
        *ROOT.glob("requirements*.txt"),
        *ROOT.glob("tests/requirements/*.txt"),
        *ROOT.glob("tests/lab/*/*.txt"),
        *ROOT.glob("roles/*/files/requirements.txt"),
        *ROOT.glob("recipes/services/*/requirements.txt"),
    ]
)
# The only list that no tool writes: its files are in no index that everybody has.
BY_HAND = {"torch-cpu.txt"}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?P<marker> *;[^#]*)?")


def lines(path: Path) -> list[str]:
    """The requirements of a list; what a backslash continues is one line."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for text in joined.splitlines() if (line := text.strip()) and line[0] != "#"]


def pins(path: Path) -> set[tuple[str, str]]:
    """Name and version of all requirements with an exact version."""
    found = (PIN.match(line) for line in lines(path))
    return {(re.sub(r"[-_.]+", "-", pin["name"]).lower(), pin["version"]) for pin in found if pin}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", LISTS, ids=name_of)
def test_every_requirement_has_a_version_and_a_hash(path: Path) -> None:
    assert lines(path)
    for line in lines(path):
        requirement, *hashes = re.split(r" +(?=--hash)", line)
        assert PIN.fullmatch(requirement), line
        assert hashes, line
        assert all(HASH.fullmatch(text) for text in hashes), line


@pytest.mark.parametrize("path", [path for path in LISTS if path.name not in BY_HAND], ids=name_of)
def test_a_list_has_the_versions_of_the_list_that_people_edit(path: Path) -> None:
    assert pins(path.with_suffix(".in")) <= pins(path), "run `make requirements`"


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("tests/tools/*.sh"), *ROOT.glob("tests/lab/*/*.sh")]), ids=name_of
)
def test_pip_installs_nothing_without_a_hash(path: Path) -> None:
    commands = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    for command in commands:
        if re.search(r"\bpip install\b", command) and "dgxspark-lab-platform" not in command:
            assert "--require-hashes" in command, command


def test_the_list_for_a_spark_is_one_that_ensure_vllm_venv_takes() -> None:
    text = (ROOT / "roles/vllm_venv/files/spark-cuda13.txt").read_text(encoding="utf-8")
    pins = {pin.name: pin.version for pin in parse(text, {})}
    assert {"vllm", "ray", "torch", "triton", "nvidia-cuda-runtime"} <= pins.keys()
    # What CUDA 13 brings, and no build for another one.
    assert not [name for name in pins if name.endswith("-cu12") and name.startswith("nvidia-cud")]
    assert pins["nvidia-cuda-runtime"].startswith("13.")
