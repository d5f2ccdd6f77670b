# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there on this node what a launch wants to load?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache
from ansible_collections.dgxspark.suite.plugins.module_utils.models.weights import Quant

OTHER = "other"


def presence(hub: str, directories: Sequence[str], wanted: Mapping[str, str]) -> dict[str, Any]:
    """What a node has of one model.

    hub: the folder of the cache. directories: those with models of one's own. wanted: `name`
    (org/name, or an absolute path), `quant` (of a GGUF model, empty for any), `revision` (branch,
    tag or commit, empty for what is served by default).

    Returns `name`, `quant`, `kind` (hub, directory, or other: what only a person can copy),
    `complete`, `problem` (why not), `downloading`, `revision` (the commit, empty outside of the
    cache) and `size` (bytes; of the quantisation, where one is wanted).
    """
    name = os.path.normpath(wanted["name"]) if os.path.isabs(wanted["name"]) else wanted["name"]
    told: dict[str, Any] = {
        "name": name,
        "quant": wanted["quant"],
        "kind": cache.DIRECTORY if os.path.isabs(name) else cache.HUB,
        "complete": False,
        "problem": "it is not there",
        "downloading": False,
        "revision": "",
        "size": 0,
    }
    is_path = os.path.isabs(name)
    found = cache.scan(hub, [name] if is_path else [], name).models
    if is_path and not name.startswith(tuple(os.path.join(one, "") for one in directories)):
        told["kind"] = OTHER
    if not found:
        if is_path and os.path.exists(name):
            # A file, or a folder of a form that nobody here can judge.
            told.update(kind=OTHER, complete=True, problem="")
        return told
    model = found[0]
    revision = model.named(wanted["revision"])
    told["downloading"] = model.downloading
    if revision is None:
        told["problem"] = "its revision %s is not there" % wanted["revision"]
        return told
    told["revision"] = revision.revision
    if wanted["quant"]:
        told.update(_quant(revision.quants, wanted["quant"]))
    else:
        told.update(size=revision.size, problem="; ".join(revision.problems))
    told["complete"] = not told["problem"]
    return told


def _quant(quants: Sequence[Quant], wanted: str) -> dict[str, Any]:
    for one in quants:
        if one.name.lower() == wanted.lower():
            problem = "" if one.complete else "parts of %s are missing" % one.name
            return {"quant": one.name, "size": one.size, "problem": problem}
    there = ", ".join(one.name for one in quants) or "none"
    return {"problem": "of its quantisations there is %s, not %s" % (there, wanted)}
