# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which node a model is copied to the others."""

from __future__ import annotations

DOCUMENTATION = r"""
name: model_source
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Choose the node from which a model is copied to the others
description:
  - It is the first that has the model whole. Where nodes have different ones, a person has to say
    which is right.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.model_info) returned of the model.
    type: dict
    required: true
  nodes:
    description: All nodes that should have been reached.
    type: list
    elements: str
    required: true
  source:
    description: The node that a person has chosen; empty for none.
    type: str
    default: ""
  quant:
    description: Only this quantisation is copied; empty for the whole model.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Choose
  ansible.builtin.set_fact:
    chosen: "{{ disks | dgxspark.suite.model_source(ansible_play_hosts_all) }}"
"""

RETURN = r"""
_value:
  description: The choice.
  type: dict
  contains:
    source:
      description: The node; empty where there are refusals.
      type: str
    refusals:
      description: Why nothing is copied. Empty when all is well.
      type: list
      elements: str
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Disks = Mapping[str, Mapping[str, Any]]


def model_source(
    disks: Disks, nodes: Sequence[str], source: str = "", quant: str = ""
) -> dict[str, Any]:
    """The choice; see DOCUMENTATION."""
    having = {
        node: model
        for node in nodes
        for model in disks.get(node, {}).get("models", ())
        if _whole(model, quant)
    }
    refusals = list(_refusals(disks, nodes, source, having))
    chosen = source or next(iter(having), "")
    return {"source": "" if refusals else chosen, "refusals": refusals}


def _whole(model: Mapping[str, Any], quant: str) -> bool:
    if quant:
        return any(one["name"] == quant and one["complete"] for one in model["quants"])
    return bool(model["complete"])


def _refusals(
    disks: Disks, nodes: Sequence[str], source: str, having: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    for node in nodes:
        if "models" not in disks.get(node, {}):
            yield f"{node}: it was not reached; --limit leaves it out"
        for model in disks.get(node, {}).get("models", ()):
            if model["downloading"]:
                yield f"{node}: it is being downloaded there"
    if not having:
        yield "no node has it whole"
    elif source and source not in having:
        yield f"{source} does not have it whole; {', '.join(having)} does"
    elif not source and len({_content(model) for model in having.values()}) > 1:
        told = ", ".join(f"{node} has {_content(model)}" for node, model in having.items())
        yield f"the nodes have different ones: {told}. Say which is right: -e source=NODE"


def _content(model: Mapping[str, Any]) -> str:
    return str(model["revision"] or f"{model['size']} bytes")


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"model_source": model_source}
