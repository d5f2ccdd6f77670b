#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of services on the head: read it, and add what was stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_history
short_description: Read the history of services, and record what was stopped
version_added: 0.3.0
description:
  - This module is private to the collection and may change without notice.
  - The history has one line for each change of a service. The guards of a swap record
    launches, this module what was stopped.
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
    support: none
options:
  stopped:
    description: Workloads that were stopped, as P(dgxspark.suite.workloads#filter) has them.
    type: list
    elements: dict
    default: []
  owner:
    description: Who has stopped them.
    type: str
    default: ""
  since:
    description: When the run that stopped them has taken the lock, in seconds since 1970.
    type: float
    default: 0
  service:
    description: The service whose history is returned. Empty for all.
    type: str
    default: ""
  state_dir:
    description: Folder of the files on the head.
    type: path
    default: /var/lib/dgxspark
"""

EXAMPLES = r"""
- name: Read what main has served
  dgxspark.suite.service_history:
    service: main
  register: seen
"""

RETURN = r"""
history:
  description: For each service its history, the newest line first.
  returned: success
  type: dict
  sample:
    main:
      - schema: 1
        at: 1764072000.0
        age: 180
        service: main
        recipe: lab-tiny
        recipe_path: /etc/recipes/lab-tiny.yaml
        overrides: {}
        plan_hash: 7d3d
        nodes: [spark1]
        served_model_name: lab-tiny
        owner: alice@controller
        result: complete
        seconds: 61.5
        run: "1764071938.5"
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import is_service
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import history, state_files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stopped": {"type": "list", "elements": "dict", "default": []},
            "owner": {"type": "str", "default": ""},
            "since": {"type": "float", "default": 0},
            "service": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    now = time.time()
    if given["service"] and not is_service(given["service"]):
        module.fail_json(msg="No service can be named %r" % given["service"])
    try:
        lines = [
            history.of_stop(workload, given["owner"], given["since"], now)
            for workload in given["stopped"]
        ]
        if lines and not module.check_mode:
            add(given["state_dir"], lines)
        known = history.recorded(given["state_dir"], history.LIMIT, now, given["service"])
    except (OSError, Blocked, state_files.Broken, ValueError) as error:
        module.fail_json(msg="The history of services cannot be used: %s" % error)
    module.exit_json(changed=bool(lines), history=known)


def add(folder: str, lines: list[dict[str, Any]]) -> None:
    with state_files.exclusive(folder):
        for line in lines:
            history.append(folder, line)


if __name__ == "__main__":
    main()
