# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A connection between two nodes for the time of a copy.

Both ends prove that they know the secret of the copy before anything else is sent, and each frame
is verified before its receiver gets it. Nothing is encrypted. Time limits are those of a complete
handshake and of a complete frame, not of a read.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import handshake

FRAME = 1 << 20  # bytes of a frame, at most
HELLO_SECONDS = 20.0

_GIVER, _TAKER = "giver", "taker"
_HEADER = struct.Struct(">I%ds" % handshake.MAC)
# Connections whose handshake is not complete; one more closes the oldest.
_WAITING = 32


class ChannelError(OSError):
    """The other end does not keep to the protocol; the text says how."""


class Channel:
    """A connection whose ends have proven themselves. seconds: for one frame."""

    def __init__(
        self,
        connection: socket.socket,
        seals: tuple[handshake.Seal, handshake.Seal],
        seconds: float,
    ) -> None:
        self._connection = connection
        self._sent, self._received = seals
        self._seconds = seconds

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    def send(self, data: bytes) -> None:
        """Send a frame, of FRAME bytes at most; an empty one means the end. Raises OSError."""
        self._connection.settimeout(self._seconds)
        self._connection.sendall(_HEADER.pack(len(data), self._sent.mac(data)))
        self._connection.sendall(data)

    def receive(self) -> bytes:
        """The next frame, verified; empty at the end that the sender means. Raises OSError."""
        until = time.monotonic() + self._seconds
        size, mac = _HEADER.unpack(_exactly(self._connection, _HEADER.size, until))
        if size > FRAME:
            raise ChannelError("a frame of %d bytes" % size)
        data = _exactly(self._connection, size, until)
        if not handshake.same(mac, self._received.mac(data)):
            raise ChannelError("a frame was changed on its way")
        return data


def join(address: str, port: int, secret: str, about: str, seconds: float) -> Channel:
    """Connect to an offer. Raises OSError, also where the other end does not know the secret.

    about: what is copied, the same at both ends. seconds: see Channel.
    """
    until = time.monotonic() + HELLO_SECONDS
    # As bytes: a text would need a codec, which the owner of a cache may not be able to load.
    host: Any = address.encode()
    connection = socket.create_connection((host, port), HELLO_SECONDS)
    try:
        own, key = handshake.nonce(), secret.encode()
        _send(connection, own, until)
        context = (own, _exactly(connection, handshake.NONCE, until), about.encode())
        proof = _exactly(connection, handshake.MAC, until)
        if not handshake.same(proof, handshake.proof(key, _GIVER, *context)):
            raise ChannelError("%s does not know the secret of this copy" % address)
        _send(connection, handshake.proof(key, _TAKER, *context), until)
    except BaseException:
        connection.close()
        raise
    return Channel(connection, _seals(key, (_TAKER, _GIVER), context), seconds)


def serve(
    listening: socket.socket,
    clients: Container[str],
    secret: str,
    about: str,
    seconds: float,
    give: Callable[[Channel], None],
) -> None:
    """Call give for each client that proves itself, in a thread, until the socket is closed.

    clients: the addresses that may connect. about, seconds: as in `join`.
    """
    waiting = _Waiting()
    while listening.fileno() >= 0:
        try:
            connection, (peer, *_rest) = listening.accept()
        except OSError:
            time.sleep(0.1)  # it was reset, or there are too many descriptors
            continue
        if peer not in clients:
            connection.close()
            continue
        waiting.add(connection)
        arguments = (connection, waiting, secret, about, seconds, give)
        threading.Thread(target=_serve_one, args=arguments, daemon=True).start()


def _serve_one(
    connection: socket.socket,
    waiting: _Waiting,
    secret: str,
    about: str,
    seconds: float,
    give: Callable[[Channel], None],
) -> None:
    with connection, suppress(OSError):
        try:
            channel = _welcome(connection, secret, about, seconds)
        finally:
            waiting.remove(connection)
        give(channel)


def _welcome(connection: socket.socket, secret: str, about: str, seconds: float) -> Channel:
    """Raises OSError where the other end does not know the secret."""
    until = time.monotonic() + HELLO_SECONDS
    own, key = handshake.nonce(), secret.encode()
    context = (_exactly(connection, handshake.NONCE, until), own, about.encode())
    _send(connection, own + handshake.proof(key, _GIVER, *context), until)
    proof = _exactly(connection, handshake.MAC, until)
    if not handshake.same(proof, handshake.proof(key, _TAKER, *context)):
        raise ChannelError("a client does not know the secret")
    return Channel(connection, _seals(key, (_GIVER, _TAKER), context), seconds)


class _Waiting:
    """Connections of a server whose handshake is not complete."""

    def __init__(self) -> None:
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()

    def add(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.append(connection)
            if len(self._connections) > _WAITING:
                # Its thread closes it.
                with suppress(OSError):
                    self._connections.pop(0).shutdown(socket.SHUT_RDWR)

    def remove(self, connection: socket.socket) -> None:
        with self._lock, suppress(ValueError):
            self._connections.remove(connection)


def _seals(
    key: bytes, roles: tuple[str, str], context: tuple[bytes, ...]
) -> tuple[handshake.Seal, handshake.Seal]:
    sent, received = roles
    return handshake.Seal(key, sent, *context), handshake.Seal(key, received, *context)


def _send(connection: socket.socket, data: bytes, until: float) -> None:
    connection.settimeout(_left(until))
    connection.sendall(data)


def _exactly(connection: socket.socket, count: int, until: float) -> bytes:
    data = bytearray(count)
    missing = memoryview(data)
    while missing:
        connection.settimeout(_left(until))
        size = connection.recv_into(missing)
        if not size:
            raise ChannelError("the connection has ended early")
        missing = missing[size:]
    return bytes(data)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise ChannelError("the other end is too slow")
    return left
