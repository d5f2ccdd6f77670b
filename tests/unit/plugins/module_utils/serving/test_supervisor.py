# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisors of workloads of two ranks, as real processes that connect on this machine.

Only the Docker client is fake: a file has the state of the node's one container.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import handshake
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    start_permit,
    supervisor,
    units,
    wire,
)

DOCKER = """\
#!/bin/sh
here=$(dirname "$0")
state=$here/state
echo "$1" >>"$here/asked"
put() {
    echo "$1" >"$here/new.$$"
    mv "$here/new.$$" "$state"
}
case $1 in
    inspect)
        [ -s "$state" ] || { echo 'Error: No such container: x' >&2; exit 1; }
        echo "1a2b $(cat "$state")"
        ;;
    start)
        [ ! -e "$here/broken" ] || { echo 'no such device' >&2; exit 1; }
        put running
        ;;
    stop) put exited ;;
    wait) while [ "$(cat "$state")" = running ]; do sleep 0.05; done ;;
esac
"""

# What prover.py asks besides.
INSPECTED = """\
#!/bin/sh
case "$*" in
    'inspect --type container dgxspark-tiny')
        echo '[{"Config": {"Env": []}, "State": {"Status": "running"}}]'
        exit
        ;;
esac
"""

SECRET = "5ec2e7" * 10

START = {"container": "dgxspark-tiny", "recipe": "tiny", "plan": "p", "starts": 2}

PLAY = """\
import json, sys
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import start_permit
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor, wire
unit, changes = sys.argv[1], json.loads(sys.argv[2])
start_permit.GATHER = changes.pop("GATHER")
for name, value in changes.items():
    setattr(wire if hasattr(wire, name) else supervisor, name, value)
sys.exit(supervisor.main([unit]))
"""

# Stands in for prover.py: what the server answers is in a file beside the unit.
PROVER = """\
import json, os, sys, time
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor
unit, seconds, how = sys.argv[1:]
answer = os.path.join(os.path.dirname(unit), "answer")
while how == "until" and not os.path.exists(answer):
    time.sleep(0.02)
with open(answer) as stream:
    print(json.dumps({"phase": stream.read().strip(), "detail": "its answer"}))
"""


class Rank:
    """A node with one container, and its supervisor."""

    def __init__(self, folder: Path, rank: int, members: t.Sequence[str], port: int) -> None:
        folder.mkdir()
        self.folder = folder
        docker = folder / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        self.unit = folder / f"dgxspark-tiny-{rank}.service"
        self.tell(rank=rank, members=" ".join(members), port=port)
        (folder / "asked").touch()
        self.know(SECRET)
        self.permits = folder / "permits"
        self.changes: dict[str, t.Any] = {
            "STATE": str(folder),
            "BEAT": 0.2,
            "PAUSE": 0.05,
            "EAGER": 0.05,
            "AGAIN": 0.05,
            "ADOPT": 60.0,
            "SILENCE": 60.0,
            "HANDSHAKE": 5.0,
            "GATHER": 0.0,
            "PROVER": [sys.executable, "-c", PROVER],
        }
        self.process: subprocess.Popen[str] | None = None

    def tell(self, **more: t.Any) -> None:
        self.said = {**getattr(self, "said", START), **more, "docker": self.folder / "docker"}
        lines = [f"{key.capitalize()}={value}" for key, value in self.said.items()]
        self.unit.write_text("\n".join(["[Unit]", "Port=1", "[X-Workload]", *lines, "[Z]", ""]))

    def know(self, secret: str, mode: int = 0o600) -> None:
        draft = self.folder / "secret"
        draft.touch(0o600)
        draft.write_text(secret)
        draft.chmod(mode)
        # As a launch does it: a supervisor may read it at any time.
        draft.replace(f"{self.folder / self.unit.name}.secret")

    @property
    def state(self) -> str:
        return (self.folder / "state").read_text().strip()

    @state.setter
    def state(self, value: str) -> None:
        draft = self.folder / "draft"
        draft.write_text(value)
        draft.replace(self.folder / "state")

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().split()

    @property
    def recorded(self) -> dict[str, t.Any]:
        return supervisor.read_state(str(self.folder / self.unit.name) + ".json")

    def begin(self) -> Rank:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", PLAY, str(self.unit)),
                json.dumps({**self.changes, "PERMITS": str(self.permits)}),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def end(self) -> tuple[int, str]:
        assert self.process
        said, _nothing = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def comes_to(self, state: str) -> None:
        eventually(lambda: self.state == state)


def eventually(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached"
        time.sleep(0.02)


@pytest.fixture
def ranks(tmp_path: Path) -> t.Iterator[list[Rank]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    members = ["127.0.0.1", "127.0.0.2"]
    both = [Rank(tmp_path / f"node{rank}", rank, members, port) for rank in range(2)]
    yield both
    for one in both:
        if one.process:
            one.process.kill()
            one.process.wait()
            if one.process.stdout:
                one.process.stdout.close()
            # This ends the docker wait that the supervisor has left.
            one.state = "exited"


def both(ranks: list[Rank], state: str) -> None:
    for one in ranks:
        one.comes_to(state)


def formed(ranks: list[Rank]) -> None:
    """Both watch."""
    both(ranks, "running")
    eventually(lambda: all("wait" in one.asked for one in ranks))


@pytest.mark.parametrize("first", [0, 1])
def test_after_a_boot_the_ranks_wait_for_each_other_and_start(
    ranks: list[Rank], first: int
) -> None:
    for one in ranks:
        one.state = "exited"
    ranks[first].begin()
    time.sleep(0.3)
    assert ranks[first].state == "exited"
    ranks[1 - first].begin()
    formed(ranks)
    assert len(ranks[0].recorded["starts"]) == 1


def test_running_containers_of_a_launch_are_adopted(ranks: list[Rank]) -> None:
    for one in ranks:
        one.state = "running"
        one.begin()
    eventually(lambda: all("wait" in one.asked for one in ranks))
    assert not {"start", "stop"} & {*ranks[0].asked, *ranks[1].asked}
    assert "starts" not in ranks[0].recorded


def test_half_of_a_workload_is_restarted(ranks: list[Rank]) -> None:
    ranks[0].state, ranks[1].state = "exited", "running"
    for one in ranks:
        one.begin()
    formed(ranks)
    assert ranks[1].asked.index("stop") < ranks[1].asked.index("start")


@pytest.mark.parametrize("dying", [0, 1])
def test_a_rank_that_ends_stops_the_other_and_both_restart_once(
    ranks: list[Rank], dying: int
) -> None:
    for one in ranks:
        one.state = "exited"
        one.begin()
    formed(ranks)
    ranks[dying].state = "exited"
    code, said = ranks[1 - dying].end()
    assert code == supervisor.LOST
    assert f"the container of rank {dying} has ended" in said
    assert ranks[1 - dying].state == "exited"
    assert ranks[dying].end()[0] == supervisor.LOST
    assert f"the container of rank {dying} has ended" in ranks[1 - dying].recorded["down"]["why"]
    for one in ranks:
        one.begin()
    both(ranks, "running")
    assert len(ranks[0].recorded["starts"]) == 2


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_supervisor_stops_the_other_rank(ranks: list[Rank], killed: int) -> None:
    for one in ranks:
        one.state = "exited"
        one.begin()
    formed(ranks)
    process = ranks[killed].process
    assert process
    process.kill()
    code, said = ranks[1 - killed].end()
    assert (code, ranks[1 - killed].state) == (supervisor.LOST, "exited")
    # A beat that it has not read resets the connection.
    assert f"rank {killed} has ended" in said or "broke" in said


def test_a_silent_node_stops_the_other_rank(ranks: list[Rank]) -> None:
    ranks[0].changes["SILENCE"] = 3.0
    for one in ranks:
        one.state = "exited"
        one.begin()
    formed(ranks)
    process = ranks[1].process
    assert process
    os.kill(process.pid, signal.SIGSTOP)
    code, said = ranks[0].end()
    assert code == supervisor.LOST
    assert "nothing received from the supervisor of rank 1" in said


def test_a_stop_by_systemd_stops_all_ranks(ranks: list[Rank]) -> None:
    for one in ranks:
        one.state = "exited"
        one.begin()
    formed(ranks)
    process = ranks[1].process
    assert process
    process.terminate()
    assert ranks[1].end()[0] == 0
    assert ranks[1].state == "exited"
    code, said = ranks[0].end()
    assert code == supervisor.LOST
    assert "rank 1: it was stopped on its node" in said


def test_a_crash_loop_is_given_up_on_all_nodes(ranks: list[Rank]) -> None:
    now = round(time.time())
    state = Path(str(ranks[0].folder / ranks[0].unit.name) + ".json")
    state.write_text(json.dumps({"starts": [now - 4000, now - 100, now - 50]}))
    for one in ranks:
        one.state = "exited"
        one.begin()
    for one in ranks:
        code, said = one.end()
        assert code == supervisor.GIVEN_UP
        assert "started 2 times within an hour" in said
        assert one.recorded["down"]["given_up"] is True
        assert "start" not in one.asked


def test_a_container_that_cannot_start_stops_the_other_rank(ranks: list[Rank]) -> None:
    (ranks[1].folder / "broken").touch()
    for one in ranks:
        one.state = "exited"
        one.begin()
    assert "docker start: no such device" in ranks[1].end()[1]
    code, said = ranks[0].end()
    assert code == supervisor.LOST
    assert "rank 1: docker start: no such device" in said
    assert ranks[0].state == "exited"


def test_a_running_rank_waits_for_the_others_for_a_limited_time(ranks: list[Rank]) -> None:
    for one in ranks:
        one.changes["ADOPT"] = 0.3
        one.state = "running"
        one.begin()
        code, said = one.end()
        assert (code, one.state) == (supervisor.LOST, "exited")
        assert "while this rank ran" in said


def test_a_port_in_use_is_waited_for_unless_the_rank_runs(
    ranks: list[Rank],
) -> None:
    head = ranks[0]
    head.changes["ADOPT"] = 0.3
    head.state = "running"
    with socket.create_server(("127.0.0.1", head.said["port"])):
        code, said = head.begin().end()
    assert (code, head.state) == (supervisor.LOST, "exited")
    assert "Address already in use" in said
    head.begin()
    ranks[1].state = "exited"
    ranks[1].begin()
    formed(ranks)


def test_a_missing_container_ends_the_supervisor(ranks: list[Rank]) -> None:
    code, said = ranks[0].begin().end()
    assert code == supervisor.GIVEN_UP
    assert "is gone; launch it again" in said


def place(ranks: list[Rank]) -> tuple[str, int]:
    return "127.0.0.1", ranks[0].said["port"]


def visit(ranks: list[Rank]) -> socket.socket:
    """A connection of somebody else to the supervisor of rank 0."""
    return socket.create_connection(place(ranks), 5)


def closed(visitor: socket.socket) -> bool:
    """Whether the supervisor closes a connection, after its challenge."""
    visitor.settimeout(10)
    try:
        while visitor.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def serving(ranks: list[Rank]) -> None:
    for one in ranks:
        one.state = "exited"
        one.begin()
    formed(ranks)


def undisturbed(ranks: list[Rank]) -> None:
    """The workload still runs, was never stopped, and its ranks still hear each other."""
    time.sleep(0.5)
    for one in ranks:
        assert one.process
        assert one.process.poll() is None
        assert one.state == "running"
        assert one.asked.count("start") == 1
        assert "down" not in one.recorded
    ranks[1].state = "exited"
    code, said = ranks[0].end()
    assert code == supervisor.LOST
    assert "the container of rank 1 has ended" in said


HELLO = {"say": "hello", "version": supervisor.VERSION, "plan": "p", "rank": 1, "running": False}

LINES = {
    "deep": b"[" * 60000 + b"\n",
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "binary": b"\xff" * 60000 + b"\n",
    "no message": b"1\n",
    "not finite": b'{"say": 1e999}\n',
    "an order": b'{"say": "give up", "why": "a stranger says so"}\n',
    "a hello and an order": json.dumps(HELLO).encode() + b'\n{"say": "give up"}\n',
    "a hello of the plan": json.dumps(HELLO).encode() + b"\n",
    "a false proof": json.dumps({**HELLO, "nonce": "0" * 64, "proof": "0" * 64}).encode() + b"\n",
    "true for 1": json.dumps({**HELLO, "version": True, "rank": True}).encode() + b"\n",
    "lists": json.dumps({**HELLO, "nonce": [], "proof": {}}).encode() + b"\n",
    "no ASCII": json.dumps({**HELLO, "nonce": "\udc80", "proof": "\u00b2"}).encode() + b"\n",
    "too long": b"x" * (wire.LONGEST + 2),
}


def test_no_line_of_a_stranger_disturbs_a_workload(ranks: list[Rank]) -> None:
    serving(ranks)
    for line in LINES.values():
        with visit(ranks) as visitor, suppress(ConnectionError):
            visitor.sendall(line)
            assert closed(visitor), line[:80]
    undisturbed(ranks)


def test_no_random_bytes_of_strangers_disturb_a_workload(ranks: list[Rank]) -> None:
    serving(ranks)
    dice = random.Random(17)
    words = [*map(json.dumps, (HELLO, [], {}, "", 1)), "{", "[", '"', "\n", "\0", "{}\n", "1e999"]
    for _round in range(150):
        with visit(ranks) as visitor, suppress(ConnectionError):
            for _part in range(dice.randrange(4)):
                chosen = "".join(dice.choices(words, k=dice.randrange(1, 12))).encode()
                visitor.sendall(dice.choice((chosen, dice.randbytes(dice.randrange(1, 200)))))
    undisturbed(ranks)


def test_a_stranger_that_is_dropped_while_it_speaks_is_not_obeyed(ranks: list[Rank]) -> None:
    serving(ranks)
    order = b'{"say": "give up", "why": "because a stranger says so"}\n'
    waiting = [visit(ranks) for _one in range(wire.STRANGERS)]
    for _round in range(60):
        # In one turn: a connection too many, and the word of the one that has to go for it.
        late = socket.socket()
        late.setblocking(False)
        with suppress(BlockingIOError):
            late.connect(place(ranks))
        with suppress(ConnectionError):
            waiting[0].sendall(order)
        waiting.pop(0).close()
        waiting.append(late)
    for one in waiting:
        one.close()
    undisturbed(ranks)


def test_connections_of_strangers_are_limited_and_time_out(ranks: list[Rank]) -> None:
    ranks[0].changes["HANDSHAKE"] = 1.0
    ranks[0].state = "exited"
    ranks[0].begin()
    eventually(lambda: "inspect" in ranks[0].asked and _listens(ranks))
    process = ranks[0].process
    assert process
    waiting = [visit(ranks) for _one in range(3 * wire.PER_ADDRESS)]
    waiting[-1].sendall(b"{")
    descriptors = Path(f"/proc/{process.pid}/fd")
    eventually(lambda: len(list(descriptors.iterdir())) <= wire.PER_ADDRESS + 8)
    # A peer is let in all the same.
    ranks[1].state = "exited"
    ranks[1].begin()
    formed(ranks)
    assert all(map(closed, waiting))
    for one in waiting:
        one.close()
    undisturbed(ranks)


def _listens(ranks: list[Rank]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(place(ranks)) == 0


def test_a_false_rank_does_not_take_the_place_of_the_real_one(ranks: list[Rank]) -> None:
    ranks[0].state = ranks[1].state = "exited"
    ranks[0].begin()
    eventually(lambda: _listens(ranks))
    with visit(ranks) as visitor:
        visitor.sendall(LINES["a false proof"])
        assert closed(visitor)
        assert ranks[0].state == "exited"
        ranks[1].begin()
        formed(ranks)
    undisturbed(ranks)


@pytest.mark.parametrize("differs", ["plan", "secret"])
def test_a_rank_of_another_launch_is_not_let_in(ranks: list[Rank], differs: str) -> None:
    serving_rank = ranks[0]
    for one in ranks:
        one.state = "exited"
    if differs == "plan":
        ranks[1].tell(plan="another")
    else:
        ranks[1].know("another" * 10)
    for one in ranks:
        one.begin()
    time.sleep(1)
    assert [one.state for one in ranks] == ["exited", "exited"]
    assert serving_rank.process
    assert serving_rank.process.poll() is None
    # Each connection reads it anew.
    ranks[1].know(SECRET)
    if differs == "secret":
        formed(ranks)


def test_whoever_answers_for_rank_0_is_not_obeyed(ranks: list[Rank]) -> None:
    worker = ranks[1]
    worker.state = "running"
    worker.changes["ADOPT"] = 1.5
    orders = (b'{"say": "challenge", "nonce": "00"}\n', b'{"say": "welcome", "proof": "00"}\n')
    give_up = b'{"say": "give up", "why": "x"}\n'
    with socket.create_server(place(ranks)) as false:
        worker.begin()
        connection, _address = false.accept()
        with connection:
            for order in (*orders, give_up):
                with suppress(ConnectionError):
                    connection.sendall(order)
            assert closed(connection)
    code, said = worker.end()
    assert (code, worker.recorded["down"]["given_up"]) == (supervisor.LOST, False)
    assert "it does not know the secret" in said
    assert "no supervisor of 127.0.0.1" in said


def test_a_line_of_a_peer_without_its_mac_ends_the_connection() -> None:
    here, there = socket.socketpair()
    seals = handshake.Seal(b"s" * 32, "head"), handshake.Seal(b"s" * 32, "worker")
    peer = wire.Line(here, "rank 1", seals, {})
    say = json.dumps({"say": "beat"}).encode()
    mac = handshake.Seal(b"s" * 32, "worker").mac(say).hex().encode()
    with here, there:
        there.sendall(mac + b" " + say + b"\n")
        assert peer.receive() == [{"say": "beat"}]
        # The same once more is not the next one.
        there.sendall(mac + b" " + say + b"\n")
        with pytest.raises(wire.Broken, match="unexpected protocol"):
            peer.receive()


@pytest.mark.parametrize(("secret", "mode"), [("", 0o600), ("short", 0o600), (SECRET, 0o644)])
def test_without_a_secret_of_its_own_a_rank_gives_up(
    ranks: list[Rank], secret: str, mode: int
) -> None:
    for one in ranks:
        one.know(secret, mode)
        one.state = "running"
        code, said = one.begin().end()
        assert (code, one.state) == (supervisor.GIVEN_UP, "exited")
        assert "launch it again" in said


def test_any_exception_stops_the_container_and_is_recorded(ranks: list[Rank]) -> None:
    solo = ranks[0]
    solo.tell(members="127.0.0.1", docker=solo.folder / "docker")
    (solo.folder / "docker").write_text(DOCKER.replace('"1a2b $(cat "$state")"', '"a b c d"'))
    solo.state = "running"
    code, said = solo.begin().end()
    assert (code, solo.state) == (supervisor.LOST, "exited")
    assert "unexpected: ValueError" in solo.recorded["down"]["why"]
    assert "Traceback" not in said


def test_a_start_with_too_little_memory_is_none(
    ranks: list[Rank], monkeypatch: pytest.MonkeyPatch
) -> None:
    solo = ranks[0]
    solo.tell(members="127.0.0.1", claim="gib:900")
    workload = supervisor.read_unit(solo.unit.read_text())
    asked: list[str] = []

    def lacks(claim: str, _limit: float) -> str:
        asked.append(claim)
        return "900.0 GiB of memory are claimed"

    monkeypatch.setattr(supervisor.memory, "make_room", lacks)
    begun = supervisor.Supervisor(workload, str(solo.unit))
    begun.id = "1a2b"
    with pytest.raises(supervisor.Down, match=r"900\.0 GiB of memory are claimed"):
        begun._start()
    assert (asked, solo.asked) == (["gib:900"], [])


class Completions(BaseHTTPRequestHandler):
    """Answers a completion, and nothing else but /health."""

    def do_GET(self) -> None:
        self._say(b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say(json.dumps({"choices": [{"text": "a"}]}).encode())

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: t.Any) -> None:
        pass


@pytest.fixture
def server() -> t.Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Completions) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_the_programs_of_the_nodes_need_nothing_but_python(
    ranks: list[Rank], tmp_path: Path, server: str
) -> None:
    permits = [tmp_path / f"permits{rank}" for rank in range(2)]
    for rank, one in enumerate(ranks):
        for path, text in units.programs().items():
            text = text.replace(supervisor.STATE, str(one.folder))
            text = text.replace(supervisor.PERMITS, str(permits[rank]))
            text = text.replace("GATHER = 20.0", "GATHER = 0.0")
            text = text.replace(units.PROVER, str(one.folder / "prove.py"))
            program = one.folder / Path(path).name
            program.write_text(text, encoding="utf-8")
            compile(text, program.name, "exec")
        one.state = "exited"
        one.tell(url=server, model="tiny")
        (one.folder / "docker").write_text(INSPECTED + DOCKER.partition("\n")[2])
        one.process = subprocess.Popen(
            [sys.executable, "-I", str(one.folder / "supervisor.py"), str(one.unit)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )
    formed(ranks)
    # The head has asked the server, and both nodes may start others.
    eventually(lambda: all((place / "complete" / "1a2b").exists() for place in permits))
    ranks[1].state = "exited"
    code, said = ranks[0].end()
    assert code == supervisor.LOST
    assert "the container of rank 1 has ended" in said
    assert not any((place / "complete" / "1a2b").exists() for place in permits[:1])


def test_a_single_rank_waits_for_nobody(tmp_path: Path, ranks: list[Rank]) -> None:
    solo = ranks[0]
    solo.tell(members="127.0.0.1")
    solo.state = "exited"
    solo.begin()
    solo.comes_to("running")
    eventually(lambda: "wait" in solo.asked)
    solo.state = "exited"
    code, said = solo.end()
    assert code == supervisor.LOST
    assert "the container of rank 0 has ended" in said


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ([], True),
        ([900.0], True),
        ([900.0, 950.0], False),
        ([-2700.0, 950.0], True),
        ([2000.0, 3000.0], True),
    ],
)
def test_starts_are_counted_within_an_hour(starts: list[float], expected: bool) -> None:
    assert supervisor.allowed(starts, 2, 1000.0) is expected


@pytest.mark.parametrize("text", ["", "[X-Workload]\n", "[X-Workload]\nContainer=a\nRank=0\n"])
def test_a_unit_without_its_section_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is missing"):
        supervisor.read_unit(text)


# The permits: which service of a node starts when.


class Cluster:
    """Services on two nodes, each with its own supervisors; a node's permits are in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranks: list[Rank] = []
        self.folder.mkdir()

    def service(self, name: str, nodes: str, claim: str = "") -> list[Rank]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        members = [f"127.0.0.{'ab'.index(node) + 1}" for node in nodes]
        made = [
            Rank(self.folder / f"{name}{rank}", rank, members, port) for rank in range(len(nodes))
        ]
        for rank, node in zip(made, nodes):
            rank.permits = self.folder / f"permits-{node}"
            rank.tell(service=name, nodes=" ".join(nodes), claim=claim, url="http://x")
            rank.state = "exited"
            # The units of the other services of a node.
            (rank.folder / "dgxspark-other-0.service").touch()
        self.ranks += made
        return made


@pytest.fixture
def cluster(tmp_path: Path) -> t.Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    yield made
    for one in made.ranks:
        if one.process:
            one.process.kill()
            one.process.wait()
            if one.process.stdout:
                one.process.stdout.close()
            one.state = "exited"


def answers(ranks: list[Rank], phase: str = "serving") -> None:
    draft = ranks[0].folder / "answer.new"
    draft.write_text(phase)
    draft.rename(ranks[0].folder / "answer")


def test_one_service_starts_after_the_other_the_largest_first(cluster: Cluster) -> None:
    services = [cluster.service(f"s{gib}", "a", f"gib:{gib}")[0] for gib in (5, 40, 20)]
    for one in services:
        one.changes["GATHER"] = 3.0
        one.begin()
    small, large, middle = services
    large.comes_to("running")
    time.sleep(0.5)
    assert (small.state, middle.state) == ("exited", "exited")
    answers([large])
    middle.comes_to("running")
    time.sleep(0.5)
    assert small.state == "exited"
    answers([middle])
    small.comes_to("running")


def test_only_units_of_ranks_count_as_others(tmp_path: Path) -> None:
    for name in (
        "dgxspark-main-0",
        "dgxspark-ray-head",
        "dgxspark-audit",
        "sshd",
        "dgxspark-b-1.x",
    ):
        (tmp_path / f"{name}.service").touch()
    assert supervisor.others(str(tmp_path / "dgxspark-main-0.service")) == []
    (tmp_path / "dgxspark-b-1.service").touch()
    assert supervisor.others(str(tmp_path / "dgxspark-main-0.service")) == ["dgxspark-b-1.service"]


def test_services_with_crossed_nodes_do_not_wait_for_each_other(cluster: Cluster) -> None:
    one, other = cluster.service("one", "ab"), cluster.service("other", "ba")
    for rank in (*one, *other):
        rank.begin()
    eventually(lambda: any(all(r.state == "running" for r in ranks) for ranks in (one, other)))
    first, second = (one, other) if one[0].state == "running" else (other, one)
    time.sleep(0.5)
    assert {rank.state for rank in second} == {"exited"}
    answers(first)
    both(second, "running")


def test_a_killed_supervisor_frees_its_permit_and_its_place(cluster: Cluster) -> None:
    holder, waiting, next_one = (cluster.service(name, "a")[0] for name in ("a", "b", "c"))
    holder.begin().comes_to("running")
    waiting.begin()
    queue = holder.permits / "queue"
    eventually(lambda: len(list(queue.iterdir())) == 1)
    for one in (waiting, holder):
        assert one.process
        one.process.kill()
        one.process.wait()
    next_one.begin().comes_to("running")
    assert [path.name for path in queue.iterdir()] == []


def test_what_a_launch_is_starting_is_waited_for(cluster: Cluster) -> None:
    solo = cluster.service("solo", "a")[0]
    rows = "ps) [ -e \"$here/theirs\" ] && echo 'ffff theirs'; exit 0 ;;\n"
    asked = (
        '    inspect)\n        case "$*" in *ffff) echo "$(cat "$here/theirs")|{...}"; exit ;; esac'
    )
    script = DOCKER.replace("    inspect)", rows + asked, 1)
    (solo.folder / "docker").write_text(script)
    now = time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime())
    (solo.folder / "theirs").write_text(now)
    solo.begin()
    time.sleep(0.7)
    assert solo.state == "exited"
    (solo.permits / "complete" / "ffff").touch()
    solo.comes_to("running")


def test_a_server_that_refuses_its_request_keeps_nobody_waiting(cluster: Cluster) -> None:
    refused, next_one = (cluster.service(name, "a")[0] for name in ("a", "b"))
    refused.begin().comes_to("running")
    answers([refused], "rejected")
    next_one.begin().comes_to("running")
    assert refused.state == "running"


# A server that answers /health and no request.


def test_a_silent_server_is_restarted_three_times_and_given_up(cluster: Cluster) -> None:
    ranks = cluster.service("silent", "ab")
    for rank in ranks:
        rank.tell(deep=1, starts=9)
    answers(ranks)
    for number in range(4):
        for rank in ranks:
            rank.begin()
        both(ranks, "running")
        eventually((ranks[1].permits / "complete" / "1a2b").exists)
        answers(ranks, "healthy")
        codes = {rank.end()[0] for rank in ranks}
        assert codes == {supervisor.GIVEN_UP if number == 3 else supervisor.LOST}
        assert (
            "answers /health and no request, 2 times in a row" in ranks[0].recorded["down"]["why"]
        )
        answers(ranks)
    assert len(ranks[0].recorded["silent"]) == 3


def test_one_miss_is_no_reason(cluster: Cluster) -> None:
    (solo,) = cluster.service("solo", "a")
    probe = supervisor.Probe(str(solo.unit), 900, "once")
    phases = [
        "healthy",
        "serving",
        "refusing",
        "starting",
        "healthy",
        "busy",
        "healthy",
        "refusing",
    ]
    assert [probe.judge(phase) for phase in phases] == [False] * 7 + [True]


@pytest.mark.parametrize(
    "claims",
    [["gib:100", "share:0.5", "gib:12.5", "share:0.01", ""], ["gib:1", "what", "share:nan"]],
)
def test_claims_are_sorted_by_size(claims: list[str]) -> None:
    orders = [start_permit.order_of(claim, 128 << 30) for claim in claims]
    assert orders == sorted(orders)
    assert len({*map(len, orders)}) == 1
