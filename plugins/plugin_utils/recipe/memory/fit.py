# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node has the memory that an estimate asks for, and what to change where not."""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    MemoryEstimate,
    estimate_memory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.kv_cache import (
    KvCurve,
    largest,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
)


@dataclasses.dataclass(frozen=True)
class NodeMemory:
    """What a node has. total_bytes: MemTotal. used_by_others_bytes: of what is not replaced."""

    total_bytes: int
    used_by_others_bytes: int = 0
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Fit:
    """Whether an estimate fits a node.

    fits: None where weights or cache are not known. verdict: the same, but `tight` where need and
    budget are nearer than the overhead is known (a third of it): a launch may go either way.
    budget_gib: what the engine may take there. largest_context: tokens of one sequence that fit, 0
    where not even the weights do, None where unknown. sequences: how many of full length the cache
    holds at once. utilisation: the smallest that is enough, None where none is. advice: what to
    change, the least intrusive first.
    """

    fits: bool | None
    verdict: t.Literal["fits", "tight", "exceeds", "unknown"]
    need_gib: float | None
    budget_gib: float
    largest_context: int | None
    sequences: float | None
    utilisation: float | None
    reasons: tuple[str, ...]
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, t.Any]:
        rounded = {
            name: None if value is None else round(value, 2)
            for name, value in (
                ("need_gib", self.need_gib),
                ("budget_gib", self.budget_gib),
                ("sequences", self.sequences),
            )
        }
        return {
            **dataclasses.asdict(self),
            **rounded,
            "reasons": list(self.reasons),
            "advice": list(self.advice),
        }


def fit(estimate: MemoryEstimate, node: NodeMemory, host_reserve_gib: float = 4.0) -> Fit:
    """Whether a node has what the estimate needs; the same for each node of a launch.

    host_reserve_gib: what the operating system and the rest of the node always keep.
    """
    total = node.total_bytes / GIB
    others = node.used_by_others_bytes / GIB
    free = total - others
    name = node.name or "the node"
    asked = _asked(estimate, total)
    budget = min(asked, free - host_reserve_gib)
    # SGLang's fraction is for weights and cache; the rest must find room beside it.
    beside = estimate.overhead.gib if estimate.serving.traits.share_beside else 0.0
    reasons, ok = [], True
    if asked > free and estimate.utilisation is not None and not estimate.fixed_pool:
        ok = False
        reasons.append(
            f"the engine asks for {asked:.1f} GiB at its start, but of {name}'s {total:.1f} GiB "
            f"others use {others:.1f}"
        )
    need = estimate.total_gib
    room = None if estimate.weights is None else (budget - (estimate.base_gib - beside)) * GIB
    longest = None
    if room is not None and estimate.curve is not None:
        longest = largest(estimate.curve, max(room, 0.0), estimate.context_limit) if room > 0 else 0
    if need is None:
        return Fit(
            None,
            "unknown",
            None,
            budget,
            longest,
            None,
            None,
            (*reasons, "the size of the model or of its cache is not known"),
            ("Add metadata.model_params and model_dtype, or download the model",),
        )
    if need - beside > budget or need > free - host_reserve_gib:
        ok = False
        reasons.append(
            f"{need - beside:.1f} GiB are needed on {name}, {max(budget, 0.0):.1f} can be had "
            f"({_why(estimate, total, others, host_reserve_gib)})"
        )
    if estimate.context_tokens and estimate.curve and estimate.fixed_pool:
        least = estimate.curve.bytes(estimate.context_tokens) / GIB
        if estimate.kv_cache and least > estimate.kv_cache.gib:
            ok = False
            reasons.append(
                f"one sequence of {estimate.context_tokens} tokens needs {least:.2f} GiB of cache, "
                f"{estimate.kv_cache.gib:.2f} are set apart"
            )
            longest = largest(estimate.curve, estimate.kv_cache.gib * GIB, estimate.context_limit)
    spare = min(budget - (need - beside), free - host_reserve_gib - need)
    verdict: t.Literal["fits", "tight", "exceeds"] = "fits" if ok else "exceeds"
    if abs(spare) < estimate.overhead.gib / 3 and (ok or (len(reasons) == 1 and spare < 0)):
        verdict = "tight"
    per_sequence = (
        estimate.curve.bytes(estimate.context_tokens)
        if estimate.curve and estimate.context_tokens
        else 0.0
    )
    sequences = max(room or 0.0, 0.0) / per_sequence if per_sequence else None
    least_share = math.ceil((need - beside) / total * 100) / 100
    reachable = least_share * total <= free - host_reserve_gib
    advice = [] if ok else _advice(estimate, node, host_reserve_gib, longest, least_share)
    if ok and estimate.utilisation and asked > total - 8:
        advice.append(
            f"Lower gpu_memory_utilization below {(total - 8) / total:.2f}: the node keeps only "
            f"{max(total - asked, 0):.1f} GiB for itself, and freezes when that is used up"
        )
    return Fit(
        fits=ok,
        verdict=verdict,
        need_gib=need,
        budget_gib=max(budget, 0.0),
        largest_context=longest,
        sequences=sequences,
        utilisation=least_share if reachable else None,
        reasons=tuple(reasons),
        advice=tuple(advice),
    )


def _asked(estimate: MemoryEstimate, total: float) -> float:
    """GiB that the engine is allowed to take on a node of `total` GiB."""
    if estimate.fixed_pool:
        return total
    if estimate.utilisation_gib is not None:
        return estimate.utilisation_gib
    return total if estimate.utilisation is None else estimate.utilisation * total


def _why(estimate: MemoryEstimate, total: float, others: float, reserve: float) -> str:
    parts = [f"{total:.1f} GiB in all"]
    if estimate.utilisation_gib is not None:
        parts.append(f"of which {estimate.utilisation_gib:g} are the engine's")
    elif estimate.utilisation is not None and not estimate.fixed_pool:
        parts.append(f"of which {estimate.utilisation:g} are the engine's")
    if others >= 0.05:
        parts.append(f"{others:.1f} used by others")
    parts.append(f"{reserve:.1f} kept for the node")
    return ", ".join(parts)


def _advice(
    estimate: MemoryEstimate,
    node: NodeMemory,
    reserve: float,
    longest: int | None,
    least_share: float,
) -> list[str]:
    """What would help, the least intrusive first; each may do, together they do more."""
    total, others = node.total_bytes / GIB, node.used_by_others_bytes / GIB
    serving = estimate.serving
    traits = serving.traits
    found = []
    if (
        longest
        and longest >= 1024
        and estimate.context_tokens
        and longest < estimate.context_tokens
    ):
        found.append(f"Lower {traits.context_setting} to {longest}")
    if traits.fp8_cache and estimate.kv_bits > 8 and estimate.curve:
        half = KvCurve(
            estimate.curve.bytes_per_token * 8 / estimate.kv_bits,
            estimate.curve.windows,
            estimate.curve.fixed,
        )
        saved = (estimate.kv_cache.gib if estimate.kv_cache else 0) - half.bytes(
            estimate.context_tokens or 0
        ) / GIB
        if saved > 0.5:
            found.append(f"Set kv_cache_dtype: fp8, which saves {saved:.1f} GiB of cache")
    key = traits.share_setting
    if (
        estimate.utilisation is not None
        and estimate.utilisation < least_share <= 0.9
        and least_share * total <= total - others - reserve
    ):
        found.append(f"Raise {key} to {least_share:.2f}")
    free = total - others
    if estimate.utilisation and estimate.utilisation * total > free and least_share * total <= free:
        found.append(f"Lower {key} to {math.floor((free - 1) / total * 100) / 100:.2f}")
    if others >= 1 and (estimate.total_gib or 0) <= total - reserve:
        found.append(f"Free memory: others use {others:.1f} GiB on {node.name or 'the node'}")
    if not traits.splits_layers:
        bigger = _more_nodes(estimate, node, reserve)
        if bigger:
            found.append(f"Use {bigger} nodes: tensor_parallel {bigger // serving.pipeline}")
    if longest == 0 or not found:
        found.append("Use a smaller quantisation of the model, or a smaller model")
    return found


def _more_nodes(estimate: MemoryEstimate, node: NodeMemory, reserve: float) -> int | None:
    """The fewest nodes, doubling, on which the same command would fit."""
    serving, config = estimate.serving, estimate.config
    tensor = serving.tensor
    while tensor * serving.pipeline < 16:
        tensor *= 2
        if config and config.attention.heads % tensor:
            return None
        wider = estimate_memory(dataclasses.replace(serving, tensor=tensor), config)
        need = wider.total_gib
        if need is None:
            return None
        total, others = node.total_bytes / GIB, node.used_by_others_bytes / GIB
        if need <= min(_asked(wider, total), total - others - reserve):
            return tensor * serving.pipeline
    return None
