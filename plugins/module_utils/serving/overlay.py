# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What an overlay may do to the Python packages of an image. Pure.

An overlay is a folder with `requirements.txt`, `wheels/`, `files/` and `run.sh`, all optional. It
adds packages and files to an image, and moves no package of it.

The report is that of `pip install --report`, version 1, as the page "Installation Report" of pip's
documentation has it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.requirements import normalized

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"
FILES = "files"
SCRIPT = "run.sh"
PARTS = (REQUIREMENTS, WHEELS, FILES, SCRIPT)

# Labels of a derived image, which its containers inherit.
HASH_LABEL = LABEL + "overlay-hash"
BASE_LABEL = LABEL + "overlay-base"
# Of a container: the distributions that must not be in it.
FORBID_LABEL = LABEL + "forbid"

_TEXT = 200  # characters of a name or a version
_MOST = 5000  # distributions of an image
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

# Normalised name of a distribution -> its version.
Listing = Mapping[str, str]


class Unreadable(ValueError):
    """A report or a listing that cannot be used; the text says why."""


@dataclass(frozen=True)
class Judgement:
    """What a requirement would do. adds: what would be installed, by name.

    refused: why it must not be, one line for each package; empty if it may.
    """

    adds: Listing
    refused: tuple[str, ...]


def overlay_hash(folder: str, base: str) -> str:
    """The label of a derived image. folder: digest of the overlay. base: ID of the base image."""
    return hashlib.sha256(("%s %s" % (folder, base)).encode()).hexdigest()


def read_report(text: str) -> list[tuple[str, str]]:
    """(normalised name, version) of what pip would install, in its order. Raises Unreadable."""
    try:
        report = foreign.json_of(text)
    except ValueError as error:
        raise Unreadable("pip's report cannot be read: %s" % error) from None
    entries = report.get("install") if isinstance(report, dict) else None
    if not isinstance(entries, list) or str(report.get("version")) != "1":
        raise Unreadable("pip's report is not one of version 1")
    return [_distribution(entry) for entry in entries]


def _distribution(entry: Any) -> tuple[str, str]:
    about = entry.get("metadata") if isinstance(entry, dict) else None
    if not isinstance(about, dict):
        raise Unreadable("pip's report has an entry without metadata")
    return _named(about.get("name"), about.get("version"))


def _named(name: Any, version: Any) -> tuple[str, str]:
    for text in (name, version):
        if not isinstance(text, str) or not 0 < len(text) <= _TEXT or not text.isprintable():
            raise Unreadable("a distribution has the name %.60r, version %.60r" % (name, version))
    if not _NAME.fullmatch(name):
        raise Unreadable("a distribution has the name %.60r" % name)
    return normalized(name), version


def listing_of(value: Any) -> dict[str, str]:
    """The listing that a container has returned, checked. Raises Unreadable."""
    if not isinstance(value, dict) or len(value) > _MOST:
        raise Unreadable("the image returned no list of its distributions")
    return dict(_named(name, version) for name, version in value.items())


def pairs_of(value: Any) -> list[tuple[str, str]]:
    """What a container has read from a report, checked. Raises Unreadable."""
    if not isinstance(value, list) or len(value) > _MOST:
        raise Unreadable("the image returned no list of what would be installed")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Unreadable("the image returned no list of what would be installed")
    return [_named(name, version) for name, version in value]


def judge(
    base: Listing, installs: Iterable[tuple[str, str]], forbid: Sequence[str] = ()
) -> Judgement:
    """Whether these distributions may be installed over those of the base.

    What the base has stays: another version is refused, and so is another build of the same one.
    forbid: names that must not be in the image, of which the base has none.
    """
    forbidden = {normalized(name) for name in forbid}
    adds: dict[str, str] = {}
    refused = []
    for name, version in installs:
        have = base.get(name)
        if have is not None:
            by = "another build of it" if have == version else version
            refused.append("it replaces %s %s of the image by %s" % (name, have, by))
        elif name in forbidden:
            refused.append("it brings %s %s, which the recipe forbids" % (name, version))
        adds[name] = version
    return Judgement(adds, (*refused, *forbidden_in(base, forbid)))


def forbidden_in(listing: Listing, forbid: Sequence[str], where: str = "the image") -> list[str]:
    """One line for each forbidden distribution of an image, or of what `where` names."""
    names = sorted({normalized(name) for name in forbid} & set(listing))
    text = "%s has %s %s, which the recipe forbids"
    return [text % (where, name, listing[name]) for name in names]


def changed(base: Listing, after: Listing) -> list[str]:
    """One line for each distribution of the base that is another, or gone, after a build."""
    lines = []
    for name, version in sorted(base.items()):
        now = after.get(name)
        if now is None:
            lines.append("%s %s of the image is gone" % (name, version))
        elif now != version:
            lines.append("%s %s of the image became %s" % (name, version, now))
    return lines


def added(base: Listing, after: Listing) -> dict[str, str]:
    """What a build has added."""
    return {name: version for name, version in sorted(after.items()) if name not in base}


@dataclass(frozen=True)
class Wanted:
    """A derived image. name: its reference. folder: digest of the overlay, as the label has it."""

    name: str
    folder: str


@dataclass(frozen=True)
class Observed:
    """The image of that name: its ID and its overlay hash; and the ID of the base.

    Each is empty where there is none.
    """

    image_id: str
    label: str
    base_id: str


@dataclass(frozen=True)
class Step:
    """Whether to build, and why; `problem` if it cannot be built."""

    build: bool
    why: str = ""
    problem: str = ""


def plan(observed: Observed, wanted: Wanted) -> Step:
    """What is to be done so that the node has the derived image.

    Without the base, as on nodes that have received a copy, what is there counts as it is.
    """
    if not observed.base_id:
        if observed.image_id and observed.label:
            return Step(False)
        return Step(False, problem="its base image is not on this node. Pull or copy it first")
    if not observed.image_id:
        return Step(True, "the image is missing")
    if observed.label != overlay_hash(wanted.folder, observed.base_id):
        return Step(True, "the overlay or its base has changed")
    return Step(False)
