# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light nodes, as many as wanted: containers of the lab's image with sshd and no more."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from measure import ROOT

LABEL = "dgxspark.suite/bench"
IMAGE = "dgxspark-lab/node"
KEY = ROOT / ".cache" / "lab" / "id_ed25519"
FOLDER = ROOT / ".cache" / "bench"
# As root, since there is no other user; the key is the lab's.
START = """
mkdir -p /run/sshd /root/.ssh
printf '%s\\n' "$KEY" >/root/.ssh/authorized_keys
chmod 0700 /root/.ssh; chmod 0600 /root/.ssh/authorized_keys
ssh-keygen -A >/dev/null
exec /usr/sbin/sshd -D -o MaxStartups=100
"""


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: docker {argv[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def remove() -> None:
    there = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
    if there:
        docker("rm", "--force", "--volumes", *there)


@contextmanager
def fleet(count: int) -> Iterator[Path]:
    """An inventory of that many nodes, which go at the end."""
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", IMAGE).splitlines()
    if not tags:
        sys.exit(f"bench: no image {IMAGE}: `make lab` builds it")
    remove()
    public = KEY.with_suffix(".pub").read_text(encoding="utf-8").strip()
    try:
        names = [f"bench{number}" for number in range(1, count + 1)]
        for name in names:
            docker(
                *("run", "--detach", "--init", "--label", LABEL, "--hostname", name),
                *("--name", f"dgxspark-{name}", "--memory", "256m", "--env", f"KEY={public}"),
                *("--entrypoint", "sh", tags[0], "-c", START),
            )
        hosts = {name: {"ansible_host": _address(f"dgxspark-{name}")} for name in names}
        for variables in hosts.values():
            _wait(variables["ansible_host"])
        yield _inventory(hosts, count)
    finally:
        remove()


def _address(container: str) -> str:
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    for _attempt in range(50):
        found = docker("inspect", "--format", shown, container)
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"bench: {container} has no address")


def _wait(address: str) -> None:
    """Until sshd listens; it makes its keys first."""
    for _attempt in range(600):
        with suppress(OSError), socket.create_connection((address, 22), 5):
            return
        time.sleep(0.2)
    sys.exit(f"bench: no sshd answers at {address}")


def _inventory(hosts: dict[str, dict[str, str]], count: int) -> Path:
    """It stands where the lab's variables find their files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    link = FOLDER / "group_vars"
    if not link.is_symlink():
        link.symlink_to(ROOT / "inventories" / "lab" / "group_vars")
    quiet = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"
    first, *others = hosts
    for variables in hosts.values():
        variables |= {
            "ansible_user": "root",
            "ansible_ssh_common_args": f"{quiet} -o IdentitiesOnly=yes",
            "dgxspark_fabric_address": variables["ansible_host"],
            # No cables lead to them.
            "dgxspark_fabric_topology": "",
        }
    groups = {
        "lab": {"hosts": hosts},
        "spark_heads": {"hosts": {first: {}}},
        "spark_workers": {"hosts": {name: {} for name in others}},
    }
    path = FOLDER / f"light-{count}.yml"
    path.write_text(yaml.safe_dump({"all": {"children": groups}}), encoding="utf-8")
    return path
