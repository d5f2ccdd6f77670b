#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swap does to the containers of one node, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload
short_description: Set aside, remove, bring back or keep containers of this collection
version_added: 0.1.0
description:
  - Stops containers and keeps them under a name that ends in C(.previous), so that they can be
    brought back as they were; removes others; brings those set aside back and starts them.
  - Waits, after it has stopped something, until the memory that it held has come free.
  - Writes, and removes, the units that keep containers over reboots and crashes. What is set aside,
    removed or brought back loses its unit first.
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
    support: full
    details: The unit files.
  idempotent:
    support: partial
    details: What is set aside or removed stays so; O(restore) starts anew what runs already.
options:
  retain:
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
  supervise:
    description:
      - Containers that a unit is to keep, each by its name with what its unit has to know, as
        P(dgxspark.suite.launch_steps#filter) tells it.
      - Where that cannot be done the module warns, since what is served is served all the same.
    type: dict
    default: {}
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
    retain: [dgxspark-lab-tiny-0]

- name: Bring it back
  dgxspark.suite.workload:
    restore: [dgxspark-lab-tiny-0]

- name: Have it come back after a reboot
  dgxspark.suite.workload:
    supervise: "{{ launch_steps.supervise[inventory_hostname] }}"
"""

RETURN = r"""
done:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [set dgxspark-lab-tiny-0 aside, stopped dgxspark-lab-tiny-0.previous]
unsupervised:
  description: Why O(supervise) could not be had, empty where it could.
  returned: success
  type: str
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
memory_stable:
  description: Whether it had stopped to rise by then.
  returned: success
  type: bool
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    EngineError,
    containers,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import retention, units


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "retain": {"type": "list", "elements": "str", "default": []},
            "remove": {"type": "list", "elements": "str", "default": []},
            "restore": {"type": "list", "elements": "str", "default": []},
            "supervise": {"type": "dict", "default": {}},
            "stop_timeout": {"type": "int", "default": 30},
            "memory_timeout": {"type": "int", "default": 90},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    docker, act = given["docker_bin"], not module.check_mode
    wanted = {kind: given[kind] for kind in (retention.REMOVE, retention.RETAIN, retention.RESTORE)}
    started = time.monotonic()
    try:
        kept = [unit.container for unit in units.found()]
        planned = retention.steps(containers(docker), wanted, given["stop_timeout"], kept)
        going = [step.unit for step in planned if step.unit]
        diff: list[units.Change] = list(units.changes({}, going, docker)) if going else []
        if act:
            retention.carry_out(docker, planned, given["stop_timeout"])
            _write(diff)
    except (EngineError, retention.NotOurs, Blocked, OSError) as error:
        module.fail_json(msg=str(error))
    told = [step.told for step in planned]
    unsupervised = ""
    if given["supervise"]:
        try:
            written, begun = _supervise(given["supervise"], docker, act)
            diff, told = [*diff, *written], [*told, *begun]
        except (Blocked, OSError, ValueError) as error:
            unsupervised = str(error)
            module.warn("This node's rank will not come back after a reboot: %s" % error)
    stopped = any(step.unit or step.argv[0] == "stop" for step in planned)
    took = time.monotonic() - started
    wait = given["memory_timeout"] if stopped and act else 0
    memory, waited, settled = (
        retention.await_release(wait) if wait else (retention.available(), 0.0, True)
    )
    module.exit_json(
        changed=bool(told),
        done=told,
        unsupervised=unsupervised,
        stop_seconds=round(took, 1),
        memory_seconds=round(waited, 1),
        memory_available_bytes=memory,
        memory_stable=settled,
        diff={
            "before": "".join(change.before for change in diff),
            "after": "".join(change.after for change in diff),
        },
    )


def _write(changes: list[units.Change]) -> None:
    for change in changes:
        units.apply(change)
    if changes:
        units.reload()


def _supervise(
    wanted: dict[str, dict[str, Any]], docker: str, act: bool
) -> tuple[list[units.Change], list[str]]:
    """What was written, and told; raises Blocked, OSError and ValueError."""
    written = list(units.changes(wanted, [], docker))
    active = {unit.container for unit in units.found() if unit.enabled and unit.state == "active"}
    begin = [name for name in wanted if name not in active]
    if act:
        _write(written)
        if begin:
            units.begin(begin)
    if not written and not begin:
        return [], []
    return written, ["keeps %s by a unit" % name for name in wanted]


if __name__ == "__main__":
    main()
