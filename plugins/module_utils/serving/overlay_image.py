# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Build the image that an overlay makes of another one, by the Docker engine of this node."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    foreign,
    interpreter,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    image_disk,
    overlay,
    overlay_facts,
    overlay_inside,
)

# Of the overlay in a container; the empty folder stays in the image.
_SEEN_AT = "/tmp/dgxspark-overlay"
_PREFIX = "dgxspark-overlay-"
_ENGINE_SECONDS = 120.0
# Of the configuration of an image, and of a Dockerfile.
_PROGRAM = ("Entrypoint", "Cmd")
# Docker's exit status where the program is not in the image.
_NO_PROGRAM = 127


class OverlayError(Exception):
    """The image is not built; the text says why and what to do."""


@dataclass(frozen=True)
class Overlay:
    """An overlay on this node. folder: with its files. digest: of their content."""

    folder: str
    digest: str
    forbid: tuple[str, ...] = ()

    def has(self, *parts: str) -> bool:
        return any(os.path.exists(os.path.join(self.folder, part)) for part in parts)

    @property
    def runs(self) -> bool:
        """Whether anything of it runs in the container, by the Python of the image."""
        return self.has(overlay.REQUIREMENTS, overlay.SCRIPT)


def judge(docker: str, base: str, given: Overlay, seconds: float) -> overlay.Judgement:
    """What the overlay would install, and why it must not. Raises OverlayError."""
    if not given.runs and not given.forbid:
        return overlay.Judgement({}, ())
    request = {"step": overlay_inside.JUDGE, "folder": _SEEN_AT, "seconds": seconds}
    with _Container(docker, given, "judge") as container:
        options = ["--rm", "--user", "0", "--entrypoint", "python3", base]
        answer = container.ask(options, request, seconds)
    try:
        listing = overlay.listing_of(answer.get("base"))
        judged = overlay.judge(listing, overlay.pairs_of(answer.get("installs")), given.forbid)
    except overlay.Unreadable as error:
        raise OverlayError(str(error)) from error
    if not judged.refused and not answer.get("held"):
        raise OverlayError("pip cannot install it: %s" % _text(answer.get("error")))
    return judged


def build(
    docker: str, name: str, base: str, given: Overlay, seconds: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Build it and name it: the listings of the base and of what came. Raises OverlayError.

    Nothing is committed where a distribution of the base moved or a forbidden one came.
    """
    lacks = image_disk.lacks_space(docker, 3 * _bytes(given.folder))
    if lacks:
        raise OverlayError(lacks)
    base_id = containers.image_id(docker, base) or ""
    config = overlay_facts.config(docker, base_id)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    with _Container(docker, given, "build") as container:
        if given.runs:
            before, after = _install(container, base_id, config, given, seconds)
        else:
            container.place(base_id, config)
        container.commit(name, config, base_id)
    return before, after


def _install(
    container: _Container,
    base_id: str,
    config: Mapping[str, Any],
    given: Overlay,
    seconds: float,
) -> tuple[dict[str, str], dict[str, str]]:
    request = {"step": overlay_inside.INSTALL, "folder": _SEEN_AT, "seconds": seconds}
    options = ["--user", "0"] if config.get("User") else []
    # A commit can replace an entrypoint, and not remove one.
    replaced = config.get("Entrypoint")
    options += ["--entrypoint", "python3", base_id] if replaced else [base_id, "python3"]
    answer = container.ask(options, request, seconds)
    if answer.get("error"):
        raise OverlayError(_text(answer["error"]))
    try:
        before = overlay.listing_of(answer.get("base"))
        after = overlay.listing_of(answer.get("after"))
    except overlay.Unreadable as error:
        raise OverlayError(str(error)) from error
    wrong = [*overlay.changed(before, after), *overlay.forbidden_in(after, given.forbid)]
    if wrong:
        raise OverlayError("; ".join(wrong))
    return before, after


class _Container:
    """A container of the base, removed in the end."""

    def __init__(self, docker: str, given: Overlay, what: str) -> None:
        self._docker, self._given = docker, given
        self._name = "%s%s-%s" % (_PREFIX, what, given.digest[:12])

    def __enter__(self) -> _Container:
        # One that a killed run has left.
        self._remove()
        return self

    def __exit__(self, *_error: object) -> None:
        self._remove()

    def _remove(self) -> None:
        command.run([self._docker, "rm", "--force", "--volumes", self._name], _ENGINE_SECONDS)

    def ask(
        self, options: Sequence[str], request: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        """What overlay_inside replies in it; a step has two parts, of at most so many seconds each.

        options: the last, with the image and its Python. Raises OverlayError.
        """
        argv = [self._docker, "run", "--interactive", "--pull", "never", "--name", self._name]
        # What brings its wheels needs no network.
        argv += ["--network", "none"] if self._given.has(overlay.WHEELS) else []
        if self._given.folder:
            mount = "type=bind,source=%s,target=%s,readonly" % (self._given.folder, _SEEN_AT)
            argv += ["--mount", mount]
        argv += options
        sources = interpreter.sources_of(interpreter.imports_of(overlay_inside.__name__))
        answer, result = interpreter.ask(argv, sources, request, 2 * seconds + _ENGINE_SECONDS)
        if answer is not None:
            return answer
        if (result.outcome, result.code) == (command.EXITED, _NO_PROGRAM):
            raise OverlayError(
                "the image has no python3, which requirements.txt, run.sh and forbid need; an "
                "overlay of such an image has files only"
            )
        raise OverlayError(result.describe())

    def place(self, image: str, config: Mapping[str, Any]) -> None:
        """Create it with the files of the overlay; it is not started. Raises OverlayError."""
        # Docker wants a command, which never runs.
        command_needed = not (config.get("Entrypoint") or config.get("Cmd"))
        words = [image, *(["none"] if command_needed else [])]
        self._do(["create", "--pull", "never", "--name", self._name, *words], _ENGINE_SECONDS)
        if self._given.has(overlay.FILES):
            source = os.path.join(self._given.folder, overlay.FILES, ".")
            self._do(["cp", source, "%s:/" % self._name], 10 * _ENGINE_SECONDS)

    def commit(self, name: str, config: Mapping[str, Any], base_id: str) -> None:
        """Make it the image of that name, with the program of the base. Raises OverlayError.

        A base without any program gets a command that nobody starts: its recipe names one.
        """
        changes = [
            *(
                "%s %s" % (word.upper(), json.dumps(config[word]))
                for word in _PROGRAM
                if config.get(word)
            ),
            *(["CMD []"] if config.get("Entrypoint") and not config.get("Cmd") else []),
            "LABEL %s=%s" % (overlay.HASH_LABEL, overlay.overlay_hash(self._given.digest, base_id)),
            "LABEL %s=%s" % (overlay.BASE_LABEL, base_id),
        ]
        if config.get("User"):
            changes.append("USER %s" % config["User"])
        options = [word for change in changes for word in ("--change", change)]
        self._do(["commit", *options, self._name, name], 30 * _ENGINE_SECONDS)

    def _do(self, words: Sequence[str], seconds: float) -> None:
        try:
            containers.ask(self._docker, words, seconds)
        except containers.EngineError as error:
            raise OverlayError(str(error)) from error


def _bytes(folder: str) -> int:
    total = 0
    for parent, _folders, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def _text(value: Any) -> str:
    return foreign.line(str(value))[:2000]
