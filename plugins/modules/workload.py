#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a swap does to the containers of one node, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload
short_description: Retain, remove, restore or supervise containers of this collection
version_added: 0.1.0
description:
  - This module is private to the collection and may change without notice.
  - Stops containers and retains them under a name that ends in C(.previous), so that they can be
    restored as they were; removes others; restores retained ones and starts them.
  - After it has stopped something, it waits until the memory of it is released.
  - Writes and removes the units that restart containers after reboots and crashes. The unit of a
    container is removed before the container is retained, removed or restored.
  - It never touches a container that was not started by this collection. If one is named, the
    module fails before it does anything.
  - After an interrupted run, it does what is left to do.
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
    details: What is retained or removed stays so; O(restore) restarts what runs already.
options:
  retain:
    description: Names of containers to stop and retain. Missing ones are passed over.
    type: list
    elements: str
    default: []
  remove:
    description: Names of containers to stop and remove. Missing ones are passed over.
    type: list
    elements: str
    default: []
  restore:
    description:
      - Containers to rename back and to start, or to restart if they run, by either of their names.
      - A missing one is an error.
    type: list
    elements: str
    default: []
  supervise:
    description:
      - Containers that get a unit, each by its name with what the unit needs, as
        P(dgxspark.suite.launch_steps#filter) returns it.
      - If that fails, the module only warns, because the containers run all the same.
      - The module waits until the units of all ranks are connected, and fails if they are not
        within 45 seconds. If they are not within two minutes, they stop the containers.
    type: dict
    default: {}
  secret:
    description:
      - The secret by which the units of O(supervise) know each other, the same on all nodes, of 32
        characters or more.
      - The module stores it in a file beside the state of each unit, and removes it with the unit.
    type: str
    default: ""
  stop_timeout:
    description: How long a container may take to stop before it is killed, in seconds.
    type: int
    default: 30
  memory_timeout:
    description: How long to wait for the memory of stopped containers, in seconds. V(0) does not
      wait.
    type: int
    default: 90
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Stop what is served and retain it for rollback
  dgxspark.suite.workload:
    retain: [dgxspark-main-0]

- name: Restore it
  dgxspark.suite.workload:
    restore: [dgxspark-main-0]

- name: Install its unit
  dgxspark.suite.workload:
    supervise: "{{ launch_steps.supervise[inventory_hostname] }}"
    secret: "{{ launch_secret }}"
"""

RETURN = r"""
done:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [retained dgxspark-main-0, stopped dgxspark-main-0.previous]
unsupervised:
  description: Why O(supervise) failed, empty if it did not.
  returned: success
  type: str
stop_seconds:
  description: How long stopping, renaming, removing and starting took.
  returned: success
  type: float
memory_seconds:
  description: How long the module waited for memory.
  returned: success
  type: float
memory_available_bytes:
  description: C(MemAvailable) of the node at the end.
  returned: success
  type: int
memory_stable:
  description: Whether it had stopped rising by then.
  returned: success
  type: bool
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    EngineError,
    containers,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory,
    retention,
    units,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "retain": {"type": "list", "elements": "str", "default": []},
            "remove": {"type": "list", "elements": "str", "default": []},
            "restore": {"type": "list", "elements": "str", "default": []},
            "supervise": {"type": "dict", "default": {}},
            "secret": {"type": "str", "default": "", "no_log": True},
            "stop_timeout": {"type": "int", "default": 30},
            "memory_timeout": {"type": "int", "default": 90},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given, act = module.params, not module.check_mode
    started = time.monotonic()
    try:
        steps, diff = _move(given, act)
    except (EngineError, retention.NotOurs, Blocked, OSError) as error:
        module.fail_json(msg=str(error))
    done, unsupervised = [step.description for step in steps], ""
    begun: list[str] = []
    try:
        written, begun = _supervise(given["supervise"], given["secret"], given["docker_bin"], act)
        diff, done = [*diff, *written], [*done, *begun]
    except (Blocked, OSError, ValueError) as error:
        unsupervised = str(error)
        module.warn("This node's rank will not come back after a reboot: %s" % error)
    if begun and act and not unsupervised:
        unmet = units.meet(list(given["supervise"]), units.MEET)
        if unmet:
            module.fail_json(msg="The supervisors of the ranks have not met. %s" % unmet)
    stopped = any(step.unit or step.argv[0] == "stop" for step in steps)
    took = time.monotonic() - started
    limit = given["memory_timeout"] if stopped and act else 0
    module.exit_json(
        changed=bool(done),
        done=done,
        unsupervised=unsupervised,
        stop_seconds=round(took, 1),
        **_memory(limit),
        diff={
            "before": "".join(change.before for change in diff),
            "after": "".join(change.after for change in diff),
        },
    )


def _move(
    given: Mapping[str, Any], act: bool
) -> tuple[list[retention.Step], Sequence[units.UnitChange]]:
    """Retain, remove and restore; the steps and the units that they remove.

    Raises EngineError, NotOurs, Blocked and OSError.
    """
    docker, seconds = given["docker_bin"], given["stop_timeout"]
    wanted = {kind: given[kind] for kind in (retention.REMOVE, retention.RETAIN, retention.RESTORE)}
    supervised = [unit.container for unit in units.installed()]
    steps = retention.steps(containers(docker), wanted, seconds, supervised)
    removed = [step.unit for step in steps if step.unit]
    changes = list(units.changes({}, removed, docker)) if removed else []
    if act:
        retention.carry_out(docker, steps, seconds)
        _write(changes)
    return steps, changes


def _supervise(
    wanted: Mapping[str, Mapping[str, Any]], secret: str, docker: str, act: bool
) -> tuple[Sequence[units.UnitChange], list[str]]:
    """Install units; the changes of files and a description of each unit.

    Raises Blocked, OSError and ValueError.
    """
    if not wanted:
        return [], []
    if len(secret) < units.supervisor.SECRET:
        raise ValueError("'secret' is required with 'supervise', of 32 characters or more")
    without = units.without_secret(list(wanted), secret)
    changes = list(units.changes(wanted, [], docker))
    active = {
        unit.container for unit in units.installed() if unit.enabled and unit.state == "active"
    }
    begin = [name for name in wanted if name not in active]
    if act:
        for name in without:
            units.write_secret(name, secret)
        _write(changes)
        if begin:
            units.begin(begin)
    if not (without or changes or begin):
        return [], []
    return changes, ["supervises %s by a unit" % name for name in wanted]


def _write(changes: Sequence[units.UnitChange]) -> None:
    for change in changes:
        units.apply(change)
    if changes:
        units.reload()


def _memory(limit: float) -> dict[str, Any]:
    """Wait for memory for up to limit seconds; the three results about it."""
    available, waited, stable = (
        memory.await_release(limit) if limit else (memory.available(), 0.0, True)
    )
    return {
        "memory_available_bytes": available,
        "memory_seconds": round(waited, 1),
        "memory_stable": stable,
    }


if __name__ == "__main__":
    main()
