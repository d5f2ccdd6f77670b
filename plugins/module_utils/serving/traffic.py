# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a server works on requests, from the text of its /metrics. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

PATH = "/metrics"
# As vLLM names them; each has one sample per engine and model.
RUNNING = "vllm:num_requests_running"
TOKENS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")

# NAME{LABELS} VALUE TIMESTAMP. A value of a label may contain braces and escaped quotes.
_SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?[ \t]+([^ \t]+)'
    r"(?:[ \t]+-?[0-9]+)?[ \t]*"
)


@dataclass(frozen=True)
class Traffic:
    """Requests that the engines run, and tokens since their start, sums of all samples.

    None where the text does not have it.
    """

    running: float | None = None
    tokens: float | None = None


def parse(text: str) -> Traffic:
    """The traffic in Prometheus text; other lines, and values that are not finite, are ignored."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith((RUNNING, *TOKENS)):
            continue
        sample = _SAMPLE.fullmatch(line)
        name = sample[1] if sample else ""
        if sample is None or name not in (RUNNING, *TOKENS):
            continue
        try:
            value = foreign.real(sample[2])
        except ValueError:
            continue
        key = RUNNING if name == RUNNING else "tokens"
        sums[key] = sums.get(key, 0.0) + value
    return Traffic(sums.get(RUNNING), sums.get("tokens"))


def in_flight(first: Traffic | None, second: Traffic | None = None, asking: bool = False) -> str:
    """What shows that the server works, for people; empty if nothing does.

    first, second: an earlier and a later answer, None where there was none. asking: a request of
    the caller is among those that run, so that only tokens count.
    """
    for answer in () if asking else (second, first):
        if answer and answer.running and answer.running > 0:
            return "%d requests are running" % answer.running
    before, after = (answer.tokens if answer else None for answer in (first, second))
    if before is not None and after is not None and after > before:
        return "%d tokens more within the probe" % (after - before)
    return ""
