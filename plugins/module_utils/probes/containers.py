# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The containers of a node, as its Docker engine describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, OWNER

# docker inspect says some 14 KiB about each container.
_ANSWER_BYTES = 64 << 20
_API_KEYS = ("VLLM_API_KEY", "LLAMA_API_KEY")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class EngineError(Exception):
    """The Docker engine did not answer as expected; the text says what was asked and what came."""


@dataclass(frozen=True)
class Container:
    """One container. status: docker's own word (running, exited, …); exit_code: of its last run.

    started: when it was last, as 2026-11-22T03:18:32.7Z; empty where it never was.
    """

    name: str
    id: str
    image: str
    image_id: str
    status: str
    exit_code: int
    labels: Mapping[str, str] = field(default_factory=dict)
    started: str = ""

    @property
    def ours(self) -> bool:
        """Started by this collection. Everything else is never touched."""
        return self.labels.get(LABEL + "owner") == OWNER

    @property
    def recipe(self) -> str:
        """The name of the recipe it was launched from; empty where it was not."""
        return self.labels.get(LABEL + "recipe", "")


def parse_inspect(text: str) -> list[Container]:
    """Containers out of `docker inspect`. Raises EngineError when that is not what text is."""
    try:
        return [
            Container(
                name=entry["Name"].lstrip("/"),
                id=entry["Id"],
                image=entry["Config"]["Image"],
                image_id=entry["Image"],
                status=entry["State"]["Status"],
                exit_code=int(entry["State"]["ExitCode"]),
                labels=dict(entry["Config"]["Labels"] or {}),
                started=_moment(entry["State"].get("StartedAt", "")),
            )
            for entry in json.loads(text)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            "docker inspect printed something else than containers: %r" % error
        ) from error


def _moment(text: str) -> str:
    """Docker's word for never is the year 1."""
    return "" if text.startswith("0001-") else text


def parse_environment(text: str) -> dict[str, str]:
    """The variables that the first container of a `docker inspect` was started with."""
    try:
        inspected = json.loads(text)[0]
        pairs = [entry.partition("=") for entry in inspected["Config"].get("Env") or ()]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineError("docker inspect printed no environment: %r" % error) from error
    return {name: value for name, _equals, value in pairs}


def api_key(text: str) -> str:
    """What a server in the first container of a `docker inspect` wants of its clients, if told."""
    variables = parse_environment(text)
    keys = [variables[name] for name in _API_KEYS if variables.get(name)]
    return keys[0] if keys else ""


def containers(docker: str, timeout: float = 30) -> list[Container]:
    """All containers, running or not. docker: absolute path; timeout: seconds for each question."""
    try:
        return _containers(docker, timeout)
    except EngineError:
        # One that went away between the two questions fails the second; it is not there any more.
        return _containers(docker, timeout)


def _containers(docker: str, timeout: float) -> list[Container]:
    ids = ask(docker, ["ps", "--all", "--quiet", "--no-trunc"], timeout).split()
    if not ids:
        return []
    return parse_inspect(ask(docker, ["inspect", "--type", "container", *ids], timeout))


def image_id(docker: str, reference: str, timeout: float = 30) -> str | None:
    """The id of an image on this node, None where it is not there. Raises EngineError."""
    result = command.run(
        [docker, "image", "inspect", "--format", "{{.Id}}", "--", reference], timeout
    )
    if result.outcome != command.EXITED:
        raise EngineError("%s image inspect: %s" % (docker, result.describe()))
    return result.stdout.strip() if result.ok else None


def log_tail(docker: str, name: str, lines: int, timeout: float = 30) -> str:
    """The last lines a container printed, in the order of time, without colours."""
    result = command.run([docker, "logs", "--timestamps", "--tail", str(lines), name], timeout)
    return merge_logs(result.stdout, result.stderr) if result.ok else result.describe()


def log_lines(
    docker: str, name: str, lines: int, since: str = "", timeout: float = 30
) -> list[tuple[str, str]]:
    """(time stamp, text) of the last lines a container printed, in the order of time.

    since: a time stamp of docker's; what is as old or older is left out. Raises EngineError.
    """
    asked = ["logs", "--timestamps", "--tail", str(lines), *(["--since", since] if since else [])]
    result = command.run([docker, *asked, name], timeout, limit=_ANSWER_BYTES)
    if not result.ok:
        raise EngineError("%s logs: %s" % (docker, result.describe()))
    return [
        (stamp, text) for stamp, text in _stamped(result.stdout, result.stderr) if stamp > since
    ]


def merge_logs(stdout: str, stderr: str) -> str:
    """The two streams of `docker logs --timestamps` as one text."""
    return "\n".join(text for _stamp, text in _stamped(stdout, stderr))


def _stamped(stdout: str, stderr: str) -> list[tuple[str, str]]:
    # Docker stamps what ends in a line feed; the carriage returns of a progress bar are within.
    lines = [line.partition(" ") for line in (stdout + "\n" + stderr).split("\n") if line]
    # A stable sort: lines of one stream that share a time stamp stay as they were.
    return [(stamp, _shown(text)) for stamp, _space, text in sorted(lines, key=_stamp)]


def _shown(line: str) -> str:
    """What a terminal shows of a line in the end: of a progress bar, its last state."""
    return _COLOUR.sub("", line).rstrip("\r").rpartition("\r")[2]


def _stamp(line: tuple[str, str, str]) -> str:
    return line[0]


def ask(docker: str, question: Sequence[str], timeout: float) -> str:
    """The standard output of one docker command. Raises EngineError."""
    result = command.run([docker, *question], timeout, limit=_ANSWER_BYTES)
    if not result.ok:
        raise EngineError("%s %s: %s" % (docker, question[0], result.describe()))
    return result.stdout
