#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models on the disks of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_info
short_description: Report the models on the disks of a node
version_added: 0.1.0
description:
  - Lists the models of the Hugging Face cache and of local model directories, GGUF files included,
    and whether each is complete.
  - It reads names, sizes and small JSON files, never weights, needs no privileges, and changes
    nothing. What this user may not read is listed in RV(ignored).
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  hf_home:
    description: The Hugging Face home; the cache is its directory C(hub).
    type: path
    default: /ai/cache/huggingface
  directories:
    description:
      - The local model directories, searched for models three levels deep.
      - A directory with a C(config.json) or with GGUF files is a model.
    type: list
    elements: path
    default: [/ai/models]
  name:
    description: Only the model of this name, the repository or the absolute path of a directory.
    type: str
  files:
    description: Return every file and blob as well.
    type: bool
    default: false
  configs:
    description:
      - Return C(config.json) and C(hf_quant_config.json) as C(configs). The controller derives the
        model's shape from them.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Inspect the disks
  dgxspark.suite.model_info:
  register: disks

- name: List the complete models
  ansible.builtin.debug:
    msg: "{{ disks.models | selectattr('complete') | map(attribute='name') }}"
"""

RETURN = r"""
models:
  description: Every model, those of the cache first. C(docs/contracts/model_info.md) describes it.
  returned: success
  type: list
  elements: dict
  sample:
    - name: Qwen/Qwen3-1.7B
      kind: hub
      path: /ai/cache/huggingface/hub/models--Qwen--Qwen3-1.7B
      size: 4079409664
      complete: true
      problems: []
      downloading: false
      revision: 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e
      format: safetensors
      quants: []
      config_problem: ""
      links_to: ""
      users:
        - pid: 4711
          process: vllm
          serves: true
      revisions:
        - revision: 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e
          refs: [main]
          size: 4079409664
          complete: true
          problems: []
          format: safetensors
ignored:
  description:
    - What is not listed as a model, with the reason.
    - If this user has models in C(~/.cache/huggingface), and that is not O(hf_home), it is the last
      entry; with O(name) it is not looked for.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /ai/cache/huggingface/hub/models--..--etc
      reason: its name is not that of a repository
disks:
  description: The file system of the cache and of each existing directory, in bytes.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /ai/cache/huggingface
      total: 3840000000000
      free: 2100000000000
memory:
  description: The node's memory in bytes, V(0) where it is not known.
  returned: success
  type: int
  sample: 130659057664
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache, summary, users
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import memory_bytes


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "directories": {"type": "list", "elements": "path", "default": ["/ai/models"]},
            "name": {"type": "str"},
            "files": {"type": "bool", "default": False},
            "configs": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    home, directories = module.params["hf_home"], module.params["directories"]
    for path in (home, *directories):
        if not os.path.isabs(path):
            module.fail_json(msg="%s is not an absolute path" % path)
    scan = cache.scan(os.path.join(home, "hub"), directories, module.params["name"] or None)
    ignored = list(scan.ignored)
    if not module.params["name"]:
        ignored += cache.other_cache(os.path.join(home, "hub"))
    running = users.Users(users.processes())
    wanted = module.params["files"], module.params["configs"]
    module.exit_json(
        changed=False,
        models=[summary.summary(model, running, *wanted) for model in scan.models],
        ignored=[{"path": path, "reason": reason} for path, reason in ignored],
        disks=summary.disks([home, *directories]),
        memory=memory_bytes("MemTotal"),
    )


if __name__ == "__main__":
    main()
