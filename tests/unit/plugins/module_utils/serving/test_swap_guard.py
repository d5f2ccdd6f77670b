# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guards of swaps over two nodes, as real processes that call each other on this machine.

Docker and systemd are fake: a file has the containers of a node, and a unit that is started starts
its container and marks it as proven.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import swap_files, swap_rules

SERVICE, SWAP = "main", "5f0c"
SECRET = "5ec2e7" * 10

DOCKER = r"""#!@python@ -SE
import fcntl, json, os, sys, time
here = os.path.dirname(os.path.abspath(__file__))
path = os.path.join(here, "containers.json")
command, *words = sys.argv[1:]
if os.path.exists(os.path.join(here, "docker-is-down")):
    sys.exit("Cannot connect to the Docker daemon")
if command == "wait":
    while True:
        state = {c["id"]: c for c in json.load(open(path))}.get(words[-1], {}).get("state")
        if state != "running":
            sys.exit(0)
        time.sleep(0.05)
with open(os.path.join(here, "lock"), "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    containers = json.load(open(path))
    named = {c["id"]: c for c in containers}
    one = named.get(words[-1])
    with open(os.path.join(here, "asked"), "a") as log:
        log.write(" ".join([command, *words][:6]) + "\n")
    if command == "ps":
        if "label=dgxspark.suite/owner=dgxspark.suite" in words:
            for c in containers:
                print("\t".join((c["id"], c["state"], c["name"], c["swap"])))
    elif command == "rename":
        named[words[0]]["name"] = words[1]
    elif command == "start":
        if os.path.exists(os.path.join(here, "no-start")):
            sys.exit("no space left on device")
        one["state"] = "running"
    elif command == "stop":
        one["state"] = "exited" if one["state"] != "created" else "created"
    elif command == "rm":
        containers.remove(one)
    elif command == "logs":
        print("2026-11-27T00:00:00Z the last words")
    draft = path + ".new"
    json.dump(containers, open(draft, "w"))
    os.replace(draft, path)
"""

SYSTEMCTL = r"""#!@python@ -SE
import json, os, subprocess, sys
here = os.path.dirname(os.path.abspath(__file__))
command, *words = sys.argv[1:]
units = os.path.join(here, "units")
state = os.path.join(here, "active")
name = words[-1] if words else ""
with open(os.path.join(here, "systemd"), "a") as log:
    log.write(" ".join([command, *words]) + "\n")
active = os.path.join(state, name)
def containers():
    return json.load(open(os.path.join(here, "containers.json")))
def docker(*argv):
    subprocess.run([os.path.join(here, "docker"), *argv], check=True)
own = [c["id"] for c in containers() if c["name"] + ".service" == name]
if command == "show":
    print("LoadState=loaded\nMainPID=1")
    if name == "docker.service":
        print("ActiveState=active")
    else:
        print("ActiveState=%s" % ("active" if os.path.exists(active) else "inactive"))
        print("StatusText=%s" % ("runs, with 2 ranks in all" if os.path.exists(active) else ""))
elif command == "start":
    if not os.path.exists(os.path.join(units, name)):
        sys.exit("Unit %s not found." % name)
    open(active, "w").close()
    # A supervisor starts its rank once it has met all others.
    for one in () if os.path.exists(os.path.join(here, "lacks")) else own:
        docker("start", one)
        open(os.path.join(here, "permits", "complete", one), "w").close()
elif command == "disable":
    link = os.path.join(units, "multi-user.target.wants", name)
    if os.path.islink(link):
        os.unlink(link)
elif command == "stop":
    if not os.path.exists(active):
        sys.exit("Failed to stop %s: Unit %s not loaded." % (name, name))
    os.unlink(active)
    for one in own:
        docker("stop", one)
"""

# Stands in for prover.py: what the server answers is in a file beside the probe's node.
PROVER = """\
import json, os, sys, time
answer, guard = sys.argv[1], os.getppid()
while not os.path.exists(answer):
    # A guard that was killed ends its prover in systemd only.
    if os.getppid() != guard:
        sys.exit()
    time.sleep(0.02)
with open(answer) as stream:
    print(json.dumps({"phase": stream.read().strip(), "detail": "its answer", "kind": "chat",
                      "loaded": 0.0}))
"""

PLAY = """\
import json, os, sys
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory, start_permit, supervisor, swap_decider, swap_files, swap_guard, swap_node, swap_part,
    swap_participant, wire)
here, changes = sys.argv[1], json.loads(sys.argv[2])
swap_files.FOLDER = os.path.join(here, "state")
swap_files.PROGRESS = os.path.join(here, "progress")
swap_files.publish.__defaults__ = (swap_files.PROGRESS,)
swap_node.UNITS = os.path.join(here, "units")
swap_node.SYSTEMCTL = os.path.join(here, "systemctl")
supervisor.STATE = swap_files.FOLDER
supervisor.PROVER = [sys.executable, "-c", changes.pop("PROVER"), os.path.join(here, "answer")]
start_permit.FOLDER = os.path.join(here, "permits")
memory._INTERVAL = 0.01
memory.DRIVER, memory.DROP = os.path.join(here, "nvidia"), os.path.join(here, "drop")
for name, value in changes.items():
    for module in (swap_decider, swap_part, swap_participant, wire):
        if hasattr(module, name):
            setattr(module, name, value)
sys.exit(swap_guard.main(["main"]))
"""

LIMITS = {"go": 30, "join": 60, "ready": 30, "return": 20, "stop": 1, "memory": 5, "doubt": 1}


def container(name: str, state: str, swap: str = "") -> dict[str, str]:
    return {"id": f"id-{name}-{swap or 'old'}", "name": name, "state": state, "swap": swap}


class Node:
    """A node with its containers, its units, and the guard of its swap."""

    def __init__(self, folder: Path, name: str, rank: int) -> None:
        folder.mkdir()
        self.folder, self.name, self.rank = folder, name, rank
        self.own = f"dgxspark-main-{rank}"
        for sub in ("units/multi-user.target.wants", "active", "permits/complete", "state"):
            (folder / sub).mkdir(parents=True)
        for program, text in (("docker", DOCKER), ("systemctl", SYSTEMCTL)):
            path = folder / program
            path.write_text(text.replace("@python@", sys.executable))
            path.chmod(0o755)
        self.process: subprocess.Popen[str] | None = None
        self.containers = []
        self.dead = False

    @property
    def containers(self) -> list[dict[str, str]]:
        return list(json.loads((self.folder / "containers.json").read_text()))

    @containers.setter
    def containers(self, value: list[dict[str, str]]) -> None:
        draft = self.folder / "draft"
        draft.write_text(json.dumps(value))
        draft.replace(self.folder / "containers.json")

    def shows(self) -> dict[str, str]:
        """Name -> state of its containers."""
        return {one["name"]: one["state"] for one in self.containers}

    def units(self) -> dict[str, str]:
        """Its unit files, and whose they are."""
        return {
            path.name: path.read_text()
            for path in (self.folder / "units").iterdir()
            if path.is_file()
        }

    @property
    def link(self) -> Path:
        """By which a boot starts the unit."""
        return self.folder / "units" / "multi-user.target.wants" / f"{self.own}.service"

    def serves_old(self) -> None:
        self.containers = [container(self.own, "running")]
        (self.folder / "units" / f"{self.own}.service").write_text("old")
        (self.folder / "active" / f"{self.own}.service").touch()
        (self.folder / "permits" / "complete" / self.containers[0]["id"]).touch()

    def arm(self, nodes: list[Node], port: int, old: t.Sequence[Node], **limits: float) -> None:
        """As the module swap does it."""
        ranks = {"recipe": "r", "plan_hash": "p"}
        swap = {
            "schema": 1,
            "id": SWAP,
            "service": SERVICE,
            "decider": nodes[0].name,
            "me": self.name,
            "port": port,
            "secret": SECRET,
            "owner": "alice",
            "members": {one.name: f"127.0.0.{one.rank + 1}" for one in nodes},
            "claim": "gib:900",
            "old": {
                **ranks,
                "ranks": [
                    {
                        "node": one.name,
                        "rank": one.rank,
                        "id": f"id-{one.own}-old",
                        "name": one.own,
                        "supervised": True,
                    }
                    for one in old
                ],
            }
            if old
            else {},
            "new": {
                **ranks,
                "ranks": [
                    {"node": n.name, "rank": n.rank, "id": "", "name": n.own, "supervised": True}
                    for n in nodes
                ],
            },
            "remove": [{"name": self.own, "id": "id-dead", "unit": True}] if self.dead else [],
            "limits": {**LIMITS, **limits},
            "entry": {"recipe": "new", "owner": "alice", "service": SERVICE, "started": 0.0},
            "workload": {
                "recipe_path": "",
                "overrides": {},
                "served_model_name": "m",
                "plan_hash": "p",
                "nodes": [one.name for one in nodes],
            },
            "lock": {"token": "", "run": ""},
            "docker": str(self.folder / "docker"),
        }
        swap_files.arm(swap, "the probe", str(self.folder / "state"))
        unit = self.folder / "units" / f"{self.own}.service.next"
        unit.write_text("new")
        if not self.link.is_symlink():
            self.link.symlink_to(f"../{self.own}.service")
        self.begin()
        self.containers = [*self.containers, container(f"{self.own}.next", "created", SWAP)]

    def begin(self) -> None:
        changes = {"PROVER": PROVER, "PAUSE": 0.05, "TURN": 0.05, "BEAT": 0.5, "FAREWELL": 60.0}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PLAY, str(self.folder), json.dumps(changes)],
            stdout=(self.folder / "said").open("a"),
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    @property
    def part(self) -> swap_files.Part | None:
        return swap_files.read(SERVICE, str(self.folder / "state"))

    @property
    def state(self) -> str:
        part = self.part
        return part.state if part else ""

    @property
    def progress(self) -> dict[str, t.Any]:
        return swap_files.published(str(self.folder / "progress")).get(SERVICE, {})

    def wish(self, word: str) -> None:
        part = self.part
        assert part
        swap_files.wish(part, word, str(self.folder / "state"))

    def answers(self, word: str) -> None:
        draft = self.folder / "answer.new"
        draft.write_text(word)
        draft.replace(self.folder / "answer")

    def ended(self) -> dict[str, t.Any]:
        """The progress once its guard has left."""
        assert self.process
        assert self.process.wait(60) == 0, (self.folder / "said").read_text()
        assert self.state == ""
        return self.progress


def eventually(condition: t.Callable[[], t.Any], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached"
        time.sleep(0.05)


@pytest.fixture
def nodes(tmp_path: Path) -> t.Iterator[list[Node]]:
    both = [Node(tmp_path / f"spark{rank + 1}", f"spark{rank + 1}", rank) for rank in range(2)]
    yield both
    for one in both:
        one.kill()
        print(one.name, (one.folder / "said").read_text() if (one.folder / "said").exists() else "")
        one.containers = [{**c, "state": "exited"} for c in one.containers]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def armed(nodes: list[Node], port: int, *, old: bool = True, **limits: float) -> None:
    """Both nodes serve the old plan, and are armed for the new one; the decider last."""
    for one in nodes:
        if old:
            one.serves_old()
    for one in reversed(nodes):
        one.arm(nodes, port, nodes if old else [], **limits)


def serves(nodes: list[Node], plan: str) -> None:
    """One plan, its units in their places, and nothing of the other."""
    for one in nodes:
        swap = SWAP if plan == "new" else ""
        assert [(c["name"], c["state"], c["swap"]) for c in one.containers] == [
            (one.own, "running", swap)
        ]
        assert one.units() == {f"{one.own}.service": plan}
        assert (one.folder / "active" / f"{one.own}.service").exists()
        assert one.link.is_symlink()


def test_a_proven_plan_replaces_the_old_one(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    nodes[0].answers("serving")
    nodes[0].wish(swap_rules.WISH_GO)
    seen = [one.ended() for one in nodes]
    assert seen[0]["result"] == "complete"
    assert (seen[0]["kind"], seen[0]["unmet"], seen[0]["missing"]) == ("chat", "", [])
    assert "model loaded" in [phase["phase"] for phase in seen[0]["phases"]]
    serves(nodes, "new")
    for one in nodes:
        history = one.folder / "state" / "services" / SERVICE / "history.jsonl"
        (line,) = history.read_text().splitlines()
        assert json.loads(line)["result"] == "complete"


def test_without_go_nothing_is_touched(nodes: list[Node], port: int) -> None:
    armed(nodes, port, go=1)
    seen = [one.ended() for one in nodes]
    assert seen[0]["result"] == "interrupted"
    assert "nobody said go" in seen[0]["why"]
    serves(nodes, "old")
    for one in nodes:
        assert "stop " not in (one.folder / "asked").read_text()
        verbs = [line.split()[0] for line in (one.folder / "systemd").read_text().splitlines()]
        assert "start" not in verbs


def test_a_participant_that_nobody_asks_ends_its_part(nodes: list[Node], port: int) -> None:
    nodes[1].serves_old()
    nodes[1].arm(nodes, port, [nodes[1]], join=0.5)
    eventually(lambda: nodes[1].state == "ended")
    serves(nodes[1:], "old")


@pytest.mark.parametrize("how", ["answers wrongly", "exits", "does not start", "is aborted"])
@pytest.mark.parametrize("old", [True, False])
def test_a_new_plan_that_does_not_serve_is_undone(
    nodes: list[Node], port: int, how: str, old: bool
) -> None:
    armed(nodes, port, old=old)
    if how == "answers wrongly":
        nodes[0].answers("rejected")
    if how == "does not start":
        (nodes[1].folder / "no-start").touch()
    nodes[0].wish(swap_rules.WISH_GO)
    if how in ("exits", "is aborted"):
        eventually(lambda: nodes[0].progress.get("step") == "waits until the new plan answers")
    if how == "exits":
        nodes[1].containers = [
            {**one, "state": "exited"} if one["swap"] else one for one in nodes[1].containers
        ]
    elif how == "is aborted":
        nodes[0].wish(swap_rules.WISH_ABORT)
    if how == "does not start":
        eventually(lambda: nodes[0].state == "old")
        (nodes[1].folder / "no-start").unlink()
    seen = [one.ended() for one in nodes]
    assert seen[0]["result"] == ("rolled_back" if old else "failed")
    assert seen[0]["why"]
    if old:
        serves(nodes, "old")
    for one in nodes:
        assert not [c for c in one.containers if c["swap"]]
        assert not [name for name in one.units() if name.endswith((".next", ".previous"))]
        place = one.folder / "state" / "services" / SERVICE / "ended" / SWAP
        assert "the last words" in (place / f"log-{one.rank}").read_text()


def test_what_had_given_up_is_removed_and_the_new_unit_is_started_by_a_boot(
    nodes: list[Node], port: int
) -> None:
    for one in nodes:
        one.serves_old()
        one.containers = [{**container(one.own, "exited"), "id": "id-dead"}]
        one.dead = True
    armed(nodes, port, old=False)
    nodes[0].answers("serving")
    nodes[0].wish(swap_rules.WISH_GO)
    assert nodes[0].ended()["result"] == "complete"
    nodes[1].ended()
    serves(nodes, "new")


@pytest.mark.parametrize("node", [0, 1])
def test_a_plan_with_too_little_memory_does_not_start(
    nodes: list[Node], port: int, node: int
) -> None:
    armed(nodes, port)
    (nodes[node].folder / "nvidia").mkdir()
    nodes[0].wish(swap_rules.WISH_GO)
    seen = [one.ended() for one in nodes]
    assert seen[0]["result"] == "rolled_back"
    assert f"spark{node + 1}: 900.0 GiB of memory are claimed" in seen[0]["why"]
    assert (nodes[node].folder / "drop").read_text() == "3\n"
    serves(nodes, "old")


@pytest.mark.parametrize("killed", [0, 1])
@pytest.mark.parametrize("step", ["armed", "starts", "proves", "decided"])
def test_a_killed_guard_begins_where_it_was(
    nodes: list[Node], port: int, killed: int, step: str
) -> None:
    armed(nodes, port)
    one = nodes[killed]
    if step == "armed":
        one.kill()
        one.begin()
    nodes[0].wish(swap_rules.WISH_GO)
    if step == "starts":
        eventually(lambda: any(c["swap"] and c["state"] == "running" for c in one.containers))
        one.kill()
        one.begin()
    if step == "proves":
        eventually(lambda: nodes[0].progress.get("step") == "waits until the new plan answers")
        one.kill()
        time.sleep(0.5)
        one.begin()
    nodes[0].answers("serving")
    if step == "decided":
        eventually(lambda: one.state in ("new", "ended", ""), 20)
        one.kill()
        one.begin()
    for node in nodes:
        node.ended()
    serves(nodes, "new")


def test_a_third_attempt_is_not_made(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    nodes[0].wish(swap_rules.WISH_GO)
    for attempt in (1, 2):
        eventually(
            lambda attempt=attempt: (
                nodes[0].progress.get("attempt") == attempt
                and nodes[0].progress.get("step") == "waits until the new plan answers"
            )
        )
        nodes[1].kill()
        nodes[1].begin()
    seen = [one.ended() for one in nodes]
    assert (seen[0]["result"], seen[0]["attempt"]) == ("rolled_back", 2)
    serves(nodes, "old")


def test_who_is_in_doubt_stops_and_waits(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    nodes[0].wish(swap_rules.WISH_GO)
    eventually(lambda: nodes[0].progress.get("step") == "waits until the new plan answers")
    nodes[0].kill()
    eventually(lambda: nodes[1].shows()[nodes[1].own] == "exited")
    time.sleep(1)
    assert nodes[1].state == "joined"
    nodes[0].answers("serving")
    nodes[0].begin()
    for one in nodes:
        one.ended()
    serves(nodes, "new")


@pytest.mark.parametrize(
    ("wish", "plan"), [(swap_rules.WISH_ALONE, "old"), (swap_rules.WISH_ALONE_NEW, "new")]
)
def test_without_its_decider_a_node_ends_by_the_word_of_a_person(
    nodes: list[Node], port: int, wish: str, plan: str
) -> None:
    armed(nodes, port)
    nodes[0].wish(swap_rules.WISH_GO)
    eventually(lambda: nodes[0].progress.get("step") == "waits until the new plan answers")
    nodes[0].kill()
    time.sleep(1)
    nodes[1].wish(wish)
    nodes[1].ended()
    serves(nodes[1:], plan)


def test_an_old_plan_that_lacks_a_node_is_not_waited_for(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    nodes[0].answers("nothing")
    nodes[0].wish(swap_rules.WISH_GO)
    eventually(lambda: nodes[0].progress.get("step") == "waits until the new plan answers")
    nodes[1].kill()
    (nodes[0].folder / "lacks").touch()
    part = nodes[0].part
    if part:
        swap_files.leave_out(part, ["spark2"], str(nodes[0].folder / "state"))
    nodes[0].wish(swap_rules.WISH_ABORT)
    seen = nodes[0].ended()
    assert (seen["result"], seen["lost"]) == ("failed", ["spark2: is not waited for"])


def test_a_decider_waits_no_longer_for_a_node_that_is_given_up(
    nodes: list[Node], port: int
) -> None:
    armed(nodes, port)
    nodes[0].answers("serving")
    nodes[0].wish(swap_rules.WISH_GO)
    eventually(lambda: nodes[0].state == "new")
    nodes[1].kill()
    part = nodes[0].part
    if part:
        swap_files.leave_out(part, ["spark2", "unknown"], str(nodes[0].folder / "state"))
    assert nodes[0].ended()["result"] == "complete"
    serves(nodes[:1], "new")


@pytest.mark.parametrize("serves_new", [True, False])
def test_a_container_that_somebody_removes_leaves_nothing(
    nodes: list[Node], port: int, serves_new: bool
) -> None:
    armed(nodes, port)
    nodes[0].wish(swap_rules.WISH_GO)
    eventually(lambda: nodes[0].progress.get("step") == "waits until the new plan answers")
    removed = "" if serves_new else SWAP
    nodes[1].containers = [one for one in nodes[1].containers if one["swap"] != removed]
    nodes[0].answers("serving" if serves_new else "rejected")
    for one in nodes:
        one.ended()
    serves(nodes, "new" if serves_new else "old")


def test_who_has_not_heard_the_end_hears_it_later(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    nodes[0].answers("serving")
    nodes[0].wish(swap_rules.WISH_GO)
    # It has finished, and does not listen when the decider ends.
    eventually(lambda: nodes[1].state == "ended")
    nodes[1].kill()
    eventually(lambda: nodes[0].progress.get("result") == "complete")
    assert nodes[0].process
    assert nodes[0].process.poll() is None
    nodes[1].begin()
    for one in nodes:
        one.ended()
    serves(nodes, "new")


def test_while_docker_does_not_answer_the_guards_wait(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    down = nodes[1].folder / "docker-is-down"
    down.touch()
    nodes[0].wish(swap_rules.WISH_GO)
    time.sleep(1)
    down.unlink()
    nodes[0].answers("serving")
    for one in nodes:
        one.ended()
    serves(nodes, "new")


def test_a_stranger_is_not_obeyed(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    eventually(lambda: nodes[1].state == "joined")
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.recv(4096)
        hello = {"say": "hello", "version": 1, "swap": SWAP, "node": "spark2"}
        stranger.sendall(json.dumps({**hello, "nonce": "00", "proof": "00"}).encode() + b"\n")
        assert stranger.recv(4096) == b""
    nodes[0].answers("serving")
    nodes[0].wish(swap_rules.WISH_GO)
    for one in nodes:
        one.ended()
    serves(nodes, "new")


def test_an_open_swap_refuses_another_one(nodes: list[Node], port: int) -> None:
    armed(nodes, port)
    with pytest.raises(FileExistsError, match="has not ended"):
        nodes[0].arm(nodes, port, nodes)
    assert os.path.isdir(swap_files.place_of(SERVICE, str(nodes[0].folder / "state")))
