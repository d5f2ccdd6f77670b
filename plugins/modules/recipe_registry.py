#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recipe_registry
short_description: Fetch a git registry of recipes into the controller's cache
version_added: 0.1.0
description:
  - Puts the files of one commit of a git repository into a cache, where lookups find its recipes.
    Lookups never fetch, so that everything works offline afterwards.
  - The copy has no C(.git), links come as plain files, and nothing of the repository is run.
  - Runs on the controller, whichever host the task is for. Needs git there.
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
      - Whether mods, hooks and volumes of its recipes may be used; for lookups, not for fetching.
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
