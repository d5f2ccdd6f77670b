# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until every expected node has joined the Ray cluster, or say which one has not.

Runs inside the head's container, before the server: `python3 -c <this file> SECONDS ADDRESS...`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
import typing as t


def missing(nodes: list[dict[str, object]], expected: list[str]) -> list[str]:
    """The expected addresses without a living node; nodes: what ray.nodes() returns."""
    joined = {node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    return [address for address in expected if address not in joined]


def ignores_token(version: str) -> bool:
    """Whether this Ray was given a token and does not ask for it, as when a mod has replaced it."""
    numbers = tuple(map(int, re.findall(r"[0-9]+", version)[:2]))
    return os.environ.get("RAY_AUTH_MODE") == "token" and numbers < (2, 52)


def say(text: str, stream: t.TextIO) -> None:
    stream.write(f"dgxspark: {text}\n")
    stream.flush()


def main(argv: list[str]) -> int:
    seconds, expected = float(argv[0]), argv[1:]
    ray = importlib.import_module("ray")
    if ignores_token(ray.__version__):
        say(f"Ray {ray.__version__} ignores the token; 2.52 or later is needed", sys.stderr)
        return 1
    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    deadline = time.monotonic() + seconds
    reported = None
    while True:
        absent = missing(ray.nodes(), expected)
        if not absent:
            say(f"all {len(expected)} nodes have joined Ray", sys.stdout)
            return 0
        if time.monotonic() >= deadline:
            say(
                f"after {seconds:g} s not in the Ray cluster: {', '.join(absent)}. See the log of "
                "the container there, and whether that node reaches this one",
                sys.stderr,
            )
            return 1
        if absent != reported:
            say(f"waiting for {', '.join(absent)} to join Ray", sys.stdout)
            reported = absent
        time.sleep(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
