#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End the offer of an image or a model."""

from __future__ import annotations

DOCUMENTATION = r"""
module: share_end
short_description: End the offer of an image or a model
version_added: 0.1.0
description:
  - Ends the process that M(dgxspark.suite.image_share) or M(dgxspark.suite.model_share) has
    started. An offer that has ended already is no error.
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
  id:
    description: What the offer returned as C(id).
    type: path
    required: true
  run_dir:
    description: Directory of the transfers of images that are running.
    type: path
    default: /run/dgxspark/images
seealso:
  - module: dgxspark.suite.image_share
  - module: dgxspark.suite.model_share
"""

EXAMPLES = r"""
- name: End the offer
  dgxspark.suite.share_end:
    id: "{{ offer.id }}"
"""

RETURN = r"""
id:
  description: The offer.
  returned: success
  type: str
  sample: /tmp/dgxspark-job-k2x9
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host import job
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import image_transfer


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "id": {"type": "path", "required": True},
            "run_dir": {"type": "path", "default": image_transfer.FOLDER},
        },
        supports_check_mode=True,
    )
    offer, run_dir = module.params["id"], module.params["run_dir"]
    parent = run_dir if os.path.dirname(offer) == os.path.normpath(run_dir) else ""
    changed = False
    try:
        changed = os.path.isdir(offer) if module.check_mode else job.end(offer, parent)
    except (job.JobError, OSError) as error:
        module.fail_json(msg="The offer cannot be ended: %s" % error)
    module.exit_json(changed=changed, id=offer)


if __name__ == "__main__":
    main()
