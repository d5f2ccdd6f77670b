# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisors of workloads of two ranks, as real processes that connect on this machine.

Only the Docker client is fake: a file has the state of the node's one container.
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
from contextlib import suppress
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor

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

START = {"container": "dgxspark-tiny", "recipe": "tiny", "plan": "p", "starts": 2}

PLAY = """\
import sys
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor
supervisor.STATE, supervisor.BEAT, supervisor.PAUSE = sys.argv[2], 0.2, 0.05
supervisor.ADOPT, supervisor.SILENCE = float(sys.argv[3]), float(sys.argv[4])
sys.exit(supervisor.main([sys.argv[1]]))
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
        self.adopt, self.silence = 60.0, 60.0
        self.process: subprocess.Popen[str] | None = None

    def tell(self, **more: t.Any) -> None:
        self.said = {**getattr(self, "said", START), **more, "docker": self.folder / "docker"}
        lines = [f"{key.capitalize()}={value}" for key, value in self.said.items()]
        self.unit.write_text("\n".join(["[Unit]", "Port=1", "[X-Workload]", *lines, "[Z]", ""]))

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
                *(sys.executable, "-c", PLAY, str(self.unit), str(self.folder)),
                *(str(self.adopt), str(self.silence)),
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
    assert f"the supervisor of rank {killed} has ended" in said


def test_a_silent_node_stops_the_other_rank(ranks: list[Rank]) -> None:
    ranks[0].silence = 3.0
    for one in ranks:
        one.state = "exited"
        one.begin()
    formed(ranks)
    process = ranks[1].process
    assert process
    os.kill(process.pid, signal.SIGSTOP)
    code, said = ranks[0].end()
    assert code == supervisor.LOST
    assert "nothing received from rank 1" in said


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
        one.adopt = 0.3
        one.state = "running"
        one.begin()
        code, said = one.end()
        assert (code, one.state) == (supervisor.LOST, "exited")
        assert "while this rank ran" in said


def test_a_port_in_use_is_waited_for_unless_the_rank_runs(
    ranks: list[Rank],
) -> None:
    head = ranks[0]
    head.adopt = 0.3
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


def test_unknown_peers_and_supervisors_of_other_plans_are_rejected(ranks: list[Rank]) -> None:
    for one in ranks:
        one.state = "exited"
    ranks[1].tell(plan="another")
    ranks[0].begin()
    place = ("127.0.0.1", ranks[0].said["port"])
    for words in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100000 + b"\n",
        b'{"say": "hello"}\n',
        b"1\n",
    ):
        with socket.socket() as stranger:
            eventually(lambda: stranger.connect_ex(place) in (0, 106))
            # The supervisor may close the connection in the middle of a message.
            with suppress(ConnectionError):
                stranger.sendall(words)
    code, said = ranks[1].begin().end()
    assert code == supervisor.LOST
    assert "the supervisor of rank 0 has ended" in said
    assert ranks[0].state == "exited"
    ranks[1].tell(plan="p")
    ranks[1].begin()
    formed(ranks)


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
