# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reasons against deleting a model from a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
name: model_refusals
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: List the reasons against deleting a model
description:
  - A model is deleted from all nodes or from none. This filter joins the refusals of all nodes.
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.model_delete) returned in check mode.
    type: dict
    required: true
  menu:
    description: What M(dgxspark.suite.model_menu) returned.
    type: dict
    required: true
  nodes:
    description: All nodes that should have been reached.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Fail if the model must not be deleted
  ansible.builtin.assert:
    that: plans | dgxspark.suite.model_refusals(menu, ansible_play_hosts_all) == []
"""

RETURN = r"""
_value:
  description:
    - The reasons, each with C(why), which names the node, and C(next), the name of the playbook
      that leads on and its arguments. Empty where there are none.
  type: list
  elements: dict
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.refusals import (
    Refusal,
    refusal,
)


def model_refusals(
    plans: Mapping[str, Mapping[str, Any]], menu: Mapping[str, Any], nodes: Sequence[str]
) -> list[Refusal]:
    """The reasons; see DOCUMENTATION."""
    return list({one["why"]: one for one in _refusals(plans, menu, nodes)}.values())


def _refusals(
    plans: Mapping[str, Mapping[str, Any]], menu: Mapping[str, Any], nodes: Sequence[str]
) -> Iterator[Refusal]:
    for node in nodes:
        if node not in plans or "plan_id" not in plans[node]:
            why = f"{node}: it was not reached, and would keep the model; --limit excludes it"
            yield refusal(why, "site", "--check", "--limit", node)
    for row in menu["models"]:
        for user in row["serving"]:
            recipe = user["recipe"]
            by = f"recipe {recipe}" if recipe else user["process"]
            stop = ["stop", "-e", f"recipe={recipe}"] if recipe else ["status"]
            yield refusal(f"{user['node']}: it is being served by {by}", *stop)
    for node, plan in plans.items():
        for why in plan.get("refusals", ()):
            yield refusal(f"{node}: {why}", "models")


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"model_refusals": model_refusals}
