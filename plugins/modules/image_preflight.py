#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the Triton of an image work for the GB10, and if not, with what?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_preflight
short_description: Find out whether the Triton of an image works for the GB10, and with what
version_added: 0.1.0
description:
  - Asks the Python of an image, in a container without network that can write nowhere but to its
    own memory, for the versions of what serves, and has its Triton compile for C(sm_121). No GPU is
    needed.
  - Where that fails, Triton is asked again with each C(ptxas) of the node that assembles for the
    architecture, by each of the variables that a Triton may read. The first that works is what a
    launch mounts and sets.
  - The answer is kept on the node by the id of the image. It is asked for again when the image, or
    a toolkit of the node, is another. An image that was found not to work at all is always asked
    again.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: The image is asked in check mode, too, where it is on the node; nothing is written.
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
    description: The Python interpreter in O(image), a path or a name to be found in its E(PATH).
    type: str
    default: python3
  timeout:
    description: How long Triton may take to start, choose and compile, in seconds, for each try.
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
    description: The folder in whose C(images) the answer is kept.
    type: path
    default: /var/lib/dgxspark
seealso:
  - module: dgxspark.suite.ensure_ptxas
  - plugin: dgxspark.suite.launch_plan
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: See what serves in an image, and what its Triton needs
  dgxspark.suite.image_preflight:
    image: vllm/vllm-openai:latest
  register: preflight
  become: true

- name: Tell the variables with which it works
  ansible.builtin.debug:
    var: preflight.image_facts.pins
"""

RETURN = r"""
image_facts:
  description: What was found; in check mode, where the image is not on the node, only that.
  returned: success
  type: dict
  contains:
    image_id:
      description: The id of the image.
      type: str
      sample: sha256:8c0de9241d6e
    python:
      description: Version of its Python, empty where it has none, as for C(llama.cpp).
      type: str
      sample: 3.12.3
    torch:
      description: Version of PyTorch, empty where it has none; likewise the next three.
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
      description: What has to be set, and mounted at the same path, for that; mostly nothing.
      type: dict
      sample: {TRITON_PTXAS_PATH: /usr/local/cuda-13.0/bin/ptxas}
    told:
      description: What is to be said about it; empty where Triton needs nothing.
      type: str
    way_out:
      description: What a person can do where Triton does not compile.
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
        text = "%s is not on this node yet; what it needs is found out once it is"
        facts = {"assembles": None, "pins": {}, "told": text % name}
    else:
        module.fail_json(msg="%s is not on this node. Bring it here first" % name)
    # What is kept is knowledge, not a change of the node.
    module.exit_json(changed=False, image_facts=facts)


def _facts(module: AnsibleModule, image_id: str) -> dict[str, Any]:
    given = module.params
    lendable = image_facts.toolkits(given["paths_file"])
    facts = image_facts.known(given["state_dir"], image_id, lendable)
    if facts:
        return facts
    image = Image(given["image"], given["docker_bin"], given["python"], "image_preflight")
    try:
        facts = {**preflight.ask(image, lendable, given["timeout"]), "image_id": image_id}
        # What has failed may have been the node's fault, or be repaired there.
        if facts["assembles"] is not False and not module.check_mode:
            image_facts.keep(given["state_dir"], image_id, lendable, facts)
    except (preflight.PreflightError, Blocked, OSError) as error:
        module.fail_json(msg="What is in %s cannot be found out: %s" % (given["image"], error))
    return facts


if __name__ == "__main__":
    main()
