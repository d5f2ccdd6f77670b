#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of the journal of swaps on the head; also renews and checks the lock."""

from __future__ import annotations

DOCUMENTATION = r"""
module: swap_journal
short_description: Record the phase of a swap under the cluster lock
version_added: 0.1.0
description:
  - This module is private to the collection and may change without notice.
  - Records on the head which phase of a swap begins, so that an interrupted swap can be recognised.
  - Fails and writes nothing if somebody else has taken the lock of the swap.
  - The last 100 swaps that have ended are retained, and in the history of each service its last
    100 changes.
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
    support: none
options:
  swap:
    description: The id of the swap.
    type: str
    required: true
  phase:
    description: The phase that begins.
    type: str
    default: ""
  entry:
    description: With the first phase, the properties of the swap C(recipe), C(plan_hash), C(nodes),
      C(owner), C(previous).
    type: dict
    default: {}
  result:
    description: How the swap ended.
    type: str
    choices: ["", complete, failed, rolled_back]
    default: ""
  workload:
    description:
      - With O(result), what the history of the service has of the workload besides the entry,
        C(recipe_path), C(overrides) and C(served_model_name).
      - It is neither in the journal nor in what is returned, since overrides may hold secrets.
    type: dict
    default: {}
  why:
    description: The error of a failed swap.
    type: str
    default: ""
  details:
    description: The parts of the phase that ends. Without them it is recorded as one.
    type: list
    elements: dict
    default: []
    suboptions:
      phase:
        description: Its name.
        type: str
        required: true
      seconds:
        description: How long it took.
        type: float
        required: true
  since:
    description: With the first phase, when the preflight began, in seconds since 1970.
    type: float
  token:
    description: The token of the lock under which the swap runs.
    type: str
    required: true
  run:
    description: The launch within the reservation of O(token), if there is one.
    type: str
    default: ""
  lock_seconds:
    description: How long the lock is held from now on at least, in seconds.
    type: int
    default: 3600
  release:
    description: Whether to release the lock.
    type: bool
    default: false
  state_dir:
    description: Folder of the files on the head.
    type: path
    default: /var/lib/dgxspark
"""

EXAMPLES = r"""
- name: Record the start of a swap
  dgxspark.suite.swap_journal:
    swap: 6f1c
    phase: stop
    entry: {recipe: lab-tiny, plan_hash: 0a1b, nodes: [spark1], owner: Alice, previous: {}}
    token: "{{ reservation.token }}"
"""

RETURN = r"""
journal:
  description: The entry as it is now.
  returned: success
  type: dict
summary:
  description: Its phases and their durations, in one line.
  returned: success
  type: str
  sample: lock 0.4 s, preflight 1.3 s, stop 2.0 s; together 3.7 s
lost:
  description: Whether somebody else has taken the lock.
  returned: if the lock is lost
  type: bool
interrupted:
  description: The swap that had not ended when this one began, empty if there is none.
  returned: success
  type: dict
"""

import time
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    history,
    journal,
    lock,
    state_files,
)

# How many swaps that have ended are retained.
HISTORY = 100


class LostLock(Exception):
    """Somebody else has taken the lock."""


def main() -> None:
    detail = {
        "phase": {"type": "str", "required": True},
        "seconds": {"type": "float", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "swap": {"type": "str", "required": True},
            "phase": {"type": "str", "default": ""},
            "entry": {"type": "dict", "default": {}},
            "result": {
                "type": "str",
                "choices": ["", journal.COMPLETE, journal.FAILED, journal.ROLLED_BACK],
                "default": "",
            },
            "workload": {"type": "dict", "default": {}},
            "why": {"type": "str", "default": ""},
            "details": {"type": "list", "elements": "dict", "default": [], "options": detail},
            "since": {"type": "float"},
            "token": {"type": "str", "required": True, "no_log": False},
            "run": {"type": "str", "default": ""},
            "lock_seconds": {"type": "int", "default": 3600},
            "release": {"type": "bool", "default": False},
            "state_dir": {"type": "path", "default": state_files.FOLDER},
        },
        supports_check_mode=True,
    )
    try:
        if module.check_mode:
            last = journal.stored(module.params["state_dir"])
            entry, interrupted = change(last, module.params, time.time())
        else:
            with state_files.exclusive(module.params["state_dir"]):
                entry, interrupted = record(module.params, time.time())
    except (OSError, Blocked, state_files.Broken, ValueError) as error:
        module.fail_json(msg="The journal of swaps cannot be written: %s" % error)
    except LostLock as error:
        module.fail_json(msg="%s. The swap stops here" % error, lost=True)
    module.exit_json(
        changed=True, journal=entry, summary=journal.summary(entry), interrupted=interrupted
    )


def record(given: dict[str, Any], now: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the entry and renew or release the lock; see change.

    Raises LostLock, Broken, and ValueError for a workload that the history cannot have.
    """
    folder = given["state_dir"]
    request = lock.Request(given["token"], run=given["run"], seconds=given["lock_seconds"])
    held = lock.stored(folder)
    verdict = lock.renew(held, request, now)
    if verdict.refusal:
        raise LostLock(verdict.refusal)
    renewed = lock.release(held, request).lock if given["release"] else verdict.lock
    entry, interrupted = change(journal.stored(folder), given, now)
    lines = []
    # Another version may have written the interrupted one, which is no reason to stop here.
    with suppress(ValueError):
        lines += [history.of_swap(interrupted, {}, now)] if interrupted else []
    lines += [history.of_swap(entry, given["workload"], now)] if entry["result"] else []
    for ended in (interrupted, entry):
        if ended and ended["result"]:
            state_files.append(folder, state_files.HISTORY, ended, HISTORY)
    for line in lines:
        history.append(folder, line)
    journal.store(folder, entry)
    lock.store(folder, renewed)
    return entry, interrupted


def change(
    last: dict[str, Any], given: dict[str, Any], now: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The new entry, and the interrupted one that it replaces, if any."""
    details = given["details"]
    if last.get("id") != given["swap"]:
        before = 0.0 if given["since"] is None else now - given["since"]
        return journal.begin(last, given["swap"], given["entry"], given["phase"], before, now)
    if given["result"]:
        return journal.finish(last, given["result"], given["why"], details, now), {}
    return journal.advance(last, given["phase"], details, now), {}


if __name__ == "__main__":
    main()
