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


# For the operating system and the rest of a node.
HOST_RESERVE_GIB = 4.0


def fit(
    estimate: MemoryEstimate, node: NodeMemory, host_reserve_gib: float = HOST_RESERVE_GIB
) -> Fit:
    """Whether a node has what the estimate needs; the same for each node of a launch.

    host_reserve_gib: for the operating system and the rest of the node.
    """
    total, others = node.total_bytes / GIB, node.used_by_others_bytes / GIB
    asked = _asked(estimate, total)
    most = total - others - host_reserve_gib
    budget = min(asked, most)
    # Where the share is for weights and cache alone, overheads need room beside it.
    beside = estimate.overhead.gib if estimate.serving.traits.share_beside else 0.0
    reasons = _too_large_a_share(estimate, node, asked)
    room = None if estimate.weights is None else (budget - (estimate.base_gib - beside)) * GIB
    longest = _longest(estimate, room)
    need = estimate.total_gib
    if need is None:
        return _unknown(estimate, reasons, budget, longest)
    if need - beside > budget or need > most:
        reasons.append(
            f"{need - beside:.1f} GiB are needed on {node.name or 'the node'}, "
            f"{max(budget, 0.0):.1f} can be had ({_why(estimate, total, others, host_reserve_gib)})"
        )
    pool = _too_small_a_pool(estimate)
    if pool and estimate.kv_cache and estimate.curve:
        reasons.append(pool)
        longest = largest(estimate.curve, estimate.kv_cache.gib * GIB, estimate.context_limit)
    fits = not reasons
    spare = min(budget - (need - beside), most - need)
    near = abs(spare) < estimate.overhead.gib / 3
    tight = near and (fits or (len(reasons) == 1 and spare < 0))
    least_share = math.ceil((need - beside) / total * 100) / 100
    return Fit(
        fits=fits,
        verdict="tight" if tight else "fits" if fits else "exceeds",
        need_gib=need,
        budget_gib=max(budget, 0.0),
        largest_context=longest,
        sequences=_sequences(estimate, room),
        utilisation=least_share if least_share * total <= most else None,
        reasons=tuple(reasons),
        advice=tuple(
            _lower_share(estimate, asked, total)
            if fits
            else _advice(estimate, node, host_reserve_gib, longest, least_share)
        ),
    )


def _too_large_a_share(estimate: MemoryEstimate, node: NodeMemory, asked: float) -> list[str]:
    """The engine does not start where its share is not free."""
    total, others = node.total_bytes / GIB, node.used_by_others_bytes / GIB
    if asked <= total - others or estimate.utilisation is None or estimate.fixed_pool:
        return []
    return [
        f"the engine asks for {asked:.1f} GiB at its start, but of {node.name or 'the node'}'s "
        f"{total:.1f} GiB others use {others:.1f}"
    ]


def _longest(estimate: MemoryEstimate, room: float | None) -> int | None:
    """Tokens of one sequence whose cache has room. room: bytes."""
    if room is None or estimate.curve is None:
        return None
    return largest(estimate.curve, room, estimate.context_limit) if room > 0 else 0


def _unknown(
    estimate: MemoryEstimate, reasons: t.Sequence[str], budget: float, longest: int | None
) -> Fit:
    """The size of the model or of its cache is not known."""
    if estimate.serving.traits.limited:
        why, advice = "the limit of the container is not known", "Add memory: 4GiB"
    else:
        why = "the size of the model or of its cache is not known"
        advice = "Add metadata.model_params and model_dtype, or download the model"
    return Fit(
        None,
        "unknown",
        None,
        budget,
        longest,
        None,
        None,
        (*reasons, why),
        (advice,),
    )


def _too_small_a_pool(estimate: MemoryEstimate) -> str:
    """Why one sequence does not fit into the cache that the command sets; "" where it does."""
    if not (estimate.context_tokens and estimate.curve and estimate.fixed_pool):
        return ""
    least = estimate.curve.bytes(estimate.context_tokens) / GIB
    if estimate.kv_cache is None or least <= estimate.kv_cache.gib:
        return ""
    return (
        f"one sequence of {estimate.context_tokens} tokens needs {least:.2f} GiB of cache, "
        f"{estimate.kv_cache.gib:.2f} are set apart"
    )


def _sequences(estimate: MemoryEstimate, room: float | None) -> float | None:
    """How many sequences of full length the cache holds. room: bytes."""
    if not (estimate.curve and estimate.context_tokens):
        return None
    each = estimate.curve.bytes(estimate.context_tokens)
    return max(room or 0.0, 0.0) / each if each else None


def _lower_share(estimate: MemoryEstimate, asked: float, total: float) -> list[str]:
    """Advice for a share that leaves the node too little."""
    if not estimate.utilisation or asked <= total - 8:
        return []
    return [
        f"Lower {estimate.serving.traits.share_setting} below {(total - 8) / total:.2f}: the node "
        f"keeps only {max(total - asked, 0):.1f} GiB for itself, and freezes when that is used up"
    ]


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
    parts.append(f"{reserve:.1f} reserved for the node")
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
    advice = []
    if (
        longest
        and longest >= 1024
        and estimate.context_tokens
        and longest < estimate.context_tokens
    ):
        advice.append(f"Lower {traits.context_setting} to {longest}")
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
            advice.append(f"Set kv_cache_dtype: fp8, which saves {saved:.1f} GiB of cache")
    key = traits.share_setting
    if (
        estimate.utilisation is not None
        and estimate.utilisation < least_share <= 0.9
        and least_share * total <= total - others - reserve
    ):
        advice.append(f"Raise {key} to {least_share:.2f}")
    free = total - others
    if estimate.utilisation and estimate.utilisation * total > free and least_share * total <= free:
        advice.append(f"Lower {key} to {math.floor((free - 1) / total * 100) / 100:.2f}")
    if others >= 1 and (estimate.total_gib or 0) <= total - reserve:
        advice.append(f"Free memory: others use {others:.1f} GiB on {node.name or 'the node'}")
    if not traits.splits_layers:
        bigger = _more_nodes(estimate, node, reserve)
        if bigger:
            advice.append(f"Use {bigger} nodes: tensor_parallel {bigger // serving.pipeline}")
    if traits.limited:
        advice.append("Lower memory, if the program needs less")
    elif longest == 0 or not advice:
        advice.append("Use a smaller quantisation of the model, or a smaller model")
    return advice


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
