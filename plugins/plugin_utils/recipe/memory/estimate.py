# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a resolved recipe needs on each of its nodes.

docs/contracts/recipe.md has the formulas. GiB are 1024^3 bytes; sizes in `*_bytes` are bytes.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory import (
    known_models,
    quantisation,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    Attention,
    Layer,
    ModelConfig,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.kv_cache import (
    KvCurve,
    guess,
    kv_curve,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
    Confidence,
    Figure,
    Serving,
    bytes_of,
    number_of,
    serving_of,
    tokens_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.weights import (
    Draft,
    draft_weights,
    parameters_in_name,
    parse_parameters,
    weights_of,
)

_ORDER = ("high", "medium", "low")
# Sequences that vLLM computes at once on a GPU of 70 GiB or more (config/scheduler).
_SEQUENCES = 1024

# Overheads in GiB. On two public GB10 launches vLLM took 5.4 GiB (2,048 batched tokens, one node)
# and 10.6 GiB (8,192, two nodes) beside weights and cache; the parts below make 5.9 and 10.7.
_CONTEXT_GIB = 2.5
_GRAPHS_GIB = 2.0
_COLLECTIVES_GIB = 3.0
_VISION_GIB = 1.0
_CPU_GIB = 2.0


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """What each node needs. All figures are per node, but `model_weights`.

    kv_cache: one sequence of `context_tokens`, or the fixed pool where the command sets one.
    weights, kv_cache are None where nothing is known of the model. context_tokens is None where
    the engine chooses it. utilisation: the share of the memory that the engine may take;
    utilisation_gib: the same in GiB; both None where it takes what it needs.
    """

    serving: Serving
    config: ModelConfig | None
    context_tokens: int | None
    context_source: str
    context_limit: int
    model_weights: Figure | None
    weights: Figure | None
    kv_cache: Figure | None
    draft: Figure | None
    overhead: Figure
    curve: KvCurve | None
    kv_bits: float
    utilisation: float | None
    utilisation_gib: float | None
    fixed_pool: bool
    notes: tuple[str, ...]

    @property
    def total_gib(self) -> float | None:
        """Of one node; None where weights or cache are not known."""
        if self.weights is None or self.kv_cache is None:
            return None
        return self.base_gib + self.kv_cache.gib

    @property
    def base_gib(self) -> float:
        """Of one node, without any cache."""
        return sum(
            figure.gib for figure in (self.weights, self.draft, self.overhead) if figure is not None
        )

    @property
    def confidence(self) -> Confidence:
        """That of the weakest large number: weights and cache."""
        levels = [figure.confidence for figure in (self.weights, self.kv_cache) if figure]
        if len(levels) < 2:
            return "low"
        return max(levels, key=_ORDER.index)

    def to_dict(self) -> dict[str, t.Any]:
        figures = {
            name: figure.to_dict() if figure else None
            for name, figure in (
                ("model_weights", self.model_weights),
                ("weights", self.weights),
                ("kv_cache", self.kv_cache),
                ("draft", self.draft),
                ("overhead", self.overhead),
            )
        }
        total = self.total_gib
        return {
            "model": self.serving.model,
            "engine": self.serving.engine,
            "tensor_parallel": self.serving.tensor,
            "pipeline_parallel": self.serving.pipeline,
            "context_tokens": self.context_tokens,
            "context_source": self.context_source,
            **figures,
            "total_gib": None if total is None else round(total, 2),
            "confidence": self.confidence,
            "utilisation": self.utilisation,
            "utilisation_gib": self.utilisation_gib,
            "kv_bytes_per_token": None if self.curve is None else round(self.curve.bytes_per_token),
            "notes": list(self.notes),
        }


def estimate_memory(
    resolved: ResolvedRecipe | Serving,
    model_config: ModelConfig | None = None,
    draft_config: ModelConfig | None = None,
    models: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    weights_bytes: int | None = None,
) -> MemoryEstimate:
    """What a resolved recipe needs on each of its nodes.

    model_config: of the model on a disk (`architecture.read_directory`); without it come the
    recipe's metadata, the table of known models, the model's name. draft_config: of a speculative
    draft model. models: further shapes for the table. weights_bytes: of the files that
    will be loaded, where they are known without a config (GGUF). Nothing is read from a disk or a
    network.
    """
    serving = resolved if isinstance(resolved, Serving) else serving_of(resolved)
    if serving.traits.limited:
        return _limited(serving)
    notes: list[str] = []
    config, from_disk = model_config, model_config is not None
    if config is None:
        config = known_models.known_config(serving.model, models)
    wanted = serving.flag("--dtype") or ""
    if config is not None and quantisation.canonical(wanted) in ("fp32", "fp16", "bf16"):
        config = dataclasses.replace(config, dtype=quantisation.canonical(wanted))

    shards = serving.tensor * serving.pipeline
    complete = weights_of(serving, config, from_disk, notes, weights_bytes)
    weights = complete and dataclasses.replace(complete, gib=complete.gib / shards)
    draft = draft_weights(serving, config, draft_config, notes)
    context, context_source, limit = _context(serving, config)
    bits, packed, kv_type = _kv_type(serving, config, notes)
    curve, kv_source, kv_confidence = _curve(
        serving, config, from_disk, complete, bits, packed, draft
    )
    kv_cache = _pool(serving)
    fixed_pool = kv_cache is not None
    if kv_cache is None and curve is not None:
        if context is None:
            notes.append("the engine chooses the context that fits; the cache is for 4096 tokens")
        kv_cache = Figure(
            curve.bytes(min(context or 4096, limit) if context is None else context) / GIB,
            f"{kv_source}, {kv_type}, one sequence",
            kv_confidence,
        )
    if serving.flag("--cpu-offload-gb") not in (None, "0"):
        notes.append("--cpu-offload-gb saves nothing here: CPU and GPU share one memory")
    utilisation, in_gib = _utilisation(serving)
    return MemoryEstimate(
        serving=serving,
        config=config,
        context_tokens=context,
        context_source=context_source,
        context_limit=limit,
        model_weights=complete,
        weights=weights,
        kv_cache=kv_cache,
        draft=draft.weights,
        overhead=_overhead(serving, config, complete),
        curve=curve,
        kv_bits=bits,
        utilisation=utilisation,
        utilisation_gib=in_gib,
        fixed_pool=fixed_pool,
        notes=tuple(notes),
    )


def _limited(serving: Serving) -> MemoryEstimate:
    """Of a container: its limit, model and program together; unknown without one."""
    known = serving.limit_bytes is not None
    limit = Figure((serving.limit_bytes or 0) / GIB, "the limit of the container", "high")
    nothing = Figure(0.0, "within the limit of the container", "high")
    return MemoryEstimate(
        serving=serving,
        config=None,
        context_tokens=None,
        context_source="",
        context_limit=0,
        model_weights=None,
        weights=limit if known else None,
        kv_cache=nothing if known else None,
        draft=None,
        overhead=nothing,
        curve=None,
        kv_bits=16.0,
        utilisation=None,
        utilisation_gib=None,
        fixed_pool=False,
        notes=() if known else ("the recipe has no memory limit",),
    )


def _context(serving: Serving, config: ModelConfig | None) -> tuple[int | None, str, int]:
    """Tokens of the longest sequence, the source of that, and the model's limit."""
    flags = serving.traits.context
    text = serving.flag(*flags)
    tokens = tokens_of(text)
    limit = config.max_position if config and config.max_position else 0
    if tokens:
        return tokens, f"the command: {flags[-1]}", max(limit, tokens)
    if text is not None and serving.traits.context_by_name:
        return None, f"the command: {flags[-1]} {text}", limit or 131072
    if limit:
        return limit, "the model's own limit", limit
    return None, "not known", 131072


def _pool(serving: Serving) -> Figure | None:
    """The cache that the launch sets apart, whatever the context; None where the engine decides."""
    traits = serving.traits
    pool = bytes_of(serving.flag(*traits.pool))
    if pool:
        return Figure(pool / GIB, f"the command: {traits.pool[0]}", "high")
    gib = number_of(serving.env.get(traits.pool_env), 0)
    return Figure(gib, f"the environment: {traits.pool_env}", "high") if gib else None


def _kv_type(
    serving: Serving, config: ModelConfig | None, notes: list[str]
) -> tuple[float, bool, str]:
    """Bits per cached value, whether latent attention is packed, and the source of that."""
    if serving.traits.gguf:
        bits = []
        for flags in serving.traits.cache_types:
            name = serving.flag(*flags) or "f16"
            try:
                bits.append(quantisation.cache_bits(name, gguf=True))
            except KeyError:
                notes.append(f"the cache type {name} is not known; taken for f16")
                bits.append(16.0)
        return sum(bits) / 2, False, "cache of the command's type" if bits != [16, 16] else "f16"
    written = serving.flag(*serving.traits.cache_types[0]) or ""
    name, who = written, "the command"
    if written in ("", "auto"):
        declared = str(serving.metadata.get("kv_dtype") or "")
        if declared and written == "":
            name, who = declared, "metadata"
        elif config and config.quantisation and config.quantisation.cache:
            name, who = config.quantisation.cache, "the checkpoint"
        else:
            name = config.dtype if config else "bf16"
            who = "the model's type"
    try:
        bits_found = quantisation.cache_bits(name)
    except KeyError:
        notes.append(f"the cache type {name} is not known; taken for bf16")
        bits_found = 16.0
    return bits_found, name.endswith("ds_mla"), f"{name} ({who})"


def _shape(serving: Serving) -> ModelConfig | None:
    """A plain attention model from metadata.num_layers, num_kv_heads and head_dim."""
    numbers = []
    for key in ("num_layers", "num_kv_heads", "head_dim"):
        value = serving.metadata.get(key)
        if isinstance(value, str) and foreign.is_whole(value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 100_000:
            return None
        numbers.append(value)
    layers, kv, width = numbers
    if layers > 2000:
        return None
    attention = Attention(kv, kv, width, width)
    return ModelConfig(
        "metadata",
        "",
        "",
        "text",
        (Layer("full", "dense"),) * layers,
        kv * width,
        0,
        True,
        0,
        "bf16",
        attention,
    )


def _curve(
    serving: Serving,
    config: ModelConfig | None,
    from_disk: bool,
    weights: Figure | None,
    bits: float,
    packed: bool,
    draft: Draft,
) -> tuple[KvCurve | None, str, Confidence]:
    declared = serving.metadata.get("kv_vram_per_token")
    if (
        not from_disk
        and isinstance(declared, (int, float))
        and not isinstance(declared, bool)
        and 0 < declared < 1e9
    ):
        # The document says bytes, its program takes GiB; no model is between the two.
        each = float(declared) if declared >= 1 else declared * GIB
        shards = serving.tensor * serving.pipeline
        return KvCurve(each / shards), "metadata.kv_vram_per_token", "medium"
    shape = None if from_disk else _shape(serving)
    level: Confidence = "high" if from_disk else "medium"
    # Three numbers do not describe layers that differ; the table does.
    if config is not None and (shape is None or _uneven(config)):
        shape = config
    if shape is not None:
        curve = _curve_of(serving, shape, bits, packed, draft.layers)
        if draft.config is not None:
            curve = curve.plus(_curve_of(serving, draft.config, bits, False, 0))
        return curve, shape.source, level
    count = parse_parameters(serving.metadata.get("model_params")) or parameters_in_name(
        serving.model
    )
    if count is None or weights is None:
        return None, "", "low"
    return guess(count, bits, serving.tensor), "the model's size alone", "low"


def _uneven(config: ModelConfig) -> bool:
    return bool(config.latent or config.recurrent or config.window or config.compression)


def _curve_of(
    serving: Serving, config: ModelConfig, bits: float, packed: bool, draft_layers: int
) -> KvCurve:
    chunk = serving.flag(
        "--max-num-batched-tokens", "--chunked-prefill-size", "-ub", "--ubatch-size"
    )
    state = serving.flag("--mamba-ssm-cache-dtype") or ""
    shared = serving.flag("--decode-context-parallel-size", "-dcp")
    return kv_curve(
        config,
        bits,
        serving.tensor,
        serving.pipeline,
        chunk=int(number_of(chunk, serving.traits.chunk)),
        context_parallel=max(1, int(number_of(shared, 1))),
        packed=packed,
        state_type="" if state == "auto" else state,
        draft_layers=draft_layers,
    )


def _overhead(serving: Serving, config: ModelConfig | None, weights: Figure | None) -> Figure:
    """What an engine takes beside weights and cache, per node."""
    traits = serving.traits
    if traits.overhead is not None:
        logits = (config.vocabulary * traits.chunk * 4 / GIB) if config else 0.3
        return Figure(traits.overhead + logits, "CUDA context and compute buffers", "low")
    if traits.pool_env in serving.env:
        return Figure(_CPU_GIB, "process and buffers of the CPU build", "low")
    tokens = number_of(
        serving.flag("--max-num-batched-tokens", "--chunked-prefill-size"), traits.chunk
    )
    sequences = number_of(serving.flag("--max-num-seqs", "--max-running-requests"), _SEQUENCES)
    eager = serving.flag("--enforce-eager", "--disable-cuda-graph") is not None
    # Without a shape: that of a 30B model.
    hidden, vocabulary, inner = 5120, 150_000, 17408
    if config is not None:
        hidden, vocabulary = config.hidden, config.vocabulary
        inner = config.dense_width
        if config.experts:
            inner = config.experts.per_token * config.experts.width + config.experts.shared_width
    activations = tokens * 2 * (12 * hidden + 3 * inner / serving.tensor) / GIB
    # Logits and their copies while sampling.
    logits = min(sequences, tokens) * vocabulary * 4 * 3 / GIB
    several = serving.tensor * serving.pipeline > 1
    gib = (
        _CONTEXT_GIB
        + (0.0 if eager else _GRAPHS_GIB)
        + (_COLLECTIVES_GIB if several else 0.0)
        + (_VISION_GIB if config is not None and config.vision else 0.0)
        + activations
        + logits
    )
    # A model of a few hundred megabytes has graphs and buffers of its own size.
    if weights is not None and weights.gib < 1:
        gib = min(gib, _CONTEXT_GIB + weights.gib)
    return Figure(
        gib,
        f"CUDA context, {'no graphs' if eager else 'graphs'}, activations of {int(tokens)} tokens",
        "low",
    )


def _utilisation(serving: Serving) -> tuple[float | None, float | None]:
    """The share, or the GiB, that the engine may take; neither where it takes what it needs."""
    traits = serving.traits
    if traits.share is None:
        return None, None
    flags, default = traits.share
    share = number_of(serving.flag(*flags), default)
    if traits.share_beside:
        return min(share, 1.0), None
    gigabytes = number_of(serving.flag(*traits.share_gib), 0)
    if not gigabytes and share > 1:
        # Some images take GB there.
        gigabytes = share
    if gigabytes:
        return None, gigabytes
    return share, None
