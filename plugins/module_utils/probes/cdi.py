# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""CDI specifications of GPUs, and the driver versions that they are for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)

# The later folder has precedence.
FOLDERS = ("/etc/cdi", "/run/cdi")
DRIVER_FILES = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")

_KIND = re.compile(r"""^\s*["']?kind["']?:\s*["']?nvidia\.com/gpu\b""", re.MULTILINE)
_LIBRARY = re.compile(r"/libcuda\.so\.(\d+(?:\.\d+)+)\b")
_LIMIT = 4 << 20


@dataclass(frozen=True)
class CdiSpecification:
    """A CDI specification of GPUs; versions are those of the libcuda that it names."""

    path: str
    versions: tuple[str, ...]


def parse_driver_version(text: str) -> str:
    """The version in one of DRIVER_FILES; empty if there is none."""
    match = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", text)
    match = match or re.fullmatch(r"\s*(\d+(?:\.\d+)+)\s*", text)
    return match[1] if match else ""


def parse_spec(path: str, text: str) -> CdiSpecification | None:
    """None for a specification of other devices. text is YAML or JSON."""
    if not _KIND.search(text):
        return None
    return CdiSpecification(path, tuple(sorted(set(_LIBRARY.findall(text)))))


def gpu_specs(folders: Sequence[str] = FOLDERS) -> tuple[CdiSpecification, ...]:
    """The specifications of GPUs in those folders; the last one has precedence."""
    specs = []
    for folder in folders:
        for name in list_folder(folder):
            path = os.path.join(folder, name)
            if name.endswith((".yaml", ".json")):
                spec = parse_spec(path, read_text(path, _LIMIT) or "")
                specs += [spec] if spec else []
    return tuple(specs)
