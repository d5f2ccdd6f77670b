# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's shape, from its Hugging Face config.json: what memory and settings follow from."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory import quantisation
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    Quantisation,
)

# A config lists every quantised module at worst: 22,422 of them are 2 MB.
MAX_CONFIG_BYTES = 8 * 1024 * 1024
# How much of an index is searched, at its beginning and its end, for its total.
_INDEX_WINDOW = 64 * 1024
# Limits of what is taken for a number of layers, heads, experts or a width.
_MAX_LAYERS = 2000
_MAX_COUNT = 100_000
_MAX_WIDTH = 10_000_000

Kind = t.Literal["text", "embedding", "reranker", "speech", "encoder"]


class ArchitectureError(ValueError):
    """A config that cannot be read as a model's; the text names file, key and reason."""


class Layer(t.NamedTuple):
    """mixer: full | sliding | recurrent | "" (none). mlp: dense | experts | both | ""."""

    mixer: str
    mlp: str


@dataclasses.dataclass(frozen=True)
class Attention:
    """Heads of one kind of attention layer; head_dim, value_dim: values per head.

    shared_kv: the value projection's weights are the key's (both are cached all the same).
    gated: the query projection also makes an output gate.
    """

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    shared_kv: bool = False
    gated: bool = False


@dataclasses.dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (MLA): a token's cache is kv_rank + rope_dim values per layer."""

    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int


@dataclasses.dataclass(frozen=True)
class Experts:
    """Mixture of experts. width, shared_width: of one expert's hidden layer, in values.

    latent: width of the compressed space that routed experts work in, 0 for none.
    """

    count: int
    per_token: int
    width: int
    shared_width: int
    latent: int


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """Mamba or linear attention layers. state, convolution: values per layer and sequence.

    weights: parameters per layer. state_dtype: type of the state.
    """

    heads: int
    state: int
    convolution: int
    weights: int
    state_dtype: str


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What is known of a model's shape.

    source: where it was read, for people. max_position: tokens. window: tokens that a sliding
    layer sees. compression: per layer, how many tokens share one entry of the cache (DeepSeek V4),
    0 for layers that keep a window only. index_dim, index_layers: sparse attention's key cache.
    mtp_layers: layers of the built-in draft. vision_weights: parameters of towers and projectors.
    weights_bytes: of all weight files, from the index or the files; None where unknown.
    experts_dtype: type of routed experts where the config names it apart.
    """

    source: str
    architecture: str
    model_type: str
    kind: Kind
    layers: tuple[Layer, ...]
    hidden: int
    vocabulary: int
    tied: bool
    max_position: int
    dtype: str
    attention: Attention
    sliding: Attention | None = None
    window: int = 0
    latent: Latent | None = None
    dense_width: int = 0
    mlp_matrices: int = 3
    experts: Experts | None = None
    recurrent: Recurrent | None = None
    compression: tuple[int, ...] = ()
    index_dim: int = 0
    index_heads: int = 0
    index_layers: int = 0
    output_rank: int = 0
    output_groups: int = 0
    mtp_layers: int = 0
    vision: bool = False
    audio: bool = False
    vision_weights: int = 0
    per_layer_embedding: int = 0
    quantisation: Quantisation | None = None
    experts_dtype: str = ""
    weights_bytes: int | None = None
    weights_source: str = ""

    @property
    def is_moe(self) -> bool:
        return self.experts is not None

    @property
    def is_hybrid(self) -> bool:
        return self.recurrent is not None


def read_directory(path: str | os.PathLike[str]) -> ModelConfig:
    """From a model's directory: config.json, hf_quant_config.json, the index or the file sizes.

    No weight is read. Raises ArchitectureError where there is no usable config.json.
    """
    folder = pathlib.Path(path)
    config = _read_json(folder / "config.json")
    quant = None
    if (folder / "hf_quant_config.json").is_file():
        quant = _read_json(folder / "hf_quant_config.json")
    total, source = _weights(folder)
    return read_config(
        config,
        quant,
        source=str(folder / "config.json"),
        weights_bytes=total,
        weights_source=source,
    )


def read_config(
    config: t.Any,
    quant: t.Any = None,
    source: str = "config.json",
    weights_bytes: int | None = None,
    weights_source: str = "",
) -> ModelConfig:
    """From the content of config.json and, where there is one, of hf_quant_config.json.

    weights_bytes: size of all weight files, where known. Raises ArchitectureError.
    """
    if not isinstance(config, t.Mapping):
        raise ArchitectureError(f"{source}: expected a map, found a {type(config).__name__}")
    top = _Reader(config, source)
    text = top
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        nested = config.get(key)
        if isinstance(nested, t.Mapping):
            text = _Reader(nested, f"{source}, {key}", outer=top)
            inner = nested.get("text_config")
            if isinstance(inner, t.Mapping):
                text = _Reader(inner, f"{source}, {key}.text_config", outer=top)
            break
    try:
        return _build(top, text, quant, weights_bytes, weights_source)
    except ArchitectureError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
        raise ArchitectureError(f"{source}: {exc}") from exc


class _Reader:
    """Typed access to a map; what the text part lacks may stand in the outer one."""

    def __init__(
        self, data: t.Mapping[str, t.Any], where: str, outer: _Reader | None = None
    ) -> None:
        self.data, self.where, self.outer = data, where, outer

    def raw(self, *keys: str) -> t.Any:
        for key in keys:
            if self.data.get(key) is not None:
                return self.data[key]
        return self.outer.raw(*keys) if self.outer else None

    def number(self, *keys: str, default: int | None = None, limit: int = _MAX_WIDTH) -> int:
        value = self.raw(*keys)
        if value is None:
            if default is None:
                raise ArchitectureError(f"{self.where}: {keys[0]} is missing")
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
            value = max(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            raise ArchitectureError(
                f"{self.where}: {keys[0]} is {value!r:.60}, expected a whole number from 0 to "
                f"{limit}"
            )
        return value

    def flag(self, *keys: str, default: bool = False) -> bool:
        value = self.raw(*keys)
        return default if not isinstance(value, bool) else value

    def text(self, *keys: str) -> str:
        value = self.raw(*keys)
        return value[:200] if isinstance(value, str) else ""

    def words(self, *keys: str) -> list[t.Any]:
        value = self.raw(*keys)
        return list(value[:_MAX_LAYERS]) if isinstance(value, list) else []


_POSITIONS = (
    *("max_position_embeddings", "max_seq_len", "n_positions"),
    *("max_sequence_length", "max_target_positions"),
)
_MTP_LAYERS = (
    *("num_nextn_predict_layers", "mtp_num_hidden_layers"),
    *("num_mtp_layers", "num_mtp_modules"),
)


def _build(
    top: _Reader,
    text: _Reader,
    quant: t.Any,
    weights_bytes: int | None,
    weights_source: str,
) -> ModelConfig:
    names = top.words("architectures") or text.words("architectures")
    architecture = str(names[0])[:200] if names else ""
    model_type = str(top.data.get("model_type") or text.text("model_type"))[:100]
    if not architecture and not model_type:
        raise ArchitectureError(f"{top.where}: neither architectures nor model_type is there")
    hidden = text.number("hidden_size", "n_embd", "d_model", "dim")
    vocabulary = text.number("vocab_size", default=0)
    parallel_mlp = text.flag("enable_moe_block")
    kind = _kind(architecture, model_type)
    experts = _experts(text)
    layers = _layers(text, experts is not None, parallel_mlp)
    attention, sliding = _attention(text, hidden)
    vision = _section(top, "vision_config", "visual", "vision_tower_config")
    audio = _section(top, "audio_config", "sound_config", "speech_config")
    compression = _compression(text, len(layers))
    index_dim = text.number("index_head_dim", default=0, limit=_MAX_COUNT)
    return ModelConfig(
        source=top.where,
        architecture=architecture,
        model_type=model_type,
        kind=kind,
        layers=layers,
        hidden=hidden,
        vocabulary=vocabulary,
        tied=_tied(top, text, kind),
        max_position=text.number(*_POSITIONS, default=0, limit=1 << 40),
        dtype=_dtype(text),
        attention=attention,
        sliding=sliding,
        window=_window(text, layers),
        latent=_latent(text),
        dense_width=_dense_width(text, hidden),
        mlp_matrices=2 if _plain_mlp(text, model_type) else 3,
        experts=experts,
        recurrent=_recurrent(text, hidden),
        compression=compression,
        index_dim=index_dim,
        index_heads=text.number("index_n_heads", default=0, limit=_MAX_COUNT),
        index_layers=_index_layers(text, compression, len(layers) if index_dim else 0),
        output_rank=text.number("o_lora_rank", default=0),
        output_groups=text.number("o_groups", default=0, limit=_MAX_COUNT),
        mtp_layers=text.number(*_MTP_LAYERS, default=0, limit=_MAX_COUNT),
        vision=vision is not None,
        audio=audio is not None or model_type == "whisper",
        vision_weights=(_tower(vision, hidden) if vision else 0)
        + (_tower(audio, hidden) if audio else 0)
        + _encoder(text, hidden),
        per_layer_embedding=text.number("hidden_size_per_layer_input", default=0)
        * text.number("vocab_size_per_layer_input", default=0)
        * len(layers),
        quantisation=_quantisation(top, text, quant, parallel_mlp),
        experts_dtype={"fp4": "mxfp4"}.get(text.text("expert_dtype"), ""),
        weights_bytes=weights_bytes,
        weights_source=weights_source,
    )


def _dtype(text: _Reader) -> str:
    """The type of weights that are not quantised."""
    name = text.text("dtype", "torch_dtype").replace("torch.", "") or "bf16"
    dtype = quantisation.canonical(name)
    return dtype if dtype in ("fp32", "fp16", "bf16") else "bf16"


def _window(text: _Reader, layers: t.Sequence[Layer]) -> int:
    """Tokens that a sliding layer sees; 0 without such a layer."""
    if not any(layer.mixer == "sliding" for layer in layers):
        return 0
    return text.number("sliding_window", "sliding_window_size", "attention_chunk_size", default=0)


def _compression(text: _Reader, layers: int) -> tuple[int, ...]:
    ratios = text.words("compress_ratios")[:layers]
    return tuple(int(ratio) for ratio in ratios if isinstance(ratio, int) and 0 <= ratio < 100_000)


def _index_layers(text: _Reader, compression: t.Sequence[int], otherwise: int) -> int:
    """Layers with an index of sparse attention."""
    indexers = text.words("indexer_types")
    if indexers:
        return sum(1 for kind in indexers if kind == "full")
    if compression:
        return sum(1 for ratio in compression if 0 < ratio <= 4)
    return otherwise


def _section(top: _Reader, *keys: str) -> _Reader | None:
    for key in keys:
        value = top.data.get(key)
        if isinstance(value, t.Mapping) and value:
            return _Reader(value, f"{top.where}, {key}")
    return None


def _tied(top: _Reader, text: _Reader, kind: Kind) -> bool:
    """Whether the output layer is the embedding; models that generate nothing have none at all."""
    written = text.raw("tie_word_embeddings")
    if kind in ("embedding", "encoder", "reranker", "speech"):
        return True
    if isinstance(written, bool):
        return written
    return text.text("model_type").startswith("gemma")


def _kind(architecture: str, model_type: str) -> Kind:
    """What it answers with; the architecture's class says it, for some the name does (`infer`)."""
    name = architecture.lower()
    if model_type == "whisper" or "speechseq2seq" in name or "forctc" in name:
        return "speech"
    if "forsequenceclassification" in name or "reranker" in name:
        return "reranker"
    if "embedding" in name or (
        "forcausallm" not in name
        and re.search(
            r"^(?:bert|roberta|xlmroberta|nomicbert|gte|modernbert|qwen3|llama|mistral|gemma\w*text)model$",
            name,
        )
    ):
        return "embedding"
    if re.search(r"formaskedlm|fortokenclassification", name):
        return "encoder"
    return "text"


def _experts(text: _Reader) -> Experts | None:
    count = 0
    for key in ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"):
        count = max(count, text.number(key, default=0, limit=_MAX_COUNT))
    if text.raw("enable_moe_block") is False:
        count = 0
    if count <= 1:
        return None
    width = text.number("moe_intermediate_size", "expert_intermediate_size", "intermediate_size")
    shared = text.number(
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "share_expert_dim",
        "shared_intermediate_size",
        default=0,
    )
    if not shared and text.raw("intermediate_size_mlp"):
        # Llama 4: one shared expert of the experts' own width.
        shared = width
    if not shared:
        shared = width * text.number(
            "n_shared_experts", "num_shared_experts", default=0, limit=_MAX_COUNT
        )
    return Experts(
        count=count,
        per_token=text.number(
            "num_experts_per_tok",
            "num_experts_per_token",
            "experts_per_token",
            "top_k_experts",
            "moe_top_k",
            "moe_k",
            default=1,
            limit=_MAX_COUNT,
        ),
        width=width,
        shared_width=shared,
        latent=text.number("moe_latent_size", "routed_expert_hidden_size", default=0),
    )


_PATTERN = {"M": ("recurrent", ""), "*": ("full", ""), "-": ("", "dense"), "E": ("", "experts")}
_BLOCKS = {
    "mamba": ("recurrent", ""),
    "attention": ("full", ""),
    "mlp": ("", "dense"),
    "moe": ("", "experts"),
}


def _layers(text: _Reader, moe: bool, parallel_mlp: bool) -> tuple[Layer, ...]:
    pattern = text.text("hybrid_override_pattern")
    blocks = text.words("layers_block_type")
    if not pattern and blocks and all(item in _BLOCKS for item in blocks):
        return tuple(Layer(*_BLOCKS[item]) for item in blocks)
    count = text.number(
        "num_hidden_layers",
        "n_layer",
        "num_layers",
        "n_layers",
        default=len(pattern) or None,
        limit=_MAX_LAYERS,
    )
    if count < 1:
        raise ArchitectureError(f"{text.where}: num_hidden_layers is 0")
    if pattern:
        if not set(pattern) <= set(_PATTERN):
            raise ArchitectureError(
                f"{text.where}: hybrid_override_pattern has other letters than M, *, - and E"
            )
        return tuple(Layer(*_PATTERN[letter]) for letter in pattern[:count])
    mixers = _mixers(text, count)
    dense = _dense_layers(text, count) if moe else set(range(count))
    ffn = "both" if parallel_mlp else "experts"
    return tuple(
        Layer(mixer, "dense" if index in dense else ffn) for index, mixer in enumerate(mixers)
    )


def _mixers(text: _Reader, count: int) -> list[str]:
    types = [str(item) for item in text.words("layer_types")]
    if types:
        if len(types) < count:
            raise ArchitectureError(
                f"{text.where}: layer_types has {len(types)} entries for {count} layers"
            )
        return [
            "recurrent"
            if re.search(r"linear|mamba|conv|recurrent", item)
            else "sliding"
            if re.search(r"sliding|chunked|local", item)
            else "full"
            for item in types[:count]
        ]
    full = _linear(text).words("full_attn_layers")
    if full:
        # Counted from one.
        return ["full" if index + 1 in full else "recurrent" for index in range(count)]
    local = text.words("hybrid_layer_pattern", "local_layer_ids")
    if text.words("hybrid_layer_pattern") and len(local) >= count:
        return ["sliding" if item == 1 else "full" for item in local[:count]]
    if local:
        return ["sliding" if index in local else "full" for index in range(count)]
    interval = text.number("full_attention_interval", default=0, limit=_MAX_LAYERS)
    if interval > 1:
        return ["full" if (index + 1) % interval == 0 else "recurrent" for index in range(count)]
    every = text.number(
        "sliding_window_pattern", "_sliding_window_pattern", default=0, limit=_MAX_LAYERS
    )
    if every > 1:
        return ["full" if (index + 1) % every == 0 else "sliding" for index in range(count)]
    periods = text.number("attn_layer_period", default=0, limit=_MAX_LAYERS)
    if periods > 1:
        offset = text.number("attn_layer_offset", default=0, limit=_MAX_LAYERS)
        return ["full" if index % periods == offset else "recurrent" for index in range(count)]
    if text.raw("sliding_window") and text.flag("use_sliding_window", default=False):
        first = text.number("max_window_layers", default=0, limit=_MAX_LAYERS)
        return ["full" if index < first else "sliding" for index in range(count)]
    if text.raw("sliding_window") and text.text("model_type") in ("mistral", "ministral"):
        return ["sliding"] * count
    return ["full"] * count


def _dense_layers(text: _Reader, count: int) -> set[int]:
    """Layers of a mixture-of-experts model that have one plain MLP instead."""
    kinds = text.words("mlp_layer_types")
    if kinds:
        return {index for index, item in enumerate(kinds[:count]) if item == "dense"}
    frequency = text.raw("moe_layer_freq")
    if isinstance(frequency, list):
        return {index for index, item in enumerate(frequency[:count]) if not item}
    dense = set(range(text.number("first_k_dense_replace", default=0, limit=_MAX_LAYERS)))
    dense |= {item for item in text.words("mlp_only_layers") if isinstance(item, int)}
    step = text.number(
        "decoder_sparse_step", "interleave_moe_layer_step", default=1, limit=_MAX_LAYERS
    )
    if step > 1:
        dense |= {index for index in range(count) if (index + 1) % step}
    return dense


def _attention(text: _Reader, hidden: int) -> tuple[Attention, Attention | None]:
    """Heads of full attention layers, and of sliding ones where these differ."""
    heads = (
        text.number(
            "num_attention_heads",
            "n_head",
            "encoder_attention_heads",
            "n_heads",
            default=1,
            limit=_MAX_COUNT,
        )
        or 1
    )
    kv = (
        text.number(
            "num_key_value_heads",
            "num_kv_heads",
            "multi_query_group_num",
            "n_kv_heads",
            default=heads,
            limit=_MAX_COUNT,
        )
        or heads
    )
    width = text.number(
        "head_dim", "attention_head_dim", "kv_channels", default=0, limit=_MAX_COUNT
    ) or max(1, hidden // heads)
    value = text.number("v_head_dim", default=width, limit=_MAX_COUNT) or width
    gated = text.flag("attn_output_gate", default=text.text("model_type") == "qwen3_next")
    base = Attention(heads, kv, width, value, gated=gated)
    # Gemma 4 and others give the full layers their own heads.
    wide = text.number("global_head_dim", default=0, limit=_MAX_COUNT)
    if wide:
        shared = text.flag("attention_k_eq_v")
        few = text.number("num_global_key_value_heads", default=kv, limit=_MAX_COUNT) or kv
        return Attention(heads, few, wide, wide, shared_kv=shared), base
    narrow = text.number("swa_head_dim", default=0, limit=_MAX_COUNT)
    if narrow or text.raw("swa_num_key_value_heads"):
        narrow = narrow or width
        return base, Attention(
            text.number("swa_num_attention_heads", default=heads, limit=_MAX_COUNT),
            text.number("swa_num_key_value_heads", default=kv, limit=_MAX_COUNT),
            narrow,
            text.number("swa_v_head_dim", default=narrow, limit=_MAX_COUNT),
        )
    return base, None


def _latent(text: _Reader) -> Latent | None:
    rank = text.number("kv_lora_rank", default=0)
    if not rank:
        return None
    return Latent(
        kv_rank=rank,
        rope_dim=text.number("qk_rope_head_dim", default=64, limit=_MAX_COUNT),
        nope_dim=text.number("qk_nope_head_dim", default=128, limit=_MAX_COUNT),
        value_dim=text.number("v_head_dim", default=128, limit=_MAX_COUNT),
        query_rank=text.number("q_lora_rank", default=0),
    )


def _dense_width(text: _Reader, hidden: int) -> int:
    return text.number(
        "dense_intermediate_size",
        "intermediate_size_mlp",
        "intermediate_size",
        "ffn_dim",
        "n_inner",
        "encoder_ffn_dim",
        default=4 * hidden,
    )


def _plain_mlp(text: _Reader, model_type: str) -> bool:
    """Whether an MLP is two matrices (up, down) rather than three (gate, up, down)."""
    if model_type in ("nemotron_h", "nemotron", "whisper", "gpt2", "opt", "falcon"):
        return True
    return bool(re.search(r"bert|roberta", model_type)) and "modern" not in model_type


def _linear(text: _Reader) -> _Reader:
    """Kimi's map of its linear layers; empty for others."""
    found = text.raw("linear_attn_config")
    return _Reader(found if isinstance(found, t.Mapping) else {}, f"{text.where}, linear attention")


def _recurrent(text: _Reader, hidden: int) -> Recurrent | None:
    kimi = _linear(text)
    if kimi.data:
        count = kimi.number("num_heads", limit=_MAX_COUNT)
        size = kimi.number("head_dim", limit=_MAX_COUNT)
        kernel = kimi.number("short_conv_kernel_size", default=4, limit=_MAX_COUNT)
        inner = count * size
        return Recurrent(
            heads=count,
            state=inner * size,
            convolution=max(kernel - 1, 0) * 3 * inner,
            # Query, key, value, output; two gates of low rank; one factor per head.
            weights=hidden * (4 * inner + 2 * size + count) + 2 * size * inner + 3 * kernel * inner,
            state_dtype="float32",
        )
    keys = text.number("linear_num_key_heads", default=0, limit=_MAX_COUNT)
    if keys:
        key_dim = text.number("linear_key_head_dim", limit=_MAX_COUNT)
        values = text.number("linear_num_value_heads", limit=_MAX_COUNT)
        value_dim = text.number("linear_value_head_dim", limit=_MAX_COUNT)
        kernel = text.number("linear_conv_kernel_dim", default=4, limit=_MAX_COUNT)
        key, value = keys * key_dim, values * value_dim
        return Recurrent(
            heads=values,
            state=values * key_dim * value_dim,
            convolution=(kernel - 1) * (2 * key + value) if kernel else 0,
            weights=hidden * (2 * key + 2 * value + 2 * values)
            + value * hidden
            + kernel * (2 * key + value),
            state_dtype=text.text("mamba_ssm_dtype", "mamba_ssm_cache_dtype") or "float32",
        )
    heads = text.number("mamba_num_heads", "mamba_n_heads", default=0, limit=_MAX_COUNT)
    if heads:
        width = text.number("mamba_head_dim", "mamba_d_head", default=64, limit=_MAX_COUNT)
        size = text.number("ssm_state_size", "mamba_d_state", default=128, limit=_MAX_COUNT)
        groups = text.number("n_groups", "mamba_n_groups", default=1, limit=_MAX_COUNT)
        kernel = text.number("conv_kernel", "mamba_d_conv", default=4, limit=_MAX_COUNT)
        inner, side = heads * width, 2 * groups * size
        return Recurrent(
            heads=heads,
            state=inner * size,
            convolution=max(kernel - 1, 0) * (inner + side),
            weights=hidden * (2 * inner + side + heads) + inner * hidden + kernel * (inner + side),
            state_dtype=text.text("mamba_ssm_cache_dtype") or "float32",
        )
    return None


def _tower(part: _Reader, hidden: int) -> int:
    """Parameters of a vision or audio tower and its projector, roughly."""
    width = part.number("hidden_size", "embed_dim", "vt_hidden_size", "d_model", "width", default=0)
    depth = part.number(
        "depth",
        "num_hidden_layers",
        "vt_num_hidden_layers",
        "num_layers",
        "encoder_layers",
        default=0,
        limit=_MAX_LAYERS,
    )
    inner = part.number(
        "intermediate_size", "vt_intermediate_size", "encoder_ffn_dim", default=4 * width
    )
    merge = part.number("spatial_merge_size", default=2, limit=64) or 1
    out = part.number("out_hidden_size", "projection_dim", default=hidden)
    patches = part.number("num_position_embeddings", "position_embedding_size", default=2304)
    merged = width * merge * merge
    return (
        depth * (4 * width * width + 2 * width * inner) + patches * width + merged * (merged + out)
    )


def _encoder(text: _Reader, hidden: int) -> int:
    """Parameters of the encoder of an encoder-decoder, and of the attention to it."""
    if not text.raw("decoder_layers") or not text.raw("encoder_layers"):
        return 0
    width = text.number("encoder_ffn_dim", default=4 * hidden)
    encoder = text.number("encoder_layers", limit=_MAX_LAYERS)
    decoder = text.number("decoder_layers", limit=_MAX_LAYERS)
    return encoder * (4 * hidden * hidden + 2 * hidden * width) + decoder * 4 * hidden * hidden


def _quantisation(
    top: _Reader, text: _Reader, quant: t.Any, parallel_mlp: bool
) -> Quantisation | None:
    config = top.raw("quantization_config") or text.raw("quantization_config", "compression_config")
    if config is not None and not isinstance(config, t.Mapping):
        raise ArchitectureError(f"{top.where}: quantization_config is no map")
    apart: t.Any = {}
    if quant is not None:
        if not isinstance(quant, t.Mapping):
            raise ArchitectureError(f"{top.where}: hf_quant_config.json is no map")
        apart = quant.get("quantization") or {}
        if not isinstance(apart, t.Mapping):
            raise ArchitectureError(f"{top.where}: hf_quant_config.json: quantization is no map")
    scheme = quantisation.from_config(config, parallel_mlp) if config else None
    if scheme is None:
        return quantisation.from_config(apart, parallel_mlp) if apart else None
    # Both describe the same checkpoint; the cache's type may stand in one of them only.
    cache = apart.get("kv_cache_quant_algo")
    if not scheme.cache and isinstance(cache, str) and cache.lower() in quantisation.CACHE_BITS:
        return dataclasses.replace(scheme, cache=cache.lower())
    return scheme


def _read_json(path: pathlib.Path) -> t.Any:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as exc:
        raise ArchitectureError(f"{path}: {exc.strerror or exc}") from exc
    if len(data) > MAX_CONFIG_BYTES:
        raise ArchitectureError(
            f"{path}: larger than {MAX_CONFIG_BYTES >> 20} MiB, no model's config"
        )
    try:
        return foreign.json_of(data.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise ArchitectureError(f"{path}: not JSON: {str(exc)[:200]}") from exc


def _weights(folder: pathlib.Path) -> tuple[int | None, str]:
    """Bytes of all weight files: what the index says, else the files' sizes."""
    index = folder / "model.safetensors.index.json"
    total = _index_total(index)
    if total:
        return total, f"{index.name}: metadata.total_size"
    size = 0
    try:
        for entry in folder.iterdir():
            if entry.name.endswith(".safetensors"):
                size += entry.stat().st_size
    except OSError:
        return None, ""
    return (size, "sizes of the weight files") if size else (None, "")


def _index_total(path: pathlib.Path) -> int | None:
    """metadata.total_size of a safetensors index, which may list 100,000 weights: not parsed."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_INDEX_WINDOW)
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(len(text), end - _INDEX_WINDOW))
            text += stream.read(_INDEX_WINDOW)
    except OSError:
        return None
    match = re.search(rb'"metadata"\s*:\s*\{[^{}]*?"total_size"\s*:\s*(\d{1,16})(?:\.0)?\b', text)
    return int(match.group(1)) if match else None
