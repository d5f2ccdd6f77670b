# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""CDI specifications of GPUs, and the driver versions that they are for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)

# The later folder has precedence.
FOLDERS = ("/etc/cdi", "/run/cdi")
DRIVER_FILES = ("/sys/module/nvidia/version", "/proc/driver/nvidia/version")

_KIND = re.compile(r"""^\s*["']?kind["']?:\s*["']?nvidia\.com/gpu\b""", re.MULTILINE)
_LIBRARY = re.compile(r"/libcuda\.so\.(\d+(?:\.\d+)+)\b")
_DEVICES = re.compile(r"^devices:[ \t]*\n((?:[ \t-].*\n|\n)*)", re.MULTILINE)
_DEVICE = re.compile(r"""^[ -]*name:\s*(["']?[A-Za-z0-9_.:-]+["']?)\s*$""", re.MULTILINE)
_LIMIT = 4 << 20


@dataclass(frozen=True)
class CdiSpecification:
    """A CDI specification of GPUs; versions are those of the libcuda that it names.

    devices are the names of its devices, such as 0 and all.
    """

    path: str
    versions: tuple[str, ...]
    devices: tuple[str, ...] = ()


def parse_driver_version(text: str) -> str:
    """The version in one of DRIVER_FILES; empty if there is none."""
    match = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", text)
    match = match or re.fullmatch(r"\s*(\d+(?:\.\d+)+)\s*", text)
    return match[1] if match else ""


def parse_spec(path: str, text: str) -> CdiSpecification | None:
    """None for a specification of other devices. text is YAML or JSON."""
    if not _KIND.search(text):
        return None
    versions = tuple(sorted(set(_LIBRARY.findall(text))))
    return CdiSpecification(path, versions, _devices(text))


def _devices(text: str) -> tuple[str, ...]:
    """The names of the devices, in the block style that nvidia-ctk writes, or in JSON."""
    if text.lstrip().startswith("{"):
        try:
            entries = foreign.json_of(text)["devices"]
            names = [str(entry["name"]) for entry in entries]
        except (ValueError, TypeError, KeyError):
            names = []
    else:
        # Up to the next key of the first column, or the end.
        part = _DEVICES.search(text)
        names = [name.strip("\"'") for name in _DEVICE.findall(part[1])] if part else []
    return tuple(dict.fromkeys(names))


def rivals(specs: Sequence[CdiSpecification]) -> tuple[str, ...]:
    """The files of one folder that describe the same device, which CDI refuses; mostly none."""
    for spec in reversed(specs):
        folder = os.path.dirname(spec.path)
        same = [
            other.path
            for other in specs
            if os.path.dirname(other.path) == folder and set(other.devices) & set(spec.devices)
        ]
        if len(same) > 1:
            return tuple(same)
    return ()


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
