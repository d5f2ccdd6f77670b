# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The holder of an IPv4 address on a link: ARP probes (RFC 5227), which change no ARP table."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress

_ARP = 0x0806
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_BROADCAST, _NOBODY = b"\xff" * 6, b"\0" * 6


def who_has(
    asked: Iterable[tuple[str, str, str]], timeout: float = 0.4
) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """(interface, address) -> the MACs that answer for it, for each (interface, its MAC, address).

    Waits timeout seconds. Raises PermissionError without root; an interface that is down or removed
    has no answers.
    """
    answers: dict[tuple[str, str], set[str]] = {}
    with ExitStack() as stack:
        sockets: dict[str, socket.socket] = {}
        for interface, mac, address in asked:
            answers[interface, address] = set()
            if interface not in sockets:
                opened = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
                with suppress(OSError):  # gone
                    opened.bind((interface, _ARP))
                    sockets[interface] = opened
            with suppress(OSError, KeyError):  # down, or gone
                sockets[interface].send(probe(mac, address))
        deadline = time.monotonic() + timeout
        names = {opened.fileno(): name for name, opened in sockets.items()}
        while sockets and time.monotonic() < deadline:
            left = max(0.0, deadline - time.monotonic())
            for opened in select.select(list(sockets.values()), [], [], left)[0]:
                try:
                    answer = parse(opened.recv(2048))
                except OSError:  # it went down meanwhile
                    sockets.pop(names[opened.fileno()])
                    continue
                key = (names[opened.fileno()], answer[0])
                if key in answers:
                    answers[key].add(answer[1])
    return {key: tuple(sorted(macs)) for key, macs in answers.items()}


def probe(mac: str, address: str) -> bytes:
    """An ARP probe, without a sender address."""
    own = bytes.fromhex(mac.replace(":", ""))
    head = (_BROADCAST, own, _ARP, 1, 0x0800, 6, 4, _REQUEST)
    return _FRAME.pack(*head, own, b"\0" * 4, _NOBODY, socket.inet_aton(address))


def parse(frame: bytes) -> tuple[str, str]:
    """(address, MAC) of an answer; empty texts for any other frame."""
    if len(frame) < _FRAME.size:
        return "", ""
    fields = _FRAME.unpack_from(frame)
    if fields[2] != _ARP or fields[7] != _REPLY:
        return "", ""
    return socket.inet_ntoa(fields[9]), ":".join("%02x" % byte for byte in fields[8])
