# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of a drift report, and how it grows with the nodes.

On the lab's nodes, which have to be converged, and on light ones that this creates and removes. On
those nothing is installed, so slow checks are left out of everything that is compared.
site.yml --check, the same by the tasks of the roles, and site.yml are compared with a ping, which
is the cost of Ansible itself, with the same checks by ssh alone (the limit), with similar checks as
stock tasks, and with those tasks by pyinfra where it can be installed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fleet import fleet
from measure import ROOT, Cost, cost_of, in_turn, installed, save, table

# Drift, or a node that lacks what a stock task needs, is no failure here.
ANY = (0, 2, 4)
LIMIT = "the same checks by ssh alone"
PING = "a ping by Ansible"
TASKS = ("--extra-vars", "dgxspark_task_by_task=true")


def asked(inventory: str, path: Path, options: list[str]) -> None:
    """Write the input of by_hand.py, which Ansible determines before anything is measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nodes: dict[str, dict[str, Any]] = {}
    hosts = []
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        play = "tests/benchmarks/asked.yml"
        given = ["--extra-vars", f"asked_folder={folder}"]
        cost_of(["ansible-playbook", "--inventory", inventory, play, *given, *options])
        for file in sorted(Path(folder).iterdir()):
            node = json.loads(file.read_text(encoding="utf-8"))
            nodes[file.stem] = {**_reached(node), "specs": node["specs"]}
            hosts.append((node["host"], {"ssh_user": node["user"]}))
    if not nodes:
        sys.exit(f"bench: no node answers in {inventory}: `make lab` starts the lab's nodes")
    path.write_text(json.dumps(nodes), encoding="utf-8")
    known = {"ssh_key": str(ROOT / ".cache/lab/id_ed25519"), "ssh_strict_host_key_checking": "off"}
    listed = [(name, {**known, **reached}) for name, reached in hosts]
    path.with_suffix(".py").write_text(f"hosts = {listed!r}\n", encoding="utf-8")


def _reached(node: dict[str, Any]) -> dict[str, list[str]]:
    state = ROOT / ".cache" / "lab"
    ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ControlMaster=auto", "-o", "ControlPersist=5m"]
    ssh += ["-o", f"ControlPath={state}/bench-%C", "-i", str(state / "id_ed25519")]
    ssh += [*shlex.split(node["ssh_common_args"]), f"{node['user']}@{node['host']}"]
    return {"ssh": ssh, "become": [] if node["user"] == "root" else ["sudo", "-n"]}


def commands(
    inventory: str, path: Path, chosen: set[str], options: list[str]
) -> dict[str, Callable[[], Cost]]:
    play = ["ansible-playbook", "--inventory", inventory]
    here = "tests/benchmarks"
    known: dict[str, tuple[str, list[str]]] = {
        LIMIT: ("hand", [sys.executable, f"{here}/by_hand.py", str(path)]),
        PING: (
            "ping",
            ["ansible", "--inventory", inventory, "all", "-m", "ansible.builtin.ping"],
        ),
        "site.yml --check": ("check", [*play, "playbooks/site.yml", "--check", *options]),
        "site.yml --check, task by task": (
            "tasks",
            [*play, "playbooks/site.yml", "--check", *options, *TASKS],
        ),
        "site.yml": ("site", [*play, "playbooks/site.yml"]),
        "stock tasks, --check": ("stock", [*play, f"{here}/stock.yml", "--check"]),
    }
    other = installed("pyinfra==3.10.0", "PyYAML") if "pyinfra" in chosen else None
    if other:
        by = [str(other), "--sudo", "--dry", "-y", str(path.with_suffix(".py"))]
        known["the same by pyinfra --dry"] = ("pyinfra", [*by, f"{here}/stock_pyinfra.py"])
    return {
        name: partial(cost_of, argv, ANY) for name, (key, argv) in known.items() if key in chosen
    }


def measured(
    inventory: str, title: str, runs: int, chosen: set[str], *options: str
) -> dict[str, object]:
    path = ROOT / ".cache" / "bench" / "asked.json"
    asked(inventory, path, list(options))
    running = commands(inventory, path, chosen, list(options))
    # Opens the connections, which stay open for five minutes.
    for run in running.values():
        run()

    def note(text: str) -> None:
        print(f"bench: {title}: {text}", file=sys.stderr)

    return table(in_turn(running, runs, note), PING, title)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--inventory", default="inventories/lab", help="converged nodes of the lab")
    parser.add_argument("--light", default="8,32", help="numbers of light nodes; empty for none")
    parser.add_argument("--json", type=Path, default=ROOT / ".cache/bench/audit.json")
    given = parser.parse_args()
    # Light nodes are removed, however this ends.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    figures: dict[str, object] = {}
    every = {"hand", "ping", "check", "tasks", "stock", "pyinfra"}
    if given.inventory:
        title = f"nodes of {given.inventory}"
        figures["lab"] = measured(given.inventory, title, given.runs, {*every, "site"})
        save(given.json, figures)
    for number in [int(word) for word in given.light.split(",") if word]:
        # One task after another would take minutes.
        chosen = {"hand", "ping", "check"} if number > 8 else every
        with fleet(number) as inventory:
            title = f"{number} light nodes"
            # Nor that for which apt plans what is missing: seconds of each node's processor, which
            # is the controller's here.
            fast = ("--tags", "fast", "--skip-tags", "prereqs,oom_protection")
            figures[title] = measured(str(inventory), title, given.runs, chosen, *fast)
        save(given.json, figures)


if __name__ == "__main__":
    main()
