# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nvidia-smi, the driver's file, and toolkits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    EXITED,
    SIGNALLED,
    TIMED_OUT,
    Result,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import (
    CUDNN_PACKAGES,
    Gpu,
    Smi,
    ask_smi,
    library_version,
    parse_driver,
    parse_smi,
    toolkits,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import parse_status


def said(stdout: str, code: int = 0, outcome: str = EXITED, reason: str = "") -> Result:
    return Result(("nvidia-smi",), outcome, code, reason, stdout)


def test_a_gb10_answers_with_name_and_driver() -> None:
    smi = parse_smi("/usr/bin/nvidia-smi", said("NVIDIA GB10, 580.159.03\n"))
    assert smi == Smi("/usr/bin/nvidia-smi", (Gpu("NVIDIA GB10", "580.159.03"),))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (said("No devices were found\n"), "lists no GPU: No devices were found"),
        (said("", 0), "lists no GPU: nothing"),
        (said("NVIDIA GB10, [N/A]\n"), "lists no GPU: NVIDIA GB10, [N/A]"),
        (
            said("NVIDIA-SMI has failed because it couldn't communicate with the driver.", 9),
            "exit status 9",
        ),
        (said("", None or 0, TIMED_OUT, "did not end within 20 s"), "did not end within 20 s"),
        (said("", 11, SIGNALLED), "died by signal 11"),
        (said("\ufffd\ufffd\x00", 0), "lists no GPU"),
    ],
)
def test_every_other_answer_is_a_problem_that_is_told(result: Result, message: str) -> None:
    smi = parse_smi("/usr/bin/nvidia-smi", result)
    assert smi.gpus == ()
    assert message in smi.problem


def test_where_there_is_none_that_is_the_problem() -> None:
    assert ask_smi("", 1) == Smi("", problem="nvidia-smi is not installed")


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.159.03  Release Build\n",
            ("580.159.03", True),
        ),
        (
            "NVRM version: NVIDIA UNIX aarch64 Kernel Module  580.173.02  Tue Mar 1 2026\n",
            ("580.173.02", False),
        ),
        ("", ("", False)),
        ("garbage", ("", False)),
    ],
)
def test_the_loaded_modules_are_open_ones_or_not(text: str, driver: tuple[str, bool]) -> None:
    assert parse_driver(text) == driver


def nvcc(home: Path, text: str) -> None:
    path = home / "bin" / "nvcc"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_toolkits_are_found_newest_first_and_once(tmp_path: Path) -> None:
    for version in ("12.8.93", "13.0.88", "9.2.1"):
        release = version.rpartition(".")[0]
        nvcc(tmp_path / f"cuda-{release}", f"echo 'tools, release {release}, V{version}'")
    nvcc(tmp_path / "elsewhere", "echo 'tools, release 13.1, V13.1.80'")
    nvcc(tmp_path / "cuda-broken", "kill -SEGV $$")
    (tmp_path / "cuda-empty").mkdir()
    (tmp_path / "cuda-empty" / "version.json").write_text('{"cuda": {"version": "13.2.0"}}')
    (tmp_path / "cuda-file").write_text("")
    link = tmp_path / "cuda"
    link.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "cuda-13").symlink_to(tmp_path / "cuda-13.0")
    found = toolkits(str(tmp_path / "cuda-*"), str(link), 5)
    assert [(Path(entry.home).name, entry.version) for entry in found] == [
        ("cuda-empty", "13.2.0"),
        ("elsewhere", "13.1.80"),
        ("cuda-13.0", "13.0.88"),
        ("cuda-12.8", "12.8.93"),
        ("cuda-9.2", "9.2.1"),
        ("cuda-broken", ""),
    ]
    assert [bool(entry.problem) for entry in found] == [True, False, False, False, False, True]
    assert found[1].nvcc == str(tmp_path / "elsewhere" / "bin" / "nvcc")


def test_a_librarys_version_is_its_newest_packages() -> None:
    status = "\n\n".join(
        f"Package: {name}\nStatus: install ok {state}\nVersion: {version}"
        for name, state, version in (
            ("libcudnn9-cuda-13", "installed", "9.13.0.50-1"),
            ("libcudnn9-cuda-12", "installed", "9.9.0-1"),
            ("libcudnn8", "config-files", "10.0-1"),
            ("libcudnn9-headers-cuda-13", "installed", "11.0-1"),
        )
    )
    assert library_version(parse_status(status), CUDNN_PACKAGES) == "9.13.0.50"
    assert library_version({}, CUDNN_PACKAGES) == ""
