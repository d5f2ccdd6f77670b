# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is doing while it starts, from lines as the servers print them."""

from __future__ import annotations

import time

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.load_progress import stage


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "(Worker pid=87) Loading safetensors checkpoint shards:  25% Completed | 1/4 "
            "[00:03<00:09,  3.12s/it]",
            "loading weights: 1 of 4 shards",
        ),
        (
            "Loading pt checkpoint shards: 100% Completed | 3/3 [00:01<00:00]",
            "loading weights: 3 of 3 shards",
        ),
        ("Multi-thread loading shards:  50% Completed | 8/16 [00:10<00:10]", ""),
        (
            "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  40%|####   | 14/35 [0:02",
            "capturing CUDA graphs: 14 of 35",
        ),
        (
            "Capturing batches (bs=160 avail_mem=9.04 GB):  10%|#   | 2/20",
            "capturing CUDA graphs: 2 of 20",
        ),
        (
            "INFO 11-27 11:34:40 [gpu_model_runner.py:916] Starting to load model /m...",
            "loading weights",
        ),
        (
            "INFO [default_loader.py:308] Loading weights took 12.31 seconds",
            "weights loaded, preparing the engine",
        ),
        ("INFO [backends.py:700] Compiling a graph for dynamic shape takes 42.00 s", "compiling"),
        ("INFO [monitor.py:34] torch.compile takes 61.12 s in total", "compiling"),
        (
            "INFO [kv_cache_utils.py:1087] GPU KV cache size: 1,234,560 tokens",
            "allocating the KV cache",
        ),
        ("load_tensors: loading model tensors, this can take a while...", "loading weights"),
        ("common_init_from_params: warming up the model with an empty run", "warming up"),
        ("dgxspark: all 2 nodes have joined Ray", "the nodes meet in Ray"),
        ("[AutoTuner]: Autotuning process starts ...", "tuning kernels"),
        ("(RayWorkerProc pid=209)   wrapper = lookup(vars(value).get('kernel'))", ""),
        ("", ""),
    ],
)
def test_a_line_of_a_log_names_a_stage_or_none(line: str, expected: str) -> None:
    assert stage(line) == expected


def test_a_line_that_is_made_to_be_slow_is_not() -> None:
    started = time.process_time()
    for line in ("capturing " * 100_000, "shards 1% " * 100_000, "%" * 1_000_000):
        stage(line)
    assert time.process_time() - started < 5
