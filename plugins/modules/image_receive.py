#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring an image to this node; the action plugin of the same name waits and tells how far it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_receive
short_description: Take a container image from another node, or pull it
version_added: 0.1.0
description:
  - Takes what M(dgxspark.suite.image_share) offers on another node, or pulls it from its registry
    where no O(address) is given, unless the image is there.
  - The transfer goes on beside the module. It is looked at until it is through, and after two
    seconds the screen tells how far it is.
  - A transfer whose C(ansible-playbook) was killed goes on; the next run waits for it. One that was
    ended leaves nothing, and the next run begins anew.
  - An image from another node is believed only by its id.
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
    description: The image, by its name.
    type: str
    required: true
  id:
    description: Its id on the node that offers it. Required with O(address).
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
    description: Its size, as the offer tells it, for the check of the disk and the progress.
    type: int
    default: 0
  looked_on:
    description: Nodes on which it was looked for before, for the message of a pull that fails.
    type: list
    elements: str
    default: []
  seconds:
    description: How long it may take, in seconds.
    type: int
    default: 14400
  waiting:
    description: Whether this only looks at a transfer that was begun. The action plugin sets it.
    type: bool
    default: false
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
  run_dir:
    description: Folder in which transfers that go on are known.
    type: path
    default: /run/dgxspark/images
seealso:
  - module: dgxspark.suite.image_share
"""

EXAMPLES = r"""
- name: Take it
  dgxspark.suite.image_receive:
    image: example/vllm:1.0
    id: "{{ offer.image_id }}"
    bytes: "{{ offer.bytes }}"
    address: "{{ hostvars['spark1']['dgxspark_fabric_address'] }}"
    port: "{{ offer.port }}"
    secret: "{{ copy_secret }}"

- name: Pull it where it is not there yet
  dgxspark.suite.image_receive:
    image: example/vllm:1.0
"""

RETURN = r"""
image_id:
  description: The id of the image on this node, empty in check mode where it is not there yet.
  returned: success
  type: str
  sample: sha256:738e1df4b72f
done:
  description: Whether the transfer is through.
  returned: success
  type: bool
status:
  description:
    - How far it is; C(bytes) have come, or C(layers_done) of C(layers). With C(arrived) all bytes
      have come, and Docker unpacks them.
  returned: success
  type: dict
  sample: {bytes: 1500000000}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import image_jobs


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
            "seconds": {"type": "int", "default": 14400},
            "waiting": {"type": "bool", "default": False},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
            "run_dir": {"type": "path", "default": image_jobs.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["address"] and not given["id"]:
        module.fail_json(msg="id is required with address: an image is believed by nothing else")
    work = "take" if given["address"] else "pull"
    folder = image_jobs.folder_of(given["run_dir"], work, given["image"])
    # Before its image is looked for: it may come between the two.
    status = image_jobs.status(folder) if given["waiting"] else {}
    try:
        there = containers.image_id(given["docker_bin"], given["image"]) or ""
    except containers.EngineError as error:
        module.fail_json(msg="The Docker engine of this node does not answer. %s" % error)
    if given["waiting"]:
        _look(module, folder, status, there)
    elif _right(module, there):
        module.exit_json(changed=False, done=True, image_id=there, status={})
    elif module.check_mode:
        module.exit_json(changed=True, done=True, image_id="", status={})
    else:
        _begin(module, folder, work)


def _right(module: AnsibleModule, image_id: str) -> bool:
    """Whether the image of that id is the one that is wanted."""
    return bool(image_id) and module.params["id"] in ("", image_id)


def _begin(module: AnsibleModule, folder: str, work: str) -> None:
    given = module.params
    if not (work == "pull" and image_jobs.running(folder)):
        # Docker unpacks an image beside what it was sent.
        lacks = image_jobs.lacks_space(given["docker_bin"], 2 * given["bytes"])
        if lacks:
            module.fail_json(msg="%s is not copied: %s" % (given["image"], lacks))
        kept = ("image", "address", "port", "secret")
        job: dict[str, Any] = {name: given[name] for name in kept}
        try:
            job.update(work=work, docker=given["docker_bin"])
            image_jobs.begin(folder, job, given["seconds"])
        except (Blocked, OSError) as error:
            module.fail_json(msg="%s cannot be brought here: %s" % (given["image"], error))
    module.exit_json(changed=True, done=False, image_id="", status={})


def _look(module: AnsibleModule, folder: str, status: dict[str, Any], image_id: str) -> None:
    given = module.params
    if not status.get("done"):
        module.exit_json(changed=True, done=False, image_id="", status=status)
    image_jobs.end(folder)
    if status.get("error"):
        module.fail_json(msg=_why(module, status["error"]))
    if not _right(module, image_id):
        found = "has the id %s" % image_id if image_id else "is not there"
        text = "%s was to have the id %s after the copy, and %s. Run it again"
        module.fail_json(msg=text % (given["image"], given["id"] or "of the registry", found))
    module.exit_json(changed=True, done=True, image_id=image_id, status=status)


def _why(module: AnsibleModule, error: str) -> str:
    given = module.params
    if given["address"]:
        text = "%s was not copied from %s: %s. Nothing of it is left; run it again"
        return text % (given["image"], given["address"], error)
    where = " and ".join(given["looked_on"])
    text = "%s is not on %s, and this node cannot pull it: %s. "
    text += "See that its name is right and its registry reachable, or bring it to one node (docker"
    text += " load), from which the others take it"
    return text % (given["image"], where or "this node", error)


if __name__ == "__main__":
    main()
