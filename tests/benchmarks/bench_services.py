# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services.yml --check and health.yml cost beside status.yml: eight services on two nodes.

On the lab's nodes: stops what is served there. The servers are those of the scenario launch that
start in a second, so that nothing but the playbooks is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from measure import ROOT, cost_of, in_turn, save, table

QUICK = ROOT / "extensions/molecule/launch/quick/lab-quick.yaml"
NODES = ("spark1", "spark2")


def declared(count: int) -> str:
    services = [
        {
            "name": f"s{number}",
            "recipe": str(QUICK),
            "nodes": [NODES[number % len(NODES)]],
            "overrides": {"port": 8000 + number},
        }
        for number in range(count)
    ]
    return json.dumps({"dgxspark_services": services})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", default="inventories/lab")
    parser.add_argument("--services", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=ROOT / ".cache/bench/services.json")
    given = parser.parse_args()

    def playbook(name: str, *options: str) -> list[str]:
        return ["ansible-playbook", "-i", given.inventory, f"playbooks/{name}.yml", *options]

    services = ("-e", declared(given.services))
    cost_of(playbook("stop", "-e", "confirm=all"))
    cost_of(playbook("services", *services))
    commands = {
        "status.yml": playbook("status"),
        "services.yml --check": playbook("services", *services, "--check"),
        "health.yml": playbook("health"),
    }
    costs = in_turn(
        {name: partial(cost_of, command) for name, command in commands.items()},
        given.runs,
        lambda text: print(f"bench: {text}", file=sys.stderr),
    )
    save(given.json, table(costs, "status.yml", f"{given.services} services on two nodes"))
    cost_of(playbook("stop", "-e", "confirm=all"))


if __name__ == "__main__":
    main()
