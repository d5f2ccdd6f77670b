# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The manifest of a copy between nodes: a list of files, each known by its content."""

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
from ansible_collections.dgxspark.suite.plugins.module_utils.models.completeness import quant_name
from ansible_collections.dgxspark.suite.plugins.module_utils.models.share import inside, is_size

# The Hugging Face Hub names a large file by its sha256, a small one by the SHA-1 of git.
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}\Z")
_BLOB = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_CHUNK = 1 << 22


class ManifestError(ValueError):
    """A manifest that cannot be made, or is not valid; the text says why."""


@dataclass(frozen=True)
class ManifestEntry:
    """A file: its path below the model, and its blob in a cache.

    sha256: of its content, in a local model directory.
    """

    path: str
    size: int
    blob: str = ""
    sha256: str = ""

    def digest(self) -> str:
        """The hash that its content must have; empty where only its size is known."""
        return self.sha256 or self.blob if _known(self.sha256 or self.blob) else ""


@dataclass(frozen=True)
class Manifest:
    """One revision of a model as it is sent. refs: names that point to it on the sender."""

    name: str
    kind: str
    revision: str
    refs: Sequence[str]
    entries: Sequence[ManifestEntry]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Manifest:
        """Raises ManifestError for a manifest that is not valid. Another node has written it."""
        try:
            manifest = cls(
                _text(given["name"]),
                _text(given["kind"]),
                _text(given["revision"]),
                tuple(map(_text, given["refs"])),
                tuple(
                    ManifestEntry(
                        _text(file["path"]),
                        _size(file["size"]),
                        _text(file["blob"]),
                        _text(file["sha256"]),
                    )
                    for file in given["entries"]
                ),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ManifestError("it is not a manifest: %r" % error) from None
        in_hub = manifest.kind == HUB
        for path in (*manifest.refs, *(entry.path for entry in manifest.entries)):
            if not inside(path):
                raise ManifestError("it names the path %r" % path)
        for entry in manifest.entries:
            sha256 = not entry.sha256 or _SHA256.match(entry.sha256)
            if not sha256 or (in_hub and not _BLOB.match(entry.blob)):
                raise ManifestError("%s has no content that can be sent" % entry.path)
        if in_hub and not _BLOB.match(manifest.revision):
            raise ManifestError("it names the revision %r" % manifest.revision)
        return manifest


def _text(value: object) -> str:
    """Raises ManifestError. Not as it is: a string of Ansible is of a class of its own."""
    if not isinstance(value, str) or not value.isprintable():
        raise ManifestError("%.80r is not a text" % (value,))
    return str(value)


def _size(value: Any) -> int:
    """Raises ManifestError."""
    if not is_size(value):
        raise ManifestError("%.80r is not a number of bytes" % (value,))
    return int(value)


def manifest_of(model: Model, revision: Revision, quant: str = "") -> Manifest:
    """The manifest of a revision; of a GGUF model only of one quantisation, if quant names it.

    Raises ManifestError where that is incomplete.
    """
    files = [file for file in revision.files if not quant or belongs(file.path, quant)]
    if quant:
        complete = {known.name for known in revision.quants if known.complete}
        if quant not in complete:
            listed = ", ".join(sorted(complete)) or "none"
            raise ManifestError("%s has no complete %s; it has: %s" % (model.name, quant, listed))
    elif not revision.complete:
        raise ManifestError("%s is incomplete: %s" % (model.name, "; ".join(revision.problems)))
    if model.kind == HUB:
        plain = [file.path for file in files if not file.blob]
        if plain:
            raise ManifestError("%s is not a link to a blob" % plain[0])
    entries = [
        ManifestEntry(file.path, file.size, file.blob) for file in files if file.size != MISSING
    ]
    return Manifest(model.name, model.kind, revision.revision, tuple(revision.refs), tuple(entries))


def belongs(path: str, quant: str) -> bool:
    """Whether a file of a GGUF model belongs to that quantisation; all but weights do."""
    if not path.endswith(".gguf") or "mmproj" in posixpath.basename(path).lower():
        return True
    return quant_name(path) == quant


def _known(digest: str) -> bool:
    return bool(_SHA256.match(digest) or _GIT_SHA1.match(digest))


def sha256_of(path: str) -> str:
    """Raises OSError."""
    return _digest(path, hashlib.sha256())


def differs(path: str, entry: ManifestEntry) -> str:
    """How a file differs from what it should be; empty if it does not. Raises OSError."""
    size = os.path.getsize(path)
    if size != entry.size:
        return "it has %d bytes, not %d" % (size, entry.size)
    wanted = entry.digest()
    if not wanted:
        return ""
    if _SHA256.match(wanted):
        actual = sha256_of(path)
    else:
        actual = _digest(path, hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False))
    return "" if actual == wanted else "its checksum is %s, not %s" % (actual, wanted)


def _digest(path: str, digest: Any) -> str:
    # Of a pipe, which nobody may ever write, there is nothing to read.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return str(digest.hexdigest())
