# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one sequence keeps in memory on one node, as a function of its length."""

from __future__ import annotations

import dataclasses

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    Attention,
    ModelConfig,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    PLAIN_BITS,
    canonical,
)

# Bytes per token and layer of the packed layouts of latent attention.
_PACKED_LATENT = 656
_PACKED_DEEPSEEK_V4 = 584
# A key of sparse attention's index is stored in fp8, with one 4-byte scale.
_INDEX_SCALE = 4


@dataclasses.dataclass(frozen=True)
class Window:
    """bytes_per_token: of all layers that keep no more than `tokens` of a sequence."""

    bytes_per_token: float
    tokens: int


@dataclasses.dataclass(frozen=True)
class KvCurve:
    """Bytes of one sequence on one node: per token, per window, and fixed (recurrent state)."""

    bytes_per_token: float
    windows: tuple[Window, ...] = ()
    fixed: float = 0.0

    def bytes(self, tokens: int) -> float:
        """Bytes of a sequence of that many tokens; none for none."""
        if tokens <= 0:
            return 0.0
        windows = sum(
            window.bytes_per_token * min(tokens, window.tokens) for window in self.windows
        )
        return self.bytes_per_token * tokens + windows + self.fixed

    def tokens(self, available: float, limit: int) -> int:
        """The longest sequence, up to `limit` tokens, that `available` bytes hold."""
        if self.bytes(limit) <= available:
            return limit
        low, high = 0, limit
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.bytes(middle) <= available else (low, middle)
        return low

    def plus(self, other: KvCurve) -> KvCurve:
        return KvCurve(
            self.bytes_per_token + other.bytes_per_token,
            (*self.windows, *other.windows),
            self.fixed + other.fixed,
        )


def kv_curve(
    config: ModelConfig,
    bits: float,
    tensor: int = 1,
    pipeline: int = 1,
    chunk: int = 0,
    context_parallel: int = 1,
    packed: bool = False,
    state_type: str = "",
    draft_layers: int = 0,
) -> KvCurve:
    """The curve of a model whose cache takes `bits` per value.

    chunk: tokens that a sliding layer keeps beyond its window while a prompt is read.
    context_parallel: ranks that share the cache of latent attention, which tensor ranks do not.
    packed: the packed layout of latent attention (fp8_ds_mla, nvfp4_ds_mla).
    draft_layers: full attention layers of a draft, of the model's own geometry.
    """
    # The fullest pipeline stage.
    stage = -(-len(config.layers) // pipeline) / len(config.layers)
    value = bits / 8
    full = sum(1 for layer in config.layers if layer.mixer == "full")
    sliding = sum(1 for layer in config.layers if layer.mixer == "sliding")
    recurrent = sum(1 for layer in config.layers if layer.mixer == "recurrent")
    windows: list[Window] = []
    fixed = 0.0
    index = config.index_layers * (config.index_dim + _INDEX_SCALE) if config.index_dim else 0
    if config.compression:
        layer = float(_PACKED_DEEPSEEK_V4 if packed or bits <= 8 else config.attention.head_dim * 2)
        ratios = [ratio for ratio in config.compression if ratio > 1]
        per_token = sum(layer / ratio for ratio in ratios) / context_parallel
        per_token += index / (min(ratios) if ratios else 1)
        windows.append(Window(layer * len(config.layers) * stage, (config.window or 128) + chunk))
    elif config.latent:
        layer = (
            float(_PACKED_LATENT)
            if packed
            else (config.latent.kv_rank + config.latent.rope_dim) * value
        )
        per_token = (full + draft_layers) * layer / context_parallel + index
    else:
        per_token = (full + draft_layers) * _heads(config.attention, tensor) * value + index
    if sliding:
        heads = config.sliding or config.attention
        windows.append(
            Window(sliding * stage * _heads(heads, tensor) * value, config.window - 1 + chunk)
        )
    if recurrent and config.recurrent:
        state = PLAIN_BITS.get(canonical(state_type or config.recurrent.state_dtype), 32.0) / 8
        fixed = (
            recurrent
            * stage
            * ((config.recurrent.state * state + config.recurrent.convolution * 2) / tensor)
        )
    return KvCurve(per_token * stage, tuple(windows), fixed)


def _heads(attention: Attention, tensor: int) -> int:
    """Values per token and layer on one rank: heads are shared out, at least one on each."""
    return -(-attention.kv_heads // tensor) * (attention.head_dim + attention.value_dim)


def guess(parameters: float, bits: float, tensor: int = 1) -> KvCurve:
    """By size alone: what dense models of that many parameters need, give or take a half.

    8B models keep 72 Ki values per token, 70B models 160 Ki: roughly the 0.37th power.
    """
    values = 72 * 1024 * max(parameters / 8e9, 0.01) ** 0.37
    return KvCurve(values * bits / 8 / max(1, min(tensor, 8)))


def largest(curve: KvCurve, available: float, limit: int, step: int = 16) -> int:
    """Like `KvCurve.tokens`, in complete blocks of the cache where it is below the limit."""
    tokens = curve.tokens(available, limit)
    return tokens if tokens == limit else tokens // step * step
