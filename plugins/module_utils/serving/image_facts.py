# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What a node has recorded about an image.

A record is valid as long as the image and the CUDA toolkits whose ptxas a container may mount stay
the same; both are part of the record. Asking an image is in preflight.py, because every inspection
of a node sends this file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    PINS,
    PTXAS_BIN,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import image_id
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import cuda_ptxas
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    overlay_facts,
    state_files,
)

ARCH = "sm_121"
FOLDER = "images"
# Raised when the content of a record changes; records of older versions are ignored.
_SCHEMA = 2


@dataclass(frozen=True)
class MountableToolkit:
    """A ptxas of the node that a container may mount, and what changes when it is replaced."""

    path: str
    size: int
    changed: int


def image(
    docker: str,
    reference: str,
    paths_file: str,
    state_dir: str,
    overlaid: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The results `image_id`, `image_facts` and, of a derived image, `base_id`.

    overlaid: `base` and `digest` of the overlay by which the image is built; one that has to be
    built counts as absent. Raises EngineError.
    """
    base = None
    if overlaid and reference:
        there = overlay_facts.present(docker, reference, overlaid["base"], overlaid["digest"])
        present, base = there["image_id"] or None, there["base_id"] or None
    else:
        present = image_id(docker, reference) if reference else None
    facts = known(state_dir, present, toolkits(paths_file)) if present else {}
    return {"image_id": present, "base_id": base, "image_facts": facts}


def toolkits(paths_file: str) -> list[MountableToolkit]:
    """The ptxas that paths.env names, then those of the CUDA toolkits. None of them is run."""
    try:
        values = EnvFile.read(paths_file).values()
    except Blocked:
        values = {}
    named = [os.path.realpath(values[key]) for key in (PTXAS_BIN, *PINS) if key in values]
    tools = []
    for path in dict.fromkeys([*named, *cuda_ptxas()]):
        try:
            about = os.stat(path)
        except OSError:
            continue
        tools.append(MountableToolkit(path, about.st_size, about.st_mtime_ns))
    return tools


def known(state_dir: str, image: str, mountable: Sequence[MountableToolkit]) -> dict[str, Any]:
    """The recorded facts of an image, by its id; empty if it has to be asked."""
    try:
        record = state_files.read(os.path.join(state_dir, FOLDER), _name(image))
    except state_files.Broken:
        return {}
    facts = record.get("facts")
    return facts if record.get("key") == _key(mountable) and isinstance(facts, dict) else {}


def record(
    state_dir: str, image: str, mountable: Sequence[MountableToolkit], facts: dict[str, Any]
) -> None:
    """Record the facts of an image, by its id. Raises Blocked and OSError."""
    folder = os.path.join(state_dir, FOLDER)
    with state_files.exclusive(folder):
        state_files.write(folder, _name(image), {"key": _key(mountable), "facts": facts})


def _name(image: str) -> str:
    return "%s.json" % image.rpartition(":")[2]


def _key(mountable: Sequence[MountableToolkit]) -> list[Any]:
    return [_SCHEMA, ARCH, [[tool.path, tool.size, tool.changed] for tool in mountable]]
