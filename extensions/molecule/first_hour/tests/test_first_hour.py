# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's lines from nothing to a completion, as they stand, on nodes like a new Spark.

Nothing is set up on the nodes: they have Docker, CUDA, an SSH key and sudo. What the lab cannot
have is replaced and named here: the recipe's image is the lab's CPU build of vLLM under that name,
the model has the architecture of the real one and random weights and comes from the lab's Hub, the
collection's address is a folder, and variables beside the playbooks name what a lab has for a GPU.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import NODES, ROOT, address, on_node, run
from packaging.requirements import Requirement

CONTROLLER = "dgxspark-lab-controller"
WHEELS = ROOT / ".cache/lab/controller"
STATE = ROOT / ".cache/lab"
IMAGE = "scitrera/dgx-spark-vllm:0.16.0-t5"
HERE = Path(__file__).resolve().parents[1]
# Compilation takes minutes on two cores, and is not what this is about.
DOCKERFILE = """\
FROM dgxspark-lab/vllm:cpu
ENV VLLM_CPU_KVCACHE_SPACE=1
RUN real=$(readlink -f "$(command -v vllm)") && mv "$real" "$real.real" && printf '%s\\n' \
    '#!/bin/sh' \
    '[ "$1" != serve ] || set -- "$@" --enforce-eager' \
    "exec $real.real \\"\\$@\\"" >"$real" && chmod 0755 "$real"
"""
# As DGX OS 7 has it.
RELEASE = """\
DGX_NAME="DGX Spark"
DGX_PRETTY_NAME="NVIDIA DGX Spark"
DGX_SWBUILD_VERSION="7.2.3"
"""
# DGX OS brings the ports of the ConnectX-7 up, with link-local addresses, which Docker turns off.
PORTS = """
    for port in $(ls /sys/class/net | grep ^en.*np); do
        sysctl -qw net.ipv6.conf.$port.disable_ipv6=0 net.ipv6.conf.$port.addr_gen_mode=0
        ip link set $port down
        ip link set $port up
    done
"""
# What differs on nodes without a GPU, whose limits are those of a container.
FACTS = """\
dgxspark_gpus: ""
dgxspark_ulimits: []
dgxspark_devices: []
dgxspark_shm_size: 1g
dgxspark_prereqs_nofile: "16384"
dgxspark_kernel_sysctls: {net.ipv4.tcp_keepalive_time: 600}
dgxspark_fabric_links: [[enp1s0f0np0, enP2p1s0f0np0], [enp1s0f1np1, enP2p1s0f1np1]]
dgxspark_oom_protection_term_mib: 256
dgxspark_oom_protection_kill_mib: 128
dgxspark_download_wheels: /opt/wheelhouse
dgxspark_skip:
  cuda_driver: no GPU in the lab
  cuda_open_modules: no GPU in the lab
  nvidia_smi_bin: no GPU in the lab
  gpu_in_containers: no GPU in the lab
  time_service: a container has its host's clock
  time_synchronised: a container has its host's clock
  memlock_limit: a container may not raise limits
"""


def readme(heading: str) -> list[str]:
    """The commands of the first indented block after a heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    after = text.split(f"\n{heading}\n", 1)[1]
    block = re.search(r"(?:^    \S.*\n)+", after, re.MULTILINE)
    assert block, heading
    return [line.strip() for line in block.group().splitlines()]


def wheels(python: str) -> None:
    """Download what a controller with this Python installs: the container reaches no index."""
    blocks = re.findall(
        r"^(\S+==[^\\\n]*)((?:\\\n +--hash=\S+ ?)+)",
        (ROOT / "requirements.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert blocks
    # pip judges markers by its own Python.
    target = {"python_version": python, "python_full_version": f"{python}.0"}
    wanted = []
    for text, hashes in blocks:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(target):
            wanted.append(f"{requirement.name}{requirement.specifier} {hashes}")
    WHEELS.mkdir(parents=True, exist_ok=True)
    listed = WHEELS / "requirements.txt"
    listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", python]
    done = run(*pip, "--dest", str(WHEELS), "-r", str(listed))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def fresh() -> None:
    """Nodes as they come, with the stand-ins for image and model."""
    done = run(sys.executable, "tests/lab/lab.py", "up", "--fresh", "--test")
    assert done.returncode == 0, done.stdout + done.stderr
    for node in NODES:
        subprocess.run(
            ["docker", "exec", "-i", node, "docker", "build", "-q", "-t", IMAGE, "-"],
            input=DOCKERFILE.encode(),
            check=True,
            capture_output=True,
        )
        on_node(node, f"printf %s {shlex.quote(RELEASE)} >/etc/dgx-release")
        on_node(node, PORTS)
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    wheels(on_node(NODES[0], f'python3 -c "{version}"').strip())
    last = NODES[-1]
    on_node(last, "mkdir -p /opt/lab-hub/Qwen")
    for file in (ROOT / "tests/lab/hub.py", HERE / "make_model.py"):
        subprocess.run(["docker", "cp", "-q", str(file), f"{last}:/opt/lab-hub/"], check=True)
    on_node(
        last,
        "docker run --rm --volume=/opt/lab-hub:/hub dgxspark-lab/vllm:cpu"
        " python /hub/make_model.py /hub/Qwen/Qwen3-1.7B\n"
        "systemd-run --quiet --unit=lab-hub"
        " /usr/bin/python3 /opt/lab-hub/hub.py /opt/lab-hub --port=8900",
    )


@pytest.fixture
def controller(fresh: None) -> Iterator[str]:
    """A container in the management network, with a key that the nodes accept."""
    image = run("docker", "inspect", "-f", "{{.Config.Image}}", NODES[0]).stdout.strip()
    run("docker", "rm", "-f", CONTROLLER)
    done = run(
        *("docker", "run", "-d", f"--name={CONTROLLER}", "--network=dgxspark-lab-mgmt"),
        *("--label=dgxspark.suite/lab=helper", f"--volume={WHEELS}:/wheels:ro"),
        *("--env=PIP_NO_INDEX=1", "--env=PIP_FIND_LINKS=/wheels", "--init"),
        *("--workdir=/root", "--entrypoint=sleep", image, "infinity"),
    )
    assert done.returncode == 0, done.stderr
    try:
        inside("rm -rf /opt/ai-tools /usr/local/cuda*; install -d -m 0700 ~/.ssh")
        for file in ("id_ed25519", "known_hosts"):
            run("docker", "cp", "-q", str(STATE / file), f"{CONTROLLER}:/root/.ssh/")
        inside("chown -R root:root ~/.ssh && chmod 0600 ~/.ssh/*")
        yield CONTROLLER
    finally:
        run("docker", "rm", "-f", CONTROLLER)


def inside(script: str) -> str:
    done = subprocess.run(
        ["docker", "exec", "-i", CONTROLLER, "bash", "-e"],
        input=script,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    print(done.stdout + done.stderr)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def typed(lines: list[str], replaced: dict[str, str], playbooks: str) -> str:
    """What a person sees who types these lines one after another in one shell.

    playbooks: the folder that is there before the inventory is discovered.
    """
    script = ["set -o pipefail"]
    facts = f"{FACTS}dgxspark_hub_endpoint: http://{address(NODES[-1])}:8900\n"
    for line in lines:
        if ".discover" in line:
            script.append(f"mkdir {playbooks}/group_vars")
            script.append(f"cat >{playbooks}/group_vars/all.yml <<'FACTS'\n{facts}FACTS")
        for old, new in replaced.items():
            line = line.replace(old, new)
        assert not re.search(r"<[a-z0-9-]+>", line), line
        script.append(f"cat <<'TYPED'\n$ {line}\nTYPED\n{line}")
    return inside("\n".join(script))


def answered(said: str) -> bool:
    """Whether the last line, which is curl's, is a completion with text."""
    last = said.strip().splitlines()[-1]
    return bool(json.loads(last)["choices"][0]["message"])


def test_from_a_clone_to_a_completion_on_two_sparks(controller: str) -> None:
    copy = ROOT / ".cache/first-hour"
    shutil.rmtree(copy, ignore_errors=True)
    done = run("git", "clone", "--quiet", "--bare", str(ROOT), str(copy / "suite.git"))
    assert done.returncode == 0, done.stderr
    run("docker", "cp", "-q", f"{copy}/suite.git", f"{CONTROLLER}:/root/suite.git")
    inside("chown -R root:root suite.git")
    lines = readme("## From nothing to a completion")
    said = typed(
        lines,
        {
            "https://example.com/dgxspark/suite": "/root/suite.git",
            "<spark-1-ip>": address(NODES[0]),
            "<spark-2-ip>": address(NODES[1]),
            "<spark-user>": "spark",
        },
        "playbooks",
    )
    assert answered(said)
    # The fabric has addresses that nobody typed.
    assert "192.168." in on_node(NODES[0], "cat /etc/netplan/60-dgxspark-fabric.yaml")
    shutil.rmtree(copy, ignore_errors=True)


@pytest.mark.long
def test_from_the_tarball_to_a_completion_on_one_spark(controller: str) -> None:
    built = ROOT / ".cache/first-hour"
    shutil.rmtree(built, ignore_errors=True)
    done = run("ansible-galaxy", "collection", "build", "--output-path", str(built), str(ROOT))
    assert done.returncode == 0, done.stderr
    (tarball,) = built.glob("*.tar.gz")
    run("docker", "cp", "-q", str(tarball), f"{CONTROLLER}:/root/{tarball.name}")
    lines = readme("### Without a clone") + readme("## From nothing to a completion")[2:]
    said = typed(
        lines,
        {
            "collection install dgxspark.suite": f"collection install --offline {tarball.name}",
            "<spark-1-ip>,<spark-2-ip>": address(NODES[0]),
            "<spark-1-ip>": address(NODES[0]),
            "<spark-user>": "spark",
        },
        "~/.ansible/collections/ansible_collections/dgxspark/suite/playbooks",
    )
    assert answered(said)
    assert "DRIFT REPORT" in said
    shutil.rmtree(built, ignore_errors=True)
