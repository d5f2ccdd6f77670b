# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is doing while it starts, from a line of its log. Pure.

The lines are those of vLLM (weight_utils, gpu_model_runner, backends), SGLang (model_runner,
cuda_graph_runner), llama.cpp and Ray; others have no stage.
"""

from __future__ import annotations

import re

# A progress bar has its numbers at its end: "25% Completed | 1/4 [00:03<00:09, 3.1s/it]".
_BAR = r".*?(\d{1,3})%.*?\b(\d{1,6})/(\d{1,6})\b"
_STAGES = (
    (re.compile(r"(?:checkpoint|safetensors|weight|pt).{0,20} shards:?" + _BAR, re.I), "shards"),
    (re.compile(r"captur\w* .{0,40}(?:graph|batches)" + _BAR, re.I), "graphs"),
    (
        re.compile(r"Starting to load model|Load weight begin|loading model tensors", re.I),
        "weights",
    ),
    (re.compile(r"Loading weights took|Load weight end|Model loading took", re.I), "loaded"),
    (re.compile(r"torch\.compile|Compiling a graph|Dynamo bytecode|inductor", re.I), "compiles"),
    (re.compile(r"autotun", re.I), "tunes"),
    (re.compile(r"captur\w* .{0,20}graph", re.I), "graph"),
    (re.compile(r"GPU KV cache size|KV Cache is allocated|llama_kv_cache", re.I), "cache"),
    (re.compile(r"nodes have joined Ray|Started a local Ray instance|ray start", re.I), "ray"),
    (re.compile(r"warm(?:ing)?[ _-]?up", re.I), "warms"),
)
_WORDS = {
    "weights": "loading weights",
    "loaded": "weights loaded, preparing the engine",
    "compiles": "compiling",
    "tunes": "tuning kernels",
    "graph": "capturing CUDA graphs",
    "cache": "allocating the KV cache",
    "ray": "the nodes meet in Ray",
    "warms": "warming up",
}
# A line may be as long as its author likes.
_LONGEST = 2000


def stage(line: str) -> str:
    """What the line says that the server does, in words; empty where it says nothing of it."""
    for pattern, name in _STAGES:
        match = pattern.search(line[:_LONGEST])
        if match is None:
            continue
        if name == "shards":
            return f"loading weights: {int(match[2])} of {int(match[3])} shards"
        if name == "graphs":
            return f"capturing CUDA graphs: {int(match[2])} of {int(match[3])}"
        return _WORDS[name]
    return ""


class ServerWords:
    """How far a server is, in one line; its stage stays until its log has the next one."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, phase: str, detail: str, last_log: str) -> str:
        """phase, detail: as of readiness.Look. last_log: the last line of its log."""
        self._stage = stage(last_log) or self._stage
        if phase == "healthy":
            return "healthy: asking for what it serves (a first completion may compile)"
        if phase == "refusing":
            return f"refusing: {detail}"
        if phase in ("starting", "loading") and self._stage:
            return f"{phase}: {self._stage}"
        return f"{phase}: {last_log[:100] or detail}"
