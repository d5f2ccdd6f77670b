# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: nodes spark1 … sparkN with systemd, sshd and Docker, on two networks of this machine.

Each node is a container that behaves like a small machine. Its Docker engine has the serving images
from the start: they are built once, and every node gets a copy of that engine's data in which the
layers are hard links, so that N nodes need the disk and the page cache of one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator

import engine
import images
import nodes
from shell import CACHE, can_install, docker, fail, install, run, say

# There while tests change the nodes; where it is left, that run was interrupted.
UNDER_TEST = CACHE / "under-test"


def build(base: str) -> tuple[str, str]:
    """The node image, and the folder with the data of an engine that has the serving images."""
    ensure_ssh()
    engine.ensure()
    images.sweep()
    base = images.ensure_base(base)
    images.ensure_wheels(base)
    node_image = images.ensure_node_image(base)
    return node_image, images.ensure_serving_images(base, node_image)


def up(count: int, base: str, fresh: bool, test: bool) -> None:
    node_image, golden = build(base)
    if test and UNDER_TEST.exists():
        say("an interrupted test run has left the nodes: replacing them")
        fresh = True
    nodes.ensure(count, node_image, golden, fresh)
    if fresh:
        UNDER_TEST.unlink(missing_ok=True)
    if test:
        UNDER_TEST.touch()


def ensure_ssh() -> None:
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
    if missing and not can_install():
        fail(f"missing: {' and '.join(missing)}; install an OpenSSH client")
    if missing:
        install("openssh-client")


def down(everything: bool, stop_engine: bool) -> None:
    """Remove the nodes; with everything also images, wheels and keys."""
    if engine.answers():
        remove_nodes()
        UNDER_TEST.unlink(missing_ok=True)
        if everything:
            say("images, engine data, wheels, keys: removing them")
            remove_images()
    else:
        say("no Docker engine answers, so no node runs")
    if everything:
        shutil.rmtree(nodes.STATE, ignore_errors=True)
    if everything or stop_engine:
        engine.stop()
    if everything:
        images.clear_scratch()
        shutil.rmtree(CACHE, ignore_errors=True)
        say(
            "not removed: installed packages (Docker, debootstrap, an SSH client), "
            "a Docker service that systemd runs, .venv"
        )


def remove_nodes() -> None:
    ours = f"--filter=label={images.LABEL}"
    for name in docker("ps", "--all", ours, "--format={{.Names}}").split():
        say(f"{name}: removing it")
        docker("rm", "--force", "--volumes", name)
    for network in docker("network", "ls", ours, "--format={{.Name}}").split():
        docker("network", "rm", network)
    built = built_images()
    if built:
        images.in_volume(built[0], "rm -rf /lab/spark*")


def remove_images() -> None:
    ours = f"--filter=label={images.LABEL}"
    for data in docker("volume", "ls", f"{ours}=data", "--quiet").split():
        docker("volume", "rm", "--force", data)
    for image in built_images():
        docker("rmi", "--force", image)
    # Images without a name: a start was killed while it committed one.
    for image in docker("images", ours, "--quiet").split():
        docker("rmi", "--force", image)
    if images.PULLED.exists():
        for image in images.PULLED.read_text().split():
            run("docker", "rmi", image)


def built_images() -> list[str]:
    return docker("images", "--format={{.Repository}}:{{.Tag}}", "dgxspark-lab/*").split()


def status() -> None:
    if not engine.answers():
        fail("no Docker engine answers: `make lab` starts one")
    for name in nodes.names():
        state = docker("inspect", "-f", "{{.State.Status}}", name)
        addresses = [nodes.address(name, net) for net in (nodes.MANAGEMENT, nodes.FABRIC)]
        print(name, state, *addresses, sep="  ")
    if not nodes.names():
        print("no nodes: `make lab` starts them")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other lab command runs on this machine."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another lab command to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def number_of_nodes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 1 to 64")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    based = argparse.ArgumentParser(add_help=False)
    based.add_argument(
        "--base",
        default=os.environ.get("LAB_BASE", "debootstrap"),
        help="the nodes' system (LAB_BASE, else debootstrap): debootstrap makes one of this "
        "machine's own release and needs root; or an image such as ubuntu:24.04",
    )
    verbs.add_parser("build", parents=[based], help="build what is missing, start no node")
    verb = verbs.add_parser("up", parents=[based], help="build what is missing, start the nodes")
    verb.add_argument(
        "--nodes",
        type=number_of_nodes,
        default=os.environ.get("LAB_NODES", "2"),
        help="how many (LAB_NODES, else 2)",
    )
    verb.add_argument("--fresh", action="store_true", help="replace nodes that exist")
    verb.add_argument(
        "--test",
        action="store_true",
        help="for tests: without a `tested` or `down`, the next `up --test` replaces the nodes",
    )
    verbs.add_parser("tested", help="the test run has ended and the nodes can be used again")
    verb = verbs.add_parser("down", help="remove the nodes, keep images and wheels")
    verb.add_argument("--all", action="store_true", help="remove images, wheels and keys as well")
    verb.add_argument("--stop-engine", action="store_true", help="stop the engine the lab started")
    verbs.add_parser("llama", help="put llama.cpp, and a model for it, on the first node that runs")
    verbs.add_parser("minilm", help="put a model for embeddings on the first node that runs")
    verbs.add_parser("companions", help="make the folders of the companions' images")
    verbs.add_parser("compose", help="put Docker Compose on the first node that runs")
    verbs.add_parser(
        "sglang", help="put SGLang's Python, for its parser, on the first node that runs"
    )
    verbs.add_parser("status", help="list the nodes with management and fabric addresses")
    given = parser.parse_args()
    with alone():
        if given.verb == "up":
            up(given.nodes, given.base, given.fresh, given.test)
        elif given.verb == "build":
            build(given.base)
        elif given.verb == "tested":
            UNDER_TEST.unlink(missing_ok=True)
        elif given.verb == "down":
            down(given.all, given.stop_engine)
        elif given.verb == "llama":
            images.bring_llama()
        elif given.verb == "minilm":
            images.bring_minilm()
        elif given.verb == "companions":
            print(images.bring_companions())
        elif given.verb == "compose":
            images.bring_compose()
        elif given.verb == "sglang":
            images.bring_sglang()
        else:
            status()


if __name__ == "__main__":
    main()
