# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a Docker engine answers, asked on its socket: no client is needed, none is started."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

SOCKET = "/run/docker.sock"

_QUESTION = b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n"
_LIMIT = 1 << 20


@dataclass(frozen=True)
class DockerEngine:
    """The version of the engine, or the problem. forbidden: this user may not ask."""

    version: str = ""
    problem: str = ""
    forbidden: bool = False


def ask_engine(path: str, timeout: float) -> DockerEngine:
    """Ask for at most timeout seconds."""
    try:
        data = _answer(path, timeout)
    except PermissionError:
        return DockerEngine(problem="this user may not ask %s" % path, forbidden=True)
    except FileNotFoundError:
        return DockerEngine(problem="%s does not exist" % path)
    except TimeoutError:
        return DockerEngine(problem="no answer within %g s" % timeout)
    except OSError as error:
        return DockerEngine(problem="%s: %s" % (path, error.strerror or error))
    return parse_answer(data)


def _answer(path: str, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    data = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(path)
            connection.sendall(_QUESTION)
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
        version = foreign.json_of(body)["Version"]
    except (ValueError, TypeError, KeyError):
        version = ""
    if words[1:2] == [b"200"] and isinstance(version, str) and version:
        return DockerEngine(version)
    said = " ".join((head.split(b"\r\n")[0] + b" " + body).decode("utf-8", "replace").split())
    return DockerEngine(problem="it answers something else: %s" % (said[:200] or "nothing"))
