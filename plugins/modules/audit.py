#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of a node in one module run; the action plugin of the same name selects them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: Run all checks of a node's role at once
version_added: 0.1.0
description:
  - Reads from the tasks of a role which ensure modules they would run on a node, and with which
    options, and runs all their checks on the node in one task. The findings are those of the role
    in check mode.
  - Checks run in parallel, each in a process of its own. One that crashes, hangs or has an invalid
    option is V(blocked) as C(SPEC_assessed) and does not affect the others.
  - Nothing is repaired, and nothing remains on the node.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
notes:
  - This is an action plugin. It applies C(--tags) and C(--skip-tags) to the tasks of the role, so
    tag this task V(always); not its play, since all tasks of the role would inherit that tag.
  - The play must name the role under C(roles), once, so that Ansible reads it once for all nodes,
    and end by M(ansible.builtin.meta) before the role runs. Tags, variables and conditions of the
    role are applied.
  - After C(end_play) or C(end_batch) Ansible reports no failure of that play. A later play for the
    same nodes, as in C(dgxspark.suite.site), keeps the exit status.
  - Of the tasks of ensure modules, conditions, loops (C(loop) with C(loop_var) and C(label)),
    variables, tags, C(register) and C(check_mode) are supported, and any attribute that is the
    same for the play or for this task. Anything else is an error that names the task and the
    attribute, such as C(delegate_to), C(environment), C(module_defaults), C(until) or a C(rescue).
  - The same holds for tasks that use a variable which an earlier task of the role sets or
    registers, and for M(ansible.builtin.include_role), M(ansible.builtin.include_tasks),
    M(ansible.builtin.include_vars), M(ansible.builtin.assert), M(ansible.builtin.fail) and
    C(meta) tasks in the role. Tasks of other modules are ignored.
options:
  role:
    description: The role of the play whose checks are run, as V(dgxspark.suite.serving_node).
    type: str
  specs:
    description: The checks to run. The action plugin appends those of O(role).
    type: list
    elements: dict
    default: []
    suboptions:
      spec:
        description: Name of a spec, which is that of its module without C(ensure_).
        type: str
        required: true
      options:
        description: The options of that module.
        type: dict
        default: {}
  width:
    description: How many checks run in parallel; V(0) for as many as the node has processors, at
      most 8.
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
# In pre_tasks of a play that names the role under roles, as playbooks/site.yml does.
- name: Run all checks of the role in one task
  dgxspark.suite.audit:
    role: dgxspark.suite.serving_node
  become: true
  tags: [always]

- name: End play
  ansible.builtin.meta: end_play
  tags: [always]

- name: Check the kernel only
  dgxspark.suite.audit:
    specs:
      - spec: kernel
        options:
          swap: "off"
"""

RETURN = r"""
results:
  description: What each spec's module returns in check mode, without facts and RV(diff); one for
    each task of the role, and for each item of a task that loops. Where an option is invalid, that
    is C(failed) and C(msg), and the task fails after all other checks.
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
      description: The finding of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
      type: list
      elements: dict
    paths:
      description: Valid entries of the file of paths.
      type: dict
    parity:
      description: Values that should be the same on every node, by name.
      type: dict
    seconds:
      description: The duration of a costly check, by check id.
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
skipped_specs:
  description: Specs of tasks that a condition or an empty loop skips; not assessed in the report.
  returned: always
  type: list
  elements: str
  sample: []
diff:
  description: What a run would change, for each of RV(results) that would change something.
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
    wanted = module.params["specs"]
    unknown = sorted({entry["spec"] for entry in wanted} - set(SPECS))
    if unknown:
        known = ", ".join(sorted(SPECS))
        module.fail_json(msg="specs: no spec %s; there are %s" % (", ".join(unknown), known))
    jobs = [Job(SPECS[entry["spec"]], entry["options"]) for entry in wanted]
    width = module.params["width"] or min(_MOST, len(os.sched_getaffinity(0)))
    limits = (module.params["probe_timeout"], module.params["node_timeout"])
    results = side_by_side(jobs, max(1, width), *limits)
    diffs = [result.pop("diff", None) for result in results]
    answer = {
        "changed": any(result["changed"] for result in results),
        "results": results,
        "diff": [diff for diff, result in zip(diffs, results) if result["changed"]],
    }
    refused = ["%s: %s" % (one["spec"], one["msg"]) for one in results if one.get("failed")]
    if refused:
        module.fail_json(msg="; ".join(refused), **answer)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
