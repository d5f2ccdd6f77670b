# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Where the paths that a launch mounts lead on this node, and which a container is never to see.

The plan allows a path by its text; only the node knows its links. A link of root's, in a folder
that root alone may write, is followed: so models are put on a second disk. Any other has to stay
within the allowed folders.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder

# No container is to see these, or anything below or above them.
_NEVER = (
    *("/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp"),
    *("/var/lib/containerd", "/var/lib/docker", "/var/lib/dgxspark"),
    *("/var/run", "/var/spool", "/var/tmp"),
)
# And none is to write into these.
_NO_WRITING = ("/bin", "/lib", "/lib64", "/opt", "/sbin", "/usr", "/var/lib", "/var/log")
_SECRETS = (".aws", ".config", ".docker", ".git-credentials", ".gnupg", ".kube", ".netrc", ".ssh")
_MOST_LINKS = 40


def within(path: str, folders: Collection[str]) -> bool:
    """Whether a path is one of the folders, or below one."""
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def around(path: str, folders: Collection[str]) -> bool:
    """Whether a path is above one of the folders."""
    return any(folder.startswith(path.rstrip("/") + "/") for folder in folders)


def danger(path: str, roots: Collection[str], read_only: bool = True) -> str:
    """Why a container is not to see this path, or to write there; empty if it may.

    roots: the allowed folders. One that is itself in a part of the system was chosen by the
    operator, and opens that part.
    """
    if _touches(path, _NEVER, roots):
        return "would give the container power over the node, or its secrets"
    if not read_only and _touches(path, _NO_WRITING, roots):
        return "is part of the node's system, and would be writable"
    if path == "/home" or os.path.dirname(path) == "/home":
        return "is a complete home directory, with its keys"
    if any(part in _SECRETS for part in path.split("/")):
        return "holds credentials"
    if path.endswith(".sock"):
        return "is a socket, by which the container would command what listens there"
    return ""


def _touches(path: str, folders: Collection[str], roots: Collection[str]) -> bool:
    """Whether a path is in or above one of the folders that none of the roots opens."""
    over = [root for root in roots if within(path, (root,))]
    return any(
        (within(path, (folder,)) or around(path, (folder,)))
        and not any(within(root, (folder,)) for root in over)
        for folder in folders
    )


def sources(mounts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is at the sources of these mounts.

    mounts: as the plan has them: `source` (an absolute path), `within` (the allowed folders),
    `named` (whether the operator allowed exactly this source), `read_only`, `folder` (whether it
    has to be one), `needed` (whether it has to be there already).

    Returns for each a dict of `source`, `real` (the path without links), `links` (those that were
    followed, as "link -> target") and `problem` (why it is not to be mounted; empty if it may be).
    """
    return [_source(mount) for mount in mounts]


@dataclass
class _Way:
    """A path without its links. doubtful: the first link that another user may have put there."""

    real: str
    links: list[str]
    doubtful: str = ""


def _source(mount: Mapping[str, Any]) -> dict[str, Any]:
    way = _way(mount["source"])
    return {
        "source": mount["source"],
        "real": shown(way.real),
        "links": [shown(link) for link in way.links],
        "problem": shown(_astray(mount, way) or _wrong_kind(mount, way.real)),
    }


def _astray(mount: Mapping[str, Any], way: _Way) -> str:
    """Why the place where the links lead is not to be mounted; empty if it may be."""
    if not way.links:
        return ""
    allowed = [_way(folder) for folder in mount["within"]]
    roots = [folder.real for folder in allowed if not folder.doubtful]
    led = "%s leads to %s (%s)" % (mount["source"], way.real, "; ".join(way.links))
    if way.doubtful and not within(way.real, roots):
        return (
            "%s, outside of the allowed folders, and %s is not a link of root's in a folder that "
            "only root may write. Replace it, or name %s instead"
        ) % (led, way.doubtful, way.real)
    if mount["named"] and not way.doubtful:
        return ""
    # A folder opens the part of the system in which its name is, not the one to which it leads.
    opening = [folder.real for folder in allowed if not folder.links]
    why = danger(way.real, opening, mount["read_only"])
    return "%s, which %s. Name another folder" % (led, why) if why else ""


def _wrong_kind(mount: Mapping[str, Any], real: str) -> str:
    try:
        mode = os.stat(real).st_mode
    except OSError as error:
        if not mount["needed"] and isinstance(error, FileNotFoundError):
            return ""
        return "%s cannot be mounted: %s. Create it on this node" % (
            mount["source"],
            error.strerror,
        )
    if mount["folder"] and not stat.S_ISDIR(mode):
        return "%s is not a folder" % mount["source"]
    if not mount["named"] and not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        return "%s is neither a folder nor a regular file" % mount["source"]
    return ""


def _way(path: str) -> _Way:
    """Follow the links of an absolute path. What is missing, or cannot be read, has none."""
    way = _Way("/", [])
    pending = path.split("/")[::-1]
    while pending:
        name = pending.pop()
        if name in ("", ".", ".."):
            way.real = os.path.dirname(way.real) if name == ".." else way.real
            continue
        here = os.path.join(way.real, name)
        try:
            target = os.readlink(here)
        except OSError:
            way.real = here
            continue
        way.links.append("%s -> %s" % (here, target))
        if not way.doubtful and not _is_roots(here, way.real):
            way.doubtful = here
        if len(way.links) > _MOST_LINKS:
            way.real = here  # nothing can be opened there
            return way
        way.real = "/" if target.startswith("/") else way.real
        pending += target.split("/")[::-1]
    return way


def _is_roots(link: str, folder: str) -> bool:
    """Whether only root, or the user of this process, can have put this link into its folder."""
    try:
        with SafeFolder.open(folder) as above:
            about = above.stat(os.path.basename(link))
            return above.private and about is not None and about.st_uid in (0, os.geteuid())
    except (Blocked, OSError):
        return False
