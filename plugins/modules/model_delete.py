#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a model from the disks of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_delete
short_description: Remove a model from the disks of a node
version_added: 0.1.0
description:
  - Removes a model, or one revision of it with the blobs that no other revision uses.
  - It refuses a model that a process names on its command line or has open, that is being
    downloaded or copied, that is only a link, or into which a link points from elsewhere in the
    cache or in O(directories).
  - A directory is moved away in one step before it is removed, so that an interrupted run leaves no
    incomplete model; the next run removes the rest.
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
    support: full
  idempotent:
    support: full
options:
  name:
    description: The repository, or the absolute path of a directory below one of O(directories).
    type: str
    required: true
  revision:
    description: Remove only this revision, by its full name.
    type: str
    default: ""
  confirm:
    description: The same as O(name). Without it nothing is removed, and the module fails.
    type: str
    default: ""
  expect:
    description:
      - RV(plan_id) of a run in check mode. If the plan has changed since, nothing is removed.
    type: str
    default: ""
  hf_home:
    description: The Hugging Face home; the cache is its directory C(hub).
    type: path
    default: /ai/cache/huggingface
  directories:
    description: The local model directories.
    type: list
    elements: path
    default: [/ai/models]
"""

EXAMPLES = r"""
- name: Show what would be removed
  dgxspark.suite.model_delete:
    name: org/old-model
  check_mode: true
  register: shown

- name: Remove the model
  dgxspark.suite.model_delete:
    name: org/old-model
    confirm: org/old-model
    expect: "{{ shown.plan_id }}"
"""

RETURN = r"""
paths:
  description: What is removed; directories with all that is in them.
  returned: always
  type: list
  elements: path
  sample: [/ai/cache/huggingface/hub/models--org--old-model]
freed:
  description: The bytes that are freed.
  returned: always
  type: int
  sample: 4079409664
refusals:
  description: Why nothing is removed. Only check mode returns any.
  returned: always
  type: list
  elements: str
  sample: []
plan_id:
  description: The same for two plans that remove the same.
  returned: always
  type: str
  sample: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import is_repo
from ansible_collections.dgxspark.suite.plugins.module_utils.models import removal, users


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "revision": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "expect": {"type": "str", "default": ""},
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "directories": {"type": "list", "elements": "path", "default": ["/ai/models"]},
        },
        supports_check_mode=True,
    )
    given = module.params
    name = given["name"]
    if not name.startswith("/") and not is_repo(name):
        module.fail_json(msg="%r is neither a repository nor an absolute path" % name)
    if name.startswith("/") and os.path.normpath(name) != name:
        module.fail_json(msg="%s is not a normalized absolute path" % name)
    if name in map(os.path.normpath, given["directories"]):
        module.fail_json(msg="%s is a model directory root; refusing to delete it" % name)
    hub = os.path.join(given["hf_home"], "hub")

    def look() -> removal.RemovalPlan:
        running = users.processes()
        paths = [name] if name.startswith("/") else [removal.place(hub, name)]
        used = users.Users(running).of(name, paths)
        seen = removal.observe(hub, given["directories"], name, running, used)
        return removal.plan(seen, given["revision"])

    plan = look()
    result = {
        "paths": plan.paths,
        "freed": plan.freed,
        "refusals": list(plan.refusals),
        "plan_id": plan.id,
        "diff": {"before": "".join("%s\n" % path for path in plan.paths), "after": ""},
    }
    if module.check_mode or not plan.paths:
        module.exit_json(changed=bool(plan.paths) and not plan.refusals, **result)
    if plan.refusals:
        module.fail_json(msg="%s is not removed: %s" % (name, "; ".join(plan.refusals)), **result)
    if given["confirm"] != name:
        wanted = "%s would be removed, %d bytes. Confirm it: confirm=%s"
        module.fail_json(msg=wanted % (", ".join(plan.paths), plan.freed, name), **result)
    if given["expect"] not in ("", plan.id):
        changed = "%s has changed since the plan was shown. Nothing was removed"
        module.fail_json(msg=changed % name, **result)
    try:
        removal.apply(plan)
    except Blocked as error:
        module.fail_json(msg="%s is not removed: %s" % (name, explained(error)), **result)
    except OSError as error:
        where = "%s: %s" % (error.filename or name, error.strerror or error)
        again = "%s is not completely removed: %s. Fix that and run again"
        module.fail_json(msg=again % (name, where), **result)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
