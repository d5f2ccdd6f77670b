#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedule of announced uses of the cluster, a file on the head."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule
short_description: Announce the use of a cluster, or cancel an announcement
version_added: 0.1.0
description:
  - The schedule on the head has who has announced to use the cluster, why and when. Entries are
    removed after their end.
  - It blocks nobody. M(dgxspark.suite.cluster_lock) does, and warns about announcements of others.
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
  state:
    description: V(listed) changes nothing.
    type: str
    choices: [listed, announced, cancelled]
    default: listed
  owner:
    description: Who announces, or cancels.
    type: str
    default: ""
  reason:
    description: What the cluster is needed for.
    type: str
    default: ""
  begin:
    description: The begin, like V(2026-12-01T14:00); UTC unless it ends with an offset.
    type: str
    default: ""
  hours:
    description: The duration.
    type: float
    default: 1.0
  id:
    description: The id of the entry to cancel.
    type: str
    default: ""
  force:
    description: Cancel an entry of somebody else.
    type: bool
    default: false
  state_dir:
    description: Folder of the file on the head.
    type: path
    default: /var/lib/dgxspark
"""

EXAMPLES = r"""
- name: Announce the use of the cluster
  dgxspark.suite.schedule:
    state: announced
    owner: Alice
    reason: benchmarks
    begin: 2026-12-01T14:00
    hours: 2
"""

RETURN = r"""
entries:
  description: The entries that have not ended, by time.
  returned: success
  type: list
  elements: dict
  sample:
    - {id: 5f2c91aa, owner: Alice, reason: benchmarks, begin: '2026-12-01T14:00:00Z',
      end: '2026-12-01T16:00:00Z'}
"""

import secrets
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import schedule, state_files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["listed", "announced", "cancelled"],
                "default": "listed",
            },
            "owner": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "begin": {"type": "str", "default": ""},
            "hours": {"type": "float", "default": 1.0},
            "id": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        required_if=[("state", "announced", ["begin"]), ("state", "cancelled", ["id"])],
        supports_check_mode=True,
    )
    given, folder = module.params, module.params["state_dir"]
    try:
        if module.check_mode or given["state"] == "listed":
            before, after = decide(given, state_files.read(folder, state_files.SCHEDULE))
        else:
            with state_files.exclusive(folder):
                before, after = decide(given, state_files.read(folder, state_files.SCHEDULE))
                if after != before:
                    state_files.write(folder, state_files.SCHEDULE, {"schema": 1, "entries": after})
    except schedule.ScheduleRefused as error:
        module.fail_json(msg=str(error))
    except (OSError, Blocked, state_files.Broken) as error:
        module.fail_json(msg="The schedule of the cluster cannot be used: %s" % error)
    module.exit_json(changed=after != before, entries=[schedule.public(entry) for entry in after])


def decide(
    given: dict[str, Any], stored: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The entries before and after. Raises Refused."""
    now = time.time()
    listed = schedule.entries(stored, now)
    if given["state"] == "announced":
        begin = schedule.moment(given["begin"])
        entry = {
            "id": secrets.token_hex(4),
            "owner": given["owner"],
            "reason": given["reason"],
            "begin": begin,
            "end": begin + given["hours"] * 3600,
        }
        return listed, schedule.announce(listed, entry, now)
    if given["state"] == "cancelled":
        return listed, schedule.cancel(listed, given["id"], given["owner"], given["force"])
    return listed, listed


if __name__ == "__main__":
    main()
