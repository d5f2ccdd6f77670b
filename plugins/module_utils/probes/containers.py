# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The containers of a node, from its Docker engine."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, OWNER

# docker inspect says some 14 KiB about each container.
_ANSWER_BYTES = 64 << 20
_API_KEYS = ("VLLM_API_KEY", "LLAMA_API_KEY", "QDRANT__SERVICE__API_KEY")
# In what the Docker client prints, in all versions, if the socket of the engine is closed to it.
_DENIED = "permission denied"
_FORBIDDEN = (
    "%s may not use Docker. Run with -b, or once on the node: sudo usermod -aG docker %s (it takes "
    "effect at the next login)"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class EngineError(Exception):
    """The Docker engine did not answer as expected; the text has the request and the answer."""


class Forbidden(EngineError):
    """This user may not ask the Docker engine; the text names the user and the ways out."""


@dataclass(frozen=True)
class Container:
    """A container. status is that of docker (running, exited, …), exit_code that of its last run.

    started: the time of its last start, such as 2026-11-22T03:18:32.7Z; empty if never started.
    health: what its health check says; empty for none. published: ports of the node that lead to
    it, while it runs.
    """

    name: str
    id: str
    image: str
    image_id: str
    status: str
    exit_code: int
    labels: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    health: str = ""
    published: tuple[int, ...] = ()

    @property
    def ours(self) -> bool:
        """Started by this collection; other containers are never changed."""
        return self.labels.get(LABEL + "owner") == OWNER

    @property
    def recipe(self) -> str:
        """The name of its recipe; empty if it was not launched from one."""
        return self.labels.get(LABEL + "recipe", "")


def parse_inspect(text: str) -> list[Container]:
    """The containers in `docker inspect` output. Raises EngineError for other text."""
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
                health=_health(entry["State"]),
                published=_published(entry.get("NetworkSettings") or {}),
            )
            for entry in foreign.json_of(text)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError("docker inspect printed no list of containers: %r" % error) from error


def _published(settings: Mapping[str, Any]) -> tuple[int, ...]:
    """The ports of the node in `NetworkSettings.Ports`: "6333/tcp" -> its bindings, or null."""
    bindings = [
        binding for given in (settings.get("Ports") or {}).values() for binding in given or ()
    ]
    ports = {str(binding.get("HostPort", "")) for binding in bindings}
    return tuple(sorted(int(port) for port in ports if foreign.is_whole(port)))


def _moment(text: str) -> str:
    """Docker writes the year 1 for never."""
    return "" if text.startswith("0001-") else text


def parse_environment(text: str) -> dict[str, str]:
    """The variables that the first container of a `docker inspect` was started with."""
    try:
        inspected = foreign.json_of(text)[0]
        pairs = [entry.partition("=") for entry in inspected["Config"].get("Env") or ()]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineError("docker inspect printed no environment: %r" % error) from error
    return {name: value for name, _equals, value in pairs}


def health(text: str) -> str:
    """What the health check of the first container of a `docker inspect` says; empty for none."""
    try:
        return _health(foreign.json_of(text)[0]["State"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineError("docker inspect printed no state: %r" % error) from error


def _health(state: Mapping[str, Any]) -> str:
    return str((state.get("Health") or {}).get("Status") or "")


def api_key(text: str) -> str:
    """The API key of a server in the first container of a `docker inspect`, if configured."""
    variables = parse_environment(text)
    keys = [variables[name] for name in _API_KEYS if variables.get(name)]
    return keys[0] if keys else ""


def containers(docker: str, timeout: float = 30) -> list[Container]:
    """All containers, running or not. docker: absolute path; timeout: seconds for each question."""
    try:
        return _containers(docker, timeout)
    except EngineError:
        # A container that was removed between the two requests fails the second one.
        return _containers(docker, timeout)


def _containers(docker: str, timeout: float) -> list[Container]:
    ids = ask(docker, ["ps", "--all", "--quiet", "--no-trunc"], timeout).split()
    if not ids:
        return []
    return parse_inspect(ask(docker, ["inspect", "--type", "container", *ids], timeout))


def image_id(docker: str, reference: str, timeout: float = 30) -> str | None:
    """The id of an image on this node, None if it does not exist. Raises EngineError."""
    result = command.run(
        [docker, "image", "inspect", "--format", "{{.Id}}", "--", reference], timeout
    )
    if result.outcome != command.EXITED or _is_denied(result):
        raise _refusal(docker, "image inspect", result)
    return result.stdout.strip() if result.ok else None


def log_tail(docker: str, name: str, lines: int, timeout: float = 30) -> str:
    """The last lines a container printed, in the order of time, without colours."""
    result = command.run([docker, "logs", "--timestamps", "--tail", str(lines), name], timeout)
    return merge_logs(result.stdout, result.stderr) if result.ok else result.describe()


def log_lines(
    docker: str, name: str, lines: int, since: str = "", timeout: float = 30
) -> list[tuple[str, str]]:
    """(time stamp, text) of the last lines a container printed, in the order of time.

    since: a time stamp of docker; lines of that time or before are left out. Raises EngineError.
    """
    asked = ["logs", "--timestamps", "--tail", str(lines), *(["--since", since] if since else [])]
    result = command.run([docker, *asked, name], timeout, limit=_ANSWER_BYTES)
    if not result.ok:
        raise _refusal(docker, "logs", result)
    return [
        (stamp, text) for stamp, text in _stamped(result.stdout, result.stderr) if stamp > since
    ]


def merge_logs(stdout: str, stderr: str) -> str:
    """The two streams of `docker logs --timestamps` as one text."""
    return "\n".join(text for _stamp, text in _stamped(stdout, stderr))


def _stamped(stdout: str, stderr: str) -> list[tuple[str, str]]:
    # Docker adds a time stamp per line feed; carriage returns of a progress bar are inside a line.
    lines = [line.partition(" ") for line in (stdout + "\n" + stderr).split("\n") if line]
    # A stable sort: lines of one stream that share a time stamp stay as they were.
    return [(stamp, _shown(text)) for stamp, _space, text in sorted(lines, key=_stamp)]


def _shown(line: str) -> str:
    """The final state of a line on a terminal, for example of a progress bar, without colours.

    A container prints whatever it likes: nothing else of it may control a terminal.
    """
    return foreign.shown(_COLOUR.sub("", line).rstrip("\r").rpartition("\r")[2])


def _stamp(line: tuple[str, str, str]) -> str:
    return line[0]


def ask(
    docker: str, question: Sequence[str], timeout: float, env: Mapping[str, str] | None = None
) -> str:
    """The standard output of one docker command. env: more variables. Raises EngineError."""
    result = command.run([docker, *question], timeout, env=env, limit=_ANSWER_BYTES)
    if not result.ok:
        raise _refusal(docker, question[0], result)
    return result.stdout


def _refusal(docker: str, question: str, result: command.Result) -> EngineError:
    """The error for a question without an answer."""
    if _is_denied(result):
        user = foreign.line(_user())
        return Forbidden(_FORBIDDEN % (user, user))
    return EngineError("%s %s: %s" % (docker, question, result.describe()))


def _is_denied(result: command.Result) -> bool:
    """Whether the engine did not let this user ask. Root has other reasons not to be let in."""
    return not result.ok and os.geteuid() != 0 and _DENIED in result.stderr.lower()


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
