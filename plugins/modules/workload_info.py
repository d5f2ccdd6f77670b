#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch needs to know about a node before it changes anything."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_info
short_description: Report what a node serves and what a launch needs to know about it
version_added: 0.1.0
description:
  - This module is private to the collection and may change without notice.
  - Reports in one round trip what runs on a node and its ports, units and memory; the cluster lock
    and the last swap; on request also an image, models, answers of servers, network interfaces and
    a log.
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
      - An image to look up by reference, together with what M(dgxspark.suite.image_preflight) has
        recorded about it. Nothing is pulled, and the image is not run.
    type: str
  overlay:
    description:
      - By what O(image) is built, with V(base), an image, and V(digest), of its folder; empty if it
        is not built on the nodes. One that has to be built again counts as absent.
    type: dict
    default: {}
    version_added: 0.3.0
  paths_file:
    description: As of M(dgxspark.suite.image_preflight).
    type: path
    default: /etc/dgxspark/paths.env
  models:
    description:
      - Models to inspect, each with RV(models[].name), RV(models[].quant) and C(revision), as
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
  mounts:
    description:
      - Paths to inspect, as P(dgxspark.suite.launch_plan#lookup) has them in C(mounts).
    type: list
    elements: dict
    default: []
  log_of:
    description: The service and the id of a swap, as V(main/5f0c), whose removed rank's last 40
      lines of log are returned as well.
    type: str
  kernel_seconds:
    description: Return the messages of the kernel of so many seconds that explain a failure.
    type: int
    default: 0
    version_added: 0.3.0
  partial:
    description:
      - Whether a user who may not ask Docker is given what everybody may know, the units in place
        of the containers. Otherwise the module fails for such a user.
    type: bool
    default: false
    version_added: 0.3.0
  ask:
    description: Send each server whose first rank runs here the request of its kind, a completion
      of one token if it serves chat.
    type: bool
    default: false
  completion_timeout:
    description: How long the requests to one server may take, in seconds.
    type: int
    default: 30
  history:
    description: How many lines of the history of each service are returned.
    type: int
    default: 0
  interfaces:
    description:
      - Gather the facts that P(dgxspark.suite.launch_plan#lookup) reads, in the shape and in a
        fraction of the time of M(ansible.builtin.setup).
    type: bool
    default: false
  state_dir:
    description: Folder of the head with the cluster lock and the journal of swaps.
    type: path
    default: /var/lib/dgxspark
"""

EXAMPLES = r"""
- name: Inspect what runs and whether the image is present
  dgxspark.suite.workload_info:
    image: example/vllm:1.0
  register: node

- name: Show what listens on port 8000
  ansible.builtin.debug:
    msg: "{{ node.listening | selectattr('port', 'equalto', 8000) }}"
"""

RETURN = r"""
kernel:
  description:
    - Faults that the kernel has reported, with count and last time. Empty where this user may not
      read the journal.
  returned: when O(kernel_seconds) is given
  type: list
  elements: str
  sample: ["processes that the kernel has killed for memory: 1 (python3: 1), last 2027-01-15"]
log:
  description: The last lines of the log of O(log_of), standard output and standard error together.
  returned: when O(log_of) is given
  type: str
image_id:
  description: The id of O(image) on this node, V(null) if it is missing or none was given.
  returned: success
  type: str
  sample: sha256:c89d5534b40a
base_id:
  description: With O(overlay), the ID of its base; V(null) where that is not on the node.
  returned: success
  type: str
image_facts:
  description:
    - The recorded RV(dgxspark.suite.image_preflight#module:image_facts) of the image, empty if
      there is no valid record.
  returned: success
  type: dict
models:
  description: The state of O(models) on this node, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The repository, or the path.
      type: str
    quant:
      description: The quantisation, as its files name it.
      type: str
    kind:
      description: V(hub), V(directory), or V(other) for a model that this collection does not copy.
      type: str
    complete:
      description: Whether it can be loaded, judged by names and sizes of its files.
      type: bool
    problem:
      description: Why not.
      type: str
    downloading:
      description: Whether it is being downloaded.
      type: bool
    revision:
      description: The commit on the Hugging Face Hub, empty outside of the cache.
      type: str
    size:
      description: Bytes.
      type: int
mounts:
  description: What is at the sources of O(mounts), in their order.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: The path as given.
      type: str
    real:
      description: The path without links.
      type: str
    links:
      description: The links that were followed, each as C(link -> target).
      type: list
      elements: str
    problem:
      description: Why it is not to be mounted; empty if it may be.
      type: str
containers:
  description: All containers of the node, running or not; none if RV(containers_unknown).
  returned: success
  type: list
  elements: dict
  sample:
    - name: dgxspark-main-0
      id: 1a444f003362
      image: dgxspark-lab/vllm:cpu
      image_id: sha256:c89d5534b40a
      status: running
      started: '2026-11-22T03:18:32.7Z'
      exit_code: 0
      health: ""
      published: []
      ours: true
      recipe: lab-tiny
      labels: {dgxspark.suite/owner: dgxspark.suite, dgxspark.suite/rank: "0"}
containers_unknown:
  description: With O(partial), why this user does not know the containers; empty if known.
  returned: success
  type: str
  sample: ''
lock:
  description: The cluster lock without its token, empty if there is none on this node.
  returned: success
  type: dict
swaps:
  description: The swap of each service that has not ended, by the name of the service.
  returned: success
  type: dict
  sample: {main: {id: 5f0c, owner: alice, recipe: lab-tiny, decider: spark1, state: go,
    attempt: "1", step: stops the old plan, since: "1795000000.0", missing: []}}
guards:
  description: The processes that do swaps on this node, each with C(pid) and C(service).
  returned: success
  type: list
  elements: dict
  sample: []
swap:
  description:
    - The journal of the last swap, empty if there is none on this node.
    - For a user who may not read it, its public part C(recipe), C(service), C(phase), C(owner),
      C(since) and C(result).
  returned: success
  type: dict
history:
  description: For each service the last lines of its history, the newest first, each with its
    C(age) in seconds; empty if there is none on this node.
  returned: when O(history) is not 0
  type: dict
ansible_facts:
  description: Each interface by its name, the address of the default route, and the fabric as
    M(dgxspark.suite.ensure_fabric) recorded it, as C(ansible_local).
  returned: when O(interfaces=true)
  type: dict
  sample: {eth1: {device: eth1, ipv4: [{address: 198.51.100.1}], ipv6: []},
    default_ipv4: {address: 192.0.2.1}}
answers:
  description:
    - What the servers answered, by the name of their container.
    - If RV(containers_unknown), those whose units run, asked without an API key. One that wants a
      key is C(healthy) and C(denied).
  returned: when O(ask=true)
  type: dict
  sample: {dgxspark-main-0: {phase: serving, detail: a completion was answered, answer: a,
    seconds: 0.12, kind: completion}}
units:
  description: The units of this collection that supervise containers of this node.
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
    service:
      description: The service that it belongs to.
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
      description: How often systemd has restarted it.
      type: int
    status_text:
      description: What its supervisor is doing, as C(systemctl status) shows it.
      type: str
    down:
      description: When and why the workload went down last, V(null) if it never did.
      type: dict
memory_available_bytes:
  description: C(MemAvailable) of the node.
  returned: success
  type: int
memory_total_bytes:
  description: C(MemTotal) of the node.
  returned: success
  type: int
page_size:
  description: The size of a page of the kernel's memory, in bytes.
  returned: success
  type: int
  sample: 4096
starting:
  description: Services that have not answered since they were started, half an hour ago at most,
    or that wait to be started by their units. Nothing else is started beside them.
  returned: success
  type: list
  elements: str
  sample: [embeddings]
ray:
  description:
    - The addresses that are connected to the Ray head in a container, by its name, including that
      of the head itself.
  returned: success
  type: dict
  sample: {dgxspark-main-0: [192.0.2.1, 192.0.2.2]}
listening:
  description:
    - The TCP ports on which a process listens.
    - RV(listening[].pid), RV(listening[].process) and RV(listening[].container) are V(null) if they
      are unknown; only root can read the owner of another user's socket.
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
      description: The id of its container.
      type: str
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel_log import recent
from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.models import presence
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import addresses, containers
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel_log import ask_kernel_log
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    answers,
    history,
    image_facts,
    journal,
    lock,
    mount_sources,
    running,
    state_files,
    swap_files,
    units,
)

LOG_LINES = 40
KERNEL_SECONDS = 5


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
            "image": {"type": "str"},
            "overlay": {"type": "dict", "default": {}},
            "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
            "models": {"type": "list", "elements": "dict", "default": []},
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "directories": {"type": "list", "elements": "path", "default": ["/ai/models"]},
            "mounts": {"type": "list", "elements": "dict", "default": []},
            "log_of": {"type": "str"},
            "kernel_seconds": {"type": "int", "default": 0},
            "partial": {"type": "bool", "default": False},
            "ask": {"type": "bool", "default": False},
            "interfaces": {"type": "bool", "default": False},
            "history": {"type": "int", "default": 0},
            "completion_timeout": {"type": "int", "default": 30},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    docker = given["docker_bin"]
    try:
        present, unknown = _containers(given)
        image = image_facts.image(
            docker, given["image"], given["paths_file"], given["state_dir"], given["overlay"]
        )
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    installed = units.installed()
    module.exit_json(
        changed=False,
        containers_unknown=unknown,
        **image,
        **running.running(present, installed),
        **_head(module),
        models=_models(given),
        mounts=mount_sources.sources(given["mounts"]),
        **_optional(module, present, installed if unknown else []),
    )


def _containers(given: dict[str, Any]) -> tuple[list[containers.Container], str]:
    """The containers, and why they are unknown. Raises EngineError."""
    try:
        return containers.containers(given["docker_bin"]), ""
    except containers.Forbidden as error:
        if not given["partial"]:
            raise
        return [], str(error)


def _head(module: AnsibleModule) -> dict[str, Any]:
    """Lock, journal and history; empty where this node is not the head."""
    return {**_locked(module), **_history(module)}


def _history(module: AnsibleModule) -> dict[str, Any]:
    given = module.params
    if given["history"] < 1:
        return {}
    try:
        lines = history.recorded(given["state_dir"], given["history"], time.time())
    except state_files.Broken as error:
        module.warn(str(error))
        lines = {}
    return {"history": lines}


def _locked(module: AnsibleModule) -> dict[str, Any]:
    folder = module.params["state_dir"]
    try:
        return {
            "lock": lock.known(folder),
            "swap": journal.known(folder),
        }
    except state_files.Broken as error:
        module.warn(str(error))
        return {"lock": {}, "swap": {}}


def _models(given: dict[str, Any]) -> list[dict[str, Any]]:
    hub = os.path.join(given["hf_home"], "hub")
    return [presence.presence(hub, given["directories"], model) for model in given["models"]]


def _optional(
    module: AnsibleModule,
    present: list[containers.Container],
    instead: list[units.SupervisedUnit],
) -> dict[str, Any]:
    """The results that are returned only on request, because each of them takes time.

    instead: the units that are asked in place of containers that are unknown.
    """
    given, docker = module.params, module.params["docker_bin"]
    out: dict[str, Any] = {}
    if given["interfaces"]:
        ip = module.get_bin_path("ip", opt_dirs=["/usr/sbin", "/sbin"]) or ""
        out["ansible_facts"] = addresses.ask_facts(ip, 10)
    if given["ask"]:
        seconds = given["completion_timeout"]
        out["answers"] = {
            **answers.answers(docker, present, seconds),
            **answers.answers_of_units(instead, seconds),
        }
    if given["log_of"]:
        service, _slash, swap = given["log_of"].partition("/")
        lines = swap_files.kept_log(service, swap, given["state_dir"]).splitlines()
        out["log"] = "\n".join(map(foreign.shown, lines[-LOG_LINES:]))
    if given["kernel_seconds"] > 0:
        events, _unreadable = ask_kernel_log(find_tool("journalctl"), KERNEL_SECONDS)
        out["kernel"] = recent(events, time.time() - given["kernel_seconds"])
    return out


if __name__ == "__main__":
    main()
