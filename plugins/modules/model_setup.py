#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_setup
short_description: Infer a recipe for a model that lies on the nodes
version_added: 0.1.0
description:
  - Infers a recipe from the config of a model and from the memory of the nodes, shows it with the
    source of each setting, and writes it into a folder of the controller if O(confirm) says so.
  - It reads the variable C(models_disks), which M(dgxspark.suite.model_info) with
    O(dgxspark.suite.model_info#module:configs=true) has to be registered as on every node.
  - What it writes has been validated. A recipe that was not inferred for this model is never
    overwritten.
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
    description: The folder on the controller for the recipe; it is made where it does not exist.
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
    description: The quantisation of a GGUF model; the smallest that is whole by default.
    type: str
    default: ""
  tables:
    description:
      - Rules that come before the bundled ones. C(docs/contracts/recipe.md) describes them.
    type: dict
    default: {}
  recipe_paths:
    description: Folders with recipes, to tell which serve the model already.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Write a recipe for it
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
  description: Whether it was written now.
  returned: success
  type: bool
  sample: true
name:
  description: The name of the recipe.
  returned: success
  type: str
  sample: name
recipe:
  description: What the file holds.
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
  description: What a person should look at before using it.
  returned: success
  type: list
  elements: str
  sample: []
"""
