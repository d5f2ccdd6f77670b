#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the services of a node answer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health
short_description: Report whether the services of a node answer
version_added: 0.3.0
description:
  - This module is private to the collection and may change without notice.
  - Asks each service whose rank 0 is on this node, and servers that are only watched, all at once.
    It needs no root. A user who may not ask Docker gets the services from their systemd units.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  deep:
    description:
      - Send each server the request of its kind as well, and verify the answer.
      - The API key of a server is read from its container, by a user who may ask Docker.
    type: bool
    default: false
  timeout:
    description:
      - How long the probe of one server may take, in seconds; as a default 5, or 60 with
        O(deep=true).
      - A server that does not answer in time is asked for its metrics, for at most two seconds
        more.
    type: int
  watch:
    description: Servers elsewhere that are asked from this node.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the service.
        type: str
        required: true
      url:
        description: Its address, as V(http://192.0.2.20:8080).
        type: str
        required: true
      kind:
        description: Its kinds, which decide what is asked; as a default V(http).
        type: list
        elements: str
        default: []
  bots:
    description: Bots of this node, which are known by their containers.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the service.
        type: str
        required: true
      container:
        description: The name of its container.
        type: str
        required: true
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Ask the services of this node, and one elsewhere
  dgxspark.suite.health:
    watch:
      - {name: search, url: "http://192.0.2.20:8080"}
  register: node

- name: Show what does not answer
  ansible.builtin.debug:
    msg: "{{ node.services | selectattr('state', '==', 'down') }}"
"""

RETURN = r"""
services:
  description: The services whose rank 0 is on this node, then those of O(bots) and O(watch).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the service.
      type: str
    url:
      description: Where it is asked.
      type: str
    model:
      description: The name under which its model is served.
      type: str
    kind:
      description: Its kinds, as its recipe says.
      type: list
      elements: str
    watched:
      description: Whether it is one of O(watch).
      type: bool
    state:
      description:
        - V(up); V(busy) if the probe is late and the metrics of the server show that it works;
          V(down); or V(unknown).
      type: str
    phase:
      description:
        - V(starting) if nothing answers, V(loading) if the light probe fails, V(healthy) if it
          passes, V(serving), V(refusing) or V(rejected) after the deep probe, V(stopped) if the
          container does not run.
        - Empty if nothing was asked.
      type: str
    detail:
      description: What was answered, for people.
      type: str
    seconds:
      description: How long the answer took, V(null) without one.
      type: float
    deep:
      description: Whether the state is that of the deep probe.
      type: bool
  sample:
    - name: main
      url: http://192.0.2.11:8000
      model: gpt-oss-120b
      kind: [chat]
      watched: false
      state: up
      phase: healthy
      detail: /health answers
      seconds: 0.004
      deep: false
ranks:
  description: The ranks of this node that have a unit.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: The name of the service.
      type: str
    rank:
      description: The number of the rank.
      type: int
    nodes:
      description: The names of the nodes of all ranks; the first has the server.
      type: list
      elements: str
    unit:
      description: The state of the unit.
      type: str
    activity:
      description: What its supervisor reports.
      type: str
  sample:
    - service: main
      rank: 1
      nodes: [spark1, spark2]
      unit: active
      activity: runs, with 2 ranks in all
containers:
  description: The containers of this collection; empty where this user may not ask Docker.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the container.
      type: str
    service:
      description: The name of its service.
      type: str
    rank:
      description: Its rank.
      type: str
    status:
      description: As Docker has it, V(running) or V(exited).
      type: str
    health:
      description: What its health check says, empty for none.
      type: str
  sample:
    - {name: dgxspark-main-0, service: main, rank: "0", status: running, health: ""}
kernel:
  description:
    - Messages of the kernel since it started that are a fault, as the checks C(kernel_log_…) of
      M(dgxspark.suite.ensure_kernel) judge them.
    - Empty where this user may not read the journal (groups C(adm), C(systemd-journal)).
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: The check.
      type: str
    message:
      description: What was reported, how often, and when last.
      type: str
    hint:
      description: What to do.
      type: str
  sample:
    - check: kernel_log_oom
      message: "processes that the kernel has killed for memory: 1 (python3: 1), last 2027-01-15"
      hint: Give the model less memory, or stop what runs beside it.
containers_unknown:
  description: Why Docker could not be asked.
  returned: when it could not
  type: str
  sample: "/usr/bin/docker ps: exit status 1: permission denied"
"""

import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel_log import complaints
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, service_of
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel_log import (
    CONTAINER,
    ask_kernel_log,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import answers, health, units

# For each question; an engine that hangs must not hold up the answers of the servers.
DOCKER_SECONDS = 3
KERNEL_SECONDS = 3


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "deep": {"type": "bool", "default": False},
            "timeout": {"type": "int"},
            "watch": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "kind": {"type": "list", "elements": "str", "default": []},
                },
            },
            "bots": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "container": {"type": "str", "required": True},
                },
            },
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    docker, deep = given["docker_bin"], given["deep"]
    present, why = _containers(docker)
    installed = units.installed()
    wanted = health.targets(installed, present, given["watch"], given["bots"], not why)
    asked = health.ask_all(
        wanted,
        deep,
        given["timeout"] or (60 if deep else 5),
        lambda container: answers.api_key(docker, container, DOCKER_SECONDS),
    )
    events, _unreadable = ask_kernel_log(find_tool("journalctl"), KERNEL_SECONDS, CONTAINER)
    module.exit_json(
        changed=False,
        kernel=complaints(events, time.time()),
        services=[_service(target, found) for target, found in asked],
        ranks=[
            {
                "service": unit.service,
                "rank": unit.rank,
                "nodes": list(unit.nodes),
                "unit": unit.state,
                "activity": unit.status_text,
            }
            for unit in installed
        ],
        containers=[_container(container) for container in present if container.ours],
        **({"containers_unknown": why} if why else {}),
    )


def _containers(docker: str) -> tuple[list[containers.Container], str]:
    """All of them, and why they are not known; empty if they are."""
    try:
        return containers.containers(docker, DOCKER_SECONDS), ""
    except containers.EngineError as error:
        return [], str(error)


def _service(target: health.Target, found: health.Health) -> dict[str, Any]:
    return {
        "name": target.name,
        "url": target.url,
        "model": target.model,
        "kind": list(target.kind),
        "watched": target.watched,
        **asdict(found),
    }


def _container(container: containers.Container) -> dict[str, Any]:
    return {
        "name": container.name,
        "service": service_of(container.labels),
        "rank": container.labels.get(LABEL + "rank", ""),
        "status": container.status,
        "health": container.health,
    }


if __name__ == "__main__":
    main()
