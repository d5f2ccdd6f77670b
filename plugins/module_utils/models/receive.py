# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Receive a model: into a staging directory, verified by content, then moved into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, job
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import locked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import folder_of
from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import HUB, STAGE
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import (
    Manifest,
    ManifestEntry,
    differs,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.share import MODULE, RSYNC, USER

# A source that sends nothing for so long is gone, in seconds.
_QUIET_SECONDS = 120


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
        [
            (path, revision)
            for path, revision in refs
            if (read_text(path) or "").strip() != revision
        ],
    )


def _has(path: str, entry: ManifestEntry, verify: bool) -> bool:
    if _size(path) != entry.size:
        return False
    return not verify or not differs(path, entry)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return -1 if not os.path.exists(path) else 0


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: str) -> str:
    return (read_text(path, 200) or "").strip()


def lacks_space(what: ReceivePlan, target: Destination) -> str:
    """Why there is not room for the rest; empty if there is."""
    where = target.root
    while not os.path.isdir(where):
        where = os.path.dirname(where)
    system = os.statvfs(where)
    free = system.f_bavail * system.f_frsize
    need = what.size - what.staged
    return "" if need <= free else "%d bytes are needed, %d are free in %s" % (need, free, where)


def unwritable(target: Destination) -> str:
    """Why nothing can be put there; empty if it can."""
    where = target.root
    while not os.path.lexists(where):
        where = os.path.dirname(where)
    if os.access(where, os.W_OK | os.X_OK):
        return ""
    return "%s is not writable for this user, or its file system is read-only" % where


def bring(
    manifest: Manifest,
    target: Destination,
    verify: bool,
    get: Callable[[ReceivePlan, Owner], None],
    progress: job.Progress,
) -> None:
    """Fetch, verify, move into place. Raises ReceiveError, Blocked, OSError and what `get` raises.

    get: fetches the entries of the plan into the stage, which exists.
    """
    whose = Owner.of(target.root)
    guarded = target.root if target.in_hub else target.stage
    whose.make_folders(guarded)
    with locked(guarded, 0):
        what = plan(manifest, target, verify)
        refusal = what.refusal or lacks_space(what, target)
        if refusal:
            raise ReceiveError(refusal)
        if what.entries:
            progress.begin(job.FETCHING, [target.staged(entry) for entry in what.entries])
            whose.make_folders(target.stage)
            get(what, whose)
            progress.begin(job.VERIFYING)
            for entry in what.entries:
                check(entry, target)
                progress.count += entry.size
        place(what, target, whose)


def fetch(
    what: ReceivePlan,
    target: Destination,
    owner: Owner,
    source: tuple[str, int, str],
    seconds: float,
) -> None:
    """Copy into the stage; the next run resumes an interrupted copy. ReceiveError, OSError.

    source: address, port and secret of an offer of share.py.
    """
    address, port, secret = source
    names = [entry.blob if target.in_hub else entry.path for entry in what.entries]
    host = "[%s]" % address if ":" in address else address
    argv = (
        *(RSYNC, "--files-from=-", "--from0", "--copy-links", "--inplace", "--partial"),
        *("--timeout=%d" % _QUIET_SECONDS, "--contimeout=20", "--chmod=D0755,F0644"),
        "rsync://%s@%s:%d/%s/" % (USER, host, port, MODULE),
        target.stage + "/",
    )
    result = command.run(
        owner.command(argv),
        seconds,
        stdin="".join("%s\0" % name for name in names),
        env={"RSYNC_PASSWORD": secret},
    )
    if not result.ok:
        # Its first line says what went wrong, the last one only where in rsync.
        first = next(iter(result.stderr.split("\n")), "").strip()[:300]
        raise ReceiveError("rsync from %s: %s (%s)" % (address, result.describe(), first))


def check(entry: ManifestEntry, target: Destination) -> None:
    """Verify a staged file by its content; a damaged one is removed. ReceiveError, OSError."""
    path = target.staged(entry)
    difference = differs(path, entry)
    if difference:
        os.unlink(path)
        raise ReceiveError(
            "%s arrived damaged, or is damaged at its source: %s" % (entry.path, difference)
        )


def place(what: ReceivePlan, target: Destination, owner: Owner) -> None:
    """Move into place what is verified; the links of a snapshot come last. Raises OSError."""
    if not target.in_hub:
        if what.entries:
            owner.make_folders(os.path.dirname(target.root))
            os.rename(target.stage, target.root)
            with suppress(OSError):
                os.rmdir(os.path.dirname(target.stage))
        return
    for entry in what.entries:
        owner.make_folders(os.path.dirname(target.place(entry)))
        os.replace(target.staged(entry), target.place(entry))
    for path, text in what.links:
        owner.make_folders(os.path.dirname(path))
        _replace(path, text, os.symlink, owner)
    for path, text in what.refs:
        owner.make_folders(os.path.dirname(path))
        _replace(path, text, _write, owner)
    with suppress(FileNotFoundError):
        shutil.rmtree(target.stage)


def _replace(path: str, text: str, make: Callable[[str, str], None], owner: Owner) -> None:
    new = "%s.dgxspark-%d" % (path, os.getpid())
    with suppress(FileNotFoundError):
        os.unlink(new)
    make(text, new)
    owner.give(new)
    os.replace(new, path)


def _write(text: str, path: str) -> None:
    with open(path, "x", encoding="utf-8") as stream:
        stream.write(text)
