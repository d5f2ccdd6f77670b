# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Supervises one rank of a workload together with the other ranks; the program of its unit.

A copy of this file and of what it imports is on each node, as one program that needs only Python
there. The supervisors of one workload have a TCP connection to that of rank 0, over the fabric. The
containers start when all supervisors are connected and have the permits of their nodes, rank 0
first; the permits are held until the server has answered. A container that ends, or a connection
that breaks or falls silent, stops the workload on all nodes; systemd then restarts the supervisors,
and they connect again. Rank 0 counts the starts within an hour on disk, across reboots: a crash
loop leaks unified memory.

A launch puts the same secret beside all units of a workload. A connection is that of a peer once
both ends have proven to know it; until then it is that of a stranger, whom nobody obeys.

    python3 supervisor.py /etc/systemd/system/dgxspark-NAME-0.service
"""

# A program and no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory,
    start_permit,
    starting,
    wire,
)

VERSION = 3
SECTION = "[X-Workload]"
STATE = "/var/lib/dgxspark"
PERMITS = start_permit.FOLDER
# Asks the server, see prover.py.
PROVER = (sys.executable, "/usr/local/lib/dgxspark/prove.py")

WINDOW = 3600.0  # seconds in which starts are counted
BEAT = 5.0  # seconds between two beats
ADOPT = 120.0  # seconds that a running container waits for the supervisors of its peers
STOP = 30  # seconds until docker stop kills a container
HALT = 180.0  # seconds that a peer may take to stop its container and to release its memory
RELEASE = 60.0  # seconds of it for the memory
SECRET = 32  # characters of a secret, at least
ASK = 180.0  # seconds for the request of a deep probe
# A server that answers /health and no request is asked again after AGAIN seconds; after so many
# misses it is restarted, so often within the seconds of the window.
AGAIN, MISSES = 60.0, 2
RESTARTS, RESTART_WINDOW = 3, 1800.0

PAUSE = 2.0  # seconds between two tries
EAGER, SOON = 0.2, 5.0  # the same for the first seconds, in which a launch starts all supervisors
MET = "runs, with"  # how the status begins once the supervisors of all ranks are connected
LOST, GIVEN_UP = 1, 78  # exit statuses; systemd does not restart after the latter
UNIT = re.compile(r"(dgxspark-[a-z0-9_.-]+-[0-9]+)\.service")


class Workload(t.NamedTuple):
    """The rank of a unit.

    members, nodes: the addresses and the names of the nodes of all ranks, by rank. service: its
    name. url, model, kind: what proves it, as of readiness.look. claim: of memory, as a label.
    deep: after how many seconds the server is asked again, 0 for never. probe: what its recipe says
    of its probes, as of proof.Given.of.
    """

    container: str
    recipe: str
    plan: str
    rank: int
    members: tuple[str, ...]
    port: int
    starts: int
    docker: str
    service: str = "main"
    nodes: tuple[str, ...] = ()
    url: str = ""
    model: str = ""
    kind: tuple[str, ...] = ()
    claim: str = ""
    deep: int = 0
    probe: str = ""


class Down(Exception):
    """The workload has to stop on all nodes. code: the exit status of the supervisor."""

    def __init__(self, why: str, code: int = LOST) -> None:
        super().__init__(why)
        self.code = code


class Stopped(Exception):
    """systemd stops this supervisor and thereby its container."""


def read_unit(text: str) -> Workload:
    """The workload in the text of a unit. Raises ValueError."""
    values: dict[str, str] = {}
    for line in text.partition(SECTION)[2].splitlines():
        key, equals, value = line.partition("=")
        if line.startswith("["):
            break
        if equals:
            values[key.strip().lower()] = value.strip()
    try:
        return Workload(
            values["container"],
            values["recipe"],
            values["plan"],
            int(values["rank"]),
            tuple(values["members"].split()),
            int(values["port"]),
            int(values["starts"]),
            values["docker"],
            values.get("service", "main"),
            tuple(values.get("nodes", "").split()),
            values.get("url", ""),
            values.get("model", ""),
            tuple(values.get("kind", "").split()),
            values.get("claim", ""),
            int(values.get("deep", 0)),
            values.get("probe", ""),
        )
    except KeyError as error:
        raise ValueError("%s= is missing" % error.args[0].capitalize()) from error


def allowed(starts: t.Sequence[float], limit: int, now: float) -> bool:
    """Whether one more start is within the limit. starts: the moments of earlier starts."""
    # A moment in the future comes from a clock that was wrong.
    return len([at for at in starts if 0 <= now - at < WINDOW]) < limit


def read_state(path: str) -> dict[str, t.Any]:
    """`starts` (seconds since 1970) and `down` (`at`, `why`, `given_up`), each if recorded."""
    try:
        with open(path, encoding="utf-8") as stream:
            state = foreign.json_of(stream.read())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(path: str, value: t.Mapping[str, t.Any]) -> None:
    draft = path + ".new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(draft, "w", encoding="utf-8") as stream:
        # status.yml shows it to users without root.
        os.fchmod(stream.fileno(), 0o644)
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)


def notify(text: str) -> None:
    """Send systemd a status as of sd_notify(3). Never raises: nothing depends on it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), address.replace("@", "\0", 1))


def others(unit: str) -> list[str]:
    """The names of the other units that supervise ranks on this node; unit: by its path."""
    folder, own = os.path.split(unit)
    return [name for name in os.listdir(folder) if UNIT.fullmatch(name) and name != own]


def state_path(unit: str) -> str:
    """The file in which the supervisor of a unit, given by its path, records its state."""
    return os.path.join(STATE, os.path.basename(unit) + ".json")


def secret_path(unit: str) -> str:
    """The file with the secret of a unit's workload; the unit is given by its path."""
    return os.path.join(STATE, os.path.basename(unit) + ".secret")


def read_secret(path: str) -> bytes:
    """Raises OSError, and ValueError for one that others may know."""
    with open(path, "rb") as stream:
        status = os.fstat(stream.fileno())
        secret = stream.read().strip()
    if status.st_mode & 0o077 or status.st_uid != os.geteuid() or len(secret) < SECRET:
        raise ValueError("%s is not private, or too short" % path)
    return secret


def verdict(running: t.Sequence[bool]) -> str:
    """What all ranks do next. running: whether the container of each rank runs.

    Containers that all run were started together by a launch that has just proven them.
    """
    return "watch" if all(running) else "start"


class Probe:
    """Asks the server in a process of its own, once it is due.

    how: `until` it answers, at once and for so many seconds; or `once`, every so many seconds.
    """

    def __init__(self, unit: str, seconds: float, how: str) -> None:
        self.how = how
        self.misses = 0
        self._seconds = seconds
        self._argv = [*PROVER, unit, str(start_permit.READY if how == "until" else ASK), how]
        self._due = time.monotonic() + (0.0 if how == "until" else seconds)
        self._process: subprocess.Popen[bytes] | None = None

    def poll(self) -> dict[str, t.Any] | None:
        """The answer, `phase` and `detail`, once it is there."""
        if self._process is None:
            if time.monotonic() >= self._due:
                self._process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            return None
        if self._process.poll() is None or self._process.stdout is None:
            return None
        with self._process.stdout as stream:
            lines = stream.read(wire.LONGEST).splitlines()
        self._process = None
        self._due = time.monotonic() + self._seconds
        try:
            return wire.message_of(lines[-1])
        except (IndexError, ValueError):
            return {"phase": "unknown", "detail": "its probe ended without an answer"}

    def judge(self, phase: str) -> bool:
        """Whether the server has answered its light probe and no request too often in a row."""
        self.misses = self.misses + 1 if phase in ("healthy", "refusing") else 0
        if self.misses:
            self._due = time.monotonic() + min(AGAIN, self._seconds)
        return self.misses >= MISSES

    def end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


class Supervisor:
    """One run, from connecting to the other ranks to the end of the workload."""

    def __init__(self, workload: Workload, unit: str) -> None:
        self.workload = workload
        self.unit = unit
        self.state, self.secret = state_path(unit), secret_path(unit)
        self.id = ""
        self.peers: dict[int, wire.Line] = {}
        self.gate = wire.Gate(self._known)
        self.waiter: subprocess.Popen[bytes] | None = None
        self.adopted = False
        self.permit = start_permit.Permit(
            workload.service,
            start_permit.order_of(workload.claim, memory.total()),
            lambda: starting.others(workload.docker, workload.service, PERMITS),
            PERMITS,
            alone=not others(unit),
        )
        self.probe: Probe | None = None
        self._beaten = 0.0
        self._status = ""

    def run(self) -> None:
        """Raises Down or Stopped at the end; the container has been stopped by then."""
        try:
            self.permit.announce()
            self._inspect()
            if self.workload.rank == 0:
                self._lead()
            else:
                self._follow()
            self._watch()
        except (Down, Stopped) as end:
            self._end(end)
            raise
        except wire.Broken as error:
            down = Down(str(error))
            self._end(down)
            raise down from error
        except Exception as error:  # whatever it is, the container must not be left alone
            down = Down("unexpected: %s: %s" % (type(error).__name__, error))
            self._end(down)
            raise down from error

    def _end(self, end: Down | Stopped) -> None:
        """Stop the workload on all nodes, and record why."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.gate.close()
        given_up = isinstance(end, Down) and end.code == GIVEN_UP
        why = foreign.line(str(end)[:1000])
        self._to_all("give up" if given_up else "down", why=why)
        if self.probe:
            self.probe.end()
        self._stop()
        if self.id:
            start_permit.forget(self.id, PERMITS)
        self.permit.free()
        if isinstance(end, Down):
            ended = {"at": round(time.time()), "why": why, "given_up": given_up}
            try:
                write_state(self.state, {**read_state(self.state), "down": ended})
            except OSError as error:
                print("not recorded: %s" % error, flush=True)

    # The status.

    def _report(self, text: str) -> None:
        """Report a status to systemctl status and status.yml."""
        text = foreign.line(text[:500])
        if text == self._status:
            return
        self._status = text
        print(text, flush=True)
        notify("READY=1\nSTATUS=%s" % text)

    # The container.

    def _docker(self, *words: str, timeout: float = 120) -> tuple[int, str]:
        try:
            done = subprocess.run(
                [self.workload.docker, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return -1, str(error)
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()

    def _inspect(self) -> str:
        """The state of the container, as soon as the engine answers."""
        name = self.id or self.workload.container
        while True:
            code, output = self._docker(
                *("inspect", "--type", "container", "--format", "{{.Id}} {{.State.Status}}", name)
            )
            if code == 0:
                self.id, state = output.split()
                return state
            if "no such container" in output.lower():
                raise Down("container %s is gone; launch it again" % name, GIVEN_UP)
            self._report("waits for the Docker engine: %s" % output[:200])
            time.sleep(PAUSE)

    def _runs(self) -> bool:
        return self._inspect() in ("running", "paused", "restarting")

    def _stop(self) -> None:
        if self.waiter:
            self.waiter.kill()
            self.waiter.wait()
            self.waiter = None
        self._docker("stop", "-t", str(STOP), self.id or self.workload.container, timeout=STOP + 60)

    def _halt(self) -> None:
        """Stop the container and wait for its memory, which the driver releases late."""
        if self._runs():
            self._stop()
            memory.await_release(RELEASE)

    def _start(self) -> None:
        start_permit.forget(self.id, PERMITS)
        lacks = memory.make_room(self.workload.claim, RELEASE)
        if lacks:
            raise Down(lacks)
        code, output = self._docker("start", self.id)
        if code:
            raise Down("docker start: %s" % output[-300:])

    # The permits.

    def _take_permits(self) -> None:
        """Those of all nodes, in the order of their names: so two services never wait in a ring."""
        ranks = range(len(self.workload.members))
        nodes = self.workload.nodes or self.workload.members
        for rank in sorted(ranks, key=lambda rank: nodes[rank]):
            if rank == self.workload.rank:
                self._take_permit()
                continue
            self.peers[rank].say("permit")
            self._report("waits for the permit of %s to start" % nodes[rank])
            while not any(
                who == rank and message.get("say") == "granted" for who, message in self._turn()
            ):
                pass

    def _take_permit(self) -> None:
        while not self.permit.take():
            self._report("waits to start: %s" % self.permit.why)
            self._turn()

    # Connecting to the other ranks.

    def _lead(self) -> None:
        others = len(self.workload.members) - 1
        running = self._runs()
        if others:
            self._key()
            deadline = time.monotonic() + ADOPT if running else None
            self._listen(deadline)
            self._gather(others, deadline)
        ready = [self._runs(), *(bool(peer.hello["running"]) for peer in self.peers.values())]
        if verdict(ready) == "watch":
            self.adopted = True
            self._to_all("watch")
            return
        self._to_all("stop")
        self._halt()
        self._hear_from_all("stopped")
        self._take_permits()
        self._count()
        self._start()
        self._to_all("start")
        self._hear_from_all("started")

    def _listen(self, deadline: float | None) -> None:
        own, port = self.workload.members[0], self.workload.port
        while not self.gate.is_open:
            try:
                self.gate.open(own, port)
            except OSError as error:
                # After a boot the fabric may come up late.
                self._report("waits for %s port %d: %s" % (own, port, error.strerror))
                if deadline and time.monotonic() > deadline:
                    raise Down("port %d was not free" % port) from error
                time.sleep(PAUSE)

    def _gather(self, others: int, deadline: float | None) -> None:
        """Wait until every rank has sent its hello."""
        while len(self.peers) < others:
            absent = [
                self.workload.members[rank]
                for rank in range(1, others + 1)
                if rank not in self.peers
            ]
            self._report("waits for the supervisors of %s" % ", ".join(absent))
            if deadline and time.monotonic() > deadline:
                raise Down("no supervisors of %s while this rank ran" % ", ".join(absent))
            self._turn()

    def _follow(self) -> None:
        running = self._runs()
        head = self._connect(running)
        self.peers = {0: head}
        deadline = time.monotonic() + ADOPT if running else None
        self._report("waits for the other ranks")
        while True:
            for _rank, message in self._turn(HALT):
                order = message.get("say")
                if order == "watch":
                    self.adopted = True
                    return
                if order == "stop":
                    self._halt()
                    deadline = None
                    head.say("stopped")
                elif order == "permit":
                    self._take_permit()
                    self._report("waits for the other ranks")
                    head.say("granted")
                elif order == "start":
                    self._start()
                    head.say("started")
                    return
            if deadline and time.monotonic() > deadline:
                raise Down("the other ranks did not connect while this rank ran")

    def _connect(self, running: bool) -> wire.Line:
        head = self.workload.members[0], self.workload.port
        hello = {
            "version": VERSION,
            "plan": self.workload.plan,
            "rank": self.workload.rank,
            "running": running,
        }
        started = time.monotonic()
        pause = min(EAGER, PAUSE)
        while True:
            secret = self._key()
            try:
                return wire.call(head, _supervisor(0), secret, hello, self._about(hello))
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                self._report("waits for the supervisor of %s: %s" % (head[0], why))
            waited = time.monotonic() - started
            if running and waited > ADOPT:
                raise Down("no supervisor of %s while this rank ran" % head[0])
            time.sleep(pause if waited < SOON else PAUSE)

    def _known(self, hello: t.Mapping[str, t.Any]) -> wire.Caller:
        """Whose a hello is. Raises any exception for one of another protocol or workload."""
        rank = hello["rank"]
        # True is a number as well, and equal to 1.
        if [type(hello["version"]), type(rank), type(hello["running"])] != [int, int, bool]:
            raise ValueError("not the types of a hello")
        if hello["version"] != VERSION or rank not in range(1, len(self.workload.members)):
            raise ValueError("not a hello of this protocol and this workload")
        return wire.Caller(_supervisor(rank), read_secret(self.secret), self._about(hello))

    def _about(self, hello: t.Mapping[str, t.Any]) -> bytes:
        """What the proofs of both ends are about."""
        return json.dumps([VERSION, self.workload.plan, hello["rank"], hello["running"]]).encode()

    def _key(self) -> bytes:
        """The secret. Read anew for each connection, since a launch may replace it."""
        try:
            return read_secret(self.secret)
        except (OSError, ValueError) as error:
            why = "the secret of this workload cannot be read (%s); launch it again" % error
            raise Down(why, GIVEN_UP) from error

    def _count(self) -> None:
        """Record this start, or give up after too many."""
        now = time.time()
        state = read_state(self.state)
        starts = state.get("starts")
        before = [at for at in starts if isinstance(at, int)] if isinstance(starts, list) else []
        if not allowed(before, self.workload.starts, now):
            raise Down(
                "started %d times within an hour without success. See ansible-playbook"
                " dgxspark.suite.logs, then launch again" % self.workload.starts,
                GIVEN_UP,
            )
        write_state(self.state, {**state, "starts": [*before[-99:], round(now)]})

    # Watching.

    def _watch(self) -> None:
        if self.adopted or not self.workload.url:
            self._complete()
        elif self.workload.rank == 0:
            self.probe = Probe(self.unit, start_permit.READY, "until")
        while True:
            self.waiter = subprocess.Popen(
                [self.workload.docker, "wait", self.id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._say_that_it_runs()
            while self.waiter.poll() is None:
                if any(message.get("say") == "complete" for _rank, message in self._turn()):
                    self._complete()
                if self.probe:
                    self._ask(self.probe)
            # The wait also ends with the engine, which a container may outlive.
            if not self._runs():
                raise Down("the container of rank %d has ended" % self.workload.rank)

    def _say_that_it_runs(self, more: str = "") -> None:
        if not start_permit.is_complete(self.id, PERMITS):
            more = more or ", and has not answered yet"
        self._report("%s %d ranks in all%s" % (MET, len(self.workload.members), more))

    def _complete(self) -> None:
        """The start is over: others may start on the nodes of this workload."""
        start_permit.mark_complete(self.id, PERMITS)
        self.permit.free()
        if self.workload.rank == 0:
            self._to_all("complete")
            if self.workload.url and self.workload.deep:
                self.probe = Probe(self.unit, self.workload.deep, "once")
        self._say_that_it_runs()

    def _ask(self, probe: Probe) -> None:
        """Go on with what a probe of the server answers."""
        seen = probe.poll()
        if seen is None:
            return
        phase, detail = str(seen.get("phase")), foreign.line(str(seen.get("detail"))[:200])
        if probe.how == "until":
            self.probe = None
            self._complete()
            if phase != "serving":
                self._say_that_it_runs("; it does not answer its request: %s" % detail)
            return
        if not probe.judge(phase):
            return
        state = read_state(self.state)
        now = time.time()
        given = state.get("silent")
        restarts = [at for at in given if isinstance(at, int)] if isinstance(given, list) else []
        recent = [at for at in restarts if 0 <= now - at < RESTART_WINDOW]
        why = "it answers /health and no request, %d times in a row: %s" % (MISSES, detail)
        if len(recent) >= RESTARTS:
            why += "; restarted %d times already, launch it again" % RESTARTS
            raise Down(why, GIVEN_UP)
        write_state(self.state, {**state, "silent": [*recent, round(now)]})
        raise Down(why)

    # The messages.

    def _to_all(self, what: str, **more: t.Any) -> None:
        ending = what in ("down", "give up")
        for peer in self.peers.values():
            try:
                peer.say(what, **more)
            except wire.Broken:
                if not ending:
                    raise

    def _hear_from_all(self, what: str) -> None:
        pending = set(self.peers)
        deadline = time.monotonic() + HALT
        while pending:
            if time.monotonic() > deadline:
                raise Down("ranks %s were not %s within %d s" % (sorted(pending), what, HALT))
            for rank, message in self._turn(HALT):
                if message.get("say") == what:
                    pending.discard(rank)

    def _turn(self, silence: float = 0) -> list[tuple[int, wire.Message]]:
        """What arrives from ranks within a second at most; sends a beat when it is due.

        Raises wire.Broken, and Down for a peer that says so or has fallen silent.
        """
        now = time.monotonic()
        silence = silence or wire.SILENCE
        if now - self._beaten > BEAT:
            self._beaten = now
            self._to_all("beat")
        for peer in self.peers.values():
            if now - peer.heard > silence:
                raise Down("nothing received from %s for %d s" % (peer.who, silence))
        out: list[tuple[int, wire.Message]] = []
        with selectors.DefaultSelector() as selector:
            self.gate.watch(selector)
            for rank, peer in self.peers.items():
                selector.register(peer.socket, selectors.EVENT_READ, rank)
            if not selector.get_map():
                time.sleep(1)
                return []
            ready = [key.data for key, _events in selector.select(1)]
        for what in ready:
            if isinstance(what, int):
                out += [(what, message) for message in self.peers[what].receive()]
            else:
                self._admit(self.gate.ready(what))
        for rank, message in out:
            if message.get("say") in ("down", "give up"):
                code = GIVEN_UP if message["say"] == "give up" else LOST
                why = foreign.line(str(message.get("why"))[:300])
                raise Down("rank %d: %s" % (rank, why), code)
        return out

    def _admit(self, peer: wire.Line | None) -> None:
        if peer is None:
            return
        rank = int(peer.hello["rank"])
        if rank in self.peers:
            peer.close()
            raise Down("rank %d has connected twice: its first connection is dead" % rank)
        self.peers[rank] = peer


def _supervisor(rank: int) -> str:
    return "the supervisor of rank %d" % rank


def _on_signal(_number: int, _frame: t.Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped("it was stopped on its node")


def main(argv: list[str]) -> int:
    signal.signal(signal.SIGTERM, _on_signal)
    try:
        with open(argv[0], encoding="utf-8") as stream:
            workload = read_unit(stream.read())
        Supervisor(workload, argv[0]).run()
    except Stopped:
        return 0
    except Down as end:
        print("down: %s" % foreign.line(str(end)[:1000]), flush=True)
        return end.code
    except ValueError as error:
        print("%s: %s" % (argv[0], error), flush=True)
        return GIVEN_UP
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
