#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of the ranks on one node; the action plugin of the same name follows them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_logs
short_description: Read, or follow, the logs of the ranks on a node
version_added: 0.1.0
description:
  - Reads what the containers of this collection have printed, each line with its rank and node.
  - With O(follow), prints new lines until the containers have ended or the run is stopped by
    Ctrl-C, which does not stop the containers.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
notes:
  - This is an action plugin. Each look runs on the node.
options:
  recipe:
    description: Only containers that were launched from this recipe, by name. Empty for all.
    type: str
    default: ""
  service:
    description: Only containers of this service. Empty for all.
    type: str
    default: ""
    version_added: 0.2.0
  lines:
    description: How many of the last lines of each container are returned.
    type: int
    default: 40
  follow:
    description: Continue with new lines.
    type: bool
    default: false
  since:
    description: For each container, the time stamp after which to begin. The action plugin sets it.
    type: dict
    default: {}
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Read the last lines of each rank
  dgxspark.suite.workload_logs:
    lines: 100
  register: logs
"""

RETURN = r"""
lines:
  description: The lines, by time.
  returned: success
  type: list
  elements: dict
  sample:
    - at: '2026-11-22T03:20:22.733742337Z'
      container: dgxspark-main-0
      rank: '0'
      text: 'INFO:     Application startup complete.'
running:
  description: Whether any of the containers is running.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    service_of,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "recipe": {"type": "str", "default": ""},
            "service": {"type": "str", "default": ""},
            "lines": {"type": "int", "default": 40},
            "follow": {"type": "bool", "default": False},
            "since": {"type": "dict", "default": {}},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    docker = given["docker_bin"]
    try:
        ours = [
            container
            for container in containers.containers(docker)
            if container.ours
            and given["recipe"] in ("", container.recipe)
            and given["service"] in ("", service_of(container.labels))
        ]
        lines = [
            {
                "at": stamp,
                "container": container.name,
                "rank": container.labels.get(LABEL + "rank", ""),
                "text": text,
            }
            for container in ours
            for stamp, text in containers.log_lines(
                docker, container.name, given["lines"], given["since"].get(container.name, "")
            )
        ]
    except containers.Forbidden as error:
        module.fail_json(msg="No logs: %s" % error)
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    module.exit_json(
        changed=False,
        lines=sorted(lines, key=lambda line: line["at"]),
        running=any(container.status == "running" for container in ours),
    )


if __name__ == "__main__":
    main()
