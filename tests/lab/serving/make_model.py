# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes two tiny Qwen3 of random weights in a Hugging Face cache: ``make_model.py HF_HOME``."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

# Repository -> layers; two, so that one can take the place of the other.
MODELS = {"dgxspark/tiny-qwen3": 2, "dgxspark/tiny-qwen3-deep": 3}
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
WORDS = [
    "two sparks serve one model together",
    "hello world, this is a tiny test model",
    "ray vllm node rank",
]


def make(target: Path, layers: int) -> None:
    """Write config, weights (float32, seeded) and a byte-level BPE tokenizer to ``target``."""
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(WORDS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(target)

    torch.manual_seed(0)
    Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=512,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=512,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).save_pretrained(target)


def place(files: Path, hf_home: Path, name: str) -> None:
    """Lay files out as the hub's own cache: blobs by content, a snapshot of links, refs/main."""
    repo = hf_home / "hub" / ("models--" + name.replace("/", "--"))
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files.iterdir())
    }
    revision = hashlib.sha1("".join(digests.values()).encode()).hexdigest()
    snapshot = repo / "snapshots" / revision
    for folder in (repo / "blobs", repo / "refs", snapshot):
        folder.mkdir(parents=True)
    for name, digest in digests.items():
        (repo / "blobs" / digest).write_bytes((files / name).read_bytes())
        (snapshot / name).symlink_to(Path("../../blobs") / digest)
    (repo / "refs" / "main").write_text(revision)


if __name__ == "__main__":
    for repo, depth in MODELS.items():
        with tempfile.TemporaryDirectory() as scratch:
            make(Path(scratch), depth)
            place(Path(scratch), Path(sys.argv[1]), repo)
