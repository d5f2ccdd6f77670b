# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a model's weights are: from its files, its shape, its metadata, its name."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory import (
    known_models,
    parameters,
    quantisation,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ModelConfig,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
    Confidence,
    Figure,
    Serving,
    draft_of,
    gguf_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    Quantisation,
)

# Draft heads (EAGLE, DFlash, DSpark): a few dense layers of the target's width.
_DRAFT_LAYERS = 6


_PARAMS = re.compile(r"(?:(\d{1,3})x)?(\d{1,5}(?:\.\d{1,3})?)([TBMK])(?:-A\d+(?:\.\d+)?B)?", re.I)
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def parse_parameters(value: t.Any) -> float | None:
    """`30B`, `1.7B`, `8x7B`, `122B-A10B`, 7e9 -> parameters; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if 0 < value < 1e16 else None
    text = str(value).strip().replace("_", "")
    match = _PARAMS.fullmatch(text)
    if match:
        return int(match.group(1) or 1) * float(match.group(2)) * _UNITS[match.group(3).upper()]
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < 1e16 else None


def parameters_in_name(name: str) -> float | None:
    """The largest count that a name has: `Qwen3.6-35B-A3B-FP8` -> 35e9."""
    tail = name.partition(":")[0].rstrip("/").rpartition("/")[2]
    counts = [
        int(many or 1) * float(count) * _UNITS[unit.upper()]
        for many, count, unit in re.findall(
            r"(?<![A-Za-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([BMT])(?![A-Za-z0-9])",
            tail,
            re.I,
        )
    ]
    return max(counts, default=None)


def weights_of(
    serving: Serving,
    config: ModelConfig | None,
    from_disk: bool,
    notes: list[str],
    weights_bytes: int | None = None,
) -> Figure | None:
    """The complete model's weights, from the best source; None if nothing is known.

    weights_bytes: of the files that will be loaded, where these are known apart from a config.
    """
    if weights_bytes:
        return Figure(weights_bytes / GIB, "sizes of the weight files", "high")
    metadata = serving.metadata
    gguf = gguf_of(serving)
    if config is not None and from_disk and config.weights_bytes:
        return _online(serving, config, config.weights_bytes, config.weights_source)
    if config is not None and from_disk and not gguf:
        return _computed(serving, config, f"{config.source}: shape and quantisation", "high")
    vram = metadata.get("model_vram")
    if isinstance(vram, (int, float)) and not isinstance(vram, bool) and vram > 0:
        return Figure(float(vram), "metadata.model_vram", "medium")
    declared = (
        parse_parameters(metadata.get("model_params")) if "model_params" in metadata else None
    )
    if config is not None:
        count = parameters.total(config)
        # A rounded count in the metadata says less than the shape, if they mean the same model.
        if declared is None or abs(declared - count) < 0.2 * count:
            agrees = "" if declared is None else ", agrees with metadata.model_params"
            if gguf:
                bits = quantisation.GGUF_BITS[gguf]
                return Figure(count * bits / 8 / GIB, f"{config.source}, {gguf}{agrees}", "medium")
            stored = _told_scheme(metadata)
            if stored and not config.quantisation:
                config = dataclasses.replace(config, quantisation=stored)
            return _computed(serving, config, config.source + agrees, "medium")
        notes.append(
            f"metadata.model_params says {declared / 1e9:.4g}B, the model of that name has "
            f"{count / 1e9:.4g}B"
        )
    return _counted(serving, declared, gguf)


def _counted(serving: Serving, declared: float | None, gguf: str | None) -> Figure | None:
    """By a number of parameters alone: the metadata's, else the name's."""
    count = declared or parameters_in_name(serving.model)
    if count is None:
        return None
    source = "metadata.model_params" if declared else "the model's name"
    if gguf:
        scheme, bits = gguf, quantisation.GGUF_BITS[gguf]
    else:
        quant = _told_scheme(serving.metadata) or quantisation.from_name(serving.model)
        online = _online_scheme(serving)
        if quant is None and online:
            quant = Quantisation("command", online)
        scheme = (quant.scheme if quant else "") or "bf16"
        # Embeddings and the output layer stay wide: a tenth of small models, little of large ones.
        wide = min(0.1, 1.3e9 / count) if quant and quant.scheme else 1.0
        narrow = quantisation.bits_of(scheme, quant.group_size if quant else 0)
        bits = wide * 16 + (1 - wide) * narrow if quant and quant.scheme else narrow
    return Figure(count * bits / 8 / GIB, f"{source}, {scheme}", "medium" if declared else "low")


def _told_scheme(metadata: t.Mapping[str, t.Any]) -> Quantisation | None:
    """metadata.model_dtype or metadata.quantization, where they name a quantised type."""
    for key in ("model_dtype", "quantization"):
        word = quantisation.canonical(str(metadata.get(key) or ""))
        if word in quantisation.PLAIN_BITS and word not in ("bf16", "fp16", "fp32"):
            return Quantisation("metadata", word)
        if word == "int4":
            return Quantisation("metadata", word, 128)
    return None


def _online_scheme(serving: Serving) -> str:
    """What the engine makes of unquantised weights while it loads them."""
    word = (serving.flag("--quantization", "-q") or "").lower()
    return {
        "fp8": "fp8",
        "fp8_per_tensor": "fp8",
        "fp8_per_block": "fp8",
        "mxfp8": "mxfp8",
        "bitsandbytes": "nf4",
        "experts_int8": "int8",
    }.get(word, "")


def _online(serving: Serving, config: ModelConfig, size: float, source: str) -> Figure:
    """The size on disk, scaled where the command quantises or widens while loading."""
    scheme = _online_scheme(serving)
    if scheme and config.quantisation is None:
        before = parameters.weight_bytes(config)
        after = parameters.weight_bytes(config, Quantisation("command", scheme))
        return Figure(size * after / before / GIB, f"{source}; --quantization {scheme}", "medium")
    return Figure(size / GIB, source, "high")


def _computed(serving: Serving, config: ModelConfig, source: str, confidence: Confidence) -> Figure:
    method = (serving.flag("--speculative-config", "-sc") or "") + (
        serving.flag("--speculative-config.method") or ""
    )
    own = bool(method) and draft_of(serving).get("model") in (None, serving.model)
    scheme = _online_scheme(serving)
    quant = Quantisation("command", scheme) if scheme and config.quantisation is None else None
    size = parameters.weight_bytes(config, quant, with_mtp=own)
    return Figure(size / GIB, source + (f"; --quantization {scheme}" if quant else ""), confidence)


class Draft(t.NamedTuple):
    """What a speculative draft adds to a node. layers: whose cache has the model's own geometry.

    config: the draft's shape, whose cache is added instead, where it is known.
    """

    weights: Figure | None = None
    layers: int = 0
    config: ModelConfig | None = None


def draft_weights(
    serving: Serving,
    config: ModelConfig | None,
    draft_config: ModelConfig | None,
    notes: list[str],
) -> Draft:
    """The draft that the command names, or the one within the checkpoint."""
    spec = draft_of(serving)
    if not spec:
        return Draft()
    model = spec.get("model")
    if not isinstance(model, str) or model == serving.model:
        # A head within the checkpoint, whose weights are counted there.
        return Draft(layers=1)
    shape = draft_config or known_models.known_config(model)
    if shape is not None:
        size = float(shape.weights_bytes or parameters.weight_bytes(shape))
        figure = Figure(size / serving.tensor / GIB, f"{model}: {shape.source}", "medium")
        return Draft(figure, 0, shape)
    method = str(spec.get("method") or "").lower()
    if config is not None and method not in ("", "draft_model"):
        # Attention of the model's width (4) and an MLP three times as wide (9), in 16 bit.
        size = 2.0 * _DRAFT_LAYERS * (4 + 9) * config.hidden * config.hidden
        source = f"{model}: {_DRAFT_LAYERS} layers of the model's width"
        return Draft(Figure(size / GIB, source, "low"), _DRAFT_LAYERS)
    count = parameters_in_name(model)
    if count is None:
        notes.append(f"the size of the draft {model} is not known")
        return Draft(layers=_DRAFT_LAYERS)
    figure = Figure(2 * count / serving.tensor / GIB, f"{model}: its name, bf16", "low")
    return Draft(figure, _DRAFT_LAYERS)
