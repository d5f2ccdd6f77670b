# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The configuration of NVIDIA's container toolkit, and how an engine gives GPUs to a container.

`docker run --gpus` runs nvidia-container-runtime-hook. Docker 29 and newer take the CDI
specification where they do not find that program.
"""

from __future__ import annotations

import re

RUNTIME_FILE = "/etc/nvidia-container-runtime/config.toml"
HOOK = "nvidia-container-runtime-hook"
# The first Docker that needs no hook.
CDI_MAJOR = 29

_SECTION = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?")
_MODE = re.compile(r"""\s*mode\s*=\s*["']([^"']*)["']\s*(#.*)?""")


def parse_mode(text: str) -> str:
    """The mode of [nvidia-container-runtime] in config.toml; empty if it does not say one."""
    section = ""
    for line in text.splitlines():
        named = _SECTION.fullmatch(line)
        if named:
            section = named[1].strip("\"'")
        mode = _MODE.fullmatch(line)
        if mode and section == "nvidia-container-runtime":
            return mode[1]
    return ""
