# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Deleting a model from a node: what is removed, why it is refused, and the removal itself.

Directories are opened without following links of others, and what is opened is what is changed:
whoever may write beside a model does not decide what root removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import lock_file
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained
from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import (
    refuse_link_to_system,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import folder_of
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder
from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache
from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import (
    HUB,
    TRASH,
    Model,
    Revision,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.users import Process

_LINKS_NAMED = 3


@dataclass(frozen=True)
class Seen:
    """What a plan is made from. leftovers: what an interrupted delete has moved away.

    links: links elsewhere that point into the model. opened: processes that have files of it open.
    locked: another run of this collection works on it. writable: whether this user can remove it.
    real: its path without links. blocked: why it cannot be removed safely, and what to do.
    """

    model: Model | None
    leftovers: Sequence[str] = ()
    users: Sequence[Process] = ()
    links: Sequence[str] = ()
    opened: Sequence[Process] = ()
    locked: bool = False
    writable: bool = True
    real: str = ""
    blocked: str = ""


@dataclass(frozen=True)
class RemovalPlan:
    """folders, files: absolute paths to remove. freed: bytes. refusals: why nothing is removed."""

    folders: Sequence[str] = ()
    files: Sequence[str] = ()
    freed: int = 0
    refusals: Sequence[str] = ()

    @property
    def paths(self) -> list[str]:
        return [*self.folders, *self.files]

    @property
    def id(self) -> str:
        """The same for two plans that remove the same."""
        text = json.dumps([sorted(self.folders), sorted(self.files), self.freed])
        return hashlib.sha256(text.encode()).hexdigest()


def plan(seen: Seen, revision: str = "") -> RemovalPlan:
    """Decide. revision: only this one is removed, with the blobs that no other uses."""
    model = seen.model
    if model is None:
        refusal = seen.blocked or ("" if seen.writable else _NOT_WRITABLE)
        return RemovalPlan(tuple(seen.leftovers), refusals=(refusal,) if refusal else ())
    refusals = list(_refusals(seen, model))
    chosen = [known for known in model.revisions if revision and known.revision == revision]
    if revision and model.kind != HUB:
        refusals.append("a local model directory has no revisions")
    elif revision and not chosen:
        listed = ", ".join(known.revision for known in model.revisions) or "none"
        refusals.append("it has no revision %s; it has: %s" % (revision, listed))
    if chosen and len(model.revisions) > 1:
        folders, files, freed = _of_revision(model, chosen[0])
    else:
        folders, files, freed = [model.path], [], model.size
    real = seen.real or model.path
    folders, files = (
        [real + path[len(model.path) :] for path in paths] for paths in (folders, files)
    )
    return RemovalPlan((*folders, *seen.leftovers), tuple(files), freed, tuple(refusals))


_NOT_WRITABLE = "this user may not write there, or the file system is read-only"


def _refusals(seen: Seen, model: Model) -> Iterator[str]:
    if model.links_to:
        yield "%s is only a link to %s" % (model.path, model.links_to)
    if model.downloading:
        yield "it is being downloaded"
    if seen.locked:
        yield "another run works on it"
    for word, processes in (("is used by", seen.users), ("has files open in", seen.opened)):
        for process in processes:
            yield "it %s %s (pid %d)" % (word, process.name, process.pid)
    if seen.links:
        rest = len(seen.links) - _LINKS_NAMED
        more = " and %d more" % rest if rest > 0 else ""
        yield "links point into it: %s%s" % (", ".join(seen.links[:_LINKS_NAMED]), more)
    if seen.blocked:
        yield seen.blocked
    elif not seen.writable:
        yield _NOT_WRITABLE


def _of_revision(model: Model, revision: Revision) -> tuple[list[str], list[str], int]:
    others = {
        file.blob for known in model.revisions if known is not revision for file in known.files
    }  # fmt: skip
    blobs = sorted({file.blob for file in revision.files} - others - {""})
    blobs = [name for name in blobs if name in model.blobs]
    files = [os.path.join(model.path, "refs", name) for name in revision.refs]
    files += [os.path.join(model.path, "blobs", name) for name in blobs]
    own = sum(file.size for file in revision.files if not file.blob and file.size > 0)
    folder = revision.path
    return (
        [folder] if os.path.lexists(folder) else [],
        files,
        own + sum(model.blobs[name] for name in blobs),
    )


def observe(
    hub: str,
    directories: Sequence[str],
    name: str,
    running: Sequence[Process],
    used: Sequence[Process],
) -> Seen:
    """Inspect a model. running: all processes; used: those whose command line names it."""
    held = cache.held_locks()
    model = next(iter(cache.scan(hub, directories, name, locks=held).models), None)
    path = model.path if model else place(hub, name)
    real, leftovers, blocked = path, list[str](), ""
    try:
        real, leftovers = _found(path)
    except Blocked as error:
        blocked = explained(error)
    if model is None:
        trash = os.path.join(os.path.dirname(path), TRASH)
        writable = not leftovers or os.access(trash, os.W_OK)
        return Seen(None, leftovers, writable=writable, blocked=blocked)
    return Seen(
        model,
        leftovers,
        used,
        sorted(_links_into(path, hub, directories)),
        [process for process in running if process not in used and _has_open(process.pid, path)],
        bool(cache.holder(lock_file(path), held) or cache.holder(path, held)),
        os.access(os.path.dirname(path), os.W_OK | os.X_OK) and os.access(path, os.W_OK | os.X_OK),
        real,
        blocked,
    )


def place(hub: str, name: str) -> str:
    """Where a model of that name is, or would be."""
    return os.path.normpath(name) if name.startswith("/") else os.path.join(hub, folder_of(name))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _found(path: str) -> tuple[str, list[str]]:
    """Where the model at path really is, and what interrupted deletes of it have moved away.

    Raises Blocked.
    """
    above, name = os.path.split(path)
    known = re.compile(re.escape(name) + r"\.[0-9]+")
    real, leftovers = path, []
    with suppress(OSError), SafeFolder.open(above) as parent:
        refuse_link_to_system(parent)
        real = os.path.join(parent.path, name)
        with _trash(parent) as trash:
            leftovers = [
                os.path.join(trash.path, entry)
                for entry in filter(known.fullmatch, trash.names())
                if _is_folder(trash, entry)
            ]
    return real, leftovers


def _is_folder(parent: SafeFolder, name: str) -> bool:
    status = parent.stat(name)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _trash(parent: SafeFolder) -> SafeFolder:
    """The trash of a folder. Raises Blocked for one of others, FileNotFoundError and OSError."""
    parent.require()
    trash = parent.child(TRASH)
    owner = trash.status.st_uid
    if owner in (0, os.geteuid(), parent.status.st_uid):
        return trash
    trash.close()
    raise Blocked(
        "%s belongs to neither root nor the owner of %s" % (shown(trash.path), shown(parent.path)),
        "Inspect it as root, and move it away.",
    )


def _links_into(path: str, hub: str, directories: Collection[str]) -> Iterator[str]:
    """Links in the cache and in local model directories, outside of path, that point into it."""
    real = os.path.realpath(path)
    for root in (hub, *directories):
        for parent, folders, names in os.walk(root):
            # Links in the model itself do not matter.
            folders[:] = [name for name in folders if os.path.join(parent, name) != path]
            for name in (*folders, *names):
                link = os.path.join(parent, name)
                if os.path.islink(link):
                    target = os.path.realpath(link)
                    if target == real or target.startswith(real + os.sep):
                        yield link


def _has_open(pid: int, path: str) -> bool:
    """Whether a process has a file below path open, as far as this user can see."""
    folder = "/proc/%d/fd" % pid
    for name in _listed(folder):
        with suppress(OSError):
            if os.readlink(os.path.join(folder, name)).startswith(path + os.sep):
                return True
    return False


def apply(what: RemovalPlan) -> None:
    """Remove exactly what is planned. Raises OSError and Blocked; another run resumes it.

    A directory is first moved away in one step, so that the model is complete or gone.
    """
    for file in what.files:
        if os.path.basename(os.path.dirname(file)) != "blobs":
            _unlink(file)
    for path in what.folders:
        _remove_folder(path)
    # Last, so that no link of a remaining revision is broken.
    for file in what.files:
        _unlink(file)


def _unlink(path: str) -> None:
    above, name = os.path.split(path)
    with suppress(FileNotFoundError), SafeFolder.open(above) as parent:
        parent.require()
        parent.unlink(name)


def _remove_folder(path: str) -> None:
    above, name = os.path.split(path)
    if os.path.basename(above) == TRASH:
        with SafeFolder.open(os.path.dirname(above)) as parent:
            _empty_trash(parent, name)
        return
    with SafeFolder.open(above) as parent:
        aside = "%s.%d" % (name, os.getpid())
        with _make_trash(parent) as trash:
            parent.rename(name, trash, aside)
        _empty_trash(parent, aside)


def _make_trash(parent: SafeFolder) -> SafeFolder:
    """The trash of a folder; a new one belongs to the folder's owner."""
    with suppress(FileNotFoundError):
        return _trash(parent)
    trash = parent.make(TRASH, 0o700)
    if os.geteuid() == 0:
        trash.give(parent.status.st_uid, parent.status.st_gid)
    return trash


def _empty_trash(parent: SafeFolder, name: str) -> None:
    """Remove what has been moved into the trash of a folder, and the trash if it is empty."""
    with _trash(parent) as trash:
        if _is_folder(trash, name):
            trash.remove_tree(name)
    # Not empty: another run uses it.
    with suppress(OSError):
        os.rmdir(TRASH, dir_fd=parent.descriptor)
