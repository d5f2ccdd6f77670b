#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Offer a model to other nodes for the time of a copy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_share
short_description: Offer a model to other nodes for the time of a copy
version_added: 0.1.0
description:
  - Starts a background process on this node that offers one model on one address, to the named
    clients only, protected by a secret of that run, which both ends prove to know. It ends by
    itself after O(seconds), if M(dgxspark.suite.share_end) has not ended it before.
  - As root, it reads as the owner of the model.
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
    details: Each run starts another process.
options:
  name:
    description: The model, as M(dgxspark.suite.model_info) lists it.
    type: str
    required: true
  quant:
    description: Only this quantisation of a GGUF model, with all files that are not weights.
    type: str
    default: ""
  revision:
    description: The branch, tag or commit; empty for the one that is served by default.
    type: str
    default: ""
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
    description: The secret of the offer; new for each copy.
    type: str
    required: true
  seconds:
    description: Time limit of the offer, in seconds.
    type: int
    default: 86400
  hf_home:
    description: The Hugging Face home; the cache is its directory C(hub).
    type: path
    default: /ai/cache/huggingface
  directories:
    description: The local model directories.
    type: list
    elements: path
    default: [/ai/models]
seealso:
  - module: dgxspark.suite.model_receive
  - module: dgxspark.suite.share_end
"""

EXAMPLES = r"""
- name: Offer the model
  dgxspark.suite.model_share:
    name: org/name
    address: "{{ dgxspark_fabric_address }}"
    clients: ["{{ hostvars['spark2']['dgxspark_fabric_address'] }}"]
    secret: "{{ copy_secret }}"
  register: offer
"""

RETURN = r"""
manifest:
  description: The offered files, for O(dgxspark.suite.model_receive#module:manifest).
  returned: success
  type: dict
  sample:
    name: org/name
    kind: hub
    revision: 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e
    refs: [main]
    entries: []
port:
  description: The port of the offer; V(0) in check mode.
  returned: success
  type: int
  sample: 40873
id:
  description: What M(dgxspark.suite.share_end) takes; empty in check mode.
  returned: success
  type: str
  sample: /tmp/dgxspark-job-k2x9
"""

import os
from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache, manifest, share


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "quant": {"type": "str", "default": ""},
            "revision": {"type": "str", "default": ""},
            "address": {"type": "str", "required": True},
            "clients": {"type": "list", "elements": "str", "required": True},
            "secret": {"type": "str", "no_log": True, "required": True},
            "seconds": {"type": "int", "default": 86400},
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "directories": {"type": "list", "elements": "path", "default": ["/ai/models"]},
        },
        supports_check_mode=True,
    )
    given = module.params
    hub = os.path.join(given["hf_home"], "hub")
    models = cache.scan(hub, given["directories"], given["name"]).models
    revision = models[0].named(given["revision"]) if models else None
    try:
        if revision is None:
            what = "its revision %(revision)s" % given if models and given["revision"] else "it"
            raise manifest.ManifestError("%s is not on this node" % what)
        model = models[0]
        offered = manifest.manifest_of(model, revision, given["quant"])
        folder = os.path.join(model.path, "blobs") if model.kind == cache.HUB else model.path
        whose = Owner.reader_of(folder)
        offered = replace(offered, entries=_hashed(folder, offered, whose))
        if module.check_mode:
            module.exit_json(changed=False, manifest=offered.to_dict(), port=0, id="")
        scratch, port = share.start(
            folder, given["address"], given["clients"], given["secret"], given["seconds"]
        )
    except (manifest.ManifestError, share.ShareError, Blocked, OSError) as error:
        module.fail_json(msg="%s cannot be offered: %s" % (given["name"], explained(error)))
    # What the process does is no change of the node.
    module.exit_json(changed=False, manifest=offered.to_dict(), port=port, id=scratch)


def _hashed(
    folder: str, offered: manifest.Manifest, whose: Owner
) -> tuple[manifest.ManifestEntry, ...]:
    """The files with a checksum each; its owner reads those that have none.

    Those of a local model directory have none, and a blob may have a name that is not one.
    """
    unknown = [entry for entry in offered.entries if not entry.digest()]
    paths = [os.path.join(folder, entry.blob or entry.path) for entry in unknown]
    sums = dict(zip(unknown, whose.do(lambda: list(map(manifest.sha256_of, paths)))))
    return tuple(replace(entry, sha256=sums.get(entry, entry.sha256)) for entry in offered.entries)


if __name__ == "__main__":
    main()
