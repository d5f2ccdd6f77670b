# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an estimate reads from a launch: the engine, its flags, the recipe's metadata."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory import quantisation
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    engine_named,
    engine_of_runtime,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import (
    MemoryTraits,
)

GIB = 1 << 30
Confidence = t.Literal["high", "medium", "low"]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number in GiB, where it comes from, and how far it can be trusted."""

    gib: float
    source: str
    confidence: Confidence

    def to_dict(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "gib": round(self.gib, 2)}


@dataclasses.dataclass(frozen=True)
class Serving:
    """What an estimate needs to know of a launch.

    engine: the name of one. words: what the server receives; its flags are the truth.
    metadata: the recipe's. env: of its containers, without secrets. limit_bytes: of a container
    whose size is its limit.
    """

    model: str
    engine: str
    words: tuple[str, ...]
    tensor: int = 1
    pipeline: int = 1
    metadata: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    env: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    limit_bytes: int | None = None

    @property
    def traits(self) -> MemoryTraits:
        return engine_named(self.engine).memory

    def flag(self, *names: str) -> str | None:
        return Server("", "", self.words).flag(names)


def serving_of(resolved: ResolvedRecipe) -> Serving:
    """What an estimate needs of a resolved recipe."""
    engine = engine_of_runtime(resolved.runtime)
    pipeline = resolved.pipeline_parallel
    if engine.memory.splits_layers:
        # It splits a model by layers over as many nodes as take part.
        pipeline = max(pipeline, len(resolved.ranks) // resolved.tensor_parallel)
    return Serving(
        model=resolved.model,
        engine=engine.name,
        words=resolved.ranks[0].argv,
        tensor=resolved.tensor_parallel,
        pipeline=pipeline,
        metadata=resolved.recipe.metadata,
        env={**resolved.inventory_env, **resolved.env},
        limit_bytes=resolved.memory_bytes,
    )


def draft_of(serving: Serving) -> dict[str, t.Any]:
    """What the command says about a draft: method, model, number of tokens."""
    draft_settings: dict[str, t.Any] = {}
    text = serving.flag("--speculative-config", "-sc")
    if text:
        try:
            data = foreign.json_of(text)
        except (ValueError, RecursionError):
            data = None
        draft_settings = dict(data) if isinstance(data, dict) else {}
    for word in ("method", "model"):
        value = serving.flag(f"--speculative-config.{word}", f"-sc.{word}")
        if value:
            draft_settings[word] = value
    draft = serving.flag(
        "--speculative-draft-model-path", "-md", "--model-draft", "-hfd", "--hf-repo-draft"
    )
    if draft:
        draft_settings["model"] = draft
    algorithm = serving.flag("--speculative-algorithm")
    if algorithm:
        draft_settings.setdefault("method", algorithm.lower())
    return draft_settings


def gguf_of(serving: Serving) -> str | None:
    """The GGUF type that is served, from the model's suffix, the file, or metadata."""
    if not serving.traits.gguf and "gguf" not in serving.model.lower():
        return None
    for text in (
        serving.model.partition(":")[2],
        (serving.flag("-hf", "--hf-repo", "-hfr") or "").partition(":")[2],
        serving.flag("-hff", "--hf-file") or "",
        (serving.flag("-m", "--model") or "").rpartition("/")[2],
        serving.model.rpartition("/")[2],
        str(serving.metadata.get("model_dtype") or ""),
    ):
        kind = quantisation.gguf_name(text) if text else None
        if kind:
            return kind
    # llama-server's own choice of a repository without a type.
    return "q4_k_m"


def tokens_of(text: str | None) -> int | None:
    """`200000`, `32k` (1000), `32K` (1024), `1M`; None for auto, -1 and anything else."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([kKmM]?)", (text or "").strip())
    if not match:
        return None
    unit = {"": 1, "k": 1000, "K": 1024, "m": 1000**2, "M": 1024**2}[match.group(2)]
    return int(float(match.group(1)) * unit) or None


def bytes_of(text: str | None) -> int | None:
    """`8G` (GiB), `8g` (GB), `8589934592`; None for anything else."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([kKmMgG]?)i?[bB]?", (text or "").strip())
    if not match:
        return None
    power = {"": 0, "k": 1, "m": 2, "g": 3}[match.group(2).lower()]
    return int(float(match.group(1)) * (1000 if match.group(2).islower() else 1024) ** power)


def number_of(text: str | None, default: float) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return default
    return value if 0 < value < 1e9 else default
