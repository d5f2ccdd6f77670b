# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine on a socket, which may say anything or nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_engine import (
    DockerEngine,
    ask_data_root,
    ask_engine,
    parse_answer,
)

GOOD = b'HTTP/1.0 200 OK\r\nServer: Docker\r\n\r\n{"Version":"29.2.1","ApiVersion":"1.52"}\n'


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[bytes, float], str]]:
    sockets = []

    def start(reply: bytes, silence: float = 0) -> str:
        path = str(tmp_path / "docker.sock")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()
        sockets.append(listening)

        def answer() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(4096)
                time.sleep(silence)
                # Whoever asked may not wait any longer.
                with suppress(OSError):
                    connection.sendall(reply)

        threading.Thread(target=answer, daemon=True).start()
        return path

    yield start
    for entry in sockets:
        entry.close()


def test_an_engine_that_answers(engine: Callable[..., str]) -> None:
    assert ask_engine(engine(GOOD), 5) == DockerEngine("29.2.1")


def test_an_engine_that_hangs(engine: Callable[..., str]) -> None:
    assert ask_engine(engine(b"", 1), 0.2).problem == "no answer within 0.2 s"


def test_an_engine_that_drips(tmp_path: Path) -> None:
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def answer() -> None:
            connection, _address = listening.accept()
            # A byte at a time, and never a pause that is longer than the shortest time limit.
            with connection, suppress(OSError):
                for _byte in range(1 << 20):
                    connection.sendall(b"X")

        threading.Thread(target=answer, daemon=True).start()
        started = time.monotonic()
        assert ask_engine(path, 0.2).problem == "no answer within 0.2 s"
        assert time.monotonic() - started < 3


def test_no_engine(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    assert "does not exist" in ask_engine(str(path), 1).problem
    path.write_text("")
    assert "refused" in ask_engine(str(path), 1).problem


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\0",
        GOOD.replace(b"200", b"500"),
        GOOD.replace(b"29.2.1", b""),
        GOOD[:-10],
        b"HTTP/1.0 200 OK\r\n\r\n[1]",
    ],
)
def test_an_answer_of_something_else(data: bytes) -> None:
    assert parse_answer(data).problem.startswith("it answers something else: ")


def test_podman_names_itself_among_its_components() -> None:
    body = b'{"Version":"4.9.3","Components":[{"Name":"Podman Engine","Version":"4.9.3"}]}'
    assert parse_answer(b"HTTP/1.0 200 OK\r\n\r\n" + body) == DockerEngine("4.9.3", podman=True)
    for components in (b'[{"Name":"Engine"}]', b'"Podman"', b"[1, {}]", b"null"):
        body = b'{"Version":"29.2.1","Components":%s}' % components
        assert not parse_answer(b"HTTP/1.0 200 OK\r\n\r\n" + body).podman


@pytest.mark.parametrize(
    ("body", "root"),
    [
        (b'{"DockerRootDir":"/var/lib/docker"}', "/var/lib/docker"),
        (b'{"DockerRootDir":3}', ""),
        (b"[]", ""),
        (b"", ""),
    ],
)
def test_the_folder_of_the_running_engine(
    engine: Callable[..., str], body: bytes, root: str
) -> None:
    assert ask_data_root(engine(b"HTTP/1.0 200 OK\r\n\r\n" + body), 5) == root
    assert ask_data_root("/nowhere/docker.sock", 5) == ""
