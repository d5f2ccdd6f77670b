#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a place for models, data and caches; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_storage
short_description: Have folders for models, data and caches, with room, owner and ZFS properties
version_added: 0.1.0
description:
  - Makes the folders that are wanted, and gives them owner, group and mode. What is in them is
    never touched.
  - Says where there is too little room.
  - Points shells and services at the Hugging Face cache there.
  - On ZFS, looks at pools, makes datasets that are missing and sets properties that differ. It
    never makes or destroys a pool, and never destroys a dataset.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
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
        description: Name of the user it belongs to. Empty for O(owner).
        type: str
        default: ""
      group:
        description: Name of the group it belongs to. Empty for O(group).
        type: str
        default: ""
      mode:
        description: Its permissions, as V(0755). Empty for whatever they are.
        type: str
        default: ""
      free_gib:
        description: How much room there has to be on its file system, in GiB.
        type: float
        default: 0
  owner:
    description: Owner of folders that name none. Empty for whoever it is, root for new ones.
    type: str
    default: ""
  group:
    description: Group of folders that name none. Empty for whichever it is.
    type: str
    default: ""
  hf_home:
    description:
      - The Hugging Face cache (E(HF_HOME)). It is a folder like those of the folder that it is in.
      - Empty to leave the cache where it is.
    type: str
    default: /ai/cache/huggingface
  profile_file:
    description: Where login shells are told.
    type: path
    default: /etc/profile.d/dgxspark-storage.sh
  environment_file:
    description: Where services are told (C(EnvironmentFile=)).
    type: path
    default: /etc/dgxspark/storage.env
  datasets:
    description: ZFS datasets; a pool's own name is its root dataset. Empty where ZFS is not used.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the dataset, as V(ai/models).
        type: str
        required: true
      properties:
        description: Its properties, as V(recordsize) to V(1M).
        type: dict
        default: {}
"""

EXAMPLES = r"""
---
- name: Folders for models, data and caches, of the user who downloads
  dgxspark.suite.ensure_storage:
    owner: <spark-user>
  become: true

- name: The same on ZFS
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
  description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
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
  description: Always empty, this module names no binaries.
  returned: always
  type: dict
  sample: {}
parity:
  description: What should be the same on every node, by name; nothing is.
  returned: always
  type: dict
  sample: {}
seconds:
  description: What a costly check took, in seconds, by check id; none is.
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
  description: The Hugging Face cache; empty where it is left where it is.
  returned: always
  type: str
  sample: /ai/cache/huggingface
free_gib:
  description: The room on the file system of each folder, in GiB, by path.
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
