# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long model_info takes for a thousand models: ``python tests/benchmarks/bench_model_info.py``.

Builds them in a temporary directory in the layout of huggingface_hub, and prints the median
duration of the module as a node runs it, in seconds.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = 1000
RUNS = 5
SHARDS = 4
MODULE = "ansible_collections.dgxspark.suite.plugins.modules.model_info"

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "torch_dtype": "bfloat16",
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "hidden_size": 2048,
    "num_experts": 128,
    "max_position_embeddings": 262144,
}


def build(hub: Path) -> None:
    """A thousand mixture-of-experts models of four shards, with an index of 2,000 tensors each."""
    shards = [f"model-{number + 1:05}-of-{SHARDS:05}.safetensors" for number in range(SHARDS)]
    names = {f"model.layers.{n // 40}.mlp.{n % 40}.weight": shards[n % SHARDS] for n in range(2000)}
    index = json.dumps({"metadata": {"total_size": 100}, "weight_map": names}).encode()
    for number in range(MODELS):
        folder = hub / f"models--org--model-{number:04}"
        revision = hashlib.sha1(str(number).encode()).hexdigest()
        snapshot = folder / "snapshots" / revision
        for part in (snapshot, folder / "blobs", folder / "refs"):
            part.mkdir(parents=True)
        (folder / "refs" / "main").write_text(revision)
        files = {name: f"{number} {name}".encode() * 100 for name in shards}
        files["config.json"] = json.dumps({**CONFIG, "number": number}).encode()
        files["model.safetensors.index.json"] = index
        for extra in ("tokenizer", "tokenizer_config", "generation_config"):
            files[f"{extra}.json"] = extra.encode()
        for name, data in files.items():
            blob = hashlib.sha256(data).hexdigest()
            (folder / "blobs" / blob).write_bytes(data)
            (snapshot / name).symlink_to(f"../../blobs/{blob}")


def median(name: str, run: list[str], given: bytes) -> None:
    took = []
    for _number in range(RUNS):
        started = time.perf_counter()
        done = subprocess.run(run, input=given, capture_output=True, check=True)
        took.append(time.perf_counter() - started)
    models = json.load(io.BytesIO(done.stdout)).get("models", [])
    complete = sum(1 for model in models if model["complete"])
    print(f"{name}: median {statistics.median(took):.2f} s of {RUNS}, {complete} complete models")


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        build(Path(home) / "hub")
        arguments = {"ANSIBLE_MODULE_ARGS": {"hf_home": home, "directories": []}}
        # As AnsiballZ on a node, without unpacking.
        text = (
            "import json, sys; from ansible.module_utils import basic;"
            "basic._ANSIBLE_ARGS = sys.stdin.buffer.read(); basic._ANSIBLE_PROFILE = 'legacy';"
            f"from {MODULE} import main; main()"
        )
        os.environ.pop("PYTHONUNBUFFERED", None)
        given = json.dumps(arguments).encode()
        median(f"model_info, {MODELS} models", [sys.executable, "-c", text], given)


if __name__ == "__main__":
    main()
