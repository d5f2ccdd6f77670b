# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Deleting a model from a node: what is removed, why it is refused, and the removal itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import folder_of
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
    """

    model: Model | None
    leftovers: Sequence[str] = ()
    users: Sequence[Process] = ()
    links: Sequence[str] = ()
    opened: Sequence[Process] = ()
    locked: bool = False
    writable: bool = True


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
        return RemovalPlan(
            tuple(seen.leftovers), refusals=() if seen.writable else (_NOT_WRITABLE,)
        )
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
    if not seen.writable:
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
    trash = os.path.join(os.path.dirname(path), TRASH)
    leftovers = sorted(
        os.path.join(trash, entry)
        for entry in _listed(trash)
        if entry.rpartition(".")[0] == os.path.basename(path)
    )
    if model is None:
        return Seen(None, leftovers, writable=not leftovers or os.access(trash, os.W_OK))
    return Seen(
        model,
        leftovers,
        used,
        sorted(_links_into(path, hub, directories)),
        [process for process in running if process not in used and _has_open(process.pid, path)],
        _inode(path) in held,
        os.access(os.path.dirname(path), os.W_OK | os.X_OK) and os.access(path, os.W_OK | os.X_OK),
    )


def place(hub: str, name: str) -> str:
    """Where a model of that name is, or would be."""
    return os.path.normpath(name) if name.startswith("/") else os.path.join(hub, folder_of(name))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _inode(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


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
    """Remove exactly what is planned. Raises OSError; another run resumes it.

    A directory is first moved away in one step, so that the model is complete or gone.
    """
    for file in what.files:
        if os.path.basename(os.path.dirname(file)) != "blobs":
            _unlink(file)
    for folder in what.folders:
        _remove_folder(folder)
    # Last, so that no link of a remaining revision is broken.
    for file in what.files:
        _unlink(file)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _remove_folder(path: str) -> None:
    parent, name = os.path.split(path)
    if os.path.basename(parent) != TRASH:
        trash = os.path.join(parent, TRASH)
        os.makedirs(trash, mode=0o700, exist_ok=True)
        aside = os.path.join(trash, "%s.%d" % (name, os.getpid()))
        os.rename(path, aside)
        path, parent = aside, trash
    shutil.rmtree(path)
    # Not empty: another run uses it.
    with suppress(OSError):
        os.rmdir(parent)
