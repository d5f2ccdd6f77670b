# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Receive a model: into a staging directory, verified by content, then moved into place.

`bring` runs as the owner of the directory into which the model goes: whoever may write there
decides where its paths lead, and root would follow them anywhere.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import job
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import lock_file, locked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import folder_of
from ansible_collections.dgxspark.suite.plugins.module_utils.models import share
from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import (
    HUB,
    STAGE,
    held_locks,
    holder,
    read_bytes,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import (
    Manifest,
    ManifestEntry,
    differs,
)

_REF_BYTES = 200


class ReceiveError(Exception):
    """The copy failed; nothing that existed has changed, and the next run resumes it."""


@dataclass(frozen=True)
class Destination:
    """Where a model goes. root: its directory; stage: where files are until they are verified."""

    root: str
    stage: str
    in_hub: bool

    @classmethod
    def of(cls, manifest: Manifest, hub: str) -> Destination:
        """Raises ValueError for a name that has no directory."""
        if manifest.kind == HUB:
            root = os.path.join(hub, folder_of(manifest.name))
            return cls(root, os.path.join(root, STAGE), True)
        parent, name = os.path.split(manifest.name)
        return cls(manifest.name, os.path.join(parent, STAGE, name), False)

    @property
    def aside(self) -> str:
        """Where a file is that cannot be resumed: not staged until it is complete."""
        return os.path.join(self.stage, ".aside")

    @property
    def guarded(self) -> str:
        """The directory whose lock says that files are staged for this model."""
        return self.root if self.in_hub else self.stage

    def staged(self, entry: ManifestEntry) -> str:
        return os.path.join(self.stage, entry.blob if self.in_hub else entry.path)

    def place(self, entry: ManifestEntry) -> str:
        """Where the content goes after it is verified."""
        if self.in_hub:
            return os.path.join(self.root, "blobs", entry.blob)
        return os.path.join(self.root, entry.path)

    def link(self, manifest: Manifest, entry: ManifestEntry) -> tuple[str, str]:
        """The link of a snapshot, and its target."""
        link = os.path.join(self.root, "snapshots", manifest.revision, entry.path)
        up = [".."] * (2 + entry.path.count("/"))
        return link, os.path.join(*up, "blobs", entry.blob)


@dataclass(frozen=True)
class ReceivePlan:
    """What has to be done.

    entries: what has to be copied, each content once. size: its bytes. staged: the bytes of it that
    an earlier run has copied. links: (path, target) to create. refs: (path, revision) to write.
    refusal: why nothing is done.
    """

    entries: Sequence[ManifestEntry] = ()
    size: int = 0
    staged: int = 0
    links: Sequence[tuple[str, str]] = ()
    refs: Sequence[tuple[str, str]] = ()
    refusal: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.entries or self.links or self.refs)


def plan(manifest: Manifest, target: Destination, verify: bool = False) -> ReceivePlan:
    """Compare what exists with the manifest. verify: compare the content as well as the size."""
    unique = {target.place(entry): entry for entry in manifest.entries}
    missing = [entry for path, entry in sorted(unique.items()) if not _has(path, entry, verify)]
    size = sum(entry.size for entry in missing)
    staged = sum(min(max(_size(target.staged(entry)), 0), entry.size) for entry in missing)
    if not target.in_hub:
        refusal = ""
        if missing and os.path.lexists(target.root):
            names = ", ".join(entry.path for entry in missing[:3])
            refusal = "%s exists and differs (%s): a local model directory is not overwritten" % (
                target.root,
                names,
            )
        return ReceivePlan(missing, size, staged, refusal=refusal)
    links = [target.link(manifest, entry) for entry in manifest.entries]
    refs = [(os.path.join(target.root, "refs", ref), manifest.revision) for ref in manifest.refs]
    return ReceivePlan(
        missing,
        size,
        staged,
        [(path, goal) for path, goal in links if _link(path) != goal],
        [(path, revision) for path, revision in refs if _text(path) != revision],
    )


def _has(path: str, entry: ManifestEntry, verify: bool) -> bool:
    if _size(path) != entry.size:
        return False
    return not verify or not differs(path, entry)


def _size(path: str) -> int:
    """-1 where there is no such file; never that of a pipe or a device."""
    try:
        status = os.stat(path)
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: str) -> str:
    return (read_bytes(path, _REF_BYTES) or b"").decode("ascii", "replace").strip()


def lacks_space(what: ReceivePlan, target: Destination) -> str:
    """Why there is not room for the rest; empty if there is."""
    where = target.root
    while not os.path.isdir(where):
        where = os.path.dirname(where)
    system = os.statvfs(where)
    free = system.f_bavail * system.f_frsize
    # What is aside of an earlier run is removed.
    need = what.size - what.staged - job.size_of(target.aside)
    return "" if need <= free else "%d bytes are needed, %d are free in %s" % (need, free, where)


def unwritable(target: Destination) -> str:
    """Why nothing can be put there; empty if it can."""
    where = target.root
    while not os.path.lexists(where):
        where = os.path.dirname(where)
    if os.access(where, os.W_OK | os.X_OK):
        return ""
    return "%s is not writable for this user, or its file system is read-only" % where


def owner_of(manifest: Manifest, target: Destination) -> Owner:
    """As whom the model is received: the owner of its directory, or of the nearest one above.

    Raises Blocked where a link or a directory of somebody else could lead elsewhere, and OSError.
    """
    for path in set(_folders(manifest, target)):
        Owner.of(path)
    return Owner.of(target.root)


def _folders(manifest: Manifest, target: Destination) -> Iterator[str]:
    """All directories in which something is created, removed or replaced."""
    yield target.root
    yield target.stage
    for entry in manifest.entries:
        yield os.path.dirname(target.staged(entry))
        yield os.path.dirname(target.place(entry))
        if target.in_hub:
            yield os.path.dirname(target.link(manifest, entry)[0])
    if target.in_hub:
        for ref in manifest.refs:
            yield os.path.dirname(os.path.join(target.root, "refs", ref))


def working(target: Destination) -> int:
    """The process of another run that receives this model; 0 for none."""
    held = held_locks()
    return holder(lock_file(target.guarded), held) or holder(target.guarded, held)


def work(
    request: Mapping[str, Any],
    manifest: Manifest,
    target: Destination,
    do: Callable[[job.Progress], str],
    explain: Callable[[Exception], str],
) -> None:
    """In the process of a job: receive a model by `do`, as its owner and under its lock.

    do: calls `bring`, and returns the problem, if any. explain: the problem that an error is.
    """
    try:
        whose = owner_of(manifest, target)
        with locked(target.guarded, 0):
            job.work(request, do, whose)
    except (Blocked, OSError) as error:
        refusal = explain(error)
        job.work(request, lambda _progress: refusal)


def bring(
    manifest: Manifest,
    target: Destination,
    verify: bool,
    get: Callable[[ReceivePlan], None],
    progress: job.Progress,
) -> None:
    """Fetch, verify, move into place. Raises ReceiveError, OSError and what `get` raises.

    get: fetches the entries of the plan into the stage, which exists.
    """
    what = plan(manifest, target, verify)
    refusal = what.refusal or lacks_space(what, target)
    if refusal:
        raise ReceiveError(refusal)
    _make_folders(target.guarded)
    with _shown_as_busy(target.guarded):
        if what.entries:
            staged = [target.staged(entry) for entry in what.entries]
            progress.begin(job.FETCHING, [*staged, target.aside])
            _make_folders(target.stage)
            get(what)
            progress.begin(job.VERIFYING)
            for entry in what.entries:
                check(entry, target)
                progress.count += entry.size
        place(what, target)


@contextmanager
def _shown_as_busy(folder: str) -> Iterator[None]:
    """Lock a directory, for the menu and for runs of other users: nothing depends on it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _make_folders(path: str) -> None:
    """Create path and missing directories above it, readable by everybody."""
    if os.path.isdir(path):
        return
    _make_folders(os.path.dirname(path))
    os.mkdir(path, 0o755)


def fetch(what: ReceivePlan, target: Destination, source: tuple[str, int, str]) -> None:
    """Copy into the stage; the next run resumes an interrupted copy. ReceiveError, OSError.

    source: address, port and secret of an offer of share.py.
    """
    unknown = [entry.path for entry in what.entries if not entry.digest()]
    if unknown:
        raise ReceiveError("the offer has no checksum of %s" % unknown[0])
    if not target.in_hub:
        _remove_others(target.stage, {target.staged(entry) for entry in what.entries})
    files = [
        (entry.blob if target.in_hub else entry.path, target.staged(entry), entry.size)
        for entry in what.entries
    ]
    try:
        share.fetch(source, files, _make_folders)
    except (share.ShareError, ValueError) as error:
        raise ReceiveError("%s: %s" % (source[0], error)) from error


def _remove_others(stage: str, staged: Container[str]) -> None:
    """Remove what an earlier copy has staged and this one does not verify: all of it is moved."""
    for folder, folders, names in os.walk(stage):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for path in (os.path.join(folder, name) for name in (*names, *links)):
            if path not in staged:
                os.unlink(path)


def check(entry: ManifestEntry, target: Destination) -> None:
    """Verify a staged file by its content; a damaged one is removed. ReceiveError, OSError."""
    path = target.staged(entry)
    difference = differs(path, entry)
    if difference:
        os.unlink(path)
        raise ReceiveError(
            "%s arrived damaged, or is damaged at its source: %s" % (entry.path, difference)
        )


def place(what: ReceivePlan, target: Destination) -> None:
    """Move into place what is verified; the links of a snapshot come last. Raises OSError."""
    if not target.in_hub:
        if what.entries:
            _make_folders(os.path.dirname(target.root))
            os.rename(target.stage, target.root)
            with suppress(OSError):
                os.rmdir(os.path.dirname(target.stage))
        return
    for entry in what.entries:
        _make_folders(os.path.dirname(target.place(entry)))
        os.replace(target.staged(entry), target.place(entry))
    for path, text in what.links:
        _make_folders(os.path.dirname(path))
        _replace(path, text, os.symlink)
    for path, text in what.refs:
        _make_folders(os.path.dirname(path))
        _replace(path, text, _write)
    with suppress(FileNotFoundError):
        shutil.rmtree(target.stage)


def _replace(path: str, text: str, make: Callable[[str, str], None]) -> None:
    new = "%s.dgxspark-%d" % (path, os.getpid())
    with suppress(FileNotFoundError):
        os.unlink(new)
    make(text, new)
    os.replace(new, path)


def _write(text: str, path: str) -> None:
    with open(path, "x", encoding="utf-8") as stream:
        stream.write(text)
