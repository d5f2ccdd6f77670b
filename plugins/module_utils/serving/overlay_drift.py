# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What somebody has changed in the containers of services with an overlay, by hand."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    foreign,
    interpreter,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import overlay, overlay_inside

_SITES = ("site-packages", "dist-packages")
# What a running program writes beside its code by itself.
_CODE = (".py", ".so", ".pth")
_INFO = (".dist-info", ".egg-info")
_MOST = 10  # names that are shown
_SECONDS = 60.0


def observed(docker: str, present: Iterable[containers.Container]) -> dict[str, dict[str, Any]]:
    """Name of a container with an overlay, or with a list of what is forbidden -> its changes.

    `changed`: what is not as in its image. `forbidden`: lines about what it must not have.
    `problem`: why that is not known, empty if it is.
    """
    out = {}
    for one in present:
        forbid = [name for name in one.labels.get(overlay.FORBID_LABEL, "").split(",") if name]
        if one.ours and one.status == "running" and (forbid or overlay.HASH_LABEL in one.labels):
            out[one.name] = _observed(docker, one, forbid)
    return out


def _observed(docker: str, one: containers.Container, forbid: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"changed": [], "forbidden": [], "problem": ""}
    try:
        found["changed"] = changes(containers.ask(docker, ["diff", one.id], _SECONDS))
    except containers.EngineError as error:
        return {**found, "problem": str(error)}
    if forbid:
        argv = [docker, "exec", "--interactive", one.id, "python3"]
        sources = interpreter.sources_of(interpreter.imports_of(overlay_inside.__name__))
        answer, result = interpreter.ask(argv, sources, {"step": overlay_inside.LIST}, _SECONDS)
        try:
            if answer is None:
                raise overlay.Unreadable(result.describe())
            listing = overlay.listing_of(answer["base"])
            found["forbidden"] = overlay.forbidden_in(listing, forbid, "the container")
        except overlay.Unreadable as error:
            found["problem"] = "its distributions are not known: %s" % error
    return found


def changes(diff: str) -> list[str]:
    """What differs from the image below the folders of packages, by the answer of `docker diff`.

    The names of distributions first, then files of code; at most _MOST of all.
    """
    names: dict[str, None] = {}
    files: dict[str, None] = {}
    for line in diff.splitlines():
        kind, _blank, path = line.partition(" ")
        parts = path.split("/")
        if kind not in ("A", "C", "D") or not set(parts) & set(_SITES) or "__pycache__" in parts:
            continue
        infos = [part for part in parts if part.endswith(_INFO)]
        if infos:
            names[posixpath.splitext(infos[0])[0]] = None
        elif path.endswith(_CODE):
            files[path] = None
    return [foreign.line(text)[:300] for text in (*names, *files)][:_MOST]
