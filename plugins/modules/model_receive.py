#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a model from another node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_receive
short_description: Take a model from another node
version_added: 0.1.0
description:
  - Copies by rsync what M(dgxspark.suite.model_share) offers and this node lacks. Files arrive in a
    folder beside, are verified by their content, and only then put in place, so that a model is
    never there by half. A copy that was interrupted goes on where it stopped.
  - A process of its own copies, so that a broken connection does not end it; it ends by itself
    within a minute after its controller has gone.
  - Blobs that the hub names by their checksum are verified by that name; files of a folder by the
    checksums that the other node has computed.
  - What is there already and has the right size is taken for right, unless O(verify) is set. A
    folder of one's own that differs is not overwritten.
  - What it makes belongs to the owner of the cache, also where root acts.
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
options:
  manifest:
    description: What is offered, as M(dgxspark.suite.model_share) returned it.
    type: dict
  address:
    description: The address of the other node.
    type: str
  port:
    description: The port of its daemon.
    type: int
  secret:
    description: The secret of the offer.
    type: str
  verify:
    description: Read and verify what is there already as well.
    type: bool
    default: false
  seconds:
    description: How long the copy may take.
    type: int
    default: 86400
  hf_home:
    description: The Hugging Face home; the cache is the folder C(hub) in it.
    type: path
    default: /ai/cache/huggingface
  directories:
    description: Folders of one's own with models; a folder is received only below one of them.
    type: list
    elements: path
    default: [/ai/models]
  id:
    description:
      - RV(id) of a copy that was begun, to ask how far it is, in place of O(manifest).
      - The action of this name asks by itself, says it on the screen, and returns how the copy
        ended.
    type: str
    default: ""
seealso:
  - module: dgxspark.suite.model_share
"""

EXAMPLES = r"""
- name: Take it
  dgxspark.suite.model_receive:
    manifest: "{{ offer.manifest }}"
    address: "{{ hostvars['spark1']['dgxspark_fabric_address'] }}"
    port: "{{ offer.port }}"
    secret: "{{ copy_secret }}"
"""

RETURN = r"""
files:
  description: How many files were copied, or would be, each content once.
  returned: always
  type: int
  sample: 4
bytes:
  description: Their size in bytes.
  returned: always
  type: int
  sample: 4079409664
resumed:
  description: How many of these bytes an earlier, interrupted run had brought.
  returned: always
  type: int
  sample: 0
id:
  description: The folder of the process that copies; empty where nothing is left to be done.
  returned: success
  type: str
phase:
  description: V(fetching), V(verifying) or V(done).
  returned: when O(id) is given
  type: str
progress:
  description: How many bytes of that phase are done.
  returned: when O(id) is given
  type: int
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host import job
from ansible_collections.dgxspark.suite.plugins.module_utils.models import copying, receive
from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import HUB
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import (
    Manifest,
    ManifestError,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "dict"},
            "address": {"type": "str"},
            "port": {"type": "int"},
            "secret": {"type": "str", "no_log": True},
            "verify": {"type": "bool", "default": False},
            "seconds": {"type": "int", "default": 86400},
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "directories": {"type": "list", "elements": "path", "default": ["/ai/models"]},
            "id": {"type": "str", "default": ""},
        },
        required_one_of=[("manifest", "id")],
        required_by={"manifest": ["address", "port", "secret"]},
        supports_check_mode=True,
    )
    if module.params["id"]:
        _look(module)
    else:
        _begin(module)


def _begin(module: AnsibleModule) -> None:
    given = module.params
    told: dict[str, Any] = {"files": 0, "bytes": 0, "resumed": 0, "id": ""}
    try:
        manifest = Manifest.from_dict(given["manifest"])
        target = receive.Target.of(manifest, os.path.join(given["hf_home"], "hub"))
    except (ManifestError, ValueError) as error:
        module.fail_json(msg="What is offered cannot be taken: %s" % error, **told)
    roots = [os.path.normpath(path) + os.sep for path in given["directories"]]
    plain = os.path.normpath(manifest.name) == manifest.name
    if manifest.kind != HUB and not (plain and manifest.name.startswith(tuple(roots))):
        places = ", ".join(given["directories"])
        module.fail_json(msg="%s is in none of %s" % (manifest.name, places), **told)
    try:
        plan = receive.plan(manifest, target, given["verify"])
        told.update(files=len(plan.entries), bytes=plan.size, resumed=plan.staged)
        refusal = plan.refusal or receive.lacks_space(plan, target)
        refusal = refusal or (receive.unwritable(target) if plan.changed else "")
        if refusal:
            module.fail_json(msg="%s is not copied: %s" % (manifest.name, refusal), **told)
        if not module.check_mode and plan.changed:
            source = given["address"], given["port"], given["secret"]
            hub = os.path.join(given["hf_home"], "hub")
            told["id"] = copying.start(manifest, hub, given["verify"], source, given["seconds"])
    except OSError as error:
        module.fail_json(msg="%s is not copied: %s" % (manifest.name, error), **told)
    module.exit_json(changed=plan.changed, **told)


def _look(module: AnsibleModule) -> None:
    try:
        state = job.look(module.params["id"])
    except (job.JobError, OSError) as error:
        again = "The model is not completely copied: %s. Run again; what has arrived is kept"
        module.fail_json(msg=again % error)
    if state.get("problem"):
        module.fail_json(msg=state["problem"])
    module.exit_json(changed=True, phase=state["phase"], progress=state.get("progress", 0))


if __name__ == "__main__":
    main()
