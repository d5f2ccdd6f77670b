# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether this node has a model that a launch loads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache
from ansible_collections.dgxspark.suite.plugins.module_utils.models.completeness import Quant

OTHER = "other"

# Files that servers load as they are, without a folder around them.
_MODEL_FILES = (".bin", ".gguf", ".nemo", ".pt", ".pth", ".safetensors")
_NO_MODEL = "it is no model: neither a folder with a config.json or GGUF files, nor a file %s"


def presence(hub: str, directories: Sequence[str], wanted: Mapping[str, str]) -> dict[str, Any]:
    """The copy of one model on this node.

    hub: the cache. directories: the local model directories. wanted: `name` (org/name, or an
    absolute path), `quant` (of a GGUF model, empty for any), `revision` (branch, tag or commit,
    empty for what is served by default).

    Returns `name`, `quant`, `kind` (hub, directory, or other: what only the user can copy),
    `complete`, `problem` (why not), `downloading`, `revision` (the commit, empty outside of the
    cache) and `size` (bytes; of the quantisation, where one is wanted).
    """
    name = os.path.normpath(wanted["name"]) if os.path.isabs(wanted["name"]) else wanted["name"]
    copy: dict[str, Any] = {
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
    models = cache.scan(hub, [name] if is_path else [], name).models
    if is_path and not name.startswith(tuple(os.path.join(root, "") for root in directories)):
        copy["kind"] = OTHER
    if not models:
        if is_path and os.path.exists(name):
            usable = os.path.isfile(name) and name.lower().endswith(_MODEL_FILES)
            problem = "" if usable else _NO_MODEL % " or ".join(_MODEL_FILES)
            copy.update(kind=OTHER, complete=usable, problem=problem)
        return copy
    model = models[0]
    revision = model.named(wanted["revision"])
    copy["downloading"] = model.downloading
    if revision is None:
        copy["problem"] = "its revision %s is not there" % wanted["revision"]
        return copy
    copy["revision"] = revision.revision
    if wanted["quant"]:
        copy.update(_quant(revision.quants, wanted["quant"]))
    else:
        copy.update(size=revision.size, problem="; ".join(revision.problems))
    copy["complete"] = not copy["problem"]
    return copy


def _quant(quants: Sequence[Quant], wanted: str) -> dict[str, Any]:
    for quant in quants:
        if quant.name.lower() == wanted.lower():
            problem = "" if quant.complete else "parts of %s are missing" % quant.name
            return {"quant": quant.name, "size": quant.size, "problem": problem}
    listed = ", ".join(quant.name for quant in quants) or "none"
    return {"problem": "it has no quantisation %s; it has: %s" % (wanted, listed)}
