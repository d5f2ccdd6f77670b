#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy a model from another node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_receive
short_description: Copy a model from another node
version_added: 0.1.0
description:
  - Copies what M(dgxspark.suite.model_share) offers and this node lacks. Files are staged,
    verified by their content, and only then moved into place, so that no model is ever half there.
    An interrupted copy is resumed.
  - A background process copies, so that a broken connection does not end it; it ends by itself
    within a minute after its controller has gone.
  - Blobs are verified by the checksum that is their name; files of a local model directory by the
    checksums that the other node has computed.
  - An existing file of the right size is not read, unless O(verify) is set. A local model directory
    that differs is not overwritten.
  - What it creates belongs to the owner of the cache, also when Ansible runs as root.
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
options:
  manifest:
    description: The manifest that M(dgxspark.suite.model_share) returned.
    type: dict
  address:
    description: The address of the other node.
    type: str
  port:
    description: The port of the offer.
    type: int
  secret:
    description: The secret of the offer.
    type: str
  verify:
    description: Also read and verify the files that exist.
    type: bool
    default: false
  seconds:
    description: Time limit of the copy, in seconds.
    type: int
    default: 86400
  hf_home:
    description: The Hugging Face home; the cache is its directory C(hub).
    type: path
    default: /ai/cache/huggingface
  directories:
    description: The local model directories; a directory is received only below one of them.
    type: list
    elements: path
    default: [/ai/models]
  id:
    description:
      - RV(id) of a copy that was started, instead of O(manifest); its progress is returned. The
        action plugin sets it.
    type: str
    default: ""
seealso:
  - module: dgxspark.suite.model_share
"""

EXAMPLES = r"""
- name: Copy the model from spark1
  dgxspark.suite.model_receive:
    manifest: "{{ offer.manifest }}"
    address: "{{ hostvars['spark1']['dgxspark_fabric_address'] }}"
    port: "{{ offer.port }}"
    secret: "{{ copy_secret }}"
"""

RETURN = r"""
files:
  description: The number of files to copy, each content once.
  returned: always
  type: int
  sample: 4
bytes:
  description: Their size in bytes.
  returned: always
  type: int
  sample: 4079409664
resumed:
  description: How many of these bytes an earlier, interrupted run had copied.
  returned: always
  type: int
  sample: 0
id:
  description: What O(id) takes; empty where there is nothing to do.
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained
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
    result: dict[str, Any] = {"files": 0, "bytes": 0, "resumed": 0, "id": ""}
    try:
        manifest = Manifest.from_dict(given["manifest"])
        target = receive.Destination.of(manifest, os.path.join(given["hf_home"], "hub"))
    except (ManifestError, ValueError) as error:
        module.fail_json(msg="The offer is not valid: %s" % error, **result)
    roots = [os.path.normpath(path) + os.sep for path in given["directories"]]
    plain = os.path.normpath(manifest.name) == manifest.name
    if manifest.kind != HUB and not (plain and manifest.name.startswith(tuple(roots))):
        places = ", ".join(given["directories"])
        module.fail_json(msg="%s is not below any of %s" % (manifest.name, places), **result)
    try:
        plan = receive.plan(manifest, target, given["verify"])
        result.update(files=len(plan.entries), bytes=plan.size, resumed=plan.staged)
        refusal = plan.refusal or receive.lacks_space(plan, target)
        refusal = refusal or (receive.unwritable(target) if plan.changed else "")
        if refusal:
            module.fail_json(msg="%s is not copied: %s" % (manifest.name, refusal), **result)
        if plan.changed:
            receive.owner_of(manifest, target)
        if not module.check_mode and plan.changed:
            source = given["address"], given["port"], given["secret"]
            hub = os.path.join(given["hf_home"], "hub")
            result["id"] = copying.start(manifest, hub, given["verify"], source, given["seconds"])
    except (Blocked, OSError) as error:
        module.fail_json(msg="%s is not copied: %s" % (manifest.name, explained(error)), **result)
    module.exit_json(changed=plan.changed, **result)


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
