# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the proposed inventory, and its file."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.fabric import Fabric
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.nodes import Node

FILE = "hosts.yml"
_HEAD = """---
# The Sparks, as dgxspark.suite.discover found them. docs/variables.md lists all variables; those in
# group_vars/all.yml beside this file take precedence over the ones here.
"""


class Differs(Exception):
    """The file exists and has another text; the message is their difference."""


def text_of(nodes: Sequence[Node], fabric: Fabric, cages: Sequence[Sequence[str]] = ()) -> str:
    """An inventory in YAML. cages: dgxspark_fabric_links, where somebody has set it."""
    known = {node.name: node for node in nodes}
    ordered = [known[name] for name in fabric.order]
    users = {node.user for node in ordered if not node.local}
    common: dict[str, Any] = {"ansible_user": next(iter(users))} if len(users) == 1 else {}
    common |= _cache(ordered)
    if any(node.rdma for node in ordered):
        common["dgxspark_devices"] = ["/dev/infiniband"]
    if cages and fabric.planned:
        common["dgxspark_fabric_links"] = [list(cage) for cage in cages]
    lines = ["all:", "  vars:", *_settings(common, "    ")]
    if fabric.topology:
        plan: dict[str, Any] = {
            "dgxspark_fabric_topology": fabric.topology,
            "dgxspark_fabric_networks": list(fabric.networks),
        }
        if fabric.numbers:
            plan["dgxspark_fabric_numbers"] = dict(fabric.numbers)
        # Not fabric.why, which is another one once the plan is applied.
        lines += _settings(plan, "    ")
    elif len(nodes) > 1 and not fabric.planned:
        lines += [f"    # No fabric: {fabric.why}"]
    if not any(line.startswith("    ") and "#" not in line[:5] for line in lines):
        lines[1] += " {}"
    for group, members in (("spark_heads", ordered[:1]), ("spark_workers", ordered[1:])):
        lines += ["", f"{group}:", "  hosts:" if members else "  hosts: {}"]
        for node in members:
            own: dict[str, Any] = {"ansible_host": node.address}
            if node.local:
                own = {"ansible_connection": "local", "dgxspark_address": node.address}
            elif len(users) > 1:
                own["ansible_user"] = node.user
            own |= fabric.hosts.get(node.name, {})
            lines += [f"    {_value(node.name)}:", *_settings(own, "      ")]
    lines += ["", "spark_services:", "  hosts: {}", ""]
    return _HEAD + "\n".join(lines)


def _cache(nodes: Sequence[Node]) -> dict[str, Any]:
    """The users' own cache as the cache of all nodes, if it is the same directory on all."""
    having = [node for node in nodes if node.cache]
    if len({(node.cache, node.user) for node in having}) != 1:
        return {}
    # Without an owner the storage role leaves new directories to root.
    return {"dgxspark_hf_home": having[0].cache, "dgxspark_storage_owner": having[0].user}


def _settings(values: Mapping[str, Any], indent: str) -> list[str]:
    """Lines of YAML."""
    return [f"{indent}{name}: {_value(value)}" for name, value in values.items()]


def _value(value: Any) -> str:
    """Plain if YAML reads it as it is, and otherwise JSON, which is YAML as well."""
    try:
        if isinstance(value, str) and yaml.safe_load(value) == value:
            return value
    except yaml.YAMLError:
        pass
    return json.dumps(value)


def write(folder: str, text: str, check_mode: bool = False) -> tuple[str, bool]:
    """The path of the file, and whether it was written, or would be.

    Raises Differs for an existing file with another text, which is never overwritten; OSError.
    """
    path = os.path.join(folder, FILE)
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            present = stream.read()
    except FileNotFoundError:
        if not check_mode:
            os.makedirs(folder, exist_ok=True)
            # Exclusively: another run may have written it meanwhile.
            with open(path, "x", encoding="utf-8") as stream:
                stream.write(text)
        return path, True
    if present == text:
        return path, False
    rows = (present.splitlines(), text.splitlines())
    raise Differs("\n".join(difflib.unified_diff(*rows, path, "the proposal", lineterm="")))
