# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker client and a model server that reply as a test defines, and folders of other users."""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
import threading
import typing as t
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import files

Reply = t.Callable[[BaseHTTPRequestHandler], None]


class HostileTree:
    """Folders and links of several users below one folder of root's. Only root can make them.

    user and other are two users without rights; they need no account.
    """

    user, other = 65534, 65533

    def __init__(self, top: Path) -> None:
        self.top = top

    def folder(self, name: str, owner: int = 0, mode: int = 0o755) -> Path:
        path = self.top / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, owner, owner)
        return path

    def link(self, name: str, target: Path | str, owner: int = 0) -> Path:
        path = self.top / name
        path.symlink_to(target)
        os.lchown(path, owner, owner)
        return path

    def state(self, below: str = "") -> dict[str, tuple[int, ...]]:
        """The inode, mode, owner, group, links and size of everything."""
        top = self.top / below
        found = {str(entry): entry.lstat() for entry in (top, *sorted(top.rglob("*")))}
        return {
            path: (s.st_ino, s.st_mode, s.st_uid, s.st_gid, s.st_nlink, s.st_size)
            for path, s in found.items()
        }


@pytest.fixture
def place() -> t.Iterator[Path]:
    """A folder that every user may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="dgxspark-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def tree(place: Path) -> HostileTree:
    if os.geteuid() != 0:
        pytest.skip("only root can give folders to other users")
    return HostileTree(place)


@pytest.fixture(autouse=True, scope="session")
def locks(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    """The locks of the tests are no files of this machine."""
    folder = str(tmp_path_factory.mktemp("run") / "locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_lock_folder", lambda: folder)
        yield folder


@pytest.fixture
def docker(tmp_path: Path) -> t.Callable[[dict[str, str]], str]:
    """Make a client that runs a shell script for each of some command lines.

    Any other command line exits with status 99. Returns its path.
    """

    def make(scripts: dict[str, str]) -> str:
        cases = [f"{shlex.quote(line)}) {script} ;;" for line, script in scripts.items()]
        unknown = '*) echo "unexpected: $*" >&2; exit 99 ;;'
        client = tmp_path / "docker"
        client.write_text(
            "\n".join(["#!/bin/sh", 'case "$*" in', *cases, unknown, "esac", ""]), encoding="utf-8"
        )
        client.chmod(0o755)
        return str(client)

    return make


@pytest.fixture
def drip() -> t.Iterator[t.Callable[..., str]]:
    """Start a server that answers with a text, then with a byte every now and then, for ever.

    start(text, healthy): the URL. healthy: answer /health at once.
    """
    over = threading.Event()
    listening: list[socket.socket] = []

    def answer(connection: socket.socket, text: bytes, healthy: bool) -> None:
        with connection, suppress(OSError):
            if b"/health" in connection.recv(1 << 16) and healthy:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                return
            connection.sendall(text)
            while not over.wait(0.05):
                connection.sendall(b"X")

    def accept(server: socket.socket, text: bytes, healthy: bool) -> None:
        with suppress(OSError):
            while True:
                arguments = (server.accept()[0], text, healthy)
                threading.Thread(target=answer, args=arguments, daemon=True).start()

    def start(text: bytes, healthy: bool = True) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)
        threading.Thread(target=accept, args=(server, text, healthy), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    over.set()
    for server in listening:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture
def serve() -> t.Iterator[t.Callable[[dict[str, Reply]], str]]:
    """Start an HTTP server with a reply for each "METHOD /path". Returns its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(replies: dict[str, Reply]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def _play(self) -> None:
                replies[f"{self.command} {self.path}"](self)

            do_GET = do_POST = _play

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return "http://127.0.0.1:%d" % server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
