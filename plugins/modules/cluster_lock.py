#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a cluster, a file on its head; the action plugin of the same name says who asks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lock
short_description: Reserve a cluster, or give it back
version_added: 0.1.0
description:
  - Keeps, in a file on the head that survives a reboot, who may change what the cluster serves, why
    and until when.
  - Fails, and changes nothing, where somebody else holds the lock; the message says who and until
    when.
  - Warns where somebody else has announced to use the cluster meanwhile, see
    M(dgxspark.suite.schedule).
  - A lock that is O(bound) to an C(ansible-playbook) of this very controller that has ended is
    taken over without being asked to, since nobody is left to give it back.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: A lock that somebody else holds is refused in check mode, too; nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - This is an action plugin. The lock itself is read and written on the node.
options:
  state:
    description:
      - V(held) takes the lock, or works within it where its O(token) is known.
      - V(released) gives it back. A lock that somebody else holds by now is left as it is.
      - V(absent) removes it, whoever holds it; somebody else's only with O(force).
    type: str
    choices: [held, released, absent]
    default: held
  token:
    description:
      - What proves that the lock is one's own. A new one is made up, and returned, where none is
        given.
    type: str
    default: ""
  run:
    description:
      - With V(held), whether this is one launch within the reservation of O(token). With
        V(released), the RV(run) of that launch.
      - Two launches within one reservation exclude each other.
    type: str
    default: ""
  owner:
    description: Who asks. C(user@controller) where it is empty.
    type: str
    default: ""
  reason:
    description: What for; whoever is refused is shown it.
    type: str
    default: ""
  seconds:
    description: How long the lock is held at most, from now.
    type: int
    default: 3600
  force:
    description: Take over, or remove, what somebody else holds.
    type: bool
    default: false
  bound:
    description:
      - Whether the lock is of no use once this C(ansible-playbook) has ended, as that of a launch.
      - A reservation stays.
    type: bool
    default: false
  holder:
    description: The process on the controller that asks. The action plugin sets it.
    type: dict
    default: {}
  gone:
    description: The token of a holder that is known to have ended. The action plugin sets it.
    type: str
    default: ""
  state_dir:
    description: Folder of the file on the head.
    type: path
    default: /var/lib/dgxspark
"""

EXAMPLES = r"""
- name: Reserve the cluster for the afternoon
  dgxspark.suite.cluster_lock:
    owner: Alice
    reason: benchmarks
    seconds: 14400
  register: reservation

- name: Give it back
  dgxspark.suite.cluster_lock:
    state: released
    token: "{{ reservation.token }}"
"""

RETURN = r"""
token:
  description: The token of the lock that is held.
  returned: when O(state=held)
  type: str
run:
  description: The id of the launch within the reservation, empty where the lock is its own.
  returned: when O(state=held)
  type: str
at:
  description: When that was, in seconds since 1970, by the clock of the node.
  returned: success
  type: float
lock:
  description: The lock as it is now, without its token; empty where there is none.
  returned: success
  type: dict
  sample: {owner: Alice, reason: benchmarks, since: '2026-11-25T12:00:00Z',
    expires: '2026-11-25T16:00:00Z', run_since: null}
taken_from:
  description: Whose lock was taken over or removed, empty for nobody's.
  returned: success
  type: str
announced:
  description: What others have announced for the time of the lock, with O(state=held).
  returned: success
  type: list
  elements: str
blocker:
  description: The holder that stands in the way.
  returned: when refused
  type: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    lock,
    schedule,
    state_files,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["held", "released", "absent"],
                "default": "held",
            },
            # A token lets its reader end a lock, no more; refusals must stay readable.
            "token": {"type": "str", "default": "", "no_log": False},
            "run": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 3600},
            "force": {"type": "bool", "default": False},
            "bound": {"type": "bool", "default": False},
            "holder": {"type": "dict", "default": {}},
            "gone": {"type": "str", "default": ""},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    request = lock.Request(
        token=given["token"],
        owner=given["owner"],
        reason=given["reason"],
        seconds=given["seconds"],
        run=given["run"],
        holder=given["holder"],
        force=given["force"],
        gone=given["gone"],
    )
    try:
        if module.check_mode:
            found, verdict = decide(given["state"], request, given["state_dir"])
        else:
            with state_files.exclusive(given["state_dir"]):
                found, verdict = decide(given["state"], request, given["state_dir"])
                if not verdict.refusal and verdict.lock != (found or None):
                    store(given["state_dir"], verdict.lock)
    except (OSError, Blocked, state_files.Broken) as error:
        module.fail_json(msg="The lock of the cluster cannot be used: %s" % error)
    if verdict.refusal:
        module.fail_json(
            msg=verdict.refusal,
            blocker={key: verdict.blocker.get(key) for key in ("token", "holder")},
            lock=lock.public(found),
        )
    now = verdict.lock or {}
    held = {"token": now.get("token", given["token"]), "run": (now.get("run") or {}).get("id", "")}
    module.exit_json(
        changed=verdict.lock != (found or None),
        lock=lock.public(now),
        taken_from=verdict.taken_from,
        at=time.time(),
        announced=announced(given, time.time()) if given["state"] == "held" else [],
        **(held if given["state"] == "held" else {}),
    )


def announced(given: dict[str, Any], now: float) -> list[str]:
    """What others have announced for the time that is asked for; nothing where that is unknown."""
    try:
        listed = schedule.entries(state_files.read(given["state_dir"], state_files.SCHEDULE), now)
    except state_files.Broken:
        return []
    return schedule.between(listed, given["owner"], now, now + given["seconds"])


def decide(wanted: str, request: lock.Request, folder: str) -> tuple[lock.Lock, lock.Verdict]:
    """The lock as it is, and what becomes of it."""
    found = state_files.read(folder, state_files.LOCK)
    if wanted == "held":
        return found, lock.acquire(found, request, time.time())
    if wanted == "absent" and found and request.token != found["token"]:
        return found, lock.remove(found, request)
    return found, lock.release(found, request)


def store(folder: str, value: dict[str, object] | None) -> None:
    if value is None:
        state_files.remove(folder, state_files.LOCK)
    else:
        state_files.write(folder, state_files.LOCK, value)


if __name__ == "__main__":
    main()
