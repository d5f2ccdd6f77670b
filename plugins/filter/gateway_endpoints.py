# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services/endpoints.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gateway_endpoints
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: The file of services for the gateway
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.health) returned there, or the result
      of a node that could not be reached.
    type: dict
    required: true
  nodes:
    description: The nodes of that run, in its order.
    type: list
    elements: str
    required: true
  services:
    description: The services of an inventory, C(dgxspark_services).
    type: raw
    required: true
  hosts:
    description: The hosts that a service may name.
    type: list
    elements: str
    required: true
  previous:
    description: The text of the file until now. What it has of nodes that were not inspected
      remains.
    type: str
    default: ""
  caps:
    description: For a service by name, its C(concurrency), C(queue) and C(timeout).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what the gateway would serve
  ansible.builtin.debug:
    msg: >-
      {{ observed
         | dgxspark.suite.gateway_endpoints(['spark1'], dgxspark_services, groups['all']) }}
"""

RETURN = r"""
_value:
  description: The content of the file.
  type: dict
  sample:
    schema: 1
    services:
      - name: main
        node: spark1
        url: http://192.0.2.11:8000
        kind: [chat]
        paths: [/v1/chat/completions, /v1/completions, /v1/messages, /v1/responses]
        model: gpt-oss-120b
        light: /health
        state: ready
        why: ""
        concurrency: 64
        queue: 64
        timeout: 600
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import endpoints, health
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import declared


def gateway_endpoints(
    observed: Mapping[str, Mapping[str, Any]],
    nodes: Sequence[str],
    services: Any,
    hosts: Sequence[str],
    previous: str = "",
    caps: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    try:
        rows = health.rows(declared(services, hosts), observed, list(map(str, nodes)))
        return endpoints.document(rows, previous, caps or {})
    except (RecipeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"gateway_endpoints": gateway_endpoints}
