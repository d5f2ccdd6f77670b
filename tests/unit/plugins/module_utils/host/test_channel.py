# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of copies, over real sockets: who is let in, what is received, how long it takes."""

from __future__ import annotations

import socket
import threading
import time
import typing as t
from contextlib import suppress

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import channel, handshake

SECRET = "s3cret" * 6
Give = t.Callable[[channel.Channel], None]
Offer = t.Callable[[Give], int]


@pytest.fixture
def offer() -> t.Iterator[Offer]:
    """Serve on a port of this machine until the test ends."""
    listening: list[socket.socket] = []

    def start(give: Give, clients: t.Sequence[str] = ("127.0.0.1",)) -> int:
        one = socket.create_server(("127.0.0.1", 0))
        listening.append(one)
        arguments = (one, clients, SECRET, "it", 5.0, give)
        threading.Thread(target=channel.serve, args=arguments, daemon=True).start()
        return int(one.getsockname()[1])

    yield start
    for one in listening:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def join(port: int, secret: str = SECRET, about: str = "it", seconds: float = 5) -> channel.Channel:
    return channel.join("127.0.0.1", port, secret, about, seconds)


def echo(taker: channel.Channel) -> None:
    while data := taker.receive():
        taker.send(data)


def test_both_ends_send_and_receive(offer: Offer) -> None:
    with join(offer(echo)) as giver:
        for data in (b"a", b"b" * channel.FRAME, b"c"):
            giver.send(data)
            assert giver.receive() == data


@pytest.mark.parametrize("differs", [{"secret": "guess" * 8}, {"about": "another"}])
def test_who_does_not_know_the_secret_gets_nothing(offer: Offer, differs: dict[str, str]) -> None:
    given: list[channel.Channel] = []
    port = offer(given.append)
    with pytest.raises(channel.ChannelError, match="does not know the secret"):
        join(port, **differs)
    # One who answers with the proof of the giver, or with anything else.
    for answer in (b"\0" * handshake.MAC, b""):
        with socket.create_connection(("127.0.0.1", port)) as visitor:
            visitor.settimeout(5)
            visitor.sendall(b"n" * handshake.NONCE)
            proof = visitor.recv(1 << 16)[handshake.NONCE :]
            visitor.sendall(answer or proof)
            with suppress(ConnectionError):
                assert visitor.recv(1) == b""
    assert given == []


def test_connections_that_prove_nothing_keep_nobody_out(offer: Offer) -> None:
    port = offer(echo)
    idle = [socket.create_connection(("127.0.0.1", port)) for _one in range(100)]
    with join(port) as giver:
        giver.send(b"x")
        assert giver.receive() == b"x"
    for one in idle:
        one.close()


class Relay:
    """A man in the middle, who changes what the giver sends by a function of the whole frames."""

    def __init__(self, port: int, change: t.Callable[[list[bytes]], list[bytes]]) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._origin, self._change = port, change
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        client, _address = self._server.accept()
        self._server.close()
        with client, socket.create_connection(("127.0.0.1", self._origin)) as origin:
            client_file, origin_file = client.makefile("rb"), origin.makefile("rb")
            with client_file, origin_file:
                origin.sendall(client_file.read(handshake.NONCE))
                client.sendall(origin_file.read(handshake.NONCE + handshake.MAC))
                origin.sendall(client_file.read(handshake.MAC))
                frames = []
                while header := origin_file.read(4 + handshake.MAC):
                    frames.append(header + origin_file.read(int.from_bytes(header[:4], "big")))
                client.sendall(b"".join(self._change(frames)))


CHANGES: dict[str, t.Callable[[list[bytes]], list[bytes]]] = {
    "a bit": lambda frames: [frames[0][:-1] + b"X", *frames[1:]],
    "left out": lambda frames: frames[1:],
    "repeated": lambda frames: [frames[0], *frames],
    "moved": lambda frames: [frames[1], frames[0], *frames[2:]],
    "cut": lambda frames: frames[:-1],
    "ended early": lambda frames: [frames[0], frames[-1]],
    "too long": lambda frames: [b"\xff" + frames[0][1:], *frames[1:]],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_changed_on_its_way_is_not_received(
    offer: Offer, change: t.Callable[[list[bytes]], list[bytes]]
) -> None:
    def give(taker: channel.Channel) -> None:
        for data in (b"one", b"two", b""):
            taker.send(data)

    received: list[bytes] = []
    with join(Relay(offer(give), change).port) as giver, pytest.raises(channel.ChannelError):  # noqa: PT012
        while data := giver.receive():
            received.append(data)
    assert received in ([], [b"one"], [b"one", b"two"])


def drip(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)


def test_a_source_that_drips_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "HELLO_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as false:
        port = false.getsockname()[1]
        threading.Thread(target=lambda: drip(false.accept()[0]), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(OSError, match=r"slow|timed out"):
            join(port)
        assert time.monotonic() - started < 3


def test_a_frame_that_drips_is_left_in_time(offer: Offer) -> None:
    port = offer(lambda taker: drip(taker._connection))
    with join(port, seconds=0.5) as giver:
        started = time.monotonic()
        with pytest.raises(OSError, match=r"slow|timed out"):
            giver.receive()
        assert time.monotonic() - started < 3
