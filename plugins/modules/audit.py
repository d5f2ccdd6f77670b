#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of a node in one process; the action plugin of the same name says which those are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: Run all checks of a node's role at once
version_added: 0.1.0
description:
  - Finds out which ensure modules the tasks of a role would run on a node, and with which options,
    and has the node run all their checks in one process and one connection. What is found is what
    the role itself finds in check mode, word for word.
  - Checks run side by side, each in a process of its own. One that crashes, hangs or has an option
    that cannot be meant is V(blocked) as C(SPEC_assessed), and spoils no other.
  - Nothing is ever repaired, and nothing remains on the node.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
notes:
  - This is an action plugin. It obeys C(--tags) and C(--skip-tags) as the role does, so the task is
    to be tagged V(always); the task and not its play, whose tags all tasks of the role would have.
  - The play names the role under C(roles), so that Ansible reads it once for all nodes, and ends
    by M(ansible.builtin.meta) before the role's turn comes. What it says of the role there, tags,
    variables and conditions, is obeyed, too.
  - C(end_play) forgets which nodes have failed in its play. Another play for the same nodes, as
    C(playbooks/audit.yml) has one for the verdict, remembers it, and with it the exit status.
  - The role has to bring its tasks in by M(ansible.builtin.import_role) and
    M(ansible.builtin.import_tasks); what is included only while a play runs is refused by name.
options:
  role:
    description: The role of the play whose checks are wanted, as V(dgxspark.suite.serving_node).
    type: str
  specs:
    description: What is to be checked. The action plugin makes this of O(role).
    type: list
    elements: dict
    default: []
    suboptions:
      spec:
        description: Name of a spec, that of its module without C(ensure_).
        type: str
        required: true
      options:
        description: The options of that module.
        type: dict
        default: {}
  width:
    description: How many checks may run at a time; V(0) for as many as the node has processors, and
      no more than 8.
    type: int
    default: 0
  probe_timeout:
    description: How long the checks of one spec may take, in seconds.
    type: float
    default: 240
  node_timeout:
    description: How long all of them may take, in seconds.
    type: float
    default: 480
"""

EXAMPLES = r"""
# Among the pre_tasks of a play that names the role under roles; playbooks/audit.yml is such a one.
- name: Ask for everything at once
  dgxspark.suite.audit:
    role: dgxspark.suite.serving_node
  become: true
  tags: [always]

- name: Do no more than that
  ansible.builtin.meta: end_play
  tags: [always]

- name: Look at one thing only
  dgxspark.suite.audit:
    specs:
      - spec: kernel
        options:
          swap: "off"
"""

RETURN = r"""
results:
  description: What each spec's module returns in check mode, without facts and RV(diff); one for
    each task of the role, and for each item of a task that loops.
  returned: always
  type: list
  elements: dict
  contains:
    spec:
      description: Name of the spec.
      type: str
    changed:
      description: Whether a run would change something.
      type: bool
    findings:
      description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
      type: list
      elements: dict
    paths:
      description: Entries of the file of paths that hold.
      type: dict
    parity:
      description: What should be the same on every node, by name.
      type: dict
    seconds:
      description: What a costly check took, by check id.
      type: dict
  sample:
    - spec: kernel
      changed: false
      findings:
        - check: swap
          status: ok
          severity: info
          expected: no swap
          actual: there is none
          fix: ""
          hint: ""
      paths: {}
      parity: {kernel: 6.17.0-1032-nvidia}
      seconds: {}
diff:
  description: What a run would change, for each of RV(results) that would.
  returned: always
  type: list
  elements: dict
  sample: []
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.all_specs import SPECS
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.audit import Job, side_by_side

_MOST = 8


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "role": {"type": "str"},
            "specs": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "spec": {"type": "str", "required": True},
                    "options": {"type": "dict", "default": {}},
                },
            },
            "width": {"type": "int", "default": 0},
            "probe_timeout": {"type": "float", "default": 240},
            "node_timeout": {"type": "float", "default": 480},
        },
        supports_check_mode=True,
    )
    asked = module.params["specs"]
    unknown = sorted({one["spec"] for one in asked} - set(SPECS))
    if unknown:
        known = ", ".join(sorted(SPECS))
        module.fail_json(msg="specs: no spec %s; there are %s" % (", ".join(unknown), known))
    jobs = [Job(SPECS[one["spec"]], one["options"]) for one in asked]
    width = module.params["width"] or min(_MOST, len(os.sched_getaffinity(0)))
    limits = (module.params["probe_timeout"], module.params["node_timeout"])
    results = side_by_side(jobs, max(1, width), *limits)
    diffs = [result.pop("diff", None) for result in results]
    module.exit_json(
        changed=any(result["changed"] for result in results),
        results=results,
        diff=[diff for diff, result in zip(diffs, results) if result["changed"]],
    )


if __name__ == "__main__":
    main()
