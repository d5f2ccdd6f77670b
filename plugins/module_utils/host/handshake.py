# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""How the two ends of a connection prove to each other that they know a secret, without sending it.

Each end sends a nonce, and a proof over both nonces. A proof names the role of the end that makes
it, so that it is of no use to the other end. What an end sends afterwards has a MAC.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

# Bytes of a nonce, and of a proof or a MAC.
NONCE = 32
MAC = 32


def nonce() -> bytes:
    """Random, for one connection."""
    return secrets.token_bytes(NONCE)


def proof(secret: bytes, role: str, *context: bytes) -> bytes:
    """The proof of the end that has this role. context: both nonces, and what both agree on."""
    parts = (role.encode(), *context)
    data = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return hmac.new(secret, data, hashlib.sha256).digest()


def same(given: bytes, expected: bytes) -> bool:
    """Whether a proof or a MAC is the expected one, in a time that does not depend on it."""
    return hmac.compare_digest(given, expected)


class Seal:
    """The MACs of what the end of this role sends, in the order in which it sends it."""

    def __init__(self, secret: bytes, role: str, *context: bytes) -> None:
        self._key = proof(secret, "seal of " + role, *context)
        self._count = 0

    def mac(self, data: bytes) -> bytes:
        """The MAC of what is sent next; nothing can be left out, repeated or moved."""
        self._count += 1
        code = hmac.new(self._key, b"%d:" % self._count, hashlib.sha256)
        code.update(data)
        return code.digest()
