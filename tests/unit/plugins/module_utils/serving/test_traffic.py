# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What /metrics of vLLM shows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.traffic import (
    Traffic,
    in_flight,
    parse,
)

TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="lab-tiny"} 2.0
vllm:num_requests_running{engine="1",model_name="a } b \\" {"} 1.0 1395066363000
vllm:num_requests_waiting{engine="0",model_name="lab-tiny"} 7.0
vllm:prompt_tokens_total{engine="0",model_name="lab-tiny"} 1.2e+03
vllm:prompt_tokens_created{engine="0",model_name="lab-tiny"} 1.7e+09
vllm:generation_tokens_total{engine="0",model_name="lab-tiny"} 34.0
"""


def test_samples_of_all_engines_are_added() -> None:
    assert parse(TEXT) == Traffic(3.0, 1234.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "vllm:num_requests_running",
        "vllm:num_requests_running{engine=",
        "vllm:num_requests_running NaN",
        "vllm:num_requests_running +Inf",
        "vllm:num_requests_running_max 3",
        "# vllm:num_requests_running 3",
    ],
)
def test_other_text_has_no_traffic(text: str) -> None:
    assert parse(text) == Traffic()


@settings(deadline=None)
@given(st.text() | st.text().map(lambda text: "vllm:num_requests_running" + text))
def test_any_text_is_read(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(
    ("first", "second", "asking", "said"),
    [
        (None, None, False, ""),
        (Traffic(), Traffic(), False, ""),
        (Traffic(0, 5), Traffic(0, 5), False, ""),
        (Traffic(1, 5), None, False, "1 requests are running"),
        (None, Traffic(2, 5), False, "2 requests are running"),
        (Traffic(0, 5), Traffic(0, 9), False, "4 tokens more within the probe"),
        (Traffic(0, 0), Traffic(0, 9), False, "9 tokens more within the probe"),
        # A restart resets the counter.
        (Traffic(0, 9), Traffic(0, 5), False, ""),
        # One of those that run is the request of the probe itself.
        (Traffic(1, 5), Traffic(1, 5), True, ""),
        (Traffic(1, 5), Traffic(1, 6), True, "1 tokens more within the probe"),
    ],
)
def test_requests_or_new_tokens_show_work(
    first: Traffic | None, second: Traffic | None, asking: bool, said: str
) -> None:
    assert in_flight(first, second, asking) == said
