#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_setup
short_description: Infer a recipe for a model on the nodes
version_added: 0.1.0
description:
  - Infers a recipe from the config of a model and from the memory of the nodes, shows it with the
    source of each setting, and writes it to the controller if O(confirm) repeats the name.
  - It reads the variable C(models_disks), the registered result of
    M(dgxspark.suite.model_info) with O(dgxspark.suite.model_info#module:configs=true) on every
    node.
  - The recipe is validated before it is written. One that was not inferred for this model is never
    overwritten.
  - This module is private to the collection and may change without notice.
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
    support: full
options:
  name:
    description: The model, as M(dgxspark.suite.model_info) lists it.
    type: str
    required: true
  dest:
    description: The directory on the controller for the recipe; it is created if it does not exist.
    type: path
    required: true
  confirm:
    description: The same as O(name). Without it the recipe is only shown.
    type: str
    default: ""
  image:
    description: The image to serve with, instead of that of the tables.
    type: str
    default: ""
  port:
    description: The port to serve on.
    type: int
    default: 8000
  quant:
    description: The quantisation of a GGUF model; by default the smallest complete one.
    type: str
    default: ""
  tables:
    description:
      - Inference rules that take precedence over the bundled ones. C(docs/contracts/recipe.md)
        describes them.
    type: dict
    default: {}
  recipe_paths:
    description: Directories with recipes, to report those that already serve the model.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Write a recipe for the model
  dgxspark.suite.model_setup:
    name: org/name
    confirm: org/name
    dest: recipes
  run_once: true
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /home/alice/sparks/recipes/name.yaml
written:
  description: Whether this run wrote it.
  returned: success
  type: bool
  sample: true
name:
  description: The name of the recipe.
  returned: success
  type: str
  sample: name
next:
  description: The command line that writes the file, or once it is written, that serves it.
  returned: success
  type: str
  sample: ansible-playbook dgxspark.suite.launch -e recipe=/home/alice/recipes/name.yaml --check
  version_added: 0.3.0
recipe:
  description: The content of the file.
  returned: success
  type: dict
  sample: {model: org/name, runtime: vllm}
settings:
  description: For each setting its value, source and confidence.
  returned: success
  type: dict
  sample:
    defaults.port: {value: 8000, source: given, confidence: high}
memory:
  description: The estimate of memory.
  returned: success
  type: dict
  sample: {total_gib: 12.5}
fit:
  description: Whether it fits a node.
  returned: success
  type: dict
  sample: {verdict: fits}
nodes:
  description: On how many nodes it runs.
  returned: success
  type: int
  sample: 1
warnings:
  description: What to check before using it.
  returned: success
  type: list
  elements: str
  sample: []
"""
