# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What one node sends another of a model: a list of files, each known by its content."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import (
    HUB,
    MISSING,
    Model,
    Revision,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.weights import quant_name

# The hub calls a large file by its sha256, a small one as git does.
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_BLOB = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_CHUNK = 1 << 22


class ManifestError(ValueError):
    """A manifest that cannot be made, or is none; the text says why."""


@dataclass(frozen=True)
class Entry:
    """A file: its path below the model, and the blob that it is in a cache.

    sha256: of its content, in a folder of one's own.
    """

    path: str
    size: int
    blob: str = ""
    sha256: str = ""

    def digest(self) -> str:
        """What its content must hash to; empty where only its size is known."""
        return self.sha256 or self.blob if _known(self.sha256 or self.blob) else ""


@dataclass(frozen=True)
class Manifest:
    """One revision of a model as it is sent. refs: names that mean it on the sender."""

    name: str
    kind: str
    revision: str
    refs: Sequence[str]
    entries: Sequence[Entry]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Manifest:
        """Raises ManifestError for what another node should not have sent."""
        try:
            found = cls(
                str(given["name"]),
                str(given["kind"]),
                str(given["revision"]),
                tuple(map(str, given["refs"])),
                tuple(
                    Entry(str(one["path"]), int(one["size"]), str(one["blob"]), str(one["sha256"]))
                    for one in given["entries"]
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError("it is no manifest: %r" % error) from None
        in_hub = found.kind == HUB
        for path in (*found.refs, *(one.path for one in found.entries)):
            if not _inside(path):
                raise ManifestError("it names the path %r" % path)
        for one in found.entries:
            if one.size < 0 or (in_hub and not _BLOB.match(one.blob)):
                raise ManifestError("%s has no content that can be sent" % one.path)
        if in_hub and not _BLOB.match(found.revision):
            raise ManifestError("it names the revision %r" % found.revision)
        return found


def _inside(path: str) -> bool:
    return (
        bool(path)
        and path.isprintable()
        and posixpath.normpath(path) == path
        and not path.startswith(("/", ".."))
    )


def manifest_of(model: Model, revision: Revision, quant: str = "") -> Manifest:
    """What is to be sent; of a GGUF model only one quantisation, if that is asked for.

    Raises ManifestError where it is not whole.
    """
    files = [one for one in revision.files if not quant or belongs(one.path, quant)]
    if quant:
        whole = {one.name for one in revision.quants if one.complete}
        if quant not in whole:
            raise ManifestError(
                "%s has no whole %s; it has: %s" % (model.name, quant, ", ".join(sorted(whole)))
            )
    elif not revision.complete:
        raise ManifestError("%s is not whole: %s" % (model.name, "; ".join(revision.problems)))
    if model.kind == HUB:
        plain = [one.path for one in files if not one.blob]
        if plain:
            raise ManifestError("%s is no link to a blob, as the hub has it" % plain[0])
    entries = [Entry(one.path, one.size, one.blob) for one in files if one.size != MISSING]
    return Manifest(model.name, model.kind, revision.revision, tuple(revision.refs), tuple(entries))


def belongs(path: str, quant: str) -> bool:
    """Whether a file of a GGUF model goes with that quantisation; what is no weight does."""
    if not path.endswith(".gguf") or "mmproj" in posixpath.basename(path).lower():
        return True
    return quant_name(path) == quant


def _known(digest: str) -> bool:
    return bool(_SHA256.match(digest) or _GIT_SHA1.match(digest))


def sha256_of(path: str) -> str:
    """Raises OSError."""
    return _digest(path, hashlib.sha256())


def differs(path: str, entry: Entry) -> str:
    """How a file differs from what it should be; empty if it does not. Raises OSError."""
    size = os.path.getsize(path)
    if size != entry.size:
        return "it has %d bytes, not %d" % (size, entry.size)
    wanted = entry.digest()
    if not wanted:
        return ""
    if _SHA256.match(wanted):
        found = sha256_of(path)
    else:
        found = _digest(path, hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False))
    return "" if found == wanted else "its checksum is %s, not %s" % (found, wanted)


def _digest(path: str, digest: Any) -> str:
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return str(digest.hexdigest())
