#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action plugin of the same name, which does it all on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: webhook
short_description: Tell receivers, signed, what became of a swap
version_added: 0.1.0
description:
  - Posts a JSON document, signed with HMAC-SHA256, to each receiver. The collection's
    C(docs/contracts/webhook.md) says what is in it and how a receiver proves it.
  - Waits at most 3 seconds for all of them. What has not arrived by then is tried again in the
    background, six times in all within eight minutes, on the controller.
  - Never fails, since nothing depends on it; what was not delivered at once is a warning.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
  idempotent:
    support: none
notes:
  - This is an action plugin; the node is not asked for anything.
options:
  event:
    description: What has happened.
    type: str
    choices: [swap_complete, swap_failed, swap_rolled_back]
    required: true
  urls:
    description: The receivers.
    type: list
    elements: str
    default: []
  secret:
    description: What receivers know, too. Nothing is sent without one.
    type: str
    required: true
  swap:
    description: The entry of the journal.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Tell that the model was swapped
  dgxspark.suite.webhook:
    event: swap_complete
    urls: ["https://example.com/hooks/spark"]
    secret: "{{ vault_webhook_secret }}"
    swap: "{{ journal }}"
  no_log: true
"""

RETURN = r"""
deliveries:
  description: What became of the first attempt at each receiver.
  returned: always
  type: list
  elements: dict
  sample: [{receiver: example.com, outcome: delivered}]
"""
