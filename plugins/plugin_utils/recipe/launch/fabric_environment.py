# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of NCCL and UCX for the links between the nodes, and given ones that do not fit."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node

RING = "ring"

# Each port of a ring leads to another node, in a subnet of its own: NCCL connects devices of one
# subnet only by the first, and a network plugin of the image would hide both of them. Without:
# `ibv_modify_qp failed with 110` (spark-arena/sparkrun 157, 174; eugr/spark-vllm-docker 252).
_OF_A_RING = {"NCCL_IB_SUBNET_AWARE_ROUTING": "1", "NCCL_NET_PLUGIN": "none"}

# Variables that name RoCE devices, and those that name interfaces, besides the ones set per node.
_DEVICES = ("UCX_NET_DEVICES",)
_INTERFACES = ("MN_IF_NAME", "OMPI_MCA_btl_tcp_if_include")


def shared(nodes: t.Sequence[Node]) -> dict[str, str]:
    """What all ranks of these nodes get because of how they are connected."""
    return dict(_OF_A_RING) if _in_ring(nodes) else {}


def warnings(nodes: t.Sequence[Node], given: t.Mapping[str, str]) -> list[str]:
    """What of the given environment does not fit these nodes, or is left for a person to decide."""
    texts = []
    if _in_ring(nodes) and "NCCL_IB_MERGE_NICS" not in given:
        texts.append(
            "the nodes are a ring: reports contradict each other about NCCL_IB_MERGE_NICS (0, 1), "
            "so it stays NCCL's default; set it in dgxspark_env if ranks do not connect"
        )
    if "NCCL_IB_GID_INDEX" in given:
        texts.append(
            f"NCCL_IB_GID_INDEX={given['NCCL_IB_GID_INDEX']} holds for every device of every node, "
            "and their tables differ and change: leave it out, and NCCL finds the entry itself"
        )
    for name in (*_DEVICES, *_INTERFACES):
        texts += _unknown(name, given.get(name, ""), nodes)
    return texts


def _in_ring(nodes: t.Sequence[Node]) -> bool:
    return len(nodes) > 1 and any(node.topology == RING for node in nodes)


def _unknown(name: str, value: str, nodes: t.Sequence[Node]) -> list[str]:
    """A warning if a node is known to have none of the named devices or interfaces."""
    named = {part.partition(":")[0].strip() for part in value.split(",") if part.strip()}
    if not named or named == {"all"}:
        return []
    lacking = []
    for node in nodes:
        own = node.hcas if name in _DEVICES else tuple(filter(None, (node.fabric_interface,)))
        if own and not named & set(own):
            lacking.append(f"{node.name} has {', '.join(own)}")
    return [f"{name}={value} names none of its links: {'; '.join(lacking)}"] if lacking else []
