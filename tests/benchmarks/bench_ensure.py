# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of each spec's check on a node: time, processor, memory, measured on the node.

site.yml --check runs on a converged node of the lab, spec by spec, several times in turn. Its
Python is replaced by one that measures what it runs. The yardstick is the ping module, the cost of
any task. Nothing is changed on the node but a directory in /opt, which is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.all_specs import SPECS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "/opt/dgxspark-bench"
# Runs what it is given as the real interpreter would, and notes what that took.
PYTHON = f"""#!/usr/bin/python3
import os, sys, time
started = time.monotonic()
child = os.fork()
if not child:
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv[1:]])
_child, status, used = os.wait4(child, 0)
took = time.monotonic() - started
with open("{FOLDER}/log", "a") as log:
    log.write("%f %f %d\\n" % (took, used.ru_utime + used.ru_stime, used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Cost(NamedTuple):
    """Of all tasks of a spec together: seconds, processor seconds; peak is the largest, in KiB."""

    wall: float
    cpu: float
    peak: int


def on_node(node: str, script: str) -> str:
    argv = ["docker", "exec", node, "sh", "-ec", script]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def ask(node: str, inventory: str, spec: str) -> Cost:
    on_node(node, f"rm -f {FOLDER}/log")
    argv = ["ansible-playbook", "--inventory", inventory, "playbooks/site.yml", "--check"]
    argv += ["--tags", spec, "--limit", node, "--extra-vars", "dgxspark_task_by_task=true"]
    if spec == "ping":
        argv = ["ansible", "--inventory", inventory, "--become", "-m", "ansible.builtin.ping", node]
    argv += ["--extra-vars", f"ansible_python_interpreter={FOLDER}/python"]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: {' '.join(argv)} failed:\n{done.stdout}{done.stderr}")
    lines = [line.split() for line in on_node(node, f"cat {FOLDER}/log").splitlines()]
    return Cost(
        sum(float(wall) for wall, _cpu, _peak in lines),
        sum(float(cpu) for _wall, cpu, _peak in lines),
        max(int(peak) for _wall, _cpu, peak in lines),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--node", default="spark1")
    parser.add_argument("--inventory", default="inventories/lab")
    parser.add_argument("--json", type=Path, default=ROOT / ".cache/bench/ensure.json")
    given = parser.parse_args()
    on_node(given.node, f"mkdir -p {FOLDER}")
    put = ["docker", "exec", "-i", given.node, "sh", "-ec"]
    put.append(f"cat >{FOLDER}/python; chmod 0755 {FOLDER}/python")
    subprocess.run(put, check=True, input=PYTHON, text=True)
    os.environ.pop("PYTHONUNBUFFERED", None)
    names = ["ping", *SPECS]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    try:
        for number in range(given.runs):
            for name in names:
                costs[name].append(ask(given.node, given.inventory, name))
            print(f"bench: round {number + 1} of {given.runs}", file=sys.stderr)
    finally:
        on_node(given.node, f"rm -rf {FOLDER}")
    rows = {
        name: {
            "wall_s": round(statistics.median(cost.wall for cost in some), 3),
            "cpu_s": round(statistics.median(cost.cpu for cost in some), 3),
            "peak_mib": round(max(cost.peak for cost in some) / 1024, 1),
        }
        for name, some in costs.items()
    }
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"runs": given.runs, "specs": rows}, indent=2) + "\n")
    print(f"{'spec':<18}{'wall s':>9}{'cpu s':>9}{'peak MiB':>10}{'x ping':>8}")
    for name, row in rows.items():
        ratio = row["wall_s"] / rows["ping"]["wall_s"]
        figures = f"{row['wall_s']:>9.2f}{row['cpu_s']:>9.2f}{row['peak_mib']:>10.0f}{ratio:>8.1f}"
        print(f"{name:<18}{figures}")


if __name__ == "__main__":
    main()
