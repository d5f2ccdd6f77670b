# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node keeps of what it has found in an image.

It holds as long as the image is the same and so are the toolkits that it may be lent a ptxas of;
both are part of what is kept. Apart from the asking, since every look at a node sends this.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    PINS,
    PTXAS_BIN,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import cuda_ptxas
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import state_files

ARCH = "sm_121"
FOLDER = "images"
# Counts changes to what is kept; what an older version has kept is asked for again.
_SCHEMA = 1


@dataclass(frozen=True)
class Toolkit:
    """A ptxas of the node that may be lent to a container, and what changes when it is replaced."""

    path: str
    size: int
    changed: int


def toolkits(paths_file: str) -> list[Toolkit]:
    """The one that paths.env names, then those of the CUDA toolkits; looked at, not run."""
    try:
        values = EnvFile.read(paths_file).values()
    except Blocked:
        values = {}
    named = [os.path.realpath(values[key]) for key in (PTXAS_BIN, *PINS) if key in values]
    found = []
    for path in dict.fromkeys([*named, *cuda_ptxas()]):
        try:
            about = os.stat(path)
        except OSError:
            continue
        found.append(Toolkit(path, about.st_size, about.st_mtime_ns))
    return found


def known(state_dir: str, image_id: str, lendable: Sequence[Toolkit]) -> dict[str, Any]:
    """What was found in this image beside these toolkits; empty where it has to be asked."""
    try:
        kept = state_files.read(os.path.join(state_dir, FOLDER), _name(image_id))
    except state_files.Broken:
        return {}
    facts = kept.get("facts")
    return facts if kept.get("key") == _key(lendable) and isinstance(facts, dict) else {}


def keep(state_dir: str, image_id: str, lendable: Sequence[Toolkit], facts: dict[str, Any]) -> None:
    """Raises Blocked and OSError."""
    folder = os.path.join(state_dir, FOLDER)
    with state_files.exclusive(folder):
        state_files.write(folder, _name(image_id), {"key": _key(lendable), "facts": facts})


def _name(image_id: str) -> str:
    return "%s.json" % image_id.rpartition(":")[2]


def _key(lendable: Sequence[Toolkit]) -> list[Any]:
    return [_SCHEMA, ARCH, [[one.path, one.size, one.changed] for one in lendable]]
