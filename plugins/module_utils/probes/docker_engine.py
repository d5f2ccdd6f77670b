# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a Docker engine answers, asked on its socket: no client is needed, none is started."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import list_folder

SOCKET = "/run/docker.sock"

_QUESTION = b"GET /%s HTTP/1.0\r\nHost: docker\r\n\r\n"
_LIMIT = 1 << 20


@dataclass(frozen=True)
class DockerEngine:
    """The version of the engine, or the problem. forbidden: this user may not ask.

    podman: what answers is Podman, with its copy of Docker's API.
    """

    version: str = ""
    problem: str = ""
    forbidden: bool = False
    podman: bool = False


def ask_engine(path: str, timeout: float) -> DockerEngine:
    """Ask for at most timeout seconds."""
    try:
        data = _answer(path, timeout, b"version")
    except PermissionError:
        return DockerEngine(problem="this user may not ask %s" % path, forbidden=True)
    except FileNotFoundError:
        return DockerEngine(problem="%s does not exist" % path)
    except TimeoutError:
        return DockerEngine(problem="no answer within %g s" % timeout)
    except OSError as error:
        return DockerEngine(problem="%s: %s" % (path, error.strerror or error))
    return parse_answer(data)


def ask_data_root(path: str, timeout: float) -> str:
    """The folder in which the running engine has its images; empty without an answer."""
    try:
        body = _answer(path, timeout, b"info").partition(b"\r\n\r\n")[2]
        root = foreign.json_of(body)["DockerRootDir"]
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    return root if isinstance(root, str) else ""


def _answer(path: str, timeout: float, what: bytes) -> bytes:
    deadline = time.monotonic() + timeout
    data = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(path)
            connection.sendall(_QUESTION % what)
            while len(data) < _LIMIT:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                connection.settimeout(left)
                part = connection.recv(65536)
                if not part:
                    break
                data += part
        except socket.timeout as error:
            raise TimeoutError from error
    return data


def parse_answer(data: bytes) -> DockerEngine:
    """From the whole HTTP response, which may be anything."""
    head, _empty, body = data.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    try:
        answer = foreign.json_of(body)
        version = answer["Version"]
    except (ValueError, TypeError, KeyError):
        answer, version = {}, ""
    if words[1:2] == [b"200"] and isinstance(version, str) and version:
        return DockerEngine(version, podman=_is_podman(answer.get("Components")))
    said = " ".join((head.split(b"\r\n")[0] + b" " + body).decode("utf-8", "replace").split())
    return DockerEngine(problem="it answers something else: %s" % (said[:200] or "nothing"))


def _is_podman(components: object) -> bool:
    """Whether the Components of /version name Podman's engine; Docker's is "Engine"."""
    named = components if isinstance(components, list) else []
    names = [entry.get("Name") for entry in named if isinstance(entry, dict)]
    return any(isinstance(name, str) and name.startswith("Podman") for name in names)


def rootless_engines(folder: str = "/run/user") -> tuple[str, ...]:
    """The sockets of rootless engines, /run/user/UID/docker.sock; those that this user may see."""
    sockets = [os.path.join(folder, uid, "docker.sock") for uid in list_folder(folder)]
    return tuple(path for path in sockets if os.path.exists(path))


def major(version: str) -> int:
    """29 of 29.2.1; 0 if unknown."""
    number = version.partition(".")[0]
    return int(number) if foreign.is_whole(number) else 0
