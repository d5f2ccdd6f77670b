# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses the gateway listens on and connects to. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

# RFC 6598, which VPNs such as Tailscale use; Python does not call it private.
_SHARED = ipaddress.ip_network("100.64.0.0/10")


@lru_cache(maxsize=1024)
def is_private(text: str) -> bool:
    """Whether this is the IP address of one machine that the internet does not route."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return False
    return address.is_private or (address.version == 4 and address in _SHARED)


def problem_of(url: str, allowed: Collection[str]) -> str:
    """Why nothing is sent to this URL; empty if it is http://ADDRESS:PORT of an allowed address."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        return "expected http://ADDRESS:PORT"
    if not is_private(host):
        return "%s is not a private IP address" % (host[:60] or "its host")
    if host not in allowed:
        return "%s is not an address of the inventory" % host
    return ""
