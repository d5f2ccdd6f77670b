# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cables between the lab's nodes: virtual interfaces, named as those of a Spark's ConnectX-7.

    python3 cables.py spark1 spark2 …

runs in a container of its own that sees the processes of this machine and its Docker engine. It
plugs the cables, says so, and plugs them anew whenever a node is started, since they go with it.

Each cable is two links, the twins. Two nodes have one cable; three are a ring, from cage 0 of each
to cage 1 of the next; more are on a switch, which is two bridges in this container.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

# Cage -> its twins.
CAGES = (("enp1s0f0np0", "enP2p1s0f0np0"), ("enp1s0f1np1", "enP2p1s0f1np1"))
SWITCH = ("switch0", "switch1")
PLUGGED = "cables: plugged"

# A node and an interface of it; a node that is empty is the switch, the interface its bridge.
End = tuple[str, str]


def cables(nodes: Sequence[str]) -> list[tuple[End, End]]:
    """The links between these nodes, in order."""
    count = len(nodes)
    if count < 2:
        return []
    if count == 2:
        pairs = [((nodes[0], 0), (nodes[1], 0))]
    elif count == 3:
        pairs = [((nodes[at], 0), (nodes[(at + 1) % 3], 1)) for at in range(3)]
    else:
        return [
            ((node, twin), ("", bridge)) for node in nodes for twin, bridge in zip(CAGES[0], SWITCH)
        ]
    return [
        ((here, CAGES[near][twin]), (there, CAGES[far][twin]))
        for (here, near), (there, far) in pairs
        for twin in (0, 1)
    ]


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def process(node: str) -> str:
    """The id of a node's first process; empty for one that does not run."""
    return run("docker", "inspect", "--format", "{{if .State.Running}}{{.State.Pid}}{{end}}", node)


def remove(node: str, interface: str) -> None:
    if node:
        run("nsenter", "-t", process(node), "-n", "ip", "link", "del", interface)


def plug(near: End, far: End) -> None:
    """Put one link in place of what has its names; nothing where one of its nodes does not run."""
    ends = [end for end in (near, far) if end[0]]
    processes = [process(node) for node, _interface in ends]
    if not all(processes):
        return
    for end in ends:
        remove(*end)
    # Each in its place and by its name from the start, as whatever waits for it there expects.
    make = [
        "nsenter",
        "-t",
        processes[0],
        "-n",
        "ip",
        "link",
        "add",
        near[1],
        "type",
        "veth",
        "peer",
    ]
    if far[0]:
        run(*make, "name", far[1], "netns", processes[1])
    else:
        # It goes by itself when its node does.
        port = f"{far[1]}-{processes[0]}"
        run(*make, "name", port, "netns", str(os.getpid()))
        run("ip", "link", "set", port, "mtu", "9000", "master", far[1], "up")


def main() -> None:
    nodes = sys.argv[1:]
    links = cables(nodes)
    # From before the first is plugged, so that no start is missed.
    asked = [
        "--filter",
        "type=container",
        "--filter",
        "event=start",
        "--format",
        "{{.Actor.Attributes.name}}",
    ]
    events = subprocess.Popen(["docker", "events", *asked], stdout=subprocess.PIPE, text=True)
    for bridge in SWITCH:
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "link", "set", bridge, "mtu", "9000", "up")
    for node in nodes:
        for interface in (name for cage in CAGES for name in cage):
            remove(node, interface)
    for link in links:
        plug(*link)
    print(PLUGGED, flush=True)
    for line in events.stdout or ():
        for near, far in links:
            if line.strip() in (near[0], far[0]):
                plug(near, far)


if __name__ == "__main__":
    main()
