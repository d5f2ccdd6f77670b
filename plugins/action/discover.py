# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds Sparks and proposes an inventory; documented by the module of the same name."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import playbook_command
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery import avahi
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.fabric import (
    cables,
    propose,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.inventory import (
    Differs,
    text_of,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.logins import advice
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.nodes import (
    Node,
    node_of,
    sorted_out,
)

ARGUMENTS = {
    "state": {"type": "str", "choices": ["found", "proposed"], "required": True},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "members": {"type": "list", "elements": "str", "default": []},
    "write": {"type": "path", "default": ""},
    "any_machine": {"type": "bool", "default": False},
    "cages": {"type": "list", "elements": "list", "default": []},
}
NAME_THEM = "Name your Sparks: -e nodes=ADDRESS,ADDRESS -e user=NAME"
# avahi-browse ends by itself after about two seconds.
_SECONDS = 15


class ActionModule(ActionBase):
    """Works on the controller alone."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(argument_spec=ARGUMENTS)
        nodes = list(dict.fromkeys(str(node).strip() for node in options["nodes"]))
        nodes = [node for node in nodes if node]
        if options["state"] == "proposed":
            return {**result, **self._proposed(nodes, options, task_vars or {})}
        if nodes := nodes or [str(node) for node in options["members"]]:
            return {**result, "changed": False, "nodes": nodes}
        found, problem = browse()
        self._say(avahi.report(found))
        nodes = [one.address for one in found if one.is_spark and one.address]
        if not nodes:
            why = problem or "No Spark announces itself by mDNS on the networks of this machine."
            return {**result, "failed": True, "msg": f"{why} {NAME_THEM}"}
        self._say([f"{one.host}: {one.address}" for one in found if one.address in nodes])
        return {**result, "changed": False, "nodes": nodes}

    def _proposed(
        self, names: Sequence[str], options: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> dict[str, Any]:
        hostvars = variables["hostvars"]
        answered: list[Node] = []
        silent: dict[str, list[str]] = {}
        for name in names:
            own = hostvars[name]
            answer = own.get("discover_info", {})
            user = str(own.get("ansible_user") or context.CLIARGS.get("remote_user") or "")
            try:
                if "machine" not in answer:
                    raise ValueError
                local = own.get("ansible_connection") in ("local", "ansible.builtin.local")
                fixed = name in options["members"]
                answered.append(node_of(name, answer, user=user, local=local, fixed=fixed))
            except ValueError as error:
                said = str(error) or str(answer.get("msg") or answer.get("module_stderr") or "")
                address = str(own.get("ansible_host") or name)
                silent[name] = advice(address, user, said, int(own.get("ansible_port") or 0))
        nodes, left_out = sorted_out(answered, options["any_machine"])
        for name, lines in silent.items():
            self._say([f"{name}: {lines[0]}", *lines[1:]])
        self._say([f"{name}: left out: {why}" for name, why in left_out.items()])
        if not nodes:
            return {"failed": True, "msg": "No Spark could be inspected, see above."}
        fabric = propose(nodes)
        text = text_of(nodes, fabric, options["cages"])
        shown = [f"Fabric: {fabric.why}"] if len(nodes) > 1 else []
        self._say([*map(_described, nodes), *cables(nodes), *shown])
        self._say([text])
        if silent:
            missing = ", ".join(silent)
            message = f"Could not inspect {missing}: do what is said above and run this again."
            return {"failed": True, "msg": message}
        try:
            path, changed = self._written(options["write"], text)
        except Differs as error:
            self._say([foreign.shown(str(error))])
            message = (
                f"{options['write']} has another inventory, which is not overwritten. Take the"
                " lines above that you want, or name another directory: -e write=DIR"
            )
            return {"failed": True, "msg": message}
        except OSError as error:
            message = f"{error.filename or options['write']}: {error.strerror or error}"
            return {"failed": True, "msg": message}
        known = set(names) <= set(options["members"])
        self._say(next_lines(nodes, path, names, known))
        return {"changed": changed, "path": path, "text": text, "left_out": left_out}

    def _written(self, folder: str, text: str) -> tuple[str, bool]:
        if not folder:
            return "", False
        path, changed = write(folder, text, self._task.check_mode)
        planned = "would be written" if self._task.check_mode else "written"
        self._say([f"{path}: {planned if changed else 'unchanged'}"])
        return ("" if self._task.check_mode and changed else path), changed

    def _say(self, lines: Sequence[str]) -> None:
        if lines:
            self._display.display("\n" + "\n".join(lines))


def browse() -> tuple[tuple[avahi.Announced, ...], str]:
    """The machines that announce SSH by mDNS, and why there may be none; "" for no reason."""
    program = shutil.which("avahi-browse")
    if not program:
        return (), "This machine has no avahi-browse (package avahi-utils) to find Sparks with."
    try:
        done = subprocess.run(
            [program, *avahi.BROWSE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), f"avahi-browse: {error}."
    said = done.stderr.decode("utf-8", "replace").strip()
    found = avahi.parse(done.stdout.decode("utf-8", "replace"))
    return found, foreign.line(f"avahi-browse: {said}.") if done.returncode else ""


def _described(node: Node) -> str:
    """One line for a person."""
    cache = f"; models in {node.cache}: {node.cached}" if node.cache else ""
    sudo = {"free": "", "asks": "; sudo asks for a password"}.get(node.sudo, "; has no sudo")
    named = "" if node.name == node.given else f" ({node.given})"
    return f"{node.name}{named}: management address {node.address}{cache}{sudo}"


def next_lines(nodes: Sequence[Node], path: str, names: Sequence[str], known: bool) -> list[str]:
    """What to type next. path: of the file, empty if there is none yet."""
    given = dict(context.CLIARGS)
    if not path:
        words = ["-e", "write=inventories/mine"]
        if not known:
            users = {node.user for node in nodes if not node.local}
            words = ["-e", f"nodes={','.join(names)}", *words]
            words += ["-e", f"user={users.pop()}"] if len(users) == 1 else []
        return [f"next: {playbook_command('discover', words, given)}"]
    asks = any(node.sudo == "asks" for node in nodes)
    given |= {"inventory": [path], "remote_user": None, "become_ask_pass": asks, "extra_vars": ()}
    return [f"next: {playbook_command('site', ['--check'], given)}"]
