#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_menu
short_description: Join the models of all nodes with the recipes that serve them
version_added: 0.1.0
description:
  - Makes one table of the models on the disks of the nodes of a play. A recipe serves a model if it
    names it.
  - It reads the variables C(models_disks) and C(models_workloads), which the role
    P(dgxspark.suite.models#role) registers on every node. No node is contacted; an unreachable one
    is listed as unknown.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  recipe_paths:
    description: Directories with recipes, searched in this order and before the collection's own.
    type: list
    elements: path
    default: []
  report_dir:
    description:
      - A directory on the controller for C(models.json) and C(models.html). Empty for none. It is
        created if it does not exist.
    type: path
    default: ""
  show:
    description: Print the table.
    type: bool
    default: true
  tables:
    description:
      - Inference rules that take precedence over the bundled ones, for the estimate of what fits.
        C(docs/contracts/recipe.md) describes them.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the models
  dgxspark.suite.model_menu:
    report_dir: reports
  run_once: true
  register: menu

- name: List the models without a recipe
  ansible.builtin.debug:
    msg: "{{ menu.models | selectattr('needs_setup') | map(attribute='name') }}"
  run_once: true
"""

RETURN = r"""
models:
  description: A row for each model. C(docs/contracts/models.md) describes it.
  returned: success
  type: list
  elements: dict
  sample:
    - name: Qwen/Qwen3-1.7B
      kind: hub
      status: served
      size: 4079409664
      format: safetensors
      quants: []
      shape:
        architecture: Qwen3ForCausalLM
        model_type: qwen3
        kind: text
        dtype: bf16
        quantisation: []
        context: 40960
        moe: false
        vision: false
      fits: solo
      nodes: [spark1, spark2]
      missing_on: []
      same_revision: true
      recipes: [qwen3-1.7b]
      needs_setup: false
      serving:
        - node: spark1
          recipe: qwen3-1.7b
          process: ""
      "on":
        spark1:
          complete: true
          downloading: false
          path: /ai/cache/huggingface/hub/models--Qwen--Qwen3-1.7B
          problems: []
          revision: 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e
          size: 4079409664
inferred:
  description: The recipes that were inferred for a model; all others are written by users.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /home/alice/recipes/qwen3-1.7b.yaml
      model: Qwen/Qwen3-1.7B
unknown:
  description: The unknown nodes, with the reason.
  returned: success
  type: dict
  sample:
    spark3: unreachable
"""
