# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes: containers `spark1` … `sparkN` on a management and a fabric network, and cables."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cables import PLUGGED
from images import LABEL, MACHINE_OPTIONS, NAME, SERVING_IMAGE, WHEELS, in_volume, volume
from shell import docker, fail, output, run, say, wait_for

# The SSH key and the known hosts of this checkout.
STATE = Path(__file__).resolve().parents[2] / ".cache" / "lab"
MANAGEMENT = f"{NAME}-mgmt"
FABRIC = f"{NAME}-fabric"
# On a node: wheels for a virtual environment, without a network.
WHEELHOUSE = "/opt/wheelhouse"
# Label of a node: the directory that its engine's data were copied from.
GOLDEN = "dgxspark.suite/lab-data"


def names() -> list[str]:
    asked = ["--all", f"--filter=label={LABEL}=node", "--format={{.Names}}"]
    return sorted(docker("ps", *asked).split(), key=lambda name: (len(name), name))


def address(name: str, network: str) -> str:
    wanted = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return docker("inspect", "-f", wanted, name)


def ensure(count: int, image: str, golden: str, fresh: bool) -> list[str]:
    """Run exactly these nodes, from this image and this engine data."""
    wanted = [f"spark{number}" for number in range(1, count + 1)]
    foreign = set(docker("ps", "--all", "--format={{.Names}}").split()) - set(names())
    for name in foreign & set(wanted):
        fail(f"a container named {name} exists and is not the lab's; rename or remove it")
    ensure_networks()
    asked = f'{{{{.Config.Image}}}} {{{{index .Config.Labels "{GOLDEN}"}}}} {{{{.State.Running}}}}'
    for name in names():
        state = docker("inspect", "-f", asked, name)
        if fresh or name not in wanted or state != f"{image} {golden} true":
            say(f"{name}: removing the old one")
            docker("rm", "--force", "--volumes", name)
    for number, name in enumerate(wanted, start=1):
        if name not in names():
            say(f"{name}: creating it")
            create(number, name, image, golden)
    connect(wanted, image)
    admit(wanted)
    for name in wanted:
        place_model(name)
        addresses = f"{address(name, MANAGEMENT)} (management), {address(name, FABRIC)} (fabric)"
        say(f"{name}: up, {addresses}")
    return wanted


def ensure_networks() -> None:
    ours = f"--filter=label={LABEL}=network"
    have = docker("network", "ls", ours, "--format={{.Name}}").split()
    fabric = ["--internal", "--opt=com.docker.network.driver.mtu=9000"]
    for network, options in ((MANAGEMENT, []), (FABRIC, fabric)):
        if network not in have:
            # Twice: the engine finds a free subnet, but fixes addresses only in one that is given.
            run("docker", "network", "rm", network)  # left by an interrupted start
            docker("network", "create", f"--label={LABEL}=draft", network)
            given = f"--subnet={subnet(network)}"
            docker("network", "rm", network)
            docker("network", "create", f"--label={LABEL}=network", given, *options, network)


def subnet(network: str) -> str:
    return docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network)


def fixed_address(network: str, number: int) -> str:
    """.11 for the first node, .12 for the second; the same after every restart."""
    return f"--ip={ipaddress.ip_network(subnet(network))[10 + number]}"


def create(number: int, name: str, image: str, golden: str) -> None:
    # Layers are never written in place and can be hard links; the engine changes the rest.
    script = f"""
        rm -rf /lab/{name}; mkdir -p /lab/{name}/docker; cd /lab/{golden}/docker
        cp -al overlay2 /lab/{name}/docker/
        for part in *; do test $part = overlay2 || cp -a $part /lab/{name}/docker/; done
    """
    if in_volume(image, script):
        fail(f"{name}: the data of its engine could not be copied; is the disk full?")
    labels = [f"--label={LABEL}=node", f"--label={GOLDEN}={golden}"]
    named = [f"--name={name}", f"--hostname={name}", *labels]
    network = [f"--network={MANAGEMENT}", fixed_address(MANAGEMENT, number)]
    data = f"--volume={volume()}/{name}/docker:/var/lib/docker"
    wheels = f"--volume={WHEELS}:{WHEELHOUSE}:ro"
    stop = "--stop-signal=SIGRTMIN+3"
    docker("create", *named, *network, *MACHINE_OPTIONS, stop, data, wheels, image)
    docker("network", "connect", fixed_address(FABRIC, number), FABRIC, name)
    docker("start", name)


def connect(wanted: Sequence[str], image: str) -> None:
    """Plug the cables between the nodes, and again whenever a node starts."""
    name = f"{NAME}-cables"
    docker("rm", "--force", name)
    named = ["--detach", f"--name={name}", f"--label={LABEL}=cables", "--restart=unless-stopped"]
    # It only waits for events, so it can be killed.
    named += ["--stop-signal=SIGKILL"]
    sees = ["--pid=host", "--network=none", "--volume=/var/run/docker.sock:/var/run/docker.sock"]
    script = f"--volume={Path(__file__).parent / 'cables.py'}:/cables.py:ro"
    started = ["python3", "-u", "/cables.py", *wanted]
    docker("run", *named, *sees, *MACHINE_OPTIONS, script, image, *started)
    if not wait_for(60, "sh", "-c", f"docker logs {name} | grep --quiet '^{PLUGGED}$'"):
        fail(f"the cables between the nodes are not plugged:\n{docker('logs', name)}")


def public_key(key: Path) -> str:
    """The public half of a key; a key that is missing or unusable is created."""
    ask = ["ssh-keygen", "-y", "-P", "", "-f", str(key)]
    if run(*ask).returncode:
        key.unlink(missing_ok=True)
        output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", key)
    return output(*ask)


def admit(wanted: Sequence[str]) -> None:
    """Authorize this checkout's key on the nodes, and record the nodes' host keys."""
    STATE.mkdir(parents=True, exist_ok=True)
    script = f"""
        until systemctl --quiet is-active ssh; do sleep 0.2; done
        install -d -m 0700 -o spark -g spark ~spark/.ssh
        echo '{public_key(STATE / "id_ed25519")}' >~spark/.ssh/authorized_keys
        chown spark:spark ~spark/.ssh/authorized_keys
        cat /etc/ssh/ssh_host_ed25519_key.pub
    """
    known = []
    for name in wanted:
        kind, host_key, *_comment = docker(
            "exec", name, "timeout", "60", "sh", "-ec", script
        ).split()
        known.append(f"{address(name, MANAGEMENT)} {kind} {host_key}\n")
    (STATE / "known_hosts").write_text("".join(known))


def place_model(name: str) -> None:
    """Copy the tiny model from the serving image into the node's Hugging Face cache."""
    script = f"""
        until docker info >/dev/null 2>&1; do sleep 0.5; done
        docker run --rm {SERVING_IMAGE} tar -C /model -c . |
            tar -C /ai/cache/huggingface -x --no-same-owner
        chown -R spark:spark /ai/cache/huggingface
    """
    docker("exec", name, "timeout", "120", "sh", "-ec", script)
