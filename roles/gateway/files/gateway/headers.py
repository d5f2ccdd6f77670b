# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which headers pass. Pure.

Lists of what passes, and not of what does not: credentials, cookies and what concerns one
connection only (RFC 9110, 7.6.1) stay out whatever they are named.
"""

from __future__ import annotations

from collections.abc import Iterable

_TO_SERVER = frozenset(
    {
        "accept",
        "accept-encoding",
        "anthropic-beta",
        "anthropic-version",
        "openai-beta",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-request-id",
    }
)
_TO_CLIENT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "retry-after",
        "x-request-id",
    }
)


def to_server(given: Iterable[tuple[str, str]], content_type: str, key: str) -> dict[str, str]:
    """Those of a request. content_type: of its body, empty for none. key: of the server."""
    passed = {name: value for name, value in given if name.lower() in _TO_SERVER}
    if content_type:
        passed["Content-Type"] = content_type
    if key:
        passed["Authorization"] = "Bearer " + key
    return passed


def to_client(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those of an answer."""
    return {name: value for name, value in given if name.lower() in _TO_CLIENT}
