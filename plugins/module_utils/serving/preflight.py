# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What a launch needs to know about an image before it starts a container of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    EnvironmentChange,
    Image,
    TargetProblem,
    ask_raw,
    read,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import (
    advice,
    gist,
    pinning,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import examine_as_owner
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.image_facts import (
    ARCH,
    MountableToolkit,
)

PACKAGES = ("torch", "vllm", "ray", "triton")


class PreflightError(Exception):
    """The image cannot be asked; the text says why and what to do."""


def ask(image: Image, mountable: Sequence[MountableToolkit], timeout: float) -> dict[str, Any]:
    """Ask the image in a temporary container. timeout: seconds. Raises PreflightError.

    Returns a dict: `image_id`; `python` and the versions of PACKAGES, empty for what is missing;
    `assembles` (whether Triton compiles for ARCH, None without Triton); `pins` (variable -> file of
    this node with which it does); `message` (a text for people, empty if there is nothing to say);
    `way_out` (what to do if Triton does not compile at all).
    """
    binaries = [examine_as_owner(tool.path, "system", ARCH) for tool in mountable]
    changes = [EnvironmentChange(), *pinning(binaries)]
    mounts = [change.expect for change in changes if change.expect]
    answer = ask_raw(image, ARCH, {}, changes, timeout, True, mounts, PACKAGES)
    facts: dict[str, Any] = {"image_id": "", "python": "", **dict.fromkeys(PACKAGES, "")}
    facts.update(assembles=None, pins={}, message="", way_out="")
    if isinstance(answer, TargetProblem):
        if answer.no_python:
            # An engine that is no Python program has no Triton either.
            return facts
        raise PreflightError("%s. %s" % (answer.actual, answer.hint))
    facts.update(answer["packages"], image_id=answer["image"], python=answer["python"])
    if not answer["root"]:
        return facts
    report = read(answer, changes)
    if isinstance(report, TargetProblem):
        return {**facts, "assembles": False, "message": report.actual, "way_out": report.hint}
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
        return {**facts, "assembles": False, "message": fails, "way_out": way_out}
    pins = {name: path for name, path in worked.changes.items() if path}
    mounted = ", ".join("%s=%s" % pin for pin in pins.items())
    fails += "; the node's ptxas is mounted by " + mounted
    return {**facts, "assembles": True, "pins": pins, "message": fails}
