# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests use the lab: as users do, by ansible and ansible-playbook."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Tests read the number of changes from its recap.
os.environ.setdefault("ANSIBLE_STDOUT_CALLBACK", "default")

ROOT = Path(__file__).resolve().parents[2]
# The first two nodes of the lab, or others: LAB_TEST_NODES=spark8,spark9.
NODES = tuple(os.environ.get("LAB_TEST_NODES", "spark1,spark2").split(","))
PLACE = os.environ.get("LAB_TEST_INVENTORY", "inventories/lab")
INVENTORY = ["--inventory", PLACE]
# The configuration of the links between the nodes.
NETPLAN = "/etc/netplan/60-dgxspark-fabric.yaml"


def run(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def address(node: str, kind: str = "ansible_host") -> str:
    listed = run("ansible-inventory", *INVENTORY, "--host", node)
    return str(json.loads(listed.stdout)[kind])


def playbook(name: str, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a playbook, white space folded."""
    done = run("ansible-playbook", *INVENTORY, f"playbooks/{name}.yml", *arguments)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@dataclass(frozen=True)
class Verdict:
    """The result of one spec's tasks on one node. diff: what they changed or would change."""

    findings: list[dict[str, Any]]
    changed: bool
    diff: list[dict[str, str]]

    def having(self, status: str) -> set[str]:
        """The checks with that status."""
        return {found["check"] for found in self.findings if found["status"] == status}


def site(node: str, tags: str, *options: str) -> Verdict:
    """site.yml on one node, for the specs of these tags."""
    return verdicts_of("playbooks/site.yml", [node], tags, "--tags", tags, *options)[node]


def verdicts_of(path: str, nodes: Sequence[str], specs: str, *options: str) -> dict[str, Verdict]:
    """The verdict of a playbook on each of these nodes, for these specs."""
    done = run(
        *("ansible-playbook", *INVENTORY, path, "--diff", "--limit", ",".join(nodes), *options),
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    document, _report = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])
    tasks = [task["hosts"] for play in document["plays"] for task in play["tasks"]]
    verdicts = {node: _verdict([hosts.get(node, {}) for hosts in tasks], specs) for node in nodes}
    assert all(verdict.findings for verdict in verdicts.values()), done.stdout + done.stderr
    return verdicts


def _verdict(tasks: Sequence[dict[str, Any]], specs: str) -> Verdict:
    results = [result for task in tasks for result in _outcomes(task)]
    spoken = [result for result in results if result.get("spec") in specs.split(",")]
    return Verdict(
        [finding for result in spoken for finding in result["findings"]],
        any(result["changed"] for result in spoken),
        [result["diff"] for result in spoken if result["changed"]],
    )


def _outcomes(task: dict[str, Any]) -> list[dict[str, Any]]:
    """What a task has returned, for each item of its loop; an audit returns its diffs apart."""
    outcomes = task.get("results", [task])
    if isinstance(task.get("diff"), list):
        diffs = iter(task["diff"])
        return [{**one, "diff": next(diffs)} if one["changed"] else one for one in outcomes]
    return list(outcomes)


def mark(node: str) -> None:
    """Mark the time for touched()."""
    on_node(node, "touch /run/mark; sleep 0.01")


def touched(node: str) -> list[str]:
    """The files written on a node since mark(), except those that a login writes."""
    # /tmp is a memory file system; find sees only its mount point.
    seen = on_node(node, "find / -xdev -newercm /run/mark ! -path /tmp -print")
    books = ("/var/log", "/var/lib/containerd", "/home/spark/.ansible")
    return [path for path in seen.splitlines() if not path.startswith(books)]


def module(node: str, name: str, arguments: dict[str, Any], *options: str) -> dict[str, Any]:
    """The result of one module of this collection on one node, as root."""
    given = json.dumps(arguments)
    done = run(
        *("ansible", *INVENTORY, node, "--become", "-m", f"dgxspark.suite.{name}", "-a", given),
        *options,
        ANSIBLE_LOAD_CALLBACK_PLUGINS="true",
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    # Progress is printed before the document, the drift report after it.
    document, _end = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])
    return dict(document["plays"][0]["tasks"][0]["hosts"][node])


def on_node(node: str, script: str) -> str:
    """The output of a shell script that runs as root on a node, through the Docker engine."""
    done = run("docker", "exec", node, "sh", "-ec", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def links(node: str, peer: str) -> list[tuple[str, str]]:
    """Interface and the peer's address, for each link between two nodes."""
    return re.findall(rf"# (\S+) reaches {peer} \(([\d.]+)\)", on_node(node, f"cat {NETPLAN}"))


def all_reach() -> bool:
    """Whether 9000 bytes pass unfragmented over each of the two links of the first two nodes."""
    here, there = NODES[:2]
    ways = links(here, there)
    ping = "ping -q -c 1 -W 1 -M do -s 8972 -I"
    return len(ways) == 2 and all(
        run("docker", "exec", here, *f"{ping} {near} {far}".split()).returncode == 0
        for near, far in ways
    )


def playbook_begun(name: str, *arguments: str, own_group: bool = False) -> subprocess.Popen[str]:
    """A running playbook, to which the test does something; see ended().

    own_group: in a process group of its own, for a signal to all of it.
    """
    return subprocess.Popen(
        ["ansible-playbook", *INVENTORY, f"playbooks/{name}.yml", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=own_group,
    )


@contextmanager
def begun(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A playbook in the background, which ends with the test."""
    process = playbook_begun(name, *arguments, own_group=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ended(begun: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for it; returns as playbook() does."""
    said, _nothing = begun.communicate()
    return begun.returncode, " ".join(said.split())


def recipes_on(node: str) -> set[str]:
    """The recipes of the containers that run on a node."""
    label = '{{.Label "dgxspark.suite/recipe"}}'
    return set(on_node(node, f"docker ps --format '{label}'").split())


def complete(model: str, seconds: float = 60) -> str:
    """The text of a completion of four tokens by the first node; raises OSError."""
    body = {"model": model, "prompt": "two sparks", "max_tokens": 4, "ignore_eos": True}
    request = urllib.request.Request(
        f"http://{address(NODES[0])}:8000/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as answer:
        reply = json.load(answer)
    assert reply["usage"]["completion_tokens"] == 4
    return str(reply["choices"][0]["text"])


def answers(model: str, seconds: float = 60) -> bool:
    try:
        complete(model, seconds)
    except (OSError, ValueError, LookupError):
        return False
    return True


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.5)


@contextmanager
def frozen(node: str) -> Iterator[None]:
    """Stop a node's processes: it keeps its connections and answers nothing."""
    assert run("docker", "pause", node).returncode == 0
    try:
        yield
    finally:
        run("docker", "unpause", node)


LLAMA_IMAGE = "dgxspark-lab/llama:cpu"
LLAMA_MODEL = "/ai/cache/huggingface/hub/models--dgxspark--tiny-llama-GGUF"


def remove_llama(*nodes: str) -> None:
    for node in nodes:
        run("docker", "exec", node, "docker", "rmi", "--force", LLAMA_IMAGE)
        on_node(node, f"rm -rf {LLAMA_MODEL}")


def declared(services: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """The options that declare services."""
    return "-e", json.dumps({"dgxspark_services": services})


def serve(services: Sequence[Mapping[str, object]]) -> str:
    """Serve what is declared; returns what services.yml printed."""
    status, said = playbook("services", *declared(services))
    assert status == 0, said
    return said


def minilm() -> None:
    """A model for embeddings on the first node; a launch copies it."""
    subprocess.run([sys.executable, ROOT / "tests/lab/lab.py", "minilm"], check=True)


@contextmanager
def llama() -> Iterator[None]:
    """llama.cpp and its model on the first node; both are gone afterwards."""
    subprocess.run([sys.executable, ROOT / "tests/lab/lab.py", "llama"], check=True)
    remove_llama(*NODES[1:])
    yield
    status, said = playbook("stop")
    assert status == 0, said
    remove_llama(*NODES)
