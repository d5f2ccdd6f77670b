#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Offer an image to other nodes for the time of a copy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_share
short_description: Offer a container image to other nodes for the time of a copy
version_added: 0.1.0
description:
  - Starts a background process on this node that sends one image to the named clients only, on one
    address, protected by a secret of that run. It ends by itself after O(seconds), if
    M(dgxspark.suite.share_end) has not ended it before.
  - Docker packs an image on the disk before it sends it; the module fails where there is not enough
    space for that.
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
    support: partial
    details: Each run replaces the previous offer of that image.
options:
  image:
    description: The image, by the name that it will have on the other nodes.
    type: str
    required: true
  address:
    description: The address of this node on which the offer listens.
    type: str
    required: true
  clients:
    description: The addresses that may connect.
    type: list
    elements: str
    required: true
  secret:
    description: The secret that a client must prove to know; new for each copy.
    type: str
    required: true
  seconds:
    description: Time limit of the offer, in seconds.
    type: int
    default: 14400
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
  run_dir:
    description: Directory of the transfers that are running.
    type: path
    default: /run/dgxspark/images
seealso:
  - module: dgxspark.suite.image_receive
  - module: dgxspark.suite.share_end
"""

EXAMPLES = r"""
- name: Offer the image
  dgxspark.suite.image_share:
    image: example/vllm:1.0
    address: "{{ dgxspark_fabric_address }}"
    clients: ["{{ hostvars['spark2']['dgxspark_fabric_address'] }}"]
    secret: "{{ copy_secret }}"
  register: offer
"""

RETURN = r"""
image_id:
  description: The image ID.
  returned: success
  type: str
  sample: sha256:738e1df4b72f
bytes:
  description: Its size.
  returned: success
  type: int
  sample: 4290000000
port:
  description: The port on which the offer listens; V(0) in check mode.
  returned: success
  type: int
  sample: 40873
id:
  description: What M(dgxspark.suite.share_end) takes; empty in check mode.
  returned: success
  type: str
  sample: /run/dgxspark/images/offer-4f53cda18c2baa0c
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host import job
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import make_directories
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    image_disk,
    image_transfer,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "clients": {"type": "list", "elements": "str", "required": True},
            "secret": {"type": "str", "no_log": True, "required": True},
            "seconds": {"type": "int", "default": 14400},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
            "run_dir": {"type": "path", "default": image_transfer.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    image, docker, run_dir = given["image"], given["docker_bin"], given["run_dir"]
    folder = image_transfer.folder_of(run_dir, image_transfer.OFFER, image)
    try:
        image_id = containers.image_id(docker, image)
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    if not image_id:
        module.fail_json(msg="%s cannot be offered: it is not on this node" % image)
    size = image_disk.size_of(docker, image)
    lacks = image_disk.lacks_space(docker, size)
    if lacks:
        module.fail_json(msg="%s cannot be packed for the other nodes: %s" % (image, lacks))
    if module.check_mode:
        module.exit_json(changed=False, image_id=image_id, bytes=size, port=0, id="")
    request = {name: given[name] for name in ("image", "address", "clients", "secret")}
    request.update(docker=docker, id=image_id)
    try:
        make_directories(run_dir)
        image_transfer.start(run_dir, image_transfer.OFFER, request, given["seconds"])
        port = job.announced(folder, "port", run_dir)
    except (Blocked, job.JobError, OSError) as error:
        job.end(folder, run_dir)
        module.fail_json(msg="%s cannot be offered: %s" % (image, error))
    # What the process does is no change of the node.
    module.exit_json(changed=False, image_id=image_id, bytes=size, port=port, id=folder)


if __name__ == "__main__":
    main()
