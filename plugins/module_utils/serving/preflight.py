# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch has to know of an image before it starts a container of it, asked once per node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    Change,
    Image,
    Problem,
    ask_raw,
    read,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import (
    advice,
    gist,
    pinning,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import examine
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.image_facts import (
    ARCH,
    Toolkit,
)

PACKAGES = ("torch", "vllm", "ray", "triton")


class PreflightError(Exception):
    """The image cannot be asked; the text says why and what to do."""


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
    told = ask_raw(image, ARCH, {}, changes, timeout, True, lent, PACKAGES)
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
