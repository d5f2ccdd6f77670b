#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a place for models, data and caches; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_storage
short_description: Create folders for models, data and caches, and check space and ZFS properties
version_added: 0.1.0
description:
  - Creates folders, and sets their owner, group and mode. Their contents are never changed.
  - Follows a link only if root owns it in a folder that only root may write. What another user
    could have put there, and folders of the system, are V(blocked).
  - Reports file systems with too little free space.
  - Sets E(HF_HOME), the Hugging Face cache, for shells and services.
  - With ZFS, checks pools, creates missing datasets and sets properties that differ. It never
    creates or destroys a pool, and never destroys a dataset.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  directories:
    description: The folders.
    type: list
    elements: dict
    default:
      - path: /ai/models
        mode: "0755"
        free_gib: 50
      - path: /ai/data
        mode: "0755"
      - path: /ai/cache
        mode: "0755"
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Name of its owner. Empty for O(owner).
        type: str
        default: ""
      group:
        description: Name of its group. Empty for O(group).
        type: str
        default: ""
      mode:
        description: Its permissions, such as V(0755). Empty for any.
        type: str
        default: ""
      free_gib:
        description: Required free space on its file system, in GiB.
        type: float
        default: 0
  owner:
    description: Owner of folders without one. Empty for any, and root for new ones.
    type: str
    default: ""
  group:
    description: Group of folders without one. Empty for any.
    type: str
    default: ""
  hf_home:
    description:
      - The Hugging Face cache (E(HF_HOME)). It has the owner, group and mode of the configured
        folder that contains it.
      - Empty to keep the default location.
    type: str
    default: /ai/cache/huggingface
  profile_file:
    description: The file for login shells.
    type: path
    default: /etc/profile.d/dgxspark-storage.sh
  environment_file:
    description: The file for services (C(EnvironmentFile=)).
    type: path
    default: /etc/dgxspark/storage.env
  datasets:
    description: ZFS datasets; the name of a pool is its root dataset. Empty without ZFS.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the dataset, such as V(ai/models).
        type: str
        required: true
      properties:
        description: Its properties, such as V(recordsize) with V(1M).
        type: dict
        default: {}
"""

EXAMPLES = r"""
---
- name: Create folders for models, data and caches, owned by a user
  dgxspark.suite.ensure_storage:
    owner: <spark-user>
  become: true

- name: Create them on ZFS
  dgxspark.suite.ensure_storage:
    datasets:
      - name: ai
        properties: {compression: lz4, atime: "off", quota: 500G}
      - name: ai/models
        properties: {recordsize: 1M, mountpoint: /ai/models}
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: storage
findings:
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: storage_dir_ai_models
      status: drift
      severity: warning
      expected: a folder /ai/models, mode 0755
      actual: there is none
      fix: make it
      hint: ""
paths:
  description: Always empty, since this module writes no paths.
  returned: always
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name; always empty.
  returned: always
  type: dict
  sample: {}
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
  returned: always
  type: dict
  sample: {}
diff:
  description: What is changed, before and after.
  returned: always
  type: dict
  sample:
    before: ""
    after: ""
    before_header: ""
    after_header: ""
hf_home:
  description: The Hugging Face cache; empty for the default location.
  returned: always
  type: str
  sample: /ai/cache/huggingface
free_gib:
  description: Free space on the file system of each folder in GiB, by path.
  returned: always
  type: dict
  sample: {/ai/models: 812.4}
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.storage import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
