# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models as plain data, as docs/contracts/model_info.md describes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import Model, Revision
from ansible_collections.dgxspark.suite.plugins.module_utils.models.config_files import documents
from ansible_collections.dgxspark.suite.plugins.module_utils.models.users import Users


def model(
    found: Model, users: Users, with_files: bool = False, with_configs: bool = False
) -> dict[str, Any]:
    """What the module model_info tells of one model; its top level is about what is served.

    users: finds its users. with_files: every file and blob as well;
    with_configs: config.json and hf_quant_config.json.
    """
    current = found.current
    read, unreadable = documents(current) if current else ({}, "")
    told: dict[str, Any] = {
        "name": found.name,
        "kind": found.kind,
        "path": found.path,
        "size": found.size,
        "complete": bool(current and current.complete),
        "problems": list(current.problems) if current else ["it has no files"],
        "downloading": found.downloading,
        "revision": current.revision if current else "",
        "format": current.format if current else "none",
        "quants": [asdict(one) for one in current.quants] if current else [],
        "config_problem": unreadable,
        "links_to": found.links_to,
        "users": [
            {"pid": one.pid, "process": one.name, "serves": one.serves}
            for one in users.of(found.name, [found.path])
        ],
        "revisions": [_revision(one, with_files) for one in found.revisions],
    }
    if with_configs:
        told["configs"] = dict(read)
    if with_files:
        told["blobs"] = dict(found.blobs)
        told["unfinished"] = list(found.unfinished)
    return told


def _revision(one: Revision, with_files: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "revision": one.revision,
        "refs": list(one.refs),
        "size": one.size,
        "complete": one.complete,
        "problems": list(one.problems),
        "format": one.format,
    }
    if with_files:
        told["quants"] = [asdict(quant) for quant in one.quants]
        told["files"] = [asdict(file) for file in one.files]
    return told


def disks(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Total and free bytes of the file systems of those paths that exist."""
    found = []
    for path in paths:
        try:
            answer = os.statvfs(path)
        except OSError:
            continue
        # What is reserved for root is not free to whoever downloads.
        block = answer.f_frsize
        found.append(
            {"path": path, "total": answer.f_blocks * block, "free": answer.f_bavail * block}
        )
    return found
