# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays out what no hub would send, from the tiny model of a lab's node: ``first`` or ``other``.

On both: a model without recipe, in two shards. On the first also one whose download was given up, a
fine-tune in a directory with a blank in its name, two quantisations of GGUF.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

HUB = Path("/ai/cache/huggingface/hub")
TINY = next((HUB / "models--dgxspark--tiny-qwen3" / "snapshots").iterdir())
OWN = Path("/ai/models")


def add(repo: str, files: dict[str, bytes], revision: str) -> Path:
    """Place files as huggingface_hub does; the model's directory."""
    folder = HUB / ("models--" + repo.replace("/", "--"))
    snapshot = folder / "snapshots" / revision
    for part in (snapshot, folder / "blobs", folder / "refs"):
        part.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        blob = hashlib.sha256(data).hexdigest()
        (folder / "blobs" / blob).write_bytes(data)
        (snapshot / name).symlink_to("../../blobs/" + blob)
    (folder / "refs" / "main").write_text(revision)
    return folder


def main(node: str) -> None:
    tiny = {path.name: path.read_bytes() for path in TINY.iterdir()}
    config = {name: data for name, data in tiny.items() if name != "model.safetensors"}
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}).encode()
    sharded = {**config, "model.safetensors.index.json": index}
    add("lab/sharded", {**sharded, **{name: name.encode() * 999 for name in shards}}, "a" * 40)
    if node == "other":
        return
    half = add("lab/half", {**sharded, shards[0]: b"w"}, "c" * 40)
    partial = half / "blobs" / ("f" * 64 + ".0a1b2c3d.incomplete")
    partial.write_bytes(b"x" * 5000)
    os.utime(partial, (1, 1))
    tune = OWN / "my tune"
    tune.mkdir(parents=True)
    for name, data in tiny.items():
        (tune / name).write_bytes(data)
    shutil.rmtree(OWN / "gguf", ignore_errors=True)
    (OWN / "gguf").mkdir()
    for quant, size in (("Q4_K_M", 4000), ("Q8_0", 8000)):
        (OWN / "gguf" / f"tiny-{quant}.gguf").write_bytes(b"GGUF" * (size // 4))


if __name__ == "__main__":
    main(sys.argv[1])
