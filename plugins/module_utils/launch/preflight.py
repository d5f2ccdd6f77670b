# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch has to know of an image before it starts a container of it, asked once per node.

The answer holds as long as the image is the same and so are the toolkits that it may be lent a
ptxas of; both are part of what the node keeps.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.model import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import (
    PINS,
    PTXAS_BIN,
    advice,
    gist,
    pinning,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.launch import state
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import (
    cuda_ptxas,
    examine,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.target import (
    Change,
    Image,
    Problem,
    read,
    tell,
)

ARCH = "sm_121"
FOLDER = "images"
PACKAGES = ("torch", "vllm", "ray", "triton")
# Counts changes to what is kept; what an older version has kept is asked for again.
_SCHEMA = 1


class PreflightError(Exception):
    """The image cannot be asked; the text says why and what to do."""


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
        kept = state.read(os.path.join(state_dir, FOLDER), _name(image_id))
    except state.Broken:
        return {}
    facts = kept.get("facts")
    return facts if kept.get("key") == _key(lendable) and isinstance(facts, dict) else {}


def keep(state_dir: str, image_id: str, lendable: Sequence[Toolkit], facts: dict[str, Any]) -> None:
    """Raises Blocked and OSError."""
    folder = os.path.join(state_dir, FOLDER)
    with state.exclusive(folder):
        state.write(folder, _name(image_id), {"key": _key(lendable), "facts": facts})


def _name(image_id: str) -> str:
    return "%s.json" % image_id.rpartition(":")[2]


def _key(lendable: Sequence[Toolkit]) -> list[Any]:
    return [_SCHEMA, ARCH, [[one.path, one.size, one.changed] for one in lendable]]


def ask(image: Image, lendable: Sequence[Toolkit], timeout: float) -> dict[str, Any]:
    """Ask the image, in a container that is gone afterwards. Raises PreflightError.

    Returns a dict: `image_id`; `python` and the versions of PACKAGES, empty where it has none;
    `assembles` (whether Triton compiles for ARCH, None where there is no Triton); `pins` (the
    variables, and the files of this node that they name, with which it does); `told` (that in
    words, empty where nothing is to be said); `way_out` (what to do where it does not even so).
    """
    binaries = [examine(one.path, "system", ARCH) for one in lendable]
    changes = [Change(), *pinning(binaries)]
    lent = [change.expect for change in changes if change.expect]
    told = tell(image, ARCH, {}, changes, timeout, True, lent, PACKAGES)
    facts: dict[str, Any] = {"image_id": "", "python": "", **dict.fromkeys(PACKAGES, "")}
    facts.update(assembles=None, pins={}, told="", way_out="")
    if isinstance(told, Problem):
        if told.no_python:
            # An engine that is no Python program has no Triton either.
            return facts
        raise PreflightError("%s. %s" % (told.actual, told.hint))
    facts.update(told["packages"], image_id=told["image"], python=told["python"])
    if not told["root"]:
        return facts
    report = read(told, changes)
    if isinstance(report, Problem):
        return {**facts, "assembles": False, "told": report.actual, "way_out": report.hint}
    facts["triton"] = report.version
    worked = next((trial for trial in report.trials if trial.works), None)
    own = report.trials[0]
    if worked is own:
        return {**facts, "assembles": True}
    broken = own.binary is not None and not own.binary.works
    why = own.binary.describe() if own.binary and broken else gist(own.error)
    fails = "Triton %s of %s does not compile for %s: %s"
    fails %= (report.version, image.name, ARCH, why)
    if worked is None:
        way_out = advice(report.version, ARCH, binaries, report.trials)
        return {**facts, "assembles": False, "told": fails, "way_out": way_out}
    pins = {name: path for name, path in worked.changes.items() if path}
    lent_words = ", ".join("%s=%s" % pin for pin in pins.items())
    fails += "; it is lent the node's ptxas by " + lent_words
    return {**facts, "assembles": True, "pins": pins, "told": fails}
