# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launchers on nodes with systemd: real vLLM and real Ray from the virtual environment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lab import on_node

COMMAND = "/opt/dgxspark/bin/dgxspark"
WORKLOADS = "/etc/dgxspark/workloads"
PATHS = "/etc/dgxspark/paths.env"
TINY = """\
MODEL=dgxspark/tiny-qwen3
HOST=127.0.0.1
PORT=8100
ARG=--max-model-len
ARG=256
ARG=--dtype
ARG=float32
ARG=--enforce-eager
HF_HOME=/ai/cache/huggingface
HF_HUB_OFFLINE=1
VLLM_CPU_KVCACHE_SPACE=1
"""
ASK = (
    "curl --silent --max-time 60 http://127.0.0.1:8100/v1/completions"
    " --header 'Content-Type: application/json'"
    ' --data \'{"model": "dgxspark/tiny-qwen3", "prompt": "a", "max_tokens": 2}\' || true'
)


def status(node: str, name: str) -> dict[str, Any]:
    return dict(json.loads(on_node(node, f"{COMMAND} status --json {name}"))[0])


def wait(seconds: float, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not within %g s" % seconds
        time.sleep(1)


@pytest.fixture
def workload() -> Iterator[Callable[[str, str], None]]:
    names = []

    def written(name: str, text: str) -> None:
        names.append(name)
        script = f"install -d {WORKLOADS}; cat >{WORKLOADS}/{name}.env <<'END'\n{text}END"
        on_node("spark1", script)

    yield written
    for name in names:
        on_node("spark1", f"{COMMAND} stop {name}; rm {WORKLOADS}/{name}.env")


def test_a_model_is_served_and_comes_back_after_a_crash(
    workload: Callable[[str, str], None],
) -> None:
    workload("tiny", TINY)
    on_node("spark1", f"{COMMAND} serve tiny")
    wait(240, lambda: '"text_completion"' in on_node("spark1", ASK))
    served = status("spark1", "tiny")
    assert (served["state"], served["restarts"]) == ("active", 0)
    assert "Application startup complete" in on_node("spark1", f"{COMMAND} logs tiny")
    command = on_node("spark1", f"tr '\\0' ' ' </proc/{served['pid']}/cmdline")
    assert "/opt/ai-tools/vllm-env/bin/" in command
    assert on_node("spark1", f"ps -o user= -p {served['pid']}").strip() == "dgxspark"
    on_node("spark1", f"kill -KILL {served['pid']}")
    wait(60, lambda: status("spark1", "tiny")["restarts"] == 1)
    on_node("spark1", f"{COMMAND} stop tiny")
    assert status("spark1", "tiny")["state"] == "inactive"


def test_what_cannot_be_started_says_why_and_is_not_tried_again(
    workload: Callable[[str, str], None],
) -> None:
    workload("lost", "PORT=8101\n")
    on_node("spark1", f"{COMMAND} serve lost")
    wait(20, lambda: status("spark1", "lost")["state"] == "failed")
    assert status("spark1", "lost")["restarts"] == 0
    assert "MODEL is not set in" in on_node("spark1", f"{COMMAND} logs lost")


@pytest.mark.long
def test_a_crash_loop_ends(workload: Callable[[str, str], None]) -> None:
    workload("loop", TINY)
    on_node("spark1", f"cp {PATHS} /run/paths.env; echo VLLM_BIN=/bin/false >>{PATHS}")
    try:
        on_node("spark1", f"{COMMAND} serve loop || true")
        wait(90, lambda: status("spark1", "loop")["state"] == "failed")
        assert status("spark1", "loop")["restarts"] == 3
    finally:
        on_node("spark1", f"cat /run/paths.env >{PATHS}")


def test_ray_forms_over_two_nodes_whichever_starts_first() -> None:
    on_node("spark2", f"{COMMAND} serve ray-worker")
    on_node("spark1", f"{COMMAND} serve ray-head")
    try:
        ask = (
            "set -a; . /etc/dgxspark/ray.env;"
            " /opt/ai-tools/vllm-env/bin/ray status --address $RAY_HEAD_ADDRESS:6379 2>&1 || true"
        )
        wait(120, lambda: on_node("spark1", ask).count(" 1 node_") == 2)
        without = ask.replace("/opt", "RAY_AUTH_MODE=disabled /opt")
        assert " 1 node_" not in on_node("spark1", without)
        assert status("spark2", "ray-worker")["state"] == "active"
    finally:
        on_node("spark2", f"{COMMAND} stop ray-worker")
        on_node("spark1", f"{COMMAND} stop ray-head")


def test_systemd_has_nothing_to_say_about_the_units() -> None:
    said = on_node("spark1", "systemd-analyze verify /etc/systemd/system/dgxspark-*.service 2>&1")
    assert [line for line in said.splitlines() if "dgxspark" in line] == []
