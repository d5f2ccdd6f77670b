#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch a git registry of recipes into the controller's cache; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recipe_registry
short_description: Fetch a git registry of recipes into the controller's cache
version_added: 0.1.0
description:
  - Puts the files of one commit of a git repository into a cache, where lookups find its recipes.
    Lookups never fetch, so that everything works offline afterwards.
  - The copy has no C(.git), links come as plain files, and nothing of the repository is run.
  - Meant for C(localhost). Needs git there.
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
    description: What C(@name/recipe) calls it.
    type: str
    required: true
  url:
    description:
      - The repository, as V(https://...), V(ssh://...), V(user@host:path), V(file:///...) or an
        absolute path. Passwords belong into git's credential helper.
    type: str
    required: true
  ref:
    description: Branch or tag; empty for the default branch. Without O(commit) it is followed.
    type: str
    default: ""
  commit:
    description: The commit to use, as 40 hex digits. One that is there needs no network.
    type: str
    default: ""
  folder:
    description: The folder with the recipes, within the repository.
    type: str
    default: ""
  trusted:
    description:
      - Whether mods, hooks and volumes of its recipes may be used. This module does not use it;
        it is here so that one list serves for this module and for the lookups.
    type: bool
    default: false
  cache:
    description: Where registries are kept.
    type: path
    default: ~/.cache/dgxspark/recipes
"""

EXAMPLES = r"""
---
- name: Fetch all registries of the inventory
  dgxspark.suite.recipe_registry:
    name: "{{ item.name }}"
    url: "{{ item.url }}"
    commit: "{{ item.commit | default(omit) }}"
    folder: "{{ item.folder | default(omit) }}"
  loop: "{{ dgxspark_recipe_registries }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
commit:
  description:
    - The commit that lookups read from now on. In check mode the one that they read already; empty
      if there is none.
  returned: success
  type: str
  sample: 0123456789abcdef0123456789abcdef01234567
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import RecipeError
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.registries import (
    fetch,
    pinned_commit,
    place_of,
    registries_of,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "ref": {"type": "str", "default": ""},
            "commit": {"type": "str", "default": ""},
            "folder": {"type": "str", "default": ""},
            "trusted": {"type": "bool", "default": False},
            "cache": {"type": "path", "default": "~/.cache/dgxspark/recipes"},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    cache = given.pop("cache")
    try:
        (registry,) = registries_of([given])
        if module.check_mode:
            # What a branch has by now only the network knows; the report is about what is here.
            there = os.path.isdir(place_of(registry, cache).root)
            module.exit_json(changed=not there, commit=pinned_commit(registry, cache))
        commit, changed = fetch(registry, cache)
    except RecipeError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=changed, commit=commit)


if __name__ == "__main__":
    main()
