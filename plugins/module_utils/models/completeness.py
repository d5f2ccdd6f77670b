# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a model is complete, judged by the names and sizes of its files; weights are not read."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

SAFETENSORS = "safetensors"
GGUF = "gguf"
PYTORCH = "pytorch"
NONE = "none"

# The size of a file that is named but not there.
MISSING = -1

INDEX_SUFFIXES = (".safetensors.index.json", ".bin.index.json")

_SUFFIXES = {
    ".safetensors": SAFETENSORS,
    ".gguf": GGUF,
    ".bin": PYTORCH,
    ".pt": PYTORCH,
    ".pth": PYTORCH,
}
# Files that are named like weights: training state and vocabularies.
_NO_WEIGHTS = re.compile(
    r"(?:^|/)(?:training_args|optimizer|scheduler|rng_state\w*|tokenizer)\.\w+$"
)
_PART = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)$")
_QUANT = re.compile(
    r"(?:^|[-._])(?P<name>(?:UD-)?(?:I?Q|TQ)\d(?:_[A-Z0-9]+)*|BF16|F16|F32|MXFP4(?:_MOE)?)(?=[-._]|$)",
    re.IGNORECASE,
)
_NAMED = 3


@dataclass(frozen=True)
class Index:
    """An index of shards. total: bytes of all tensors, 0 where it does not say."""

    shards: Sequence[str]
    total: int = 0


@dataclass(frozen=True)
class Quant:
    """One quantisation of a GGUF model. size: bytes of the files that exist."""

    name: str
    files: Sequence[str]
    size: int
    complete: bool


@dataclass(frozen=True)
class Completeness:
    """format: of the weights that would be served. problems: why it is incomplete, if it is."""

    format: str
    problems: Sequence[str]
    quants: Sequence[Quant] = ()


def parse_index(document: object) -> Index:
    """The index in a parsed *.index.json. Raises ValueError for anything else."""
    files = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise ValueError("it has no weight_map of tensors to files")
    shards = sorted(set(files.values()))
    if any(posixpath.normpath(name) != name or name.startswith(("/", "..")) for name in shards):
        raise ValueError("its weight_map names files outside of the model")
    metadata = document.get("metadata") if isinstance(document, dict) else None
    total = metadata.get("total_size") if isinstance(metadata, dict) else 0
    is_size = isinstance(total, int) and not isinstance(total, bool) and total > 0
    return Index(shards, int(total) if is_size and isinstance(total, int) else 0)


def judge(files: Mapping[str, int], indexes: Mapping[str, Index | str]) -> Completeness:
    """Judge one revision.

    files: path below the model -> size in bytes, MISSING where the link is broken.
    indexes: path of each index -> the index, or why it cannot be read.
    """
    problems = ["%s is missing" % path for path, size in sorted(files.items()) if size == MISSING]
    indexed: set[str] = set()
    for path, index in sorted(indexes.items()):
        if isinstance(index, str):
            problems.append("%s cannot be used: %s" % (path, index))
            continue
        shards = [posixpath.join(posixpath.dirname(path), name) for name in index.shards]
        indexed.update(shards)
        problems.extend(_by_index(path, shards, index.total, files))
    quants = _quants({path: size for path, size in files.items() if path.endswith(".gguf")})
    weights = {path: size for path, size in files.items() if _format(path)}
    problems.extend("%s is empty" % path for path, size in sorted(weights.items()) if size == 0)
    others = [path for path in weights if path not in indexed and not path.endswith(".gguf")]
    problems.extend(_missing_parts(others))
    formats = {_format(path) for path in weights} | {_format(path) for path in indexed}
    if not formats:
        return Completeness(NONE, [*problems, "there are no weights"], quants)
    chosen = next(name for name in (SAFETENSORS, GGUF, PYTORCH) if name in formats)
    if chosen == GGUF:
        complete = any(quant.complete for quant in quants)
        problems = [text for text in problems if not (complete and ".gguf" in text)]
        if not complete and not problems:
            problems = ["%s is incomplete" % quant.name for quant in quants] or ["no quantisation"]
    return Completeness(chosen, problems, quants)


def _format(path: str) -> str:
    suffix = posixpath.splitext(path)[1]
    return "" if _NO_WEIGHTS.search(path) else _SUFFIXES.get(suffix, "")


def _by_index(
    path: str, shards: Sequence[str], total: int, files: Mapping[str, int]
) -> Iterator[str]:
    absent = [name for name in shards if name not in files]
    if absent:
        yield "%d of %d shards are missing: %s" % (len(absent), len(shards), _few(absent))
    elif any(files[name] == MISSING for name in shards):
        return
    elif total > sum(files[name] for name in shards):
        held = sum(files[name] for name in shards)
        yield "the shards of %s hold %d bytes, fewer than its %d" % (path, held, total)


def _missing_parts(paths: Sequence[str]) -> Iterator[str]:
    """Numbered files that lack siblings, where no index names them."""
    for (stem, count, suffix), numbers in sorted(_parts(paths).items()):
        lacking = sorted(set(range(1, count + 1)) - numbers)
        if lacking:
            names = ["%s-%05d-of-%05d%s" % (stem, number, count, suffix) for number in lacking]
            yield "%d of %d shards are missing: %s" % (len(lacking), count, _few(names))


def _parts(paths: Sequence[str]) -> dict[tuple[str, int, str], set[int]]:
    parts: dict[tuple[str, int, str], set[int]] = {}
    for path in paths:
        part = _PART.match(path)
        # No model has more parts; the number comes from a foreign file name.
        if part and 0 < int(part["count"]) <= 10000:
            key = (part["stem"], int(part["count"]), part["suffix"])
            parts.setdefault(key, set()).add(int(part["number"]))
    return parts


def _quants(files: Mapping[str, int]) -> list[Quant]:
    groups: dict[str, list[str]] = {}
    for path in sorted(files):
        if "mmproj" not in posixpath.basename(path).lower():
            groups.setdefault(quant_name(path), []).append(path)
    return [
        Quant(
            name,
            paths,
            sum(files[path] for path in paths if files[path] > 0),
            all(files[path] > 0 for path in paths) and not list(_missing_parts(paths)),
        )
        for name, paths in sorted(groups.items())
    ]


def quant_name(path: str) -> str:
    """Q4_K_M of models/Some-Model-Q4_K_M-00001-of-00002.gguf; the stem where none is named."""
    part = _PART.match(path)
    stem = posixpath.basename(part["stem"] if part else posixpath.splitext(path)[0])
    named = list(_QUANT.finditer(stem))
    if named:
        return named[-1]["name"].upper()
    # Some repositories have a directory for each quantisation.
    folder = list(_QUANT.finditer(posixpath.basename(posixpath.dirname(path))))
    return folder[-1]["name"].upper() if folder else stem


def _few(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (" and %d more" % rest if rest > 0 else "")
