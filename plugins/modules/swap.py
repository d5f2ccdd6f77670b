#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms a node for a swap, and hands the swap to the nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: swap
short_description: Arm a node for a swap, which the nodes then do by themselves
version_added: 0.3.0
description:
  - This module is private to the collection and may change without notice.
  - Arms a node, which is to write what the swap is, to put the unit of the new rank beside its
    place, to start the guard of the swap, and to create the container of the new rank under a name
    that ends in C(.next). What is served goes on meanwhile.
  - With O(go) the guards replace the old plan by the new one. From then on no controller changes
    anything of the service; it follows by M(dgxspark.suite.wait_swap).
  - Fails where another swap of the service has not ended, where the old plan is not what was
    planned for, and where a unit file is somebody else's.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The unit file of the new rank.
  idempotent:
    support: none
options:
  state:
    description:
      - V(armed) for a node that is to take part.
      - V(settled) to wait until no swap of the service is open on this node.
      - V(known) to return what this node knows of the decision of its swap; nothing changes.
      - V(announced) to note that the swap O(id), which has ended, was sent to the webhooks.
    type: str
    choices: [armed, settled, known, announced]
    default: armed
  abort:
    description: With V(settled), have the guards undo a swap that is not decided yet.
    type: bool
    default: false
  without:
    description:
      - Nodes of an open swap that never come back, by the word of a person. Where the decider is
        one of them, each other node goes back to the old plan by itself, or takes the new one if
        another node knows that it was decided; a decider waits no longer for the others.
      - If such a node comes back after all, two plans may be served.
    type: list
    elements: str
    default: []
  known:
    description:
      - With V(settled), what V(known) returned as C(decided) on each node that was asked, by its
        name. A decider waits no longer for those that have no part of its swap any more.
      - With O(without), fails where a node of the swap is in neither.
    type: dict
    default: {}
  wait:
    description: With V(settled), for how long to wait, in seconds.
    type: int
    default: 0
  service:
    description: The name of the service.
    type: str
    required: true
  id:
    description: The id of the swap, the same on all nodes. Required with O(state=armed).
    type: str
    default: ""
  me:
    description: The name of this node. Required with O(state=armed).
    type: str
    default: ""
  shared:
    description: What all nodes know of the swap, as P(dgxspark.suite.swap_plan#filter) returns it.
    type: dict
    default: {}
  secret:
    description: By which the guards know each other, of 32 characters or more.
    type: str
    default: ""
  owner:
    description: Whose launch it is.
    type: str
    default: ""
  lock:
    description: The C(token) and the C(run) of the cluster lock, which the guard releases where it
      is on the decider.
    type: dict
    default: {}
  entry:
    description: What the journal has of the swap before it begins.
    type: dict
    default: {}
  since:
    description: When its preflight began, in seconds since 1970.
    type: float
    default: 0
  workload:
    description: What only the history of the service has of it, such as its overrides.
    type: dict
    default: {}
  remove:
    description: Containers and units of the service that serve nothing, by name. They are removed
      when the old plan is stopped.
    type: list
    elements: str
    default: []
  unit:
    description: What the unit of the new rank needs, empty for none.
    type: dict
    default: {}
  old_unit:
    description: The same of the old rank, where its unit is missing.
    type: dict
    default: {}
  probe:
    description: What proves the new plan, as O(unit); at the decider.
    type: dict
    default: {}
  create:
    description: The words of the C(docker run) of the new rank; empty where this node has none.
    type: list
    elements: str
    default: []
  create_env:
    description: The values of the variables that O(create) names without one.
    type: dict
    default: {}
  limits:
    description: Seconds for the parts of a swap, C(go), C(join), C(ready), C(return), C(stop),
      C(memory) and C(doubt).
    type: dict
    default: {}
  go:
    description: Whether to begin once all nodes have joined. At the decider, which is armed last.
    type: bool
    default: false
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Arm this node
  dgxspark.suite.swap:
    service: main
    id: 5f0c
    me: "{{ inventory_hostname }}"
    shared: "{{ launch_swap.shared }}"
    secret: "{{ launch_swap_secret }}"
    unit: "{{ launch_swap.unit[inventory_hostname] }}"
    create: "{{ launch_words }}"

- name: Undo the swap that is under way
  dgxspark.suite.swap:
    service: main
    state: settled
    abort: true
    wait: 600
"""

RETURN = r"""
done:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: str
  sample: [armed for the swap 5f0c, created dgxspark-main-0.next]
decided:
  description: Of the last swap of the service on this node its C(id), and what was decided as far
    as this node knows it, V(none), V(old) or V(new). Empty where there is no swap.
  returned: with O(state=known)
  type: dict
  sample: {id: 5f0c, decided: new}
open:
  description: The swap of the service that has not ended, empty for none.
  returned: failure
  type: dict
"""

import hashlib
import time
from collections.abc import Collection, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, NEXT
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    EngineError,
    ask,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    journal,
    state_files,
    swap_files,
    swap_node,
    swap_rules,
    units,
)

STATES = ("armed", "settled", "known", "announced")

_SECONDS = 120.0
_CREATE_SECONDS = 180.0
_INTERVAL = 0.5
LIMITS = {
    "go": 180,
    "join": 300,
    "doubt": 120,
    "ready": 1800,
    "return": 300,
    "stop": 30,
    "memory": 90,
}


_ERRORS = (EngineError, Blocked, OSError, ValueError, swap_files.Unreadable, state_files.Broken)


class Refused(Exception):
    """The node cannot take part; nothing has changed. open: the swap in the way, if any."""

    def __init__(self, why: str, open_: Mapping[str, Any] | None = None) -> None:
        super().__init__(why)
        self.open = dict(open_ or {})


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": [*STATES], "default": "armed"},
            "abort": {"type": "bool", "default": False},
            "without": {"type": "list", "elements": "str", "default": []},
            "known": {"type": "dict", "default": {}},
            "wait": {"type": "int", "default": 0},
            "service": {"type": "str", "required": True},
            "id": {"type": "str", "default": ""},
            "me": {"type": "str", "default": ""},
            "shared": {"type": "dict", "default": {}},
            "secret": {"type": "str", "default": "", "no_log": True},
            "owner": {"type": "str", "default": ""},
            "lock": {"type": "dict", "default": {}},
            "entry": {"type": "dict", "default": {}},
            "since": {"type": "float", "default": 0.0},
            "workload": {"type": "dict", "default": {}},
            "remove": {"type": "list", "elements": "str", "default": []},
            "unit": {"type": "dict", "default": {}},
            "old_unit": {"type": "dict", "default": {}},
            "probe": {"type": "dict", "default": {}},
            "create": {"type": "list", "elements": "str", "default": []},
            "create_env": {"type": "dict", "default": {}, "no_log": True},
            "limits": {"type": "dict", "default": {}},
            "go": {"type": "bool", "default": False},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        required_if=[("state", "armed", ("id", "me", "shared", "secret"))],
        supports_check_mode=True,
    )
    given, act = module.params, not module.check_mode
    changes: list[units.UnitChange] = []
    try:
        if given["state"] == "announced":
            done = announce(given["id"], act)
        elif given["state"] == "known":
            module.exit_json(changed=False, decided=known(given["service"]))
        elif given["state"] == "settled":
            done = settle(given, act)
        else:
            done, changes = arm(given, act)
    except Refused as error:
        module.fail_json(msg=str(error), open=error.open)
    except _ERRORS as error:
        module.fail_json(msg=str(error), open={})
    module.exit_json(
        changed=bool(done),
        done=done,
        diff={
            "before": "".join(change.before for change in changes),
            "after": "".join(change.after for change in changes),
        },
    )


def announce(swap: str, act: bool) -> list[str]:
    """Note in the journal that a swap was announced; what was done. Raises OSError and Broken."""
    entry = journal.stored(state_files.FOLDER)
    if entry.get("id") != swap or entry.get("announced", True):
        return []
    if act:
        with state_files.exclusive(state_files.FOLDER):
            journal.store(state_files.FOLDER, {**entry, "announced": True})
    return ["announced the swap %s" % swap]


def known(service: str) -> dict[str, Any]:
    """What this node knows of the decision of its swap. Raises OSError and Unreadable."""
    part = swap_files.read(service)
    return {"id": part.id, "decided": part.decided} if part else {}


def _alone(part: swap_files.Part, given: Mapping[str, Any]) -> str:
    """The wish for a node without its decider. Raises Refused where not all others were asked."""
    answers = given["known"]
    unasked = sorted({*part.swap["members"]} - {*answers} - {*given["without"]})
    if unasked:
        raise Refused(
            "%s may know what was decided. Reach it, or name it in without as well"
            % " and ".join(unasked),
            swap_files.described(part),
        )
    of_this = [answer for answer in answers.values() if answer.get("id") == part.id]
    return swap_rules.Rules().word_of_a_person(answer["decided"] for answer in of_this)


def _left(part: swap_files.Part, known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The nodes that have ended their part without this one, which is their decider."""
    if part.swap["decider"] != part.swap["me"]:
        return []
    members = {*part.swap["members"]} - {part.swap["me"]}
    return sorted(name for name in members & {*known} if known[name].get("id") != part.id)


def settle(given: Mapping[str, Any], act: bool) -> list[str]:
    """Wait for the end of the open swap; what was done. Raises Refused, OSError and Unreadable."""
    service, done = given["service"], []
    until = time.monotonic() + given["wait"]
    part = swap_files.read(service)
    without = [*given["without"], *(_left(part, given["known"]) if part else ())]
    if part and without and part.state != swap_rules.ENDED:
        wish = _alone(part, given) if part.swap["decider"] in without else ""
        done.append("waits no longer for %s" % " and ".join(without))
        if act:
            swap_files.leave_out(part, without)
        if act and wish:
            swap_files.wish(part, wish)
    if part and given["abort"] and part.state in (swap_rules.ARMED, swap_rules.GO):
        done.append("asked the swap %s to be undone" % part.id)
        if act:
            swap_files.wish(part, swap_rules.WISH_ABORT)
    while act and part and part.state != swap_rules.ENDED:
        if time.monotonic() > until:
            raise Refused(_in_the_way(part) + _way_out(part), swap_files.described(part))
        time.sleep(_INTERVAL)
        part = swap_files.read(service)
    return done


def arm(given: Mapping[str, Any], act: bool) -> tuple[list[str], list[units.UnitChange]]:
    """Arm this node, and say go; what was done, and the programs and units that are written.

    Raises Refused, EngineError, Blocked, OSError, ValueError and Unreadable.
    """
    before = swap_files.read(given["service"])
    if before and before.state != swap_rules.ENDED:
        raise Refused(_in_the_way(before), swap_files.described(before))
    swap = {
        **given["shared"],
        "schema": swap_files.SCHEMA,
        "id": given["id"],
        "me": given["me"],
        "secret": given["secret"],
        "owner": given["owner"],
        "lock": {"token": "", "run": "", **given["lock"]},
        "entry": _begun(given["entry"], given["since"], time.time()),
        "workload": given["workload"],
        "limits": {**LIMITS, **given["limits"]},
        "docker": given["docker_bin"],
        "remove": [],
    }
    node = swap_node.SwapNode(swap)
    ids = {one.name: one.id for one in node.present()}
    _check_old(node, ids.values())
    supervised = {unit.container for unit in units.installed()}
    swap["remove"] = [
        {"name": name, "id": ids.get(name, ""), "unit": name in supervised}
        for name in given["remove"]
    ]
    unit, probe = _texts(node, given)
    changes = list(units.swap_changes())
    shown = [units.rank_change(node.new.name, unit)] if node.new and unit else []
    done = ["armed for the swap %s" % given["id"]]
    name = node.new.name + NEXT if node.new else ""
    done += ["created %s" % name] if given["create"] else []
    done += ["said go"] if given["go"] else []
    if not act:
        return done, [*changes, *shown]
    for change in changes:
        units.apply(change)
    if before:
        # It may still say so to late nodes.
        units.stop_guard(given["service"])
    part = swap_files.arm(swap, probe)
    node.prepare(unit, hashlib.sha256(("new " + given["secret"]).encode()).hexdigest())
    if given["old_unit"]:
        text = units.unit_text(node.old.name, given["old_unit"], given["docker_bin"])  # type: ignore[union-attr]
        node.prepare_old(text, hashlib.sha256(("old " + given["secret"]).encode()).hexdigest())
    units.reload()
    units.start_guard(given["service"])
    if given["create"]:
        words = created(given["create"], name, given["id"])
        ask(given["docker_bin"], words, _CREATE_SECONDS, given["create_env"])
    if given["go"]:
        swap_files.wish(part, swap_rules.WISH_GO)
    return done, [*changes, *shown]


def _begun(entry: Mapping[str, Any], since: float, now: float) -> dict[str, Any]:
    """The entry with its preflight; since is 0 where that is not known."""
    seconds = round(max(now - since, 0.0), 1) if since else 0.0
    return {
        **entry,
        "started": now - seconds,
        "phases": [{"phase": "preflight", "seconds": seconds}],
    }


def _check_old(node: swap_node.SwapNode, present: Collection[str]) -> None:
    """Raises Refused where the old rank is not what was planned for.

    And Blocked where the file of its unit is somebody else's, which a swap would move away.
    """
    if node.old and node.old.id not in present:
        raise Refused(
            "container %s is gone since the launch was planned. Launch again" % node.old.name
        )
    if node.old and node.old.supervised:
        units.rank_change(node.old.name, "")


def _texts(node: swap_node.SwapNode, given: Mapping[str, Any]) -> tuple[str, str]:
    """The unit of the new rank, and the unit by which the server is proven. Raises ValueError."""
    name, docker = node.new.name if node.new else "", given["docker_bin"]
    unit = units.unit_text(name, given["unit"], docker) if given["unit"] else ""
    probe = units.unit_text(name, given["probe"], docker) if given["probe"] else ""
    return unit, probe


def created(words: list[str], name: str, swap: str) -> list[str]:
    """The `docker create` for the words of a `docker run`."""
    out = [word for word in words if word != "--detach"]
    at = out.index("--name") + 1
    return ["create", *out[:at], name, "--label", "%sswap=%s" % (LABEL, swap), *out[at + 1 :]]


def _way_out(part: swap_files.Part) -> str:
    decider = part.swap["decider"]
    if decider == part.swap["me"]:
        return ""
    return (
        ". %(node)s decides it; if that never comes back, launch on the other nodes with "
        "-e force=true -e without=%(node)s --limit '!%(node)s'" % {"node": decider}
    )


def _in_the_way(part: swap_files.Part) -> str:
    started = time.strftime("%H:%M:%S", time.localtime(float(part.swap["entry"].get("started", 0))))
    return "A swap of service %s to %s by %s, since %s, has not ended (%s)" % (
        part.swap["service"],
        part.swap["new"]["recipe"],
        part.swap["owner"],
        started,
        swap_files.published().get(str(part.swap["service"]), {}).get("step", part.state),
    )


if __name__ == "__main__":
    main()
