# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Models as plain data, as docs/contracts/model_info.md describes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import Model, Revision
from ansible_collections.dgxspark.suite.plugins.module_utils.models.config_files import documents
from ansible_collections.dgxspark.suite.plugins.module_utils.models.users import Users


def summary(
    model: Model, users: Users, with_files: bool = False, with_configs: bool = False
) -> dict[str, Any]:
    """What the module model_info returns for a model; its top level describes what is served.

    users: finds the processes that use it. with_files: every file and blob as well. with_configs:
    config.json and hf_quant_config.json as well.
    """
    current = model.current
    read, unreadable = documents(current) if current else ({}, "")
    report: dict[str, Any] = {
        "name": model.name,
        "kind": model.kind,
        "path": model.path,
        "size": model.size,
        "complete": bool(current and current.complete),
        "problems": list(current.problems) if current else ["it has no files"],
        "downloading": model.downloading,
        "revision": current.revision if current else "",
        "format": current.format if current else "none",
        "quants": [asdict(quant) for quant in current.quants] if current else [],
        "config_problem": unreadable,
        "links_to": model.links_to,
        "users": [
            {"pid": process.pid, "process": process.name, "serves": process.serves}
            for process in users.of(model.name, [model.path])
        ],
        "revisions": [_revision(revision, with_files) for revision in model.revisions],
    }
    if with_configs:
        report["configs"] = dict(read)
    if with_files:
        report["blobs"] = dict(model.blobs)
        report["unfinished"] = list(model.unfinished)
    return report


def _revision(revision: Revision, with_files: bool) -> dict[str, Any]:
    report: dict[str, Any] = {
        "revision": revision.revision,
        "refs": list(revision.refs),
        "size": revision.size,
        "complete": revision.complete,
        "problems": list(revision.problems),
        "format": revision.format,
    }
    if with_files:
        report["quants"] = [asdict(quant) for quant in revision.quants]
        report["files"] = [asdict(file) for file in revision.files]
    return report


def disks(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Total and free bytes of the file systems of the paths that exist."""
    systems = []
    for path in paths:
        try:
            answer = os.statvfs(path)
        except OSError:
            continue
        # Space that is reserved for root is not free for a download.
        block = answer.f_frsize
        systems.append(
            {"path": path, "total": answer.f_blocks * block, "free": answer.f_bavail * block}
        )
    return systems
