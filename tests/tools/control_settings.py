# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the settings of a control that runs from the working tree, for control.sh.

control_settings.py INVENTORY PORT FOLDER, where FOLDER/inventory.json is what ansible-inventory has
listed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.filter.control_nodes import control_nodes

ROOT = Path(__file__).resolve().parents[2]
GROUPS = ("spark_heads", "spark_workers", "spark_services")


def settings(inventory: Path, port: int, folder: Path, listed: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of docs/contracts/control_api.md. listed: of `ansible-inventory --list`."""
    names = [name for group in GROUPS for name in listed.get(group, {}).get("hosts", [])]
    variables = {name: listed["_meta"]["hostvars"].get(name, {}) for name in names}
    return {
        "bind": "127.0.0.1",
        "port": port,
        "state": str(folder / "state"),
        "inventory": [str(inventory)],
        "nodes": control_nodes(list(dict.fromkeys(names)), variables),
        "ansible_playbook": str(ROOT / ".venv" / "bin" / "ansible-playbook"),
        "collections": str(folder / "collections"),
        "project": str(ROOT),
    }


if __name__ == "__main__":
    where, number, place = sys.argv[1:]
    home = Path(place).resolve()
    found = json.loads((home / "inventory.json").read_text(encoding="utf-8"))
    print(json.dumps(settings(Path(where).resolve(), int(number), home, found), indent=2))
