# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the gateway, which its role writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.addresses import is_private

_HASH = re.compile(r"[0-9a-f]{64}")
_MIB = 1 << 20


class ConfigError(Exception):
    """Settings that cannot be used, and why."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bind: the IP address to listen on. endpoints: path of the file of services. allowed: the
    addresses of the inventory. hosts: names under which clients may ask for it. keys: SHA-256 of
    the keys of clients, in hexadecimal digits; empty for no keys. upstream_keys: service -> the key
    of its server. aliases: another name of a model -> a model, a service, or "*KIND". spool: the
    folder for large forms. swaps: the folder in which guards of this machine publish their swaps.
    """

    bind: str
    port: Annotated[int, Meta(ge=1, le=65535)]
    endpoints: str
    allowed: frozenset[str]
    hosts: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    upstream_keys: dict[str, str] = {}
    aliases: dict[str, str] = {}
    spool: str = "/tmp"
    swaps: str = "/run/dgxspark/swaps"
    body_mib: Annotated[int, Meta(ge=1, le=1024)] = 32
    audio_mib: Annotated[int, Meta(ge=1, le=4096)] = 200
    # Of all requests at once.
    memory_mib: Annotated[int, Meta(ge=1)] = 128
    spool_mib: Annotated[int, Meta(ge=1)] = 2048

    @property
    def body_bytes(self) -> int:
        return self.body_mib * _MIB

    @property
    def audio_bytes(self) -> int:
        return self.audio_mib * _MIB


def read(path: Path) -> Config:
    """Raises ConfigError, OSError."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=Config)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigError("%s: %s" % (path, error)) from None
    if not is_private(config.bind):
        raise ConfigError(
            "bind is %r, expected 127.0.0.1 or a private IP address of this machine" % config.bind
        )
    wrong = [key for key in config.keys if not _HASH.fullmatch(key)]
    if wrong:
        raise ConfigError("a key is not the SHA-256 of one in 64 hexadecimal digits")
    return config
