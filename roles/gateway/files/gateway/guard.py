# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask: keys of clients, names of the gateway, requests of foreign pages. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping

from gateway.addresses import is_private
from gateway.errors import Refusal


def check(headers: Mapping[str, str], hosts: Collection[str], keys: Collection[str]) -> None:
    """Raises Refusal for a request that is not answered. headers: whatever the case of a name."""
    host = headers.get("Host", "").lower()
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    # A page that has its own name point here (DNS rebinding) asks for that name.
    if not (name == "localhost" or is_private(name) or name in hosts):
        raise Refusal(
            421, "unknown_host", "this gateway has no such name; see dgxspark_gateway_hosts"
        )
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Refusal(403, "cross_site", "requests of pages of other sites are not answered")
    if keys and not _known(_key(headers), keys):
        raise Refusal(401, "invalid_api_key", "the API key is missing or wrong")


def _key(headers: Mapping[str, str]) -> str:
    """As OpenAI's and Anthropic's libraries send it."""
    scheme, _blank, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("X-Api-Key", "")


def _known(key: str, keys: Collection[str]) -> bool:
    found = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    return any(hmac.compare_digest(found, one) for one in keys)
