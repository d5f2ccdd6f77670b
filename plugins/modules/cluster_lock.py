#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster lock, a file on the head; the action plugin of the same name adds who asks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lock
short_description: Take, release or remove the cluster lock
version_added: 0.1.0
description:
  - The lock says who may change what the cluster serves, why and until when. It is a file on the
    head that survives a reboot.
  - If somebody else holds the lock, the module fails and changes nothing. The message names the
    holder and the expiry.
  - It warns if somebody else has announced a use of the cluster for the time of the lock, see
    M(dgxspark.suite.schedule).
  - A lock that is O(bound) to an C(ansible-playbook) of this controller is taken over without
    O(force) once that has certainly ended. Where that is unknown, as for one of another controller,
    only the expiry or O(force) takes it over.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: Fails in check mode, too, if somebody else holds the lock; nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - This is an action plugin. The lock itself is read and written on the node.
options:
  state:
    description:
      - V(held) takes the lock, or works within a lock of the same O(token).
      - V(released) releases it. A lock that somebody else holds by now stays as it is.
      - V(absent) removes it; somebody else's lock only with O(force).
    type: str
    choices: [held, released, absent]
    default: held
  token:
    description:
      - What proves the ownership of the lock. Without it a new one is generated and returned.
    type: str
    default: ""
  run:
    description:
      - With O(state=held), any text if this is one launch within the reservation of O(token). With
        O(state=released), the RV(run) of that launch.
      - Two launches within one reservation exclude each other.
    type: str
    default: ""
  owner:
    description:
      - Who asks. C(user@controller) if it is empty; in a job of AWX C(user@awx-job-17), by its
        variables C(awx_user_name) or C(awx_schedule_name) and C(awx_job_id).
    type: str
    default: ""
  reason:
    description: What the lock is for. Others who ask for the lock are shown it.
    type: str
    default: ""
  seconds:
    description: How long the lock is held at most, from now.
    type: int
    default: 3600
  force:
    description: Take over or remove somebody else's lock.
    type: bool
    default: false
  bound:
    description:
      - Whether the lock ends with this C(ansible-playbook), as that of a launch does.
      - A reservation outlives it.
    type: bool
    default: false
  wait:
    description:
      - How long to wait, in seconds, while a launch, a stop or an update holds the lock, with a
        line about every 15 s that names it.
      - A reservation is refused at once, and so is every lock in check mode.
    type: int
    default: 0
  holder:
    description: The process on the controller that asks. The action plugin sets it.
    type: dict
    default: {}
  gone:
    description: A holder that has ended. The action plugin sets it.
    type: dict
    default: {}
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

- name: Release the cluster
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
  description: The id of the launch within a reservation, empty if there is no reservation.
  returned: when O(state=held)
  type: str
at:
  description: The time of the node, in seconds since 1970.
  returned: success
  type: float
by_run:
  description: Whether a launch, a stop or an update blocks the request, and no reservation.
  returned: on refusal
  type: bool
lock:
  description: The lock as it is now, without its token; empty if there is none.
  returned: success
  type: dict
  sample: {owner: Alice, reason: benchmarks, since: '2026-11-25T12:00:00Z',
    expires: '2026-11-25T16:00:00Z', run_since: null}
taken_from:
  description: Whose lock was taken over or removed, also if it had expired; empty if nobody's was.
  returned: success
  type: str
announced:
  description: What others have announced for the time of the lock, with O(state=held).
  returned: success
  type: list
  elements: str
blocker:
  description: The process that blocks the request, as C(holder), empty where it is unknown.
  returned: on refusal
  type: dict
  sample: {holder: {machine: 2c0d6a4e, pid: 4711, start: '123456'}}
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

# The options that make up a lock.Request.
REQUEST = ("token", "owner", "reason", "seconds", "run", "holder", "bound", "force", "gone")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["held", "released", "absent"],
                "default": "held",
            },
            # A token only lets its reader end a lock; refusals must stay readable.
            "token": {"type": "str", "default": "", "no_log": False},
            "run": {"type": "str", "default": ""},
            "owner": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 3600},
            "force": {"type": "bool", "default": False},
            "bound": {"type": "bool", "default": False},
            "wait": {"type": "int", "default": 0},
            "holder": {"type": "dict", "default": {}},
            "gone": {"type": "dict", "default": {}},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["state"] == "held" and not given["token"]:
        module.fail_json(msg="A lock needs a token; the action plugin of this module generates one")
    try:
        if module.check_mode:
            current, verdict = decide(given)
        else:
            with state_files.exclusive(given["state_dir"]):
                current, verdict = decide(given)
                if not verdict.refusal and verdict.lock != (current or None):
                    lock.store(given["state_dir"], verdict.lock)
    except (OSError, Blocked, state_files.Broken) as error:
        module.fail_json(msg="The cluster lock cannot be used: %s" % error)
    if verdict.refusal:
        module.fail_json(
            msg=verdict.refusal,
            blocker={"holder": dict(verdict.blocker)},
            by_run=verdict.by_run,
            lock=lock.public(current),
        )
    module.exit_json(
        changed=verdict.lock != (current or None),
        lock=lock.public(verdict.lock or {}),
        taken_from=verdict.taken_from,
        at=time.time(),
        **held(given, verdict.lock or {}),
    )


def held(given: dict[str, Any], now: lock.Lock) -> dict[str, Any]:
    """The results that only a lock that is held has."""
    if given["state"] != "held":
        return {"announced": []}
    return {
        "token": now.get("token", given["token"]),
        "run": (now.get("run") or {}).get("id", ""),
        "announced": announced(given, time.time()),
    }


def announced(given: dict[str, Any], now: float) -> list[str]:
    """What others have announced for the time of the lock; empty if that is unknown."""
    try:
        listed = schedule.entries(state_files.read(given["state_dir"], state_files.SCHEDULE), now)
    except state_files.Broken:
        return []
    return schedule.between(listed, given["owner"], now, now + given["seconds"])


def decide(given: dict[str, Any]) -> tuple[lock.Lock, lock.LockVerdict]:
    """The lock as it is, and what becomes of it."""
    request = lock.Request(**{field: given[field] for field in REQUEST})
    current = lock.stored(given["state_dir"])
    if given["state"] == "held":
        return current, lock.acquire(current, request, time.time())
    if given["state"] == "absent" and current and request.token != current["token"]:
        return current, lock.remove(current, request)
    return current, lock.release(current, request)


if __name__ == "__main__":
    main()
