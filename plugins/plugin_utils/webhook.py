# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed messages to receivers over HTTP, tried again when they do not arrive.

Run as a program it does the latter by itself: what to send comes as JSON on its standard input, so
that the secret is in no list of processes, and the first outcome goes to its standard output.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

# Seconds before each further attempt.
BACKOFF = (2, 8, 30, 120, 300)
TIMEOUT = 10  # seconds for one attempt
# What a receiver answers that another attempt does not change; 408 and 429 ask for one.
_ASK_AGAIN = (408, 429)


class Refused(Exception):
    """The receiver does not want it, and will not later."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message is signed for one receiver."""

    def redirect_request(self, *_args: Any) -> None:
        return None


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What proves that somebody who knows the secret wrote this body at that time."""
    signed = b"%d." % timestamp + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def headers(event: str, delivery: str, secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "dgxspark.suite",
        "X-Dgxspark-Event": event,
        "X-Dgxspark-Delivery": delivery,
        "X-Dgxspark-Timestamp": str(timestamp),
        "X-Dgxspark-Signature": signature(secret, timestamp, body),
    }


def post(url: str, body: bytes, sent: Mapping[str, str]) -> None:
    """One attempt. Raises Refused, and OSError or HTTPException for what may be tried again."""
    request = urllib.request.Request(url, body, dict(sent))
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code not in _ASK_AGAIN:
            raise Refused(f"it answers {error.code}") from error
        raise


def deliver(
    message: Mapping[str, Any],
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    attempt: Callable[[str, bytes, Mapping[str, str]], None] = post,
) -> bool:
    """Try until it has arrived, is refused, or patience ends. True if it has arrived.

    message: maps `url`, `event`, `delivery`, `secret`, `body`. tell: is given the outcome of the
    first attempt: "delivered", or what went wrong.
    """
    body = str(message["body"]).encode()
    for number, pause in enumerate((0, *BACKOFF)):
        sleep(pause)
        # Signed anew each time, so that a late arrival is not taken for a replay.
        sent = headers(
            message["event"], message["delivery"], message["secret"], int(time.time()), body
        )
        outcome, final = "delivered", True
        try:
            attempt(message["url"], body, sent)
        except Refused as error:
            outcome = f"not delivered: {error}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome, final = f"not delivered yet, tried again: {error}", False
        if number == 0:
            tell(outcome)
        if final:
            return outcome == "delivered"
    return False


def main() -> int:
    message = json.load(sys.stdin)

    def tell(outcome: str) -> None:
        print(" ".join(outcome.split()), flush=True)
        sys.stdout.close()

    return 0 if deliver(message, tell) else 1


if __name__ == "__main__":
    raise SystemExit(main())
