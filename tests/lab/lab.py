#!/usr/bin/env python3
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: nodes `spark1` … `sparkN` with systemd, sshd and their own Docker engine, on two networks.

Each node is a container that behaves like a small machine. Its engine holds the serving image from the
start: the image is built once, in an engine of its own, and every node gets a copy of that engine's data
in which the layers are hard links, so that N nodes cost the disk and the page cache of one.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Iterator, NoReturn, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STATE = ROOT / ".cache" / "lab"  # the SSH key and the known hosts of this checkout
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgxspark-suite"
)  # wheels, logs
WHEELS = CACHE / "wheels"

NAME = "dgxspark-lab"
LABEL = "dgxspark.suite/lab"
MANAGEMENT = f"{NAME}-mgmt"
FABRIC = f"{NAME}-fabric"
FORGE = f"{NAME}-forge"  # the engine in which the serving images are built
SERVING_IMAGE = "dgxspark-lab/vllm:cpu"
TRITON_IMAGE = "dgxspark-lab/triton:3.5.1"

# What systemd and a nested engine need; --privileged asks for more than some hosts can grant.
CAPABILITIES = (
    "SYS_ADMIN NET_ADMIN SYS_PTRACE NET_RAW MKNOD SYS_CHROOT AUDIT_WRITE AUDIT_CONTROL SYS_NICE SYS_BOOT "
    "DAC_READ_SEARCH IPC_LOCK SYSLOG"
).split()
MACHINE_OPTIONS = [
    *(f"--cap-add={capability}" for capability in CAPABILITIES),
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--tmpfs=/run",
    "--tmpfs=/tmp:exec",
    "--cgroupns=host",
    "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
]

_started = time.monotonic()


def say(text: str) -> None:
    print(f"lab {time.monotonic() - _started:5.0f} s  {text}", flush=True)


def fail(text: str) -> NoReturn:
    sys.exit(f"lab: {text}")


def run(
    *argv: str | Path, stdin: bytes | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """A command that is quick; its output is returned, and shown when it fails."""
    done = subprocess.run([str(word) for word in argv], input=stdin, capture_output=True)
    out = subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )
    if check and out.returncode:
        fail(
            f"{' '.join(map(str, argv[:6]))} … exited with {out.returncode}:\n{(out.stderr or out.stdout).strip()}"
        )
    return out


def docker(*argv: str | Path, check: bool = True) -> str:
    return run("docker", *argv, check=check).stdout.strip()


def work(title: str, *argv: str | Path, ok: Sequence[int] = (0,)) -> int:
    """A command that takes its time: says so, then at least every 10 s what it printed last."""
    say(title)
    log = CACHE / "logs" / (hashlib.sha256(title.encode()).hexdigest()[:8] + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(word) for word in argv], stdout=sink, stderr=subprocess.STDOUT
        )
        while True:
            try:
                code = process.wait(timeout=10)
                break
            except subprocess.TimeoutExpired:
                say(f"  … {last_line(log)}")
    if code not in ok:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        fail(f"{title}: failed (exit {code}). Its last lines, the rest is in {log}:\n{tail}")
    return code


def last_line(log: Path) -> str:
    lines = log.read_bytes()[-2000:].decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip()[:100] for line in reversed(lines) if line.strip()), "still at it")


def digest(*parts: Path | str) -> str:
    """12 hex digits over the contents of files and folders, and over plain strings."""
    total = hashlib.sha256()
    for part in parts:
        files = (
            [part]
            if isinstance(part, str)
            else sorted(part.rglob("*") if part.is_dir() else [part])
        )
        for item in files:
            if isinstance(item, str):
                total.update(item.encode())
            elif item.is_file() and "__pycache__" not in item.parts:
                total.update(item.name.encode() + item.read_bytes())
    return total.hexdigest()[:12]


# --- the engine -----------------------------------------------------------------------------------------------------


def engine_answers() -> bool:
    return shutil.which("docker") is not None and run("docker", "info", check=False).returncode == 0


def ensure_engine() -> None:
    """Use the Docker engine that answers; as root on a Debian-like system, install and start one."""
    if engine_answers():
        return
    if os.geteuid() != 0:
        fail(
            "no Docker engine answers: start one and join the docker group, or run this as root to have one installed"
        )
    if shutil.which("dockerd") is None:
        if shutil.which("apt-get") is None:
            fail(
                "no Docker engine answers, and only Debian-like systems get one installed: install Docker and start it"
            )
        install("docker.io", "iptables")
    if Path("/run/systemd/system").is_dir():
        work("Docker engine: starting it", "systemctl", "start", "docker")
    else:
        say("Docker engine: starting dockerd (make demo-down stops it)")
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "dockerd.log").open("ab") as log:
            process = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (CACHE / "dockerd.pid").write_text(str(process.pid))
    for _ in range(60):
        if engine_answers():
            return
        time.sleep(0.5)
    fail(
        f"the Docker engine does not answer within 30 s: see {CACHE / 'dockerd.log'} or journalctl -u docker"
    )


def stop_engine() -> None:
    """Stop the dockerd that ensure_engine started, and no other."""
    record = CACHE / "dockerd.pid"
    if not record.exists():
        return
    pid = int(record.read_text())
    record.unlink()
    with contextlib.suppress(OSError):
        if b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            say("Docker engine: stopping the one that the lab started")
            os.kill(pid, 15)
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.1)


def install(*packages: str) -> None:
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    work("Debian packages: refreshing the list", *environment, "apt-get", "update")
    work(
        f"Debian packages: installing {' '.join(packages)}",
        *[*environment, "apt-get", "install", "-y", "--no-install-recommends", *packages],
    )


# --- images ---------------------------------------------------------------------------------------------------------


def codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"')


def ensure_base(base: str) -> str:
    """The bare root file system everything starts from: an image reference to pull, or debootstrap's own."""
    if base != "debootstrap":
        if run("docker", "image", "inspect", base, check=False).returncode:
            work(f"base image: pulling {base}", "docker", "pull", base)
        return base
    suite = codename()
    image = f"dgxspark-lab/base:{suite}"
    if run("docker", "image", "inspect", image, check=False).returncode == 0:
        return image
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        fail(
            "the base system is made by debootstrap, which needs root on a Debian-like system: "
            "give an image instead, e.g. LAB_BASE=ubuntu:24.04"
        )
    if shutil.which("debootstrap") is None:
        install("debootstrap")
    with tempfile.TemporaryDirectory(prefix="dgxspark-lab-") as scratch:
        components = (
            "main,universe" if "ubuntu" in Path("/etc/os-release").read_text().lower() else "main"
        )
        work(
            f"base image: debootstrap {suite}",
            *[
                "debootstrap",
                "--variant=minbase",
                f"--components={components}",
                suite,
                f"{scratch}/root",
            ],
        )
        work(
            "base image: importing it",
            "sh",
            "-c",
            f"tar -C {scratch}/root -c . | docker import - {image}",
        )
    return image


def ensure_wheels(base: str) -> None:
    """Fill the wheel cache, by the controller's own pip and its settings; done once per set of requirements."""
    wanted = [HERE / "node" / "requirements.txt", HERE / "serving" / "requirements.txt"]
    release = docker("run", "--rm", base, "sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME")
    python = {"bookworm": "3.11", "noble": "3.12", "trixie": "3.13"}.get(release)
    if python is None:
        fail(
            f"base {base} is {release or 'of unknown release'}: expected Debian 12, 13 or Ubuntu 24.04"
        )
    marker = WHEELS / f"complete-{digest(*wanted, python, platform.machine())}"
    if marker.exists():
        return
    WHEELS.mkdir(parents=True, exist_ok=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--dest",
        WHEELS,
        "--only-binary=:all:",
        "--python-version",
        python,
    ]
    # One file may not name two versions of a package, so pip is asked once per line of the small list.
    for line in wanted[0].read_text().splitlines():
        if line and not line.startswith("#"):
            work(f"wheels: {line}", *pip, "--no-deps", line)
    code = work(
        "wheels: vLLM (CPU build), Ray and what they need",
        *pip,
        "--no-deps",
        "-r",
        wanted[1],
        ok=(0, 1),
    )
    if code:
        fail(
            "pip could not download the serving wheels. The usual reason is that it knows no CPU build of torch: "
            "point it at one (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL; PyTorch publishes an index of CPU wheels) and run "
            f"again. pip said: {last_line_of('wheels: vLLM (CPU build), Ray and what they need')}"
        )
    marker.touch()


def last_line_of(title: str) -> str:
    return last_line(CACHE / "logs" / (hashlib.sha256(title.encode()).hexdigest()[:8] + ".log"))


def ensure_node_image(base: str) -> str:
    image = f"dgxspark-lab/node:{digest(HERE / 'node', docker('image', 'inspect', '-f', '{{.Id}}', base))}"
    if run("docker", "image", "inspect", image, check=False).returncode == 0:
        return image
    for old in docker("images", "-q", "dgxspark-lab/node").split():
        docker("rmi", "--force", old, check=False)
    builder = f"{NAME}-node-builder"
    docker("rm", "--force", builder, check=False)
    work(
        "node image: systemd, sshd, a Docker engine, CUDA's ptxas, two Tritons",
        *["docker", "run", f"--name={builder}", f"--label={LABEL}=builder"],
        *[
            f"--volume={WHEELS}:/wheels:ro",
            f"--volume={HERE / 'node'}:/lab:ro",
            base,
            "sh",
            "/lab/provision.sh",
        ],
    )
    work(
        "node image: committing it",
        "docker",
        "commit",
        "--change",
        'CMD ["/sbin/init"]',
        builder,
        image,
    )
    docker("rm", "--force", builder)
    return image


def volume() -> Path:
    """The folder, as the engine's host sees it, that holds the engines' data of forge and nodes."""
    docker("volume", "create", "--label", f"{LABEL}=data", NAME)
    return Path(docker("volume", "inspect", "-f", "{{.Mountpoint}}", NAME))


def in_volume(image: str, script: str) -> None:
    docker("run", "--rm", f"--volume={NAME}:/lab", "--entrypoint=sh", image, "-ec", script)


def ensure_serving_images(base: str, node_image: str) -> str:
    """Build the serving images in the forge; returns the name of the folder with that engine's data."""
    key = digest(HERE / "serving", HERE / "triton", base)
    golden = f"golden-{key}"
    complete = f"test -e /lab/{golden}/complete"
    if (
        run(
            "docker",
            "run",
            "--rm",
            f"--volume={NAME}:/lab",
            "--entrypoint=sh",
            node_image,
            "-c",
            complete,
            check=False,
        ).returncode
        == 0
    ):
        return golden
    docker("rm", "--force", FORGE, check=False)
    in_volume(node_image, f"rm -rf /lab/golden-*; mkdir -p /lab/{golden}/docker")
    docker(
        *["run", "--detach", f"--name={FORGE}", f"--label={LABEL}=forge", *MACHINE_OPTIONS],
        *[f"--volume={volume()}/{golden}/docker:/var/lib/docker", f"--volume={WHEELS}:/wheels:ro"],
        *[f"--volume={HERE}:/lab:ro", node_image, "dockerd"],
    )
    inner = ["docker", "exec", FORGE, "docker"]
    for _ in range(60):
        if run(*inner, "info", check=False).returncode == 0:
            break
        time.sleep(0.5)
    else:
        fail(f"the engine inside a node does not start:\n{docker('logs', '--tail=20', FORGE)}")
    work(
        "serving image: base",
        "sh",
        "-c",
        f"docker save {base} | docker exec -i {FORGE} docker load",
    )
    build = ["--volume=/wheels:/wheels:ro", "--network=host"]
    path = "ENV PATH=/opt/vllm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for image, folder, environment in (
        (SERVING_IMAGE, "serving", []),
        (TRITON_IMAGE, "triton", [f"--env=TRITON={TRITON_IMAGE.rpartition(':')[2]}"]),
    ):
        work(
            f"serving image: {image}",
            *[
                *inner,
                "run",
                "--name=build",
                *build,
                f"--volume=/lab/{folder}:/lab:ro",
                *environment,
            ],
            *[base, "sh", "/lab/install.sh"],
        )
        work(
            f"serving image: committing {image}", *inner, "commit", "--change", path, "build", image
        )
        run(*inner, "rm", "--force", "build")
    run(*inner, "rmi", base, check=False)
    docker("stop", "--time=30", FORGE)
    docker("rm", "--force", FORGE)
    # The engine's own identity and its networks are made anew by each node.
    in_volume(
        node_image,
        f"cd /lab/{golden}/docker; rm -rf network engine-id runtimes; sync; touch ../complete",
    )
    return golden


# --- nodes ----------------------------------------------------------------------------------------------------------


def node_names(*filters: str) -> list[str]:
    asked = [f"--filter=label={LABEL}=node", *filters]
    return sorted(docker("ps", "--all", *asked, "--format={{.Names}}").split())


def ensure_networks() -> None:
    have = docker("network", "ls", "--format={{.Name}}").split()
    for network, options in (
        (MANAGEMENT, []),
        (FABRIC, ["--internal", "--opt=com.docker.network.driver.mtu=9000"]),
    ):
        if network not in have:
            # Created twice: the engine picks a free subnet, but fixes addresses only in a subnet it was given.
            docker("network", "create", network)
            subnet = docker(
                "network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network
            )
            docker("network", "rm", network)
            docker(
                "network",
                "create",
                f"--label={LABEL}=network",
                f"--subnet={subnet}",
                *options,
                network,
            )


def fixed_address(network: str, number: int) -> str:
    """The address of node `number` in a network: .11 for the first, so that it survives restarts."""
    subnet = ipaddress.ip_network(
        docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", network)
    )
    return str(subnet[10 + number])


def create_node(number: int, image: str, golden: str) -> None:
    name = f"spark{number}"
    data = f"/lab/{name}"
    in_volume(
        image,
        f"rm -rf {data}; mkdir -p {data}; cd /lab/{golden}; "
        # Layers are never written in place, so that links will do; everything else is the engine's to change.
        f"mkdir {data}/docker; cp -al docker/overlay2 {data}/docker/; "
        f"for part in docker/*; do test $part = docker/overlay2 || cp -a $part {data}/docker/; done",
    )
    docker(
        *["create", f"--name={name}", f"--hostname={name}", f"--label={LABEL}=node"],
        *[f"--network={MANAGEMENT}", f"--ip={fixed_address(MANAGEMENT, number)}"],
        *[
            *MACHINE_OPTIONS,
            "--stop-signal=SIGRTMIN+3",
            f"--volume={volume()}/{name}/docker:/var/lib/docker",
            image,
        ],
    )
    docker("network", "connect", f"--ip={fixed_address(FABRIC, number)}", FABRIC, name)
    docker("start", name)


def admit(names: Sequence[str]) -> None:
    """Make this checkout's key the one that opens the nodes, and note the nodes' host keys."""
    STATE.mkdir(parents=True, exist_ok=True)
    key = STATE / "id_ed25519"
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAME, "-f", key)
    public = key.with_suffix(".pub").read_text().strip()
    known = []
    for name in names:
        script = (
            "until systemctl --quiet is-active ssh; do sleep 0.2; done; "
            "install -d -m 0700 -o spark -g spark ~spark/.ssh; "
            f"echo '{public}' >~spark/.ssh/authorized_keys; chown spark:spark ~spark/.ssh/authorized_keys; "
            "cat /etc/ssh/ssh_host_ed25519_key.pub"
        )
        host_key = docker("exec", name, "timeout", "60", "sh", "-c", script).split()
        known.append(f"{address(name, MANAGEMENT)} {host_key[0]} {host_key[1]}\n")
    (STATE / "known_hosts").write_text("".join(known))


def address(name: str, network: str) -> str:
    return docker(
        "inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', name
    )


def place_models(name: str) -> None:
    """Copy the tiny model from the serving image into the node's Hugging Face cache."""
    script = (
        "until docker info >/dev/null 2>&1; do sleep 0.5; done; "
        f"docker run --rm {SERVING_IMAGE} tar -C /model -c . | tar -C /ai/cache/huggingface -x --no-same-owner; "
        "chown -R spark:spark /ai/cache/huggingface"
    )
    run("docker", "exec", name, "timeout", "120", "sh", "-ec", script)


def up(nodes: int, base: str, fresh: bool) -> None:
    ensure_engine()
    base = ensure_base(base)
    ensure_wheels(base)
    node_image = ensure_node_image(base)
    volume()
    golden = ensure_serving_images(base, node_image)
    ensure_networks()
    names = [f"spark{number}" for number in range(1, nodes + 1)]
    for taken in docker("ps", "--all", "--format={{.Names}}").split():
        if taken in names and taken not in node_names():
            fail(f"a container named {taken} exists and is not the lab's: rename or remove it")
    for name in node_names():
        current = (
            docker("inspect", "-f", "{{.Config.Image}} {{.State.Running}}", name)
            == f"{node_image} true"
        )
        if fresh or not current or name not in names:
            say(f"{name}: removing the old one")
            docker("rm", "--force", "--volumes", name)
    for number, name in enumerate(names, start=1):
        if name not in node_names():
            say(f"{name}: creating it")
            create_node(number, node_image, golden)
    admit(names)
    for name in names:
        place_models(name)
        say(
            f"{name}: up, {address(name, MANAGEMENT)} (management), {address(name, FABRIC)} (fabric)"
        )


def down(everything: bool, engine: bool) -> None:
    if not engine_answers():
        if everything:
            forget()
        say("no Docker engine answers: nothing of the lab can be running")
        return
    for name in docker("ps", "--all", f"--filter=label={LABEL}", "--format={{.Names}}").split():
        say(f"{name}: removing it")
        docker("rm", "--force", "--volumes", name)
    for network in docker("network", "ls", f"--filter=label={LABEL}", "--format={{.Name}}").split():
        docker("network", "rm", network)
    images = docker("images", "--format={{.Repository}}:{{.Tag}}", "dgxspark-lab/*").split()
    if images:
        in_volume(images[0], "rm -rf /lab/spark*")
    if everything:
        say("images, engine data, wheels, keys: removing them")
        docker("volume", "rm", "--force", NAME)
        for image in images:
            docker("rmi", "--force", image)
        forget()
    if everything or engine:
        stop_engine()


def forget() -> None:
    shutil.rmtree(STATE, ignore_errors=True)
    for part in ("wheels", "logs"):
        shutil.rmtree(CACHE / part, ignore_errors=True)


def status() -> None:
    if not engine_answers():
        fail("no Docker engine answers: python3 tests/lab/lab.py up starts one")
    names = node_names()
    for name in names:
        state = docker("inspect", "-f", "{{.State.Status}}", name)
        print(f"{name}  {state}  {address(name, MANAGEMENT)}  {address(name, FABRIC)}")
    if not names:
        print("no nodes: python3 tests/lab/lab.py up")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One lab command at a time on this machine."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another lab command to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("up", help="build what is missing and start the nodes")
    verb.add_argument(
        "--nodes",
        type=int,
        default=int(os.environ.get("LAB_NODES", "2")),
        help="how many (default 2)",
    )
    verb.add_argument(
        "--base",
        default=os.environ.get("LAB_BASE", "debootstrap"),
        help="the nodes' root file system: 'debootstrap' (this machine's own release; needs root) or an image, "
        "e.g. ubuntu:24.04 where a registry can be reached",
    )
    verb.add_argument("--fresh", action="store_true", help="replace nodes that exist")
    verb = verbs.add_parser(
        "down", help="remove the nodes; images and wheels stay for the next time"
    )
    verb.add_argument(
        "--all", action="store_true", help="remove images, wheels and keys as well, stop our engine"
    )
    verb.add_argument(
        "--stop-engine", action="store_true", help="stop the Docker engine if the lab started it"
    )
    verbs.add_parser("status", help="list the nodes and their addresses")
    given = parser.parse_args()
    with alone():
        if given.verb == "up":
            if not 1 <= given.nodes <= 64:
                fail(f"--nodes {given.nodes}: expected 1 to 64")
            up(given.nodes, given.base, given.fresh)
        elif given.verb == "down":
            down(given.all, given.stop_engine)
        else:
            status()


if __name__ == "__main__":
    main()
