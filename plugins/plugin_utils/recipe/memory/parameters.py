# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many parameters a model of a given shape has, and how many bytes they take."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    Attention,
    Layer,
    ModelConfig,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    Quantisation,
)


class Part(t.NamedTuple):
    """parameters of one module (one of quantisation.MODULES) in one layer; layer: None outside."""

    module: str
    layer: int | None
    parameters: int


def parts(config: ModelConfig) -> t.Iterator[Part]:
    """Every part of a model but norms and biases, which make less than a thousandth."""
    for index, layer in enumerate(config.layers):
        yield from _layer(config, layer, index)
    yield Part("embed", None, config.vocabulary * config.hidden + config.per_layer_embedding)
    if not config.tied:
        yield Part("head", None, config.vocabulary * config.hidden)
    if config.vision_weights:
        yield Part("vision", None, config.vision_weights)


def mtp_parameters(config: ModelConfig) -> int:
    """Parameters of the built-in draft: complete layers, with the model's mixture."""
    if not config.mtp_layers:
        return 0
    mlp = (
        "both"
        if any(layer.mlp == "both" for layer in config.layers)
        else ("experts" if config.experts else "dense")
    )
    one = sum(part.parameters for part in _layer(config, Layer("full", mlp), 0))
    return config.mtp_layers * (one + 2 * config.hidden * config.hidden)


def total(config: ModelConfig) -> int:
    """Parameters of the complete model without its built-in draft."""
    return sum(part.parameters for part in parts(config))


def weight_bytes(
    config: ModelConfig, quant: Quantisation | None = None, with_mtp: bool = False
) -> float:
    """Bytes of the weights, scales included; quant: the config's own unless given."""
    stored = quant or config.quantisation or Quantisation()
    bits = 0.0
    known: dict[tuple[str, int | None], float] = {}
    for module, layer, parameters in parts(config):
        key = (module, layer if stored.rules else None)
        if key not in known:
            known[key] = stored.bits(module, layer, config.dtype)
            if module == "experts" and config.experts_dtype and not stored.rules:
                known[key] = Quantisation(scheme=config.experts_dtype).bits("mlp", None, "bf16")
        bits += known[key] * parameters
    if with_mtp:
        bits += mtp_parameters(config) * stored.bits("mtp", None, config.dtype)
    return bits / 8


def _layer(config: ModelConfig, layer: Layer, index: int) -> t.Iterator[Part]:
    if layer.mixer == "recurrent" and config.recurrent:
        yield Part("recurrent", index, config.recurrent.weights)
    elif layer.mixer:
        heads = config.sliding if layer.mixer == "sliding" and config.sliding else config.attention
        yield Part("attention", index, _attention(config, heads))
    if layer.mlp in ("dense", "both"):
        yield Part("mlp", index, config.mlp_matrices * config.hidden * config.dense_width)
    experts = config.experts
    if layer.mlp in ("experts", "both") and experts:
        inner = experts.latent or config.hidden
        yield Part("experts", index, experts.count * config.mlp_matrices * inner * experts.width)
        # The router, and the way into the compressed space and back, stay with the shared expert.
        yield Part(
            "shared",
            index,
            config.mlp_matrices * config.hidden * experts.shared_width
            + config.hidden * (experts.count + 2 * experts.latent),
        )


def _attention(config: ModelConfig, heads: Attention) -> int:
    hidden, latent = config.hidden, config.latent
    index = (
        config.index_heads * config.index_dim * (latent.query_rank if latent else hidden)
        + hidden * (config.index_dim + config.index_heads)
        if config.index_dim
        else 0
    )
    if latent:
        query = heads.heads * (latent.nope_dim + latent.rope_dim)
        return (
            (
                hidden * latent.query_rank + latent.query_rank * query
                if latent.query_rank
                else hidden * query
            )
            + hidden * (latent.kv_rank + latent.rope_dim)
            + latent.kv_rank * heads.heads * (latent.nope_dim + latent.value_dim)
            + heads.heads * latent.value_dim * hidden
            + index
        )
    if config.output_rank:
        # DeepSeek V4: low-rank query and grouped low-rank output, one shared key-value head.
        rank, width = config.output_rank, heads.heads * heads.head_dim
        return (
            hidden * rank
            + rank * width
            + hidden * heads.kv_heads * heads.head_dim
            + width * rank
            + max(config.output_groups, 1) * rank * hidden
            + config.index_heads * config.index_dim * rank
        )
    return (
        hidden * heads.heads * heads.head_dim * (2 if heads.gated else 1)
        + hidden * heads.kv_heads * (heads.head_dim + (0 if heads.shared_kv else heads.value_dim))
        + heads.heads * heads.value_dim * hidden
    )
