# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Connections between programs on the nodes whose ends have proven to know the same secret.

The end that is called sends a challenge, the caller a hello with its proof, and the other end its
own proof. A connection that has proven nothing yet is that of a stranger, whom nobody obeys, and
who keeps nobody waiting. Afterwards each line is a JSON message after its MAC.

Programs on nodes carry a copy of this module: it imports only what they carry as well.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign, handshake

LONGEST = 1 << 16  # bytes of a line, at most
DEPTH = 8  # levels of lists and objects in a message, at most
HANDSHAKE = 5.0  # seconds until a stranger has to be a peer
SILENCE = 30.0  # seconds without a message until a peer is lost; also those of a send
STRANGERS, PER_ADDRESS = 64, 8  # connections of strangers at a time, in all and from one address
HEAD, WORKER = "head", "worker"  # roles in a handshake

Message = dict[str, t.Any]


class Broken(Exception):
    """The line is of no use any more; the text says why."""


def line_of(message: t.Mapping[str, t.Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def message_of(line: bytes) -> Message:
    """Raises ValueError."""
    message = foreign.json_of(line, LONGEST, DEPTH)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


class Pieces:
    """What arrives on a connection, by lines."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.rest = b""

    def receive(self) -> list[bytes]:
        """The lines that are complete. Raises OSError; EOFError at the end; ValueError."""
        data = self.socket.recv(LONGEST)
        if not data:
            raise EOFError
        *lines, self.rest = (self.rest + data).split(b"\n")
        if max(map(len, (*lines, self.rest))) > LONGEST:
            raise ValueError("a line of more than %d bytes" % LONGEST)
        return lines


class Line:
    """The connection to a peer. seals: of what is sent and of what is received. hello: its own."""

    def __init__(
        self,
        connection: socket.socket,
        who: str,
        seals: tuple[handshake.Seal, handshake.Seal],
        hello: t.Mapping[str, t.Any],
    ) -> None:
        self.socket = connection
        self.who = who
        self.hello = hello
        self.heard = time.monotonic()
        self._sent, self._received = seals
        self._pieces = Pieces(connection)
        connection.settimeout(SILENCE)

    def say(self, what: str, **more: t.Any) -> None:
        """Raises Broken."""
        text = json.dumps({"say": what, **more}).encode()
        try:
            self.socket.sendall(b"%b %b\n" % (_hex(self._sent.mac(text)), text))
        except OSError as error:
            raise Broken("the connection to %s broke: %s" % (self.who, error)) from error

    def receive(self) -> list[Message]:
        """The messages that have arrived. Raises Broken."""
        try:
            messages = [self._opened(line) for line in self._pieces.receive()]
        except EOFError as error:
            raise Broken("%s has ended" % self.who) from error
        except OSError as error:
            raise Broken("the connection to %s broke: %s" % (self.who, error)) from error
        except ValueError as error:
            raise Broken("%s: unexpected protocol" % self.who) from error
        self.heard = time.monotonic()
        return messages

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()

    def _opened(self, line: bytes) -> Message:
        mac, _blank, text = line.partition(b" ")
        if not handshake.same(mac, _hex(self._received.mac(text))):
            raise ValueError("it is not of %s" % self.who)
        return message_of(text)


def call(
    address: tuple[str, int],
    who: str,
    secret: bytes,
    hello: t.Mapping[str, t.Any],
    about: bytes,
) -> Line:
    """Call a peer, and return the line once both ends have proven themselves.

    hello: what the caller says of itself; about: what both ends prove. Raises OSError and
    ValueError.
    """
    connection = socket.create_connection(address, HANDSHAKE)
    until = time.monotonic() + HANDSHAKE
    try:
        nonce = handshake.nonce().hex()
        challenge = str(_read_message(connection, until).get("nonce"))
        context = challenge.encode(), nonce.encode(), about
        proof = handshake.proof(secret, WORKER, *context).hex()
        connection.sendall(line_of({"say": "hello", **hello, "nonce": nonce, "proof": proof}))
        answer = str(_read_message(connection, until).get("proof"))
        if not handshake.same(answer.encode(), _hex(handshake.proof(secret, HEAD, *context))):
            raise ValueError("it does not know the secret")
    except BaseException:
        connection.close()
        raise
    seals = handshake.Seal(secret, WORKER, *context), handshake.Seal(secret, HEAD, *context)
    return Line(connection, who, seals, {})


def _read_message(connection: socket.socket, until: float) -> Message:
    """One message and not a byte more. until: by time.monotonic. Raises OSError and ValueError."""
    line = b""
    while not line.endswith(b"\n"):
        connection.settimeout(max(until - time.monotonic(), 0.001))
        byte = connection.recv(1)
        if not byte:
            raise OSError("it closes the connection")
        line += byte
        if len(line) > LONGEST or time.monotonic() > until:
            raise OSError("it does not answer as a peer")
    return message_of(line)


class Caller(t.NamedTuple):
    """What a hello has to be proven by, and whose it is: see Gate."""

    who: str
    secret: bytes
    about: bytes


class Stranger:
    """A connection that has proven nothing yet. until: when it is closed."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        self.socket = connection
        self.address = address
        self.until = time.monotonic() + HANDSHAKE
        self.nonce = handshake.nonce().hex()
        self._pieces = Pieces(connection)
        # Nobody waits for a stranger.
        connection.setblocking(False)

    def challenge(self) -> None:
        """Raises OSError."""
        self.socket.sendall(line_of({"say": "challenge", "nonce": self.nonce}))

    def hello(self) -> Message:
        """Its hello, empty until that is complete. Raises OSError, EOFError and ValueError."""
        lines = self._pieces.receive()
        if not lines:
            return {}
        if len(lines) > 1 or self._pieces.rest:
            raise ValueError("more than a hello")
        return message_of(lines[0])


class Gate:
    """The end that is called. Nothing that a stranger does ends anything but its own connection.

    known: whose a hello is; it raises any exception for one that is nobody's.
    """

    def __init__(self, known: t.Callable[[Message], Caller]) -> None:
        self._known = known
        self._listener: socket.socket | None = None
        self._strangers: list[Stranger] = []

    @property
    def is_open(self) -> bool:
        return self._listener is not None

    def open(self, address: str, port: int) -> None:
        """Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        self._listener = listener

    def close(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        for stranger in self._strangers[:]:
            self._drop(stranger)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Register what may have something to read, and close whoever has been too slow."""
        now = time.monotonic()
        for stranger in [one for one in self._strangers if now > one.until]:
            self._drop(stranger)
        if self._listener:
            selector.register(self._listener, selectors.EVENT_READ, self)
        for stranger in self._strangers:
            selector.register(stranger.socket, selectors.EVENT_READ, stranger)

    def ready(self, what: object) -> Line | None:
        """A new peer, if what is ready (as of watch) has made one."""
        if what is self:
            self._accept()
        elif isinstance(what, Stranger) and what in self._strangers:
            return self._identified(what)
        return None

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            connection, address = self._listener.accept()
        except OSError:
            return
        stranger = Stranger(connection, str(address[0]))
        self._strangers.append(stranger)
        try:
            stranger.challenge()
        except OSError:
            self._drop(stranger)
        self._make_room(stranger.address)

    def _make_room(self, address: str) -> None:
        """Close the oldest connection of an address that has too many."""
        addresses = [one.address for one in self._strangers]
        if addresses.count(address) <= PER_ADDRESS and len(addresses) > STRANGERS:
            address = max(addresses, key=addresses.count)
        elif addresses.count(address) <= PER_ADDRESS:
            return
        self._drop(self._strangers[addresses.index(address)])

    def _drop(self, stranger: Stranger) -> None:
        self._strangers.remove(stranger)
        stranger.socket.close()

    def _identified(self, stranger: Stranger) -> Line | None:
        """The line of a stranger whose hello proves who it is; any other one is closed."""
        try:
            hello = stranger.hello()
            line = self._welcome(stranger, hello) if hello else None
        except Exception:  # of text that anybody may have sent
            self._drop(stranger)
            return None
        if line:
            self._strangers.remove(stranger)
        return line

    def _welcome(self, stranger: Stranger, hello: Message) -> Line:
        """Raises any exception for one that does not prove itself."""
        if hello["say"] != "hello":
            raise ValueError("not a hello")
        caller = self._known(hello)
        context = stranger.nonce.encode(), hello["nonce"].encode(), caller.about
        expected = _hex(handshake.proof(caller.secret, WORKER, *context))
        if not handshake.same(hello["proof"].encode(), expected):
            raise ValueError("it does not know the secret")
        proof = handshake.proof(caller.secret, HEAD, *context).hex()
        stranger.socket.sendall(line_of({"say": "welcome", "proof": proof}))
        seals = (
            handshake.Seal(caller.secret, HEAD, *context),
            handshake.Seal(caller.secret, WORKER, *context),
        )
        return Line(stranger.socket, caller.who, seals, hello)


def _hex(data: bytes) -> bytes:
    return data.hex().encode()
