#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: webhook
short_description: Send signed swap notifications to webhooks
version_added: 0.1.0
description:
  - This module is private to the collection and may change without notice.
  - Posts a JSON document, signed with HMAC-SHA256, to each receiver. The collection's
    C(docs/contracts/webhook.md) describes the document and how a receiver verifies it.
  - Waits at most 3 seconds for all receivers together. A process on the controller retries failed
    deliveries in the background, six attempts in all within eight minutes. With O(wait) the task
    waits for these attempts instead.
  - Never fails; a delivery that does not succeed at once is a warning.
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
  - This is an action plugin; nothing runs on the node.
options:
  event:
    description: The event.
    type: str
    choices: [swap_complete, swap_failed, swap_rolled_back]
    required: true
  urls:
    description: The receivers.
    type: list
    elements: str
    default: []
  secret:
    description: The shared secret that signs. Without it nothing is sent.
    type: str
    required: true
  wait:
    description:
      - Whether to wait until each message is delivered, refused or out of attempts, nine minutes at
        most. For a controller whose processes end with the run, such as a container.
    type: bool
    default: false
  swap:
    description: The journal entry of the swap.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Report a complete swap
  dgxspark.suite.webhook:
    event: swap_complete
    urls: ["https://example.com/hooks/spark"]
    secret: "{{ vault_webhook_secret }}"
    swap: "{{ journal }}"
  no_log: true
"""

RETURN = r"""
deliveries:
  description: The outcome for each receiver; without O(wait) that of the first attempt.
  returned: always
  type: list
  elements: dict
  sample: [{receiver: example.com, outcome: delivered}]
"""
