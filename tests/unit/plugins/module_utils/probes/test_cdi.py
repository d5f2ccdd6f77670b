# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of GPUs, and versions of drivers, as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cdi import (
    CdiSpecification,
    gpu_specs,
    parse_driver_version,
    parse_spec,
)

YAML = """\
---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
    mounts:
        - containerPath: /usr/lib/aarch64-linux-gnu/libcuda.so.580.159.03
          hostPath: /usr/lib/aarch64-linux-gnu/libcuda.so.580.159.03
        - hostPath: /usr/lib/aarch64-linux-gnu/libcudadebugger.so.1.2.3
"""
JSON = '{"kind": "nvidia.com/gpu", "x": "/usr/lib/libcuda.so.580.142"}'


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("580.159.03\n", "580.159.03"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.142  Release\n", "580.142"),
        ("", ""),
        ("garbage 1", ""),
    ],
)
def test_the_version_of_the_loaded_driver(text: str, version: str) -> None:
    assert parse_driver_version(text) == version


def test_which_driver_a_description_is_for() -> None:
    assert parse_spec("x", YAML) == CdiSpecification("x", ("580.159.03",))
    assert parse_spec("x", "kind: nvidia.com/gpu\n") == CdiSpecification("x", ())
    assert parse_spec("x", YAML.replace("nvidia.com/gpu", "vendor.com/nic")) is None


def test_the_later_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "nvidia.yaml").write_text(YAML)
    (tmp_path / "a" / "half.yaml.tmp").write_text(YAML)
    (tmp_path / "b" / "nvidia.json").write_text("\n" + JSON[1:].replace("{", ""))
    found = gpu_specs([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")])
    assert [spec.versions for spec in found] == [("580.159.03",), ("580.142",)]
