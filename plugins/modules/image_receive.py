#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy or pull an image to this node in the background; the action plugin follows the transfer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_receive
short_description: Copy a container image from another node, or pull it
version_added: 0.1.0
description:
  - Copies what M(dgxspark.suite.image_share) offers on another node, or pulls the image from its
    registry where no O(address) is given, unless the image is there.
  - The transfer runs in the background. The action plugin follows it and prints its progress.
  - A pull whose C(ansible-playbook) was killed goes on; the next run waits for it. A copy is
    started again by the next run.
  - Both nodes of a copy prove that they know O(secret), and Docker gets nothing that is not
    verified to come from the other. The image gets its name when its ID has been verified; other
    images and names that came with it are removed.
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
    support: full
notes:
  - This is an action plugin; the work is done on the node.
options:
  image:
    description: The name of the image.
    type: str
    required: true
  id:
    description: Its image ID on the node that offers it. Required with O(address).
    type: str
    default: ""
  address:
    description: The address of the node that offers it; empty to pull it.
    type: str
    default: ""
  port:
    description: The port of the offer.
    type: int
    default: 0
  secret:
    description: The secret of the offer.
    type: str
    default: ""
  bytes:
    description: Its size as the offer reports it, for the check of the disk and the progress.
    type: int
    default: 0
  looked_on:
    description: Nodes that do not have the image, for the message of a pull that fails.
    type: list
    elements: str
    default: []
  renew_from:
    description: The ID of the image that is there, to pull what has its name in the registry now.
    type: str
    default: ""
  seconds:
    description: How long it may take, in seconds.
    type: int
    default: 14400
  job:
    description: RV(job) of a transfer that was started; its progress is returned. The action plugin
      sets it.
    type: str
    default: ""
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
  run_dir:
    description: Directory of the transfers that are running.
    type: path
    default: /run/dgxspark/images
seealso:
  - module: dgxspark.suite.image_share
"""

EXAMPLES = r"""
- name: Copy the image from spark1
  dgxspark.suite.image_receive:
    image: example/vllm:1.0
    id: "{{ offer.image_id }}"
    bytes: "{{ offer.bytes }}"
    address: "{{ hostvars['spark1']['dgxspark_fabric_address'] }}"
    port: "{{ offer.port }}"
    secret: "{{ copy_secret }}"

- name: Pull the image if it is missing
  dgxspark.suite.image_receive:
    image: example/vllm:1.0
"""

RETURN = r"""
image_id:
  description: The ID of the image on this node, empty in check mode where it is not there yet.
  returned: success
  type: str
  sample: sha256:738e1df4b72f
job:
  description: What O(job) takes; empty where nothing was started.
  returned: success
  type: str
  sample: ""
bytes:
  description: The size of the image, V(0) where it is not known.
  returned: success
  type: int
  sample: 4290000000
phase:
  description: V(fetching), V(unpacking) (all bytes have arrived), V(pulling) or V(done).
  returned: with O(job)
  type: str
  sample: fetching
progress:
  description: How many bytes have arrived; of a pull, how many layers are complete.
  returned: with O(job)
  type: int
  sample: 1500000000
total:
  description: How many layers a pull has.
  returned: with O(job), for a pull
  type: int
  sample: 12
"""

from typing import Any

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
            "id": {"type": "str", "default": ""},
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "secret": {"type": "str", "no_log": True, "default": ""},
            "bytes": {"type": "int", "default": 0},
            "looked_on": {"type": "list", "elements": "str", "default": []},
            "renew_from": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 14400},
            "job": {"type": "str", "default": ""},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
            "run_dir": {"type": "path", "default": image_transfer.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["address"] and not given["id"]:
        module.fail_json(msg="'id' is required with 'address': the copy is verified by image ID")
    if given["job"]:
        _look(module)
    present = _present(module)
    result: dict[str, Any] = {"job": "", "bytes": given["bytes"], "image_id": ""}
    if _right(module, present) and not given["renew_from"]:
        module.exit_json(changed=False, **{**result, "image_id": present})
    if not module.check_mode:
        result["job"] = _start(module)
    module.exit_json(changed=True, **result)


def _present(module: AnsibleModule) -> str:
    """The ID of the image of that name; empty where there is none."""
    given = module.params
    image_id = None
    try:
        image_id = containers.image_id(given["docker_bin"], given["image"])
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    return image_id or ""


def _right(module: AnsibleModule, image_id: str) -> bool:
    """Whether the image of that ID is the wanted one."""
    return bool(image_id) and module.params["id"] in ("", image_id)


def _start(module: AnsibleModule) -> str:
    given = module.params
    work = _work(module)
    folder = image_transfer.folder_of(given["run_dir"], work, given["image"])
    if work == image_transfer.PULL and job.running(folder):
        return folder
    # Docker unpacks an image beside the archive that it receives.
    lacks = image_disk.lacks_space(given["docker_bin"], 2 * given["bytes"])
    if lacks:
        module.fail_json(msg="%s is not copied: %s" % (given["image"], lacks))
    request = {name: given[name] for name in ("image", "id", "address", "port", "secret")}
    request["docker"] = given["docker_bin"]
    try:
        make_directories(given["run_dir"])
        image_transfer.start(given["run_dir"], work, request, given["seconds"])
    except (Blocked, OSError) as error:
        module.fail_json(msg="%s cannot be brought to this node: %s" % (given["image"], error))
    return folder


def _work(module: AnsibleModule) -> str:
    return image_transfer.TAKE if module.params["address"] else image_transfer.PULL


def _look(module: AnsibleModule) -> None:
    given = module.params
    folder = image_transfer.folder_of(given["run_dir"], _work(module), given["image"])
    state: dict[str, Any] = {"phase": job.DONE}
    try:
        state = job.look(folder, given["run_dir"])
    except job.JobError as error:
        state["problem"] = str(error)
    if state["phase"] != job.DONE:
        module.exit_json(changed=True, image_id="", **state)
    present = _present(module)
    # Another run may have followed the same pull, and have forgotten it after its end.
    renewed = not (given["renew_from"] and state["problem"])
    if not (_right(module, present) and renewed):
        if state["problem"]:
            module.fail_json(msg=_why(module, state["problem"]))
        actual = "it is %s" % present if present else "the image is missing"
        text = "Image ID mismatch for %s: expected %s, %s. Run it again"
        module.fail_json(msg=text % (given["image"], given["id"] or "that of the registry", actual))
    changed = present != given["renew_from"]
    module.exit_json(changed=changed, phase=job.DONE, progress=0, image_id=present)


def _why(module: AnsibleModule, error: str) -> str:
    given = module.params
    if given["address"]:
        text = "%s was not copied from %s: %s. Nothing of it remains; run it again"
        return text % (given["image"], given["address"], error)
    if given["renew_from"]:
        text = "%s cannot be pulled again: %s. What runs stays as it is. "
        text += "Check that its registry is reachable; an image without one is loaded (docker load)"
        return text % (given["image"], error)
    where = " and ".join(given["looked_on"])
    text = "%s is not on %s, and this node cannot pull it: %s. "
    text += (
        "Check its name and that its registry is reachable, or load it on one node (docker load);"
    )
    text += " the others copy it from there"
    return text % (given["image"], where or "this node", error)


if __name__ == "__main__":
    main()
