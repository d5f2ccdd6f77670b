#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch has to know of a node before it touches anything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_info
short_description: Report the containers and the listening ports of a node
version_added: 0.1.0
description:
  - Reads, in one round trip, what stands in the way of a launch or is to be replaced by it.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
  image:
    description:
      - An image to look up by reference, and what M(dgxspark.suite.image_preflight) is known to
        have found in it. Nothing is pulled or asked.
    type: str
  paths_file:
    description: As of M(dgxspark.suite.image_preflight).
    type: path
    default: /etc/dgxspark/paths.env
  models:
    description:
      - Models to look for, each with RV(models[].name), RV(models[].quant) and C(revision), as
        P(dgxspark.suite.launch_plan#lookup) has them.
    type: list
    elements: dict
    default: []
  hf_home:
    description: As of M(dgxspark.suite.model_info).
    type: path
    default: /ai/cache/huggingface
  directories:
    description: As of M(dgxspark.suite.model_info).
    type: list
    elements: path
    default: [/ai/models]
  log_of:
    description: A container whose last 40 lines of log are wanted as well.
    type: str
  ask:
    description: Ask each server whose first rank runs on this node for a completion of one token.
    type: bool
    default: false
  completion_timeout:
    description: How long such a completion may take, in seconds.
    type: int
    default: 30
  interfaces:
    description:
      - Gather as facts, in the shape of M(ansible.builtin.setup), what
        P(dgxspark.suite.launch_plan#lookup) reads of them, in a fraction of its time.
    type: bool
    default: false
  state_dir:
    description: Folder in which a head keeps the lock of the cluster and the journal of its swaps.
    type: path
    default: /var/lib/dgxspark
"""

EXAMPLES = r"""
- name: Look at what runs, and whether the image is there
  dgxspark.suite.workload_info:
    image: example/vllm:1.0
  register: node

- name: Show whose port 8000 is
  ansible.builtin.debug:
    msg: "{{ node.listening | selectattr('port', 'equalto', 8000) }}"
"""

RETURN = r"""
log:
  description: The last lines of the log of O(log_of), standard output and standard error together.
  returned: when O(log_of) is given
  type: str
image_id:
  description: The id of O(image) on this node, V(null) where it is not there or none was asked for.
  returned: success
  type: str
  sample: sha256:c89d5534b40a
image_facts:
  description:
    - RV(dgxspark.suite.image_preflight#module:image_facts) of the image, empty where it has to be
      asked.
  returned: success
  type: dict
models:
  description: What there is of O(models), in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The repository, or the path.
      type: str
    quant:
      description: The quantisation that was looked for, as its files have it.
      type: str
    kind:
      description: V(hub), V(directory), or V(other) for what only a person can copy.
      type: str
    complete:
      description: Whether the copy is complete, judged by the names and sizes of its files.
      type: bool
    problem:
      description: Why not.
      type: str
    downloading:
      description: Whether somebody downloads it there just now.
      type: bool
    revision:
      description: The hub's commit, empty outside of the cache.
      type: str
    size:
      description: Bytes.
      type: int
containers:
  description: All containers of the node, running or not.
  returned: success
  type: list
  elements: dict
  sample:
    - name: dgxspark-lab-tiny-0
      id: 1a444f003362
      image: dgxspark-lab/vllm:cpu
      image_id: sha256:c89d5534b40a
      status: running
      started: '2026-11-22T03:18:32.7Z'
      exit_code: 0
      ours: true
      recipe: lab-tiny
      labels: {dgxspark.suite/owner: dgxspark.suite, dgxspark.suite/rank: "0"}
lock:
  description: The lock of the cluster, empty where there is none or it is not kept on this node.
  returned: success
  type: dict
swap:
  description: The last swap, as far as it came, empty where there was none or another node knows.
  returned: success
  type: dict
ansible_facts:
  description: Each interface by its name, the address of the default route, and what
    M(dgxspark.suite.ensure_fabric) has noted, as C(ansible_local).
  returned: when O(interfaces=true)
  type: dict
  sample: {eth1: {device: eth1, ipv4: [{address: 198.51.100.1}], ipv6: []},
    default_ipv4: {address: 192.0.2.1}}
answers:
  description: What servers said to a request, by the name of their container.
  returned: when O(ask=true)
  type: dict
  sample: {dgxspark-lab-tiny-0: {phase: serving, detail: a completion was answered, completion: a,
    seconds: 0.12}}
units:
  description: The units of this collection that keep containers of the node over a reboot.
  returned: success
  type: list
  elements: dict
  contains:
    container:
      description: The container's name, which is the unit's as well.
      type: str
    recipe:
      description: What the container was launched from.
      type: str
    plan:
      description: The hash of its plan.
      type: str
    state:
      description: As systemd has it, V(active) or V(failed).
      type: str
    enabled:
      description: Whether it starts with the node.
      type: bool
    pid:
      description: Its process, V(0) for none.
      type: int
    restarts:
      description: How often systemd has started it again.
      type: int
    told:
      description: What it does, in words.
      type: str
    down:
      description: When and why the workload went down last, V(null) where it never did.
      type: dict
memory_available_bytes:
  description: C(MemAvailable) of the node.
  returned: success
  type: int
memory_total_bytes:
  description: C(MemTotal) of the node.
  returned: success
  type: int
ray:
  description:
    - The addresses that are connected to the Ray head in a container, by its name; that of the head
      itself is among them.
  returned: success
  type: dict
  sample: {dgxspark-lab-tiny-0: [192.0.2.1, 192.0.2.2]}
listening:
  description:
    - The TCP ports that somebody listens on.
    - RV(listening[].pid), RV(listening[].process) and RV(listening[].container) are V(null) where
      they cannot be seen; finding the owner of a socket of another user takes root.
  returned: success
  type: list
  elements: dict
  contains:
    port:
      description: The port.
      type: int
    pid:
      description: The process that listens.
      type: int
    process:
      description: Its name.
      type: str
    container:
      description: The id of the container that it runs in.
      type: str
"""

import os
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.models import presence
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import (
    addresses,
    containers,
    serving,
    sockets,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    image_facts,
    lock,
    retention,
    state_files,
    units,
)

LOG_LINES = 40


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
            "image": {"type": "str"},
            "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
            "models": {"type": "list", "elements": "dict", "default": []},
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "directories": {"type": "list", "elements": "path", "default": ["/ai/models"]},
            "log_of": {"type": "str"},
            "ask": {"type": "bool", "default": False},
            "interfaces": {"type": "bool", "default": False},
            "completion_timeout": {"type": "int", "default": 30},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        supports_check_mode=True,
    )
    docker, image = module.params["docker_bin"], module.params["image"]
    try:
        found = containers.containers(docker)
        image_id = containers.image_id(docker, image) if image else None
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    log_of, state_dir = module.params["log_of"], module.params["state_dir"]
    limit = module.params["completion_timeout"]
    facts = {}
    if image_id:
        facts = image_facts.known(
            state_dir, image_id, image_facts.toolkits(module.params["paths_file"])
        )
    try:
        held = lock.public(state_files.read(state_dir, state_files.LOCK))
        swap = state_files.read(state_dir, state_files.SWAP)
    except state_files.Broken as error:
        module.warn(str(error))
        held, swap = {}, {}
    links = {}
    if module.params["interfaces"]:
        ip = module.get_bin_path("ip", opt_dirs=["/usr/sbin", "/sbin"]) or ""
        links = {"ansible_facts": addresses.ask_facts(ip, 10)}
    module.exit_json(
        changed=False,
        **links,
        image_id=image_id,
        image_facts=facts,
        models=_models(module.params),
        lock=held,
        swap=swap,
        units=[asdict(unit) for unit in units.found()],
        ray={
            container.name: sockets.peers(int(port))
            for container in found
            for port in [container.labels.get(LABEL + "ray-port", "")]
            if container.ours and container.status == "running" and port.isdigit()
        },
        memory_available_bytes=retention.available(),
        memory_total_bytes=retention.total(),
        **({"answers": _answers(docker, found, limit)} if module.params["ask"] else {}),
        **({"log": containers.log_tail(docker, log_of, LOG_LINES)} if log_of else {}),
        containers=[
            {**asdict(container), "ours": container.ours, "recipe": container.recipe}
            for container in found
        ],
        listening=[asdict(listener) for listener in sockets.listeners()],
    )


def _models(given: dict[str, Any]) -> list[dict[str, Any]]:
    hub = os.path.join(given["hf_home"], "hub")
    return [presence.presence(hub, given["directories"], one) for one in given["models"]]


def _answers(
    docker: str, found: list[containers.Container], limit: float
) -> dict[str, dict[str, Any]]:
    """What each server says whose first rank runs here."""
    out = {}
    for container in found:
        url, model, rank = (
            container.labels.get(LABEL + key, "") for key in ("url", "served-model-name", "rank")
        )
        if not (container.ours and container.status == "running" and url and rank == "0"):
            continue
        try:
            asked = ["inspect", "--type", "container", container.id]
            key = containers.api_key(containers.ask(docker, asked, 30))
        except containers.EngineError:
            continue
        out[container.name] = asdict(serving.look(url, model, True, limit, key))
    return out


if __name__ == "__main__":
    main()
