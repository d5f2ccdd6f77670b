# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What launch.yml and status.yml cost beside the same steps by hand, with plain ssh and docker.

On the lab's nodes, or those of --inventory: stops what is served there. By hand, containers that a
launch has made are started by ssh on all nodes at once, and asked for completions until one comes.
The engine's own time is in neither figure: overhead is from typing to the last rank's process, and
from the first answer to the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from measure import ROOT, save


class Bench:
    """The nodes, and one recipe on them."""

    def __init__(self, inventory: str, recipe: str) -> None:
        self.inventory, self.recipe = inventory, recipe
        names = "ansible_user, ansible_host, ansible_ssh_private_key_file, ansible_ssh_common_args"
        asked = "{{ [%s] }}" % names
        told = self.run(
            *("ansible", "-i", inventory, "all", "-m", "ansible.builtin.debug"),
            *("-a", json.dumps({"msg": asked})),
            ANSIBLE_LOAD_CALLBACK_PLUGINS="true",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
        document, _end = json.JSONDecoder().raw_decode(told)
        hosts = document["plays"][0]["tasks"][0]["hosts"]
        self.nodes: dict[str, list[str]] = {node: one["msg"] for node, one in hosts.items()}

    def run(self, *argv: str, **environment: str) -> str:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{shlex.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def playbook(self, name: str, *more: str) -> str:
        return self.run("ansible-playbook", "-i", self.inventory, f"playbooks/{name}.yml", *more)

    def launch(self) -> str:
        return self.playbook("launch", "-e", f"recipe={self.recipe}")

    def by_hand(self, script: str) -> dict[str, str]:
        """A script as root on all nodes at once: node -> its output."""
        running = {}
        for node, (user, host, key, args) in self.nodes.items():
            options = ["-i", key, *shlex.split(args)]
            command = ["ssh", *options, f"{user}@{host}", f"sudo sh -c {shlex.quote(script)}"]
            running[node] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return {node: process.communicate()[0] for node, process in running.items()}

    def containers(self) -> list[dict[str, Any]]:
        label = "--filter label=dgxspark.suite/owner=dgxspark.suite"
        script = f"docker ps --all --quiet {label} | xargs -r docker inspect"
        told = self.by_hand(script)
        return [one for text in told.values() if text.strip() for one in json.loads(text)]


def complete(url: str, model: str, seconds: float = 60) -> bool:
    body = json.dumps({"model": model, "prompt": "1", "max_tokens": 1}).encode()
    request = urllib.request.Request(
        url + "/v1/completions", body, {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as answer:
            return "choices" in json.load(answer)
    except (OSError, ValueError):
        return False


class FirstAnswer(threading.Thread):
    """Notes when a server answers for the first time."""

    def __init__(self, url: str, model: str) -> None:
        super().__init__(daemon=True)
        self.url, self.model, self.at, self.over = url, model, 0.0, False

    def run(self) -> None:
        while not self.over:
            if complete(self.url, self.model):
                self.at = time.time()
                return
            time.sleep(0.5)


def began(containers: list[dict[str, Any]]) -> float:
    """When the last of them was started."""
    return max(
        # Nanoseconds are more than Python reads.
        datetime.fromisoformat(one["State"]["StartedAt"][:26].rstrip("Z") + "+00:00").timestamp()
        for one in containers
    )


def timed(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def show(figures: Mapping[str, tuple[list[float], list[float]]], path: Path) -> None:
    """Medians, and the same with every run as JSON."""
    for name, (ours, hand) in figures.items():
        one, other = statistics.median(ours), statistics.median(hand)
        print(
            f"{name:<32}{one:6.1f} s   by hand {other:6.1f} s   ratio {one / max(other, 0.01):.1f}"
        )
    save(path, {name: {"ours_s": one, "by_hand_s": two} for name, (one, two) in figures.items()})


def note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", default="inventories/lab")
    parser.add_argument("--recipe", default="lab-tiny-2")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=ROOT / ".cache/bench/launch.json")
    parser.add_argument("--keep", action="store_true", help="time what runs already, stop nothing")
    given = parser.parse_args()
    bench = Bench(given.inventory, given.recipe)
    if given.keep:
        bench.launch()
    else:
        bench.playbook("stop")
        bench.launch()
    labels = bench.containers()[0]["Config"]["Labels"]
    url, model = (labels[f"dgxspark.suite/{key}"] for key in ("url", "served-model-name"))
    look = "docker ps --all --quiet | xargs docker inspect"

    def by_hand() -> None:
        bench.by_hand(look)
        assert complete(url, model)

    figures: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("relaunch of the same plan", "status.yml")
    }
    for number in range(given.runs):
        for name, action in (
            ("relaunch of the same plan", bench.launch),
            ("status.yml", lambda: bench.playbook("status")),
        ):
            figures[name][0].append(timed(action))
            figures[name][1].append(timed(by_hand))
        note(f"round {number + 1} of {given.runs} of what runs already")
    show(figures, given.json)
    if given.keep:
        return
    ours, hand = [], []
    for number in range(given.runs):
        bench.playbook("stop")
        first, typed = FirstAnswer(url, model), time.time()
        first.start()
        bench.launch()
        ended = time.time()
        first.join(60)
        containers = bench.containers()
        ours.append(began(containers) - typed + max(ended - first.at, 0))
        bench.by_hand("systemctl stop 'dgxspark-*.service'")
        names = " ".join(one["Name"].lstrip("/") for one in containers)
        first, typed = FirstAnswer(url, model), time.time()
        first.start()
        bench.by_hand(f"for n in {names}; do docker start $n 2>/dev/null; done")
        first.join()
        hand.append(began(bench.containers()) - typed)
        note(f"round {number + 1} of {given.runs} of launches")
    figures["launch.yml, overhead"] = (ours, hand)
    show(figures, given.json)
    bench.playbook("stop")


if __name__ == "__main__":
    main()
