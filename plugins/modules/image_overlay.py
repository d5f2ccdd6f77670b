#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the image that an overlay makes of another one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_overlay
short_description: Build an image from another one and an overlay, without moving its packages
version_added: 0.3.0
description:
  - This module is private to the collection and may change without notice.
  - An overlay is a folder with C(requirements.txt), C(wheels/), C(files/) and C(run.sh), all
    optional.
  - Before anything is installed, pip reports in a container of the base what it would install. A
    requirement that would replace a distribution of the base, or bring a forbidden one, is refused
    by name.
  - The image is committed from a container of the base after its distributions have been compared
    once more. It has the entrypoint, the command and the user of the base.
  - With C(wheels/), pip uses nothing else, and the containers have no network.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: partial
    details: The requirements are judged if the base and the overlay are on the node already.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: The name and tag of the image that is built.
    type: str
    required: true
  base:
    description: The image from which it is built. It is never pulled.
    type: str
    required: true
  folder:
    description: The overlay, as an absolute path of the node.
    type: path
    required: true
  digest:
    description: A digest of the content of O(folder). Another one, or another base, is built again.
    type: str
    required: true
  forbid:
    description: Names of distributions that must not be in the image.
    type: list
    elements: str
    default: []
  seconds:
    description: How long pip may take each time, and C(run.sh).
    type: int
    default: 3600
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
seealso:
  - module: dgxspark.suite.image_preflight
"""

EXAMPLES = r"""
- name: Add a package to an image, and nothing else
  dgxspark.suite.image_overlay:
    name: dgxspark-overlay/hear:4f0c9a1b2d3e
    base: registry.example/asr:1.4
    folder: /var/lib/dgxspark/overlays/4f0c9a1b2d3e
    digest: 4f0c9a1b2d3e
    forbid: [cuda-python]
  become: true
"""

RETURN = r"""
image_id:
  description: The ID of the image, empty in check mode where it is not there yet.
  returned: success
  type: str
  sample: sha256:738e1df4b72f
base_id:
  description: The ID of the base, empty where the node does not have it.
  returned: success
  type: str
  sample: sha256:2a1f0c9be771
added:
  description: Distributions that the overlay adds, by name; in check mode those that it would add.
  returned: when it was built, or would be
  type: dict
  sample: {num2words: 0.5.14}
why:
  description: Why it was built, empty if it was not.
  returned: success
  type: str
  sample: the image is missing
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    overlay,
    overlay_facts,
    overlay_image,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "base": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "digest": {"type": "str", "required": True},
            "forbid": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "default": 3600},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        seen = overlay_facts.observe(given["docker_bin"], given["name"], given["base"])
        step = overlay.plan(seen, overlay.Wanted(given["name"], given["digest"]))
        result = {"image_id": seen.image_id, "base_id": seen.base_id, "why": step.why}
        if step.build or (step.problem and module.check_mode):
            result.update(_built(module, seen))
        elif step.problem:
            module.fail_json(msg="%s cannot be built: %s" % (given["name"], step.problem))
    except (overlay_image.OverlayError, containers.EngineError) as error:
        text = "%s is not built from %s: %s. Nothing of it remains; what runs stays as it is"
        module.fail_json(msg=text % (given["name"], given["base"], error))
    module.exit_json(changed="added" in result, **result)


def _built(module: AnsibleModule, seen: overlay.Observed) -> dict[str, Any]:
    """Judge it and build it; in check mode judge what can be judged."""
    given = module.params
    docker, seconds = given["docker_bin"], given["seconds"]
    one = overlay_image.Overlay(given["folder"], given["digest"], tuple(given["forbid"]))
    adds: dict[str, str] = {}
    if seen.base_id and os.path.isdir(one.folder):
        judged = overlay_image.judge(docker, seen.base_id, one, seconds)
        if judged.refused:
            raise overlay_image.OverlayError("; ".join(judged.refused))
        adds = dict(judged.adds)
    elif not module.check_mode:
        raise overlay_image.OverlayError("%s is not on this node" % one.folder)
    if module.check_mode:
        return {"image_id": "", "added": adds, "diff": _diff(given["name"], adds)}
    before, after = overlay_image.build(docker, given["name"], given["base"], one, seconds)
    adds = overlay.added(before, after)
    image_id = containers.image_id(docker, given["name"]) or ""
    return {"image_id": image_id, "added": adds, "diff": _diff(given["name"], adds)}


def _diff(name: str, adds: dict[str, str]) -> dict[str, str]:
    lines = "".join("%s==%s\n" % one for one in sorted(adds.items()))
    return {"before_header": "base", "after_header": name, "before": "", "after": lines}


if __name__ == "__main__":
    main()
