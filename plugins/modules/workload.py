#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swap does to the containers of one node, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload
short_description: Set aside, remove or bring back containers of this collection
version_added: 0.1.0
description:
  - Stops containers and keeps them under a name that ends in C(.previous), so that they can be
    brought back as they were; removes others; brings those set aside back and starts them.
  - Waits, after it has stopped something, until the memory that it held has come free.
  - A container that was not started by this collection is never touched. Where one is named the
    module fails, and has done nothing.
  - Run again after it was interrupted, it does what is left to do.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: What is set aside or removed stays so; O(restore) starts anew what runs already.
options:
  park:
    description: Containers to stop and set aside, by name; those not there are passed over.
    type: list
    elements: str
    default: []
  remove:
    description: Containers to stop and remove, by name. Those that are not there are passed over.
    type: list
    elements: str
    default: []
  restore:
    description:
      - Containers to give their own name back and to start, or to start anew where they run.
      - By either of their names. One that is not there is an error.
    type: list
    elements: str
    default: []
  stop_timeout:
    description: How long a container has for its own end before it is killed, in seconds.
    type: int
    default: 30
  memory_timeout:
    description: How long to wait for memory to come free after something was stopped, in seconds.
      V(0) does not wait.
    type: int
    default: 90
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Make room, and keep what was served
  dgxspark.suite.workload:
    park: [dgxspark-lab-tiny-0]

- name: Bring it back
  dgxspark.suite.workload:
    restore: [dgxspark-lab-tiny-0]
"""

RETURN = r"""
done:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [set dgxspark-lab-tiny-0 aside, stopped dgxspark-lab-tiny-0.previous]
stop_seconds:
  description: How long stopping, renaming, removing and starting took.
  returned: success
  type: float
memory_seconds:
  description: How long was waited for memory to come free.
  returned: success
  type: float
memory_available_bytes:
  description: C(MemAvailable) of the node at the end.
  returned: success
  type: int
memory_settled:
  description: Whether it had stopped to rise by then.
  returned: success
  type: bool
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.launch import hold
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    EngineError,
    containers,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "park": {"type": "list", "elements": "str", "default": []},
            "remove": {"type": "list", "elements": "str", "default": []},
            "restore": {"type": "list", "elements": "str", "default": []},
            "stop_timeout": {"type": "int", "default": 30},
            "memory_timeout": {"type": "int", "default": 90},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = {kind: given[kind] for kind in (hold.REMOVE, hold.PARK, hold.RESTORE)}
    started = time.monotonic()
    try:
        if module.check_mode:
            done = hold.steps(containers(given["docker_bin"]), wanted, given["stop_timeout"])
        else:
            done = hold.carry_out(given["docker_bin"], wanted, given["stop_timeout"])
    except (EngineError, hold.NotOurs) as error:
        module.fail_json(msg=str(error))
    stopped = any(step.argv[0] == "stop" for step in done)
    took = time.monotonic() - started
    wait = given["memory_timeout"] if stopped and not module.check_mode else 0
    memory, waited, settled = hold.settle(wait) if wait else (hold.available(), 0.0, True)
    module.exit_json(
        changed=bool(done),
        done=[step.told for step in done],
        stop_seconds=round(took, 1),
        memory_seconds=round(waited, 1),
        memory_available_bytes=memory,
        memory_settled=settled,
    )


if __name__ == "__main__":
    main()
