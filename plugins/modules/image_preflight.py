#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the Triton of an image works for the GB10, and which ptxas it needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_preflight
short_description: Find out whether the Triton of an image works for the GB10
version_added: 0.1.0
description:
  - This module is private to the collection and may change without notice.
  - Asks the Python of an image for the versions of the serving software and lets its Triton compile
    for C(sm_121), in a container without network that can write only to its own memory. No GPU is
    needed.
  - If that fails, it tries each C(ptxas) of the node that assembles for the architecture, with each
    variable that Triton may read. A launch mounts and sets the first combination that works.
  - The answer is recorded on the node by the id of the image. The image is asked again if it or a
    toolkit of the node has changed, or if it did not work.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: An image that is on the node is asked in check mode, too; nothing is recorded.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  image:
    description: The image, as the Docker engine of the node knows it. It is never pulled.
    type: str
    required: true
  python:
    description: The Python interpreter in O(image), a path or a name in its E(PATH).
    type: str
    default: python3
  timeout:
    description: How long each try may take, in seconds.
    type: int
    default: 120
  paths_file:
    description: The file in which E(PTXAS_BIN) and pins of the node's own Triton are named.
    type: path
    default: /etc/dgxspark/paths.env
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
  state_dir:
    description: The folder in whose subfolder C(images) the answer is recorded.
    type: path
    default: /var/lib/dgxspark
seealso:
  - module: dgxspark.suite.ensure_ptxas
  - plugin: dgxspark.suite.launch_plan
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Ask an image what it has and what its Triton needs
  dgxspark.suite.image_preflight:
    image: vllm/vllm-openai:latest
  register: preflight
  become: true

- name: Show the variables with which it works
  ansible.builtin.debug:
    var: preflight.image_facts.pins
"""

RETURN = r"""
image_facts:
  description: The facts of the image; almost none in check mode if it is not on the node.
  returned: success
  type: dict
  contains:
    image_id:
      description: The id of the image.
      type: str
      sample: sha256:8c0de9241d6e
    python:
      description: Version of its Python, empty if it has none, as for C(llama.cpp).
      type: str
      sample: 3.12.3
    torch:
      description: Version of PyTorch, empty if it has none; likewise the next three.
      type: str
      sample: 2.9.1
    vllm:
      description: Version of vLLM.
      type: str
      sample: 0.14.0
    ray:
      description: Version of Ray.
      type: str
      sample: 2.53.0
    triton:
      description: Version of Triton.
      type: str
      sample: 3.5.1
    assembles:
      description: Whether Triton compiles for the GB10, with the pins; V(null) without Triton.
      type: bool
      sample: true
    pins:
      description: Variables to set to files that are mounted at the same path; mostly none.
      type: dict
      sample: {TRITON_PTXAS_PATH: /usr/local/cuda-13.0/bin/ptxas}
    message:
      description: A message for people; empty if Triton needs nothing.
      type: str
    way_out:
      description: What a person can do if Triton does not compile.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import Image
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import image_facts, preflight


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "python": {"type": "str", "default": "python3"},
            "timeout": {"type": "int", "default": 120},
            "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
            "state_dir": {"type": "path", "default": "/var/lib/dgxspark"},
        },
        supports_check_mode=True,
    )
    given = module.params
    name, docker = given["image"], given["docker_bin"]
    try:
        image_id = containers.image_id(docker, name)
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    facts: dict[str, Any] = {}
    if image_id:
        facts = _facts(module, image_id)
    elif module.check_mode:
        text = "%s is not on this node yet; it is asked as soon as it is"
        facts = {"assembles": None, "pins": {}, "message": text % name}
    else:
        module.fail_json(msg="%s is not on this node. Pull or copy it first" % name)
    # A record is no change of the node.
    module.exit_json(changed=False, image_facts=facts)


def _facts(module: AnsibleModule, image_id: str) -> dict[str, Any]:
    given = module.params
    mountable = image_facts.toolkits(given["paths_file"])
    facts = image_facts.known(given["state_dir"], image_id, mountable)
    if facts:
        return facts
    image = Image(given["image"], given["docker_bin"], given["python"], "image_preflight")
    try:
        facts = {**preflight.ask(image, mountable, given["timeout"]), "image_id": image_id}
        # A failure may be the fault of the node, and may be repaired there.
        if facts["assembles"] is not False and not module.check_mode:
            image_facts.record(given["state_dir"], image_id, mountable, facts)
    except (preflight.PreflightError, Blocked, OSError) as error:
        module.fail_json(msg="The facts of %s cannot be determined: %s" % (given["image"], error))
    return facts


if __name__ == "__main__":
    main()
