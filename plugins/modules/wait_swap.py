#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a swap that the nodes do; the action plugin of the same name repeats it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_swap
short_description: Follow a swap that the nodes do
version_added: 0.3.0
description:
  - This module is private to the collection and may change without notice.
  - Prints how far the swap is, until it has ended, and returns how. It changes nothing, and nothing
    depends on it.
  - Fails where the swap was not completed.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
notes:
  - This is an action plugin. It runs for the decider, the node of rank 0 of the new plan.
options:
  service:
    description: The name of the service.
    type: str
    required: true
  id:
    description: The id of the swap.
    type: str
    required: true
  url:
    description: Where the server of the new plan listens.
    type: str
    default: ""
  kind:
    description: What it serves.
    type: list
    elements: str
    default: []
  probe:
    description: What the recipe says of its probes, as the launch plan has it.
    type: dict
    default: {}
  container:
    description: The container of the server.
    type: str
    default: ""
  timeout:
    description: How long to follow, in seconds.
    type: int
    default: 7200
  known:
    description: The step of the last look. While it stays the same the node repeats its look for up
      to O(patience). The action plugin sets it.
    type: str
    default: ""
  patience:
    description: How long a node may repeat its look, in seconds. The action plugin sets it.
    type: float
    default: 0
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Follow the swap
  dgxspark.suite.wait_swap:
    service: main
    id: 5f0c
"""

RETURN = r"""
phase:
  description: The result of a swap that has ended, V(complete), V(rolled_back), V(failed) or
    V(interrupted); V(open) before, V(unknown) where nothing is known of it.
  returned: always
  type: str
step:
  description: What the decider does.
  returned: always
  type: str
missing:
  description: The nodes that do not answer the decider.
  returned: always
  type: list
  elements: str
attempt:
  description: How often the new plan was started.
  returned: always
  type: int
why:
  description: Why the new plan does not serve, empty if it does.
  returned: always
  type: str
lost:
  description: What of the old plan does not serve.
  returned: always
  type: list
  elements: str
unmet:
  description: What the supervisors of the new plan waited for at the end, empty if they have met.
  returned: always
  type: str
kind:
  description: The kind that the server has proven to be.
  returned: always
  type: str
phases:
  description: The parts of the swap with their durations in seconds.
  returned: always
  type: list
  elements: dict
  sample: [{phase: stop old, seconds: 2.0}, {phase: model loaded, seconds: 31.5}]
last_log:
  description: The last line of the log of the server's container.
  returned: always
  type: str
server:
  description: The phase of the server while the new plan is proven, empty otherwise.
  returned: always
  type: str
journal:
  description: The entry of the swap in the journal.
  returned: when the swap has ended
  type: dict
summary:
  description: Its phases and their durations, in one line.
  returned: when the swap has ended
  type: str
  sample: preflight 1.3 s, stop old 2.0 s; together 3.3 s
"""

import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import last_line
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    journal,
    proof,
    readiness,
    state_files,
    swap_files,
    swap_rules,
)

LOG_LINES = 200
INTERVAL = 0.25


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "id": {"type": "str", "required": True},
            "url": {"type": "str", "default": ""},
            "kind": {"type": "list", "elements": "str", "default": []},
            "probe": {"type": "dict", "default": {}},
            "container": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 7200},
            "known": {"type": "str", "default": ""},
            "patience": {"type": "float", "default": 0},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    until = time.monotonic() + given["patience"]
    while True:
        seen = progress(given["service"], given["id"])
        changed = seen["phase"] != swap_files.OPEN or seen["step"] != given["known"]
        if changed or time.monotonic() >= until:
            break
        time.sleep(INTERVAL)
    seen["server"], seen["last_log"] = "", ""
    if seen["step"] == swap_files.PROVES and given["container"]:
        log = containers.log_tail(given["docker_bin"], given["container"], LOG_LINES)
        probe = proof.Given.of(json.dumps(given["probe"]))
        server = readiness.look(given["url"], "", False, 5, "", given["kind"], probe)
        seen.update(server=server.phase, last_log=last_line(log))
    if seen["phase"] not in (swap_files.OPEN, swap_files.UNKNOWN):
        seen.update(ended(given["id"]))
    module.exit_json(changed=False, **seen)


def progress(service: str, swap: str) -> dict[str, Any]:
    """What the guard of this node has published of the swap."""
    found = swap_files.published().get(service, {})
    if found.get("id") != swap:
        found = {}
    # A participant does not know the result.
    ended = found.get("state") == swap_rules.ENDED and "result" in found
    open_ = swap_files.OPEN if found else swap_files.UNKNOWN
    return {
        "phase": str(found["result"]) if ended else open_,
        "step": foreign.line(str(found.get("step", ""))),
        "missing": list(found.get("missing", ())),
        "attempt": int(found.get("attempt", 0)),
        "why": foreign.line(str(found.get("why", ""))),
        "lost": list(found.get("lost", ())),
        "unmet": foreign.line(str(found.get("unmet", ""))),
        "kind": str(found.get("kind", "")),
        "phases": list(found.get("phases", ())),
    }


def ended(swap: str) -> dict[str, Any]:
    """The entry of the swap in the journal, and its summary; both empty where it is not there."""
    try:
        entry = journal.stored(state_files.FOLDER)
    except state_files.Broken:
        entry = {}
    if entry.get("id") != swap:
        return {"journal": {}, "summary": ""}
    return {"journal": entry, "summary": journal.summary(entry)}


if __name__ == "__main__":
    main()
