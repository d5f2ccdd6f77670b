# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed HTTP messages, retried until they are delivered.

Run as a program, it reads the message as JSON from its standard input, so that the secret is in no
list of processes, and prints the outcome of the first attempt, with `wait` that of the last.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import queue
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

# Seconds before each further attempt.
BACKOFF = (2, 8, 30, 120, 300)
TIMEOUT = 10  # seconds for one attempt
LONGEST = sum(BACKOFF) + (len(BACKOFF) + 1) * TIMEOUT + 5  # seconds for all attempts
# Client errors that are retried; all others are final.
_ASK_AGAIN = (408, 429)


class WebhookRefused(Exception):
    """The receiver has refused the message for good."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a message is signed for one receiver."""

    def redirect_request(self, *_args: Any) -> None:
        return None


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The signature of a body and its time under the shared secret."""
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
    """One attempt, of TIMEOUT seconds at most.

    Raises WebhookRefused, and OSError, HTTPException or ValueError for what may be retried.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise WebhookRefused("its URL is neither http nor https")
    outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            _post(url, body, sent)
            outcomes.put(None)
        except Exception as error:  # raised where it is waited for
            outcomes.put(error)

    # The time limit of a socket is for one read; this one is for the name, TLS and all reads.
    threading.Thread(target=attempt, daemon=True).start()
    try:
        problem = outcomes.get(timeout=TIMEOUT)
    except queue.Empty:
        raise TimeoutError(f"no answer within {TIMEOUT} s") from None
    if problem:
        raise problem


def _post(url: str, body: bytes, sent: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, body, dict(sent))
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code not in _ASK_AGAIN:
            raise WebhookRefused(f"the receiver answers {error.code}") from error
        raise


def deliver(
    message: Mapping[str, Any],
    report: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    attempt: Callable[[str, bytes, Mapping[str, str]], None] = post,
) -> bool:
    """Retry until the message is delivered, refused, or out of attempts; whether it is delivered.

    message: maps `url`, `event`, `delivery`, `secret`, `body`. report: gets the outcome of the
    first attempt, or of the last if message has `wait`: "delivered" or what went wrong.
    """
    body = str(message["body"]).encode()
    for number, pause in enumerate((0, *BACKOFF)):
        sleep(pause)
        # Each attempt is signed with its own time, so that a late one is not taken for a replay.
        sent = headers(
            message["event"], message["delivery"], message["secret"], int(time.time()), body
        )
        outcome, final = "delivered", True
        try:
            attempt(message["url"], body, sent)
        except WebhookRefused as error:
            outcome = f"not delivered: {error}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome, final = f"not delivered yet, retried: {error}", False
        last = number == len(BACKOFF)
        if last and not final:
            outcome = outcome.replace("yet, retried:", f"after {number + 1} attempts:")
        if final or last if message.get("wait") else number == 0:
            report(outcome)
        if final:
            return outcome == "delivered"
    return False


def main() -> int:
    message = json.load(sys.stdin)

    def report(outcome: str) -> None:
        print(" ".join(outcome.split()), flush=True)
        sys.stdout.close()

    return 0 if deliver(message, report) else 1


if __name__ == "__main__":
    raise SystemExit(main())
