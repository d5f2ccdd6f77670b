# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes tiny models of several architectures, of random weights: ``make_architectures.py FOLDER``.

Runs in the lab's serving image, which has transformers; the model hub of the lab offers them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    XLMRobertaConfig,
    XLMRobertaModel,
)

SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
MODELS: dict[str, tuple[type[PreTrainedModel], PretrainedConfig, torch.dtype]] = {
    "llama": (
        LlamaForCausalLM,
        LlamaConfig(**SMALL, num_key_value_heads=2, max_position_embeddings=1024),
        torch.bfloat16,
    ),
    "moe": (
        Qwen3MoeForCausalLM,
        Qwen3MoeConfig(
            **SMALL,
            num_key_value_heads=2,
            head_dim=16,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            max_position_embeddings=2048,
        ),
        torch.bfloat16,
    ),
    "embedding": (
        XLMRobertaModel,
        XLMRobertaConfig(**SMALL, max_position_embeddings=514),
        torch.float32,
    ),
}


def main(folder: Path) -> None:
    torch.manual_seed(0)
    for name, (kind, config, dtype) in MODELS.items():
        # The mixture in several shards, as large ones come.
        shard = "100KB" if name == "moe" else "5GB"
        kind(config).to(dtype).save_pretrained(folder / name, max_shard_size=shard)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
