# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a tiny llama of random weights, as GGUF in a hub's cache: ``make_model.py HF_HOME``."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quants

REPO = "dgxspark/tiny-llama-GGUF"
QUANTS = {"Q8_0": GGMLQuantizationType.Q8_0, "F16": GGMLQuantizationType.F16}
LAYERS, WIDTH, HEADS, HIDDEN, CONTEXT = 2, 64, 4, 128, 512
# A byte-level vocabulary of SentencePiece's kind: three tokens of control, and every byte.
VOCABULARY = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]


def make(path: Path, name: str) -> None:
    """Write one quantisation."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(VOCABULARY)
    writer.add_token_scores([0.0] * len(VOCABULARY))
    control = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    writer.add_token_types([*control, *[TokenType.BYTE] * 256])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    random = np.random.default_rng(0)

    def weight(label: str, *shape: int) -> None:
        data = random.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[-1])
        writer.add_tensor(label, quants.quantize(data, QUANTS[name]), raw_dtype=QUANTS[name])

    def norm(label: str) -> None:
        writer.add_tensor(label, np.ones(WIDTH, dtype=np.float32))

    weight("token_embd.weight", len(VOCABULARY), WIDTH)
    weight("output.weight", len(VOCABULARY), WIDTH)
    norm("output_norm.weight")
    for layer in range(LAYERS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weight(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        for part in ("ffn_gate", "ffn_up"):
            weight(f"blk.{layer}.{part}.weight", HIDDEN, WIDTH)
        weight(f"blk.{layer}.ffn_down.weight", WIDTH, HIDDEN)
        norm(f"blk.{layer}.attn_norm.weight")
        norm(f"blk.{layer}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def place(files: Path, hf_home: Path) -> None:
    """Lay files out as the hub's own cache: blobs by content, a snapshot of links, refs/main."""
    repo = hf_home / "hub" / ("models--" + REPO.replace("/", "--"))
    revision = hashlib.sha1(REPO.encode()).hexdigest()
    snapshot = repo / "snapshots" / revision
    for folder in (repo / "blobs", repo / "refs", snapshot):
        folder.mkdir(parents=True)
    for path in files.iterdir():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (repo / "blobs" / digest).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("../../blobs") / digest)
    (repo / "refs" / "main").write_text(revision)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for quant in QUANTS:
            make(Path(scratch) / f"tiny-llama-{quant}.gguf", quant)
        place(Path(scratch), Path(sys.argv[1]))
