# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in the shapes that the clients' libraries read. Pure."""

from __future__ import annotations

from typing import Any

# The requests of Anthropic's library, which reads another shape.
MESSAGES = "/v1/messages"
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    503: "overloaded_error",
}


def plain(text: str) -> str:
    """What a server says, on one line and not long."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:300])


class Refusal(Exception):
    """A request that the gateway answers itself.

    code: for programs. retry_after: seconds, 0 for none. param: the field that is wrong.
    """

    def __init__(
        self, status: int, code: str, message: str, retry_after: int = 0, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.param = param


def body(refusal: Refusal, path: str) -> dict[str, Any]:
    """The JSON of an error, in the shape of the path's library."""
    status = refusal.status
    if path == MESSAGES:
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": refusal.message}}
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {
        "error": {
            "message": refusal.message,
            "type": kind,
            "param": refusal.param,
            "code": refusal.code,
        }
    }


def headers(refusal: Refusal) -> dict[str, str]:
    return {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
