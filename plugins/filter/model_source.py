# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node from which a model is copied to the others."""

from __future__ import annotations

DOCUMENTATION = r"""
name: model_source
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Choose the node from which a model is copied to the others
description:
  - The source is the node that was named, or else the first node with a complete copy.
  - Where nodes have different complete copies and none was named, the copy is refused.
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.model_info) returned for the model.
    type: dict
    required: true
  nodes:
    description: All nodes that should have been reached.
    type: list
    elements: str
    required: true
  source:
    description: The node that the user named; empty for none.
    type: str
    default: ""
  quant:
    description: Only this quantisation is copied; empty for the complete model.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Choose the source
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
      description: Why nothing is copied; empty where it can be.
      type: list
      elements: str
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.model_copies import (
    Choice,
    choose_source,
    content_of,
)

Disks = Mapping[str, Mapping[str, Any]]


def model_source(
    disks: Disks, nodes: Sequence[str], source: str = "", quant: str = ""
) -> dict[str, Any]:
    """The choice; see DOCUMENTATION."""
    complete = {
        node: content_of(model)
        for node in nodes
        for model in disks.get(node, {}).get("models", ())
        if _is_complete(model, quant)
    }
    choice = choose_source(complete, source)
    refusals = list(_refusals(disks, nodes, choice))
    return {"source": "" if refusals else choice.source, "refusals": refusals}


def _is_complete(model: Mapping[str, Any], quant: str) -> bool:
    if quant:
        return any(known["name"] == quant and known["complete"] for known in model["quants"])
    return bool(model["complete"])


def _refusals(disks: Disks, nodes: Sequence[str], choice: Choice) -> Iterator[str]:
    for node in nodes:
        if "models" not in disks.get(node, {}):
            yield f"{node}: it was not reached; --limit excludes it"
        for model in disks.get(node, {}).get("models", ()):
            if model["downloading"]:
                yield f"{node}: it is being downloaded there"
    if choice.refusal:
        yield f"{choice.refusal}. Choose one: -e source=NODE"
    elif not choice.source:
        yield "no node has a complete copy"


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"model_source": model_source}
