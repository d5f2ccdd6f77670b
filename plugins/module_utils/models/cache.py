# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The models on the disks of a node: the Hugging Face cache and local model directories.

Reads names, sizes and small JSON files, never weights, and changes nothing. What cannot be
understood is reported (problems, ignored) instead of raised.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import (
    PREFIX,
    folder_of,
    repo_of,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.completeness import (
    INDEX_SUFFIXES,
    MISSING,
    NONE,
    Index,
    Quant,
    judge,
    parse_index,
)

HUB = "hub"
DIRECTORY = "directory"

INCOMPLETE = ".incomplete"
# What model_delete has moved away, and what model_sync has not yet put in place.
TRASH = ".dgxspark-trash"
STAGE = ".dgxspark-sync"

# A download that has not written for so long is no longer running, in seconds.
QUIET_SECONDS = 300

# (device, inode) of every file that is locked -> the process that holds the lock.
Locks = Mapping[tuple[int, int], int]

# The largest known index has 16 MB, the largest config.json 1 MB.
_JSON_BYTES = 64 << 20
_REF_BYTES = 200
_DEPTH = 8
_FILES = 100_000
# Local model directories: family/model/variant.
_DIRECTORY_DEPTH = 3
_DIRECTORIES = 10_000


@dataclass(frozen=True)
class File:
    """A file of a model. blob: the name of its content in the cache, empty in a local directory.

    size: bytes, MISSING where the link is broken.
    """

    path: str
    size: int
    blob: str = ""


@dataclass(frozen=True)
class Revision:
    """One state of a model. revision: the commit, empty for a local model directory.

    refs: the branches and tags that point to it here. size: bytes, each blob once.
    """

    revision: str
    path: str
    refs: Sequence[str]
    size: int
    format: str
    problems: Sequence[str]
    quants: Sequence[Quant]
    files: Sequence[File]

    @property
    def complete(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Model:
    """All copies of a model on a node.

    name: org/name, or the path of a local model directory. size: bytes on disk, each blob once,
    including those of unfinished downloads. blobs: name -> size of all blobs in the cache.
    unfinished: blobs that are still missing, known by the files that a download leaves behind.
    links_to: the target, where the directory is only a link.
    """

    name: str
    kind: str
    path: str
    size: int
    downloading: bool
    revisions: Sequence[Revision]
    blobs: Mapping[str, int] = field(default_factory=dict)
    unfinished: Sequence[str] = ()
    links_to: str = ""

    @property
    def current(self) -> Revision | None:
        """What is served where no revision is named: main, or else the newest complete one."""
        for revision in self.revisions:
            if "main" in revision.refs:
                return revision
        complete = [revision for revision in self.revisions if revision.complete]
        return next(iter(complete or self.revisions), None)

    def named(self, revision: str) -> Revision | None:
        """The revision of that branch, tag or commit; the current one where it is empty."""
        if not revision or self.kind != HUB:
            return self.current
        for known in self.revisions:
            if revision in (known.revision, *known.refs):
                return known
        return None


@dataclass(frozen=True)
class Scan:
    """The result of a scan. ignored: (path, why it is not listed)."""

    models: Sequence[Model]
    ignored: Sequence[tuple[str, str]]


def scan(
    hub: str,
    directories: Sequence[str],
    name: str | None = None,
    now: float | None = None,
    locks: Locks | None = None,
) -> Scan:
    """Scan a Hugging Face cache and local model directories. name: only the model of that name.

    now: seconds since the epoch. locks: those that are held now.
    """
    now = time.time() if now is None else now
    held = held_locks() if locks is None else locks
    models: list[Model] = []
    ignored: list[tuple[str, str]] = []
    for entry in _entries(hub, ignored) if _wants_hub(name) else ():
        if not entry.name.startswith(PREFIX):
            continue
        repo = repo_of(entry.name)
        if repo is None:
            ignored.append((_printable(entry.path), "its name is not that of a repository"))
        elif not entry.is_dir():
            ignored.append((_printable(entry.path), "it is not a directory"))
        elif name in (None, repo):
            models.append(hub_model(hub, repo, now, held))
    seen: set[tuple[int, int]] = set()
    for root in directories:
        for path in _model_folders(root, seen, ignored):
            if name in (None, path):
                models.append(_directory_model(path, now))
    return Scan(
        tuple(sorted(models, key=lambda model: (model.kind != HUB, model.name))), tuple(ignored)
    )


def other_cache(hub: str) -> list[tuple[str, str]]:
    """The default cache of this user with models in it, if it is not hub, and how to use it."""
    home = os.path.join(os.path.expanduser("~"), ".cache", "huggingface")
    other = os.path.join(home, "hub")
    if os.path.realpath(other) == os.path.realpath(hub):
        return []
    size = sum(model.size for model in scan(other, []).models)
    if not size:
        return []
    text = "%.1f GiB of models; set dgxspark_hf_home: %s to use them" % (size / (1 << 30), home)
    return [(_printable(other), _printable(text))]


def _wants_hub(name: str | None) -> bool:
    return name is None or not name.startswith("/")


def hub_model(hub: str, repo: str, now: float, locks: Locks) -> Model:
    """One repository of the cache, in any state."""
    path = os.path.join(hub, folder_of(repo))
    blobs, partial, newest = _blobs(os.path.join(path, "blobs"))
    unfinished = sorted({name for name in map(_etag, partial) if name not in blobs})
    refs = _refs(os.path.join(path, "refs"))
    revisions = [
        _hub_revision(path, entry.name, refs.get(entry.name, ()), blobs)
        for entry in _newest_first(os.path.join(path, "snapshots"))
    ]
    revisions.extend(
        _absent(path, revision, names)
        for revision, names in sorted(refs.items())
        if revision not in {known.revision for known in revisions}
    )
    if unfinished and revisions:
        # Which revision a blob belongs to is not recorded: it counts against main.
        number = next((n for n, known in enumerate(revisions) if "main" in known.refs), 0)
        problem = "%d of its files are not completely downloaded" % len(unfinished)
        revisions[number] = _with_problem(revisions[number], problem)
    files = [file for revision in revisions for file in revision.files]
    plain = sum(file.size for file in files if not file.blob and file.size > 0)
    staged, _partial, _newest = _blobs(os.path.join(path, STAGE))
    downloading = bool(unfinished) and (
        now - newest < QUIET_SECONDS or _is_locked(hub, repo, locks)
    )
    # This collection stages what has arrived, under the lock of the model's directory.
    downloading = downloading or (bool(staged) and holder(path, locks) != 0)
    return Model(
        repo,
        HUB,
        path,
        plain + sum(sum(sizes.values()) for sizes in (blobs, partial, staged)),
        downloading,
        tuple(revisions),
        blobs,
        tuple(unfinished),
        os.path.realpath(path) if os.path.islink(path) else "",
    )


def _etag(name: str) -> str:
    """The blob that an unfinished file becomes: <etag>.incomplete, <etag>.<any>.incomplete."""
    return name.partition(".")[0]


def _blobs(folder: str) -> tuple[dict[str, int], dict[str, int], float]:
    """Blobs and unfinished blobs, name -> bytes on disk; when the latter were last written."""
    complete: dict[str, int] = {}
    partial: dict[str, int] = {}
    newest = 0.0
    seen: set[int] = set()
    for entry in _entries(folder):
        try:
            status = entry.stat()
        except OSError:
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        size = 0 if status.st_ino in seen else status.st_size
        seen.add(status.st_ino)
        if entry.name.endswith(INCOMPLETE):
            # Some downloaders allocate the space beforehand.
            partial[entry.name] = min(size, status.st_blocks * 512)
            newest = max(newest, status.st_mtime)
        else:
            complete[entry.name] = size
    return complete, partial, newest


def _refs(folder: str) -> dict[str, list[str]]:
    """Revision -> the names that point to it."""
    refs: dict[str, list[str]] = {}
    for name, entry in _walk(folder):
        text = read_bytes(entry.path, _REF_BYTES)
        revision = text.decode("ascii", "replace").strip() if text is not None else ""
        if revision and revision.isalnum():
            refs.setdefault(revision, []).append(name)
    return refs


def _newest_first(folder: str) -> list[os.DirEntry[str]]:
    dated = []
    for entry in _entries(folder):
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                dated.append((-entry.stat(follow_symlinks=False).st_mtime, entry.name, entry))
    return [entry for _when, _name, entry in sorted(dated, key=lambda item: item[:2])]


def _hub_revision(
    model: str, revision: str, refs: Sequence[str], blobs: Mapping[str, int]
) -> Revision:
    folder = os.path.join(model, "snapshots", revision)
    files, strays = [], []
    for path, entry in _walk(folder):
        if not path.isprintable():
            strays.append("%s has a name that no file on the Hub has" % _printable(path))
        elif not entry.is_symlink():
            with suppress(OSError):
                files.append(File(path, entry.stat(follow_symlinks=False).st_size))
        elif (blob := _blob_of(entry.path, model)) is None:
            strays.append("%s is a link to a target outside of the cache" % path)
        else:
            files.append(File(path, blobs.get(blob, MISSING), blob))
    return _judged(revision, folder, refs, files, strays)


def _blob_of(link: str, model: str) -> str | None:
    """The name of the blob that a link of a snapshot points to; None for any other target."""
    try:
        target = os.readlink(link)
    except OSError:
        return None
    where, name = os.path.split(os.path.normpath(os.path.join(os.path.dirname(link), target)))
    blobs = os.path.join(model, "blobs")
    inside = where == blobs or os.path.realpath(where) == os.path.realpath(blobs)
    return name if inside else None


def _judged(
    revision: str, folder: str, refs: Sequence[str], files: Sequence[File], strays: Sequence[str]
) -> Revision:
    files = sorted(files, key=lambda file: file.path)
    sizes = {file.path: file.size for file in files}
    indexes = {
        path: _index(os.path.join(folder, path))
        for path, size in sizes.items()
        if path.endswith(INDEX_SUFFIXES) and size != MISSING
    }
    verdict = judge(sizes, indexes)
    unique = {file.blob or file.path: max(file.size, 0) for file in files}
    return Revision(
        revision,
        folder,
        tuple(refs),
        sum(unique.values()),
        verdict.format,
        (*strays, *verdict.problems),
        tuple(verdict.quants),
        tuple(files),
    )


def _absent(model: str, revision: str, refs: Sequence[str]) -> Revision:
    folder = os.path.join(model, "snapshots", revision)
    return Revision(revision, folder, tuple(refs), 0, NONE, ("it has no files",), (), ())


def _with_problem(revision: Revision, problem: str) -> Revision:
    return replace(revision, problems=(*revision.problems, problem))


def _index(path: str) -> Index | str:
    try:
        return parse_index(read_json(path))
    except ValueError as error:
        return str(error)


def read_json(path: str) -> object:
    """A JSON file of any origin. Raises ValueError with the reason where it is not one."""
    text = read_bytes(path, _JSON_BYTES)
    if text is None:
        raise ValueError("it cannot be read, or is larger than %d MiB" % (_JSON_BYTES >> 20))
    return foreign.json_of(text)


def read_bytes(path: str, limit: int) -> bytes | None:
    """A regular file of at most limit bytes; None for anything else. Never waits for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return None
        parts = []
        while part := os.read(descriptor, limit):
            parts.append(part)
        return b"".join(parts)[:limit]
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _model_folders(
    root: str, seen: set[tuple[int, int]], ignored: list[tuple[str, str]]
) -> Iterator[str]:
    """Directories below root that hold a model; what is below such a directory belongs to it."""
    pending = [(os.path.normpath(root), 0)]
    visited = 0
    while pending:
        folder, depth = pending.pop()
        visited += 1
        if visited > _DIRECTORIES:
            ignored.append((root, "it has more than %d directories" % _DIRECTORIES))
            return
        with suppress(OSError):
            status = os.stat(folder)
            inode = status.st_dev, status.st_ino
            if inode in seen:
                continue
            if not os.path.islink(folder):
                seen.add(inode)
        entries = list(_entries(folder, ignored))
        names = {entry.name for entry in entries}
        if _holds_model(names):
            if folder.isprintable():
                yield folder
            else:
                ignored.append((_printable(folder), "its name is not printable"))
            continue
        reason, belongs = _unlisted(names)
        if reason:
            ignored.append((_printable(folder), reason))
        if depth < _DIRECTORY_DEPTH and not belongs:
            pending.extend(
                (entry.path, depth + 1)
                for entry in sorted(entries, key=_name, reverse=True)
                if not entry.name.startswith((".", PREFIX)) and _is_folder(entry)
            )


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


_WEIGHTS = (".safetensors", ".pth", ".pt")


def _holds_model(names: Collection[str]) -> bool:
    return "config.json" in names or any(name.endswith(".gguf") for name in names)


def _unlisted(names: Collection[str]) -> tuple[str, bool]:
    """(why a directory with weights is no model here, whether what is below it belongs to it)."""
    if "model_index.json" in names:
        return "a diffusion pipeline (model_index.json), without a config.json", True
    if "adapter_config.json" in names:
        return "an adapter (adapter_config.json), not a model of its own", True
    if "params.json" in names:
        return "weights in Mistral's own format (params.json), without a config.json", True
    weights = sorted(name for name in names if name.endswith(_WEIGHTS))
    if weights:
        return "weights (%s) without a config.json" % _printable(weights[0]), False
    return "", False


def _printable(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _directory_model(path: str, now: float) -> Model:
    linked = os.path.realpath(path) if os.path.islink(path) else ""
    files: list[File] = []
    strays: list[str] = []
    inodes: dict[int, int] = {}
    newest = 0.0
    for name, entry in _walk(path):
        if not name.isprintable():
            strays.append("%s has a name that no file of a model has" % _printable(name))
            continue
        try:
            status = entry.stat()
        except OSError:
            files.append(File(name, MISSING))
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        files.append(File(name, status.st_size))
        if name.endswith((INCOMPLETE, ".part", ".aria2", ".tmp")):
            newest = max(newest, status.st_mtime)
        if not entry.is_symlink() and not linked:
            inodes[status.st_ino] = status.st_size
    # `hf download --local-dir` keeps its unfinished files in .cache; rsync gives them a dot.
    partial = [file.path for file in files if file.path.endswith(INCOMPLETE)]
    model = [file for file in files if not file.path.startswith(".") and "/." not in file.path]
    revision = _judged("", path, (), model, strays)
    if partial:
        problem = "%d of its files are not completely downloaded" % len(partial)
        revision = _with_problem(revision, problem)
    downloading = bool(partial) and now - newest < QUIET_SECONDS
    size = sum(inodes.values())
    return Model(path, DIRECTORY, path, size, downloading, (revision,), links_to=linked)


def _entries(
    folder: str, ignored: list[tuple[str, str]] | None = None
) -> Iterator[os.DirEntry[str]]:
    """The entries of a directory; none where there is none, or where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return
    except OSError as error:
        if ignored is not None:
            ignored.append((_printable(folder), error.strerror or str(error)))


def _walk(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All but directories, at any depth, by path below folder; links are not followed."""
    pending = [(folder, "", 0)]
    count = 0
    while pending:
        where, below, depth = pending.pop()
        for entry in _entries(where):
            count += 1
            if count > _FILES:
                return
            name = below + entry.name
            is_folder = False
            with suppress(OSError):
                is_folder = entry.is_dir(follow_symlinks=False)
            if not is_folder:
                yield name, entry
            elif depth < _DEPTH:
                pending.append((entry.path, name + "/", depth + 1))


def held_locks(proc: str = "/proc") -> dict[tuple[int, int], int]:
    """The locks that are held now."""
    held: dict[tuple[int, int], int] = {}
    try:
        with open(os.path.join(proc, "locks"), encoding="ascii", errors="replace") as stream:
            for line in stream:
                words = line.split()
                with suppress(ValueError):
                    where = next((word for word in words if word.count(":") == 2), "")
                    major, minor, inode = where.split(":")
                    place = os.makedev(int(major, 16), int(minor, 16)), int(inode)
                    # The line of a process that only waits for the lock has an arrow.
                    if "->" not in words:
                        held[place] = int(words[4])
    except OSError:
        pass
    return held


def holder(path: str, locks: Locks) -> int:
    """The process that holds the lock of a file; 0 for none.

    Whoever may open a file can lock it. The locks of root, of this user and of the file's owner
    count.
    """
    with suppress(OSError, ValueError):
        status = os.stat(path)
        pid = locks.get((status.st_dev, status.st_ino), 0)
        if pid and _user_of(pid) in (0, os.geteuid(), status.st_uid):
            return pid
    return 0


def _user_of(pid: int) -> int:
    """Raises OSError and ValueError for a process that has ended, or is not visible."""
    with open("/proc/%d/status" % pid, encoding="utf-8", errors="replace") as stream:
        words = next((line for line in stream if line.startswith("Uid:")), "").split()
    return foreign.whole(words[1] if words else "")


def _is_locked(hub: str, repo: str, locks: Locks) -> bool:
    """Whether a process holds one of the locks under which huggingface_hub writes a blob."""
    for entry in _entries(os.path.join(hub, ".locks", folder_of(repo))):
        if holder(entry.path, locks):
            return True
    return False
