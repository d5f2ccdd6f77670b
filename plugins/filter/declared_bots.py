# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services."""

from __future__ import annotations

DOCUMENTATION = r"""
name: declared_bots
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: The bots that an inventory declares
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The services of an inventory, C(dgxspark_services).
    type: raw
    required: true
  hosts:
    description: The hosts that a service may name.
    type: list
    elements: str
    required: true
  only:
    description: The name of the one that is meant, empty for the only one. Without it all of them.
    type: str
"""

EXAMPLES = r"""
- name: Show where the bots are
  ansible.builtin.debug:
    msg: "{{ dgxspark_services | dgxspark.suite.declared_bots(groups['all']) }}"
"""

RETURN = r"""
_value:
  description: The bots, each with its name and its node.
  type: list
  elements: dict
  sample:
    - name: herald
      node: spark1
      checkout: /home/alice/herald
      user: alice
      container: herald
      branch: main
      compose: compose.yml
      deploy_key: ""
"""

from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import (
    bot_of,
    declared,
)


def declared_bots(services: Any, hosts: list[str], only: str | None = None) -> list[dict[str, str]]:
    """The bots; a declaration that cannot be understood is an error of the filter."""
    try:
        known = declared(services, hosts)
        chosen = known if only is None else [bot_of(known, only)]
    except (RecipeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error
    return [
        {"name": one.name, "node": one.nodes[0], **asdict(one.bot)} for one in chosen if one.bot
    ]


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"declared_bots": declared_bots}
