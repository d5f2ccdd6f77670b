#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs in the containers of services with an overlay from their images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: overlay_info
short_description: Report what was changed by hand in containers of services with an overlay
version_added: 0.3.0
description:
  - This module is private to the collection and may change without notice.
  - Compares the folders of packages of each running container that has an overlay with its image,
    and looks for distributions that its recipe forbids.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Find out what was changed by hand
  dgxspark.suite.overlay_info:
  register: node
"""

RETURN = r"""
overlays:
  description: The containers of services with an overlay or with a list of what is forbidden.
  returned: success
  type: dict
  contains:
    changed:
      description: Distributions and files of code that are not as in the image, at most ten.
      type: list
      elements: str
    forbidden:
      description: One line for each forbidden distribution that is there.
      type: list
      elements: str
    problem:
      description: Why that is not known, empty if it is.
      type: str
  sample:
    dgxspark-hear-0: {changed: [cuda_python-12.9.0], forbidden: [], problem: ""}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import overlay_drift


def main() -> None:
    module = AnsibleModule(
        argument_spec={"docker_bin": {"type": "path", "default": "/usr/bin/docker"}},
        supports_check_mode=True,
    )
    docker = module.params["docker_bin"]
    try:
        found = overlay_drift.observed(docker, containers.containers(docker))
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    module.exit_json(changed=False, overlays=found)


if __name__ == "__main__":
    main()
