# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Supervises one rank of a workload together with the other ranks; the program of its unit.

A copy of this file is on each node and needs only Python there. The supervisors of one workload
have a TCP connection to that of rank 0, over the fabric. The containers start when all supervisors
are connected, rank 0 first. A container that ends, or a connection that breaks or falls silent,
stops the workload on all nodes; systemd then restarts the supervisors, and they connect again. Rank
0 counts the starts within an hour on disk, across reboots: a crash loop leaks unified memory.

    python3 supervisor.py /etc/systemd/system/dgxspark-NAME-0.service
"""

# A program and no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import typing as t

VERSION = 1
SECTION = "[X-Workload]"
STATE = "/var/lib/dgxspark"

WINDOW = 3600.0  # seconds in which starts are counted
BEAT, SILENCE = 5.0, 30.0  # seconds between two beats; without a message until a peer is lost
ADOPT = 120.0  # seconds that a running container waits for the supervisors of its peers
STOP = 30  # seconds until docker stop kills a container
HALT = 180.0  # seconds that a peer may take to stop its container and to release its memory
LONGEST = 1 << 16  # bytes of a message, at most

PAUSE = 2.0  # seconds between two tries
LOST, GIVEN_UP = 1, 78  # exit statuses; systemd does not restart after the latter


class Workload(t.NamedTuple):
    """The rank of a unit. members: the addresses of all ranks, by rank."""

    container: str
    recipe: str
    plan: str
    rank: int
    members: tuple[str, ...]
    port: int
    starts: int
    docker: str


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
            state = json.load(stream)
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(path: str, value: t.Mapping[str, t.Any]) -> None:
    draft = path + ".new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(draft, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)


def state_path(unit: str) -> str:
    """The file in which the supervisor of a unit, given by its path, records its state."""
    return os.path.join(STATE, os.path.basename(unit) + ".json")


def verdict(running: t.Sequence[bool]) -> str:
    """What all ranks do next. running: whether the container of each rank runs.

    Containers that all run were started together by a launch that has just proven them.
    """
    return "watch" if all(running) else "start"


class Peer:
    """The connection to the supervisor of another rank: one JSON message per line."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""
        self.rank = -1
        self.running = False
        self.heard = time.monotonic()
        connection.settimeout(SILENCE)

    def say(self, what: str, **more: t.Any) -> None:
        data = json.dumps({"say": what, **more}).encode() + b"\n"
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Down("the connection to %s broke: %s" % (self.who, error)) from error

    def receive(self) -> list[dict[str, t.Any]]:
        """The messages received. Raises Down if the peer has ended or violates the protocol."""
        try:
            data = self.socket.recv(LONGEST)
        except OSError as error:
            raise Down("the connection to %s broke: %s" % (self.who, error)) from error
        if not data:
            raise Down("the supervisor of %s has ended" % self.who)
        self.heard = time.monotonic()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LONGEST:
            raise Down("%s: unexpected protocol" % self.who)
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError as error:
            raise Down("%s: unexpected protocol" % self.who) from error
        return [message for message in messages if isinstance(message, dict)]

    @property
    def who(self) -> str:
        return "rank %d" % self.rank if self.rank >= 0 else "an unknown peer"

    def close(self) -> None:
        self.socket.close()


class Supervisor:
    """One run, from connecting to the other ranks to the end of the workload."""

    def __init__(self, workload: Workload, state: str) -> None:
        self.workload = workload
        self.state = state
        self.id = ""
        self.peers: list[Peer] = []
        self.unidentified: list[Peer] = []
        self.listener: socket.socket | None = None
        self.waiter: subprocess.Popen[bytes] | None = None
        self._beaten = 0.0
        self._status = ""

    def run(self) -> None:
        """Raises Down or Stopped at the end; the container has been stopped by then."""
        try:
            self._inspect()
            if self.workload.rank == 0:
                self._lead()
            else:
                self._follow()
            self._watch()
        except (Down, Stopped) as end:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if self.listener:
                self.listener.close()
            given_up = isinstance(end, Down) and end.code == GIVEN_UP
            self._to_all("give up" if given_up else "down", why=str(end))
            self._stop()
            if isinstance(end, Down):
                ended = {"at": round(time.time()), "why": str(end), "given_up": given_up}
                write_state(self.state, {**read_state(self.state), "down": ended})
            raise

    # The status.

    def _report(self, text: str) -> None:
        """Report a status to systemctl status and status.yml."""
        if text == self._status:
            return
        self._status = text
        print(text, flush=True)
        address = os.environ.get("NOTIFY_SOCKET", "")
        if address:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto(
                    ("READY=1\nSTATUS=%s" % text).encode(), address.replace("@", "\0", 1)
                )

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
        if self.id:
            self._docker("stop", "-t", str(STOP), self.id, timeout=STOP + 60)

    def _halt(self) -> None:
        """Stop the container and wait for its memory, which the driver releases late."""
        if self._runs():
            self._stop()
            last = -1
            for _reading in range(60):
                now = _available()
                if now - last < 64 << 20:
                    break
                last = now
                time.sleep(1)

    def _start(self) -> None:
        code, output = self._docker("start", self.id)
        if code:
            raise Down("docker start: %s" % output[-300:])

    # Connecting to the other ranks.

    def _lead(self) -> None:
        others = len(self.workload.members) - 1
        running = self._runs()
        if others:
            deadline = time.monotonic() + ADOPT if running else None
            self._listen(deadline)
            self._gather(others, deadline)
        if verdict([self._runs(), *(peer.running for peer in self.peers)]) == "watch":
            self._to_all("watch")
            return
        self._to_all("stop")
        self._halt()
        self._hear_from_all("stopped")
        self._count()
        self._start()
        self._to_all("start")
        self._hear_from_all("started")

    def _listen(self, deadline: float | None) -> None:
        own = self.workload.members[0]
        family = socket.AF_INET6 if ":" in own else socket.AF_INET
        while self.listener is None:
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((own, self.workload.port))
                listener.listen(16)
                self.listener = listener
            except OSError as error:
                # After a boot the fabric may come up late.
                listener.close()
                self._report("waits for %s port %d: %s" % (own, self.workload.port, error.strerror))
                if deadline and time.monotonic() > deadline:
                    raise Down("port %d was not free" % self.workload.port) from error
                time.sleep(PAUSE)

    def _gather(self, others: int, deadline: float | None) -> None:
        """Wait until every rank has sent its hello."""
        while len(self.peers) < others:
            here = {peer.rank for peer in self.peers}
            absent = [
                self.workload.members[rank] for rank in range(1, others + 1) if rank not in here
            ]
            self._report("waits for the supervisors of %s" % ", ".join(absent))
            if deadline and time.monotonic() > deadline:
                raise Down("no supervisors of %s while this rank ran" % ", ".join(absent))
            self._turn()

    def _follow(self) -> None:
        running = self._runs()
        head = self._connect(running)
        head.rank = 0
        self.peers = [head]
        head.say(
            "hello",
            version=VERSION,
            plan=self.workload.plan,
            rank=self.workload.rank,
            running=running,
        )
        deadline = time.monotonic() + ADOPT if running else None
        self._report("waits for the other ranks")
        while True:
            for _peer, message in self._turn(HALT):
                order = message.get("say")
                if order == "watch":
                    return
                if order == "stop":
                    self._halt()
                    deadline = None
                    head.say("stopped")
                elif order == "start":
                    self._start()
                    head.say("started")
                    return
            if deadline and time.monotonic() > deadline:
                raise Down("the other ranks did not connect while this rank ran")

    def _connect(self, running: bool) -> Peer:
        head = self.workload.members[0], self.workload.port
        started = time.monotonic()
        while True:
            try:
                return Peer(socket.create_connection(head, 5))
            except OSError as error:
                self._report(
                    "waits for the supervisor of %s: %s" % (head[0], error.strerror or error)
                )
            if running and time.monotonic() - started > ADOPT:
                raise Down("no supervisor of %s while this rank ran" % head[0])
            time.sleep(PAUSE)

    def _count(self) -> None:
        """Record this start, or give up after too many."""
        now = time.time()
        state = read_state(self.state)
        before = [at for at in state.get("starts", ()) if isinstance(at, int)]
        if not allowed(before, self.workload.starts, now):
            raise Down(
                "started %d times within an hour without success. See logs.yml, then launch again"
                % self.workload.starts,
                GIVEN_UP,
            )
        write_state(self.state, {**state, "starts": [*before[-99:], round(now)]})

    # Watching.

    def _watch(self) -> None:
        while True:
            self.waiter = subprocess.Popen(
                [self.workload.docker, "wait", self.id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._report("runs, with %d ranks in all" % len(self.workload.members))
            while self.waiter.poll() is None:
                self._turn()
            # The wait also ends with the engine, which a container may outlive.
            if not self._runs():
                raise Down("the container of rank %d has ended" % self.workload.rank)

    # The messages.

    def _to_all(self, what: str, **more: t.Any) -> None:
        ending = what in ("down", "give up")
        for peer in self.peers:
            try:
                peer.say(what, **more)
            except Down:
                if not ending:
                    raise

    def _hear_from_all(self, what: str) -> None:
        pending = {peer.rank for peer in self.peers}
        deadline = time.monotonic() + HALT
        while pending:
            if time.monotonic() > deadline:
                raise Down("ranks %s were not %s within %d s" % (sorted(pending), what, HALT))
            for peer, message in self._turn(HALT):
                if message.get("say") == what:
                    pending.discard(peer.rank)

    def _turn(self, silence: float = 0) -> list[tuple[Peer, dict[str, t.Any]]]:
        """Receive messages and connections for a second at most, and send a beat when it is due."""
        now = time.monotonic()
        silence = silence or SILENCE
        if now - self._beaten > BEAT:
            self._beaten = now
            self._to_all("beat")
        for peer in self.peers:
            if now - peer.heard > silence:
                raise Down("nothing received from %s for %d s" % (peer.who, silence))
        out = []
        with selectors.DefaultSelector() as selector:
            for peer in (*self.peers, *self.unidentified):
                selector.register(peer.socket, selectors.EVENT_READ, peer)
            if self.listener:
                selector.register(self.listener, selectors.EVENT_READ)
            if not selector.get_map():
                time.sleep(1)
                return []
            ready = [key.data for key, _events in selector.select(1)]
        for peer in ready:
            if peer is None:
                self._accept()
            elif peer in self.unidentified:
                self._identify(peer)
            else:
                out += [(peer, message) for message in peer.receive()]
        for peer, message in out:
            if message.get("say") in ("down", "give up"):
                code = GIVEN_UP if message["say"] == "give up" else LOST
                raise Down("%s: %s" % (peer.who, str(message.get("why"))[:300]), code)
        return out

    def _accept(self) -> None:
        if self.listener:
            connection, _address = self.listener.accept()
            self.unidentified = [*self.unidentified, Peer(connection)][-64:]

    def _identify(self, peer: Peer) -> None:
        """Add a connection whose hello is valid to the peers; close any other."""
        try:
            messages = peer.receive()
        except Down:
            messages = [{}]
        if not messages:
            return
        self.unidentified.remove(peer)
        hello = messages[0]
        rank = hello.get("rank")
        if (
            hello.get("say") != "hello"
            or hello.get("version") != VERSION
            or hello.get("plan") != self.workload.plan
            or not isinstance(rank, int)
            or rank not in range(1, len(self.workload.members))
        ):
            peer.close()
            return
        if any(known.rank == rank for known in self.peers):
            peer.close()
            raise Down("rank %d has connected twice: its first connection is dead" % rank)
        peer.rank, peer.running = rank, hello.get("running") is True
        self.peers.append(peer)


def _available() -> int:
    """MemAvailable in bytes. Not probes/meminfo.py: this file runs on nodes without the others."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _on_signal(_number: int, _frame: t.Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped("it was stopped on its node")


def main(argv: list[str]) -> int:
    signal.signal(signal.SIGTERM, _on_signal)
    try:
        with open(argv[0], encoding="utf-8") as stream:
            workload = read_unit(stream.read())
        Supervisor(workload, state_path(argv[0])).run()
    except Stopped:
        return 0
    except Down as end:
        print("down: %s" % end, flush=True)
        return end.code
    except ValueError as error:
        print("%s: %s" % (argv[0], error), flush=True)
        return GIVEN_UP
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
