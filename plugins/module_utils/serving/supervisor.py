# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps one rank of a workload alive together with the others: what the unit of a rank runs.

A copy of this file lies on each node, and needs nothing but Python there. The supervisors of one
workload hold a line of text messages to that of rank 0, over the fabric. Only when all of them are
there the containers start, rank 0 first. A container that ends, or a line that breaks or falls
silent, takes all of them down; systemd then runs the supervisors again, and they meet anew. How often
that may happen within an hour is counted by rank 0, on disk, since a crash loop leaks unified
memory, across reboots as well.

    python3 supervisor.py /etc/systemd/system/dgxspark-NAME-0.service
"""

# A program that a unit runs, and no module.
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
BEAT, SILENCE = 5.0, 30.0  # seconds: how often a line is spoken on, when it counts as dead
ADOPT = 120.0  # seconds that a container may run on while its peers' supervisors are not there
STOP = 30  # seconds that a container has for its own end
HALT = 180.0  # seconds that a peer has to stop its container and to see its memory come free
LONGEST = 1 << 16  # bytes of a message

PAUSE = 2.0  # seconds between two tries
LOST, GIVEN_UP = 1, 78  # exit statuses; after the latter systemd does not try again


class Workload(t.NamedTuple):
    """What the unit says of its rank. members: the addresses of all ranks, in their order."""

    container: str
    recipe: str
    plan: str
    rank: int
    members: tuple[str, ...]
    port: int
    starts: int
    docker: str


class Down(Exception):
    """The workload cannot go on as it is; all of it goes down. code: how the supervisor ends."""

    def __init__(self, why: str, code: int = LOST) -> None:
        super().__init__(why)
        self.code = code


class Stopped(Exception):
    """systemd wants this supervisor to end, and its container with it."""


def read_unit(text: str) -> Workload:
    """What a unit says in its own section. Raises ValueError."""
    found: dict[str, str] = {}
    for line in text.partition(SECTION)[2].splitlines():
        key, equals, value = line.partition("=")
        if line.startswith("["):
            break
        if equals:
            found[key.strip().lower()] = value.strip()
    try:
        return Workload(
            found["container"],
            found["recipe"],
            found["plan"],
            int(found["rank"]),
            tuple(found["members"].split()),
            int(found["port"]),
            int(found["starts"]),
            found["docker"],
        )
    except KeyError as error:
        raise ValueError("%s= is missing" % error.args[0].capitalize()) from error


def allowed(starts: t.Sequence[float], limit: int, now: float) -> bool:
    """Whether one more start keeps within the limit. starts: when there were any before."""
    # What lies in the future was counted by a clock that was wrong.
    return len([at for at in starts if 0 <= now - at < WINDOW]) < limit


def read_state(path: str) -> dict[str, t.Any]:
    """`starts` (seconds since 1970) and `down` (`at`, `why`, `given_up`), as far as known."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_state(path: str, value: t.Mapping[str, t.Any]) -> None:
    draft = path + ".new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(draft, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)


def state_path(unit: str) -> str:
    """Where the supervisor of a unit, given by its path, writes down what has to outlast it."""
    return os.path.join(STATE, os.path.basename(unit) + ".json")


def verdict(running: t.Sequence[bool]) -> str:
    """What all ranks do next, by whether each one's container runs.

    Containers that all run were started together: a launch has just proven them.
    """
    return "watch" if all(running) else "start"


class Line:
    """One connection to the supervisor of another rank: JSON, one message a line."""

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
            raise Down("the line to %s broke: %s" % (self.who, error)) from error

    def receive(self) -> list[dict[str, t.Any]]:
        """The messages that have come. Raises Down where the other end is gone or is no supervisor."""
        try:
            data = self.socket.recv(LONGEST)
        except OSError as error:
            raise Down("the line to %s broke: %s" % (self.who, error)) from error
        if not data:
            raise Down("the supervisor of %s has ended" % self.who)
        self.heard = time.monotonic()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LONGEST:
            raise Down("%s is no supervisor" % self.who)
        try:
            found = [json.loads(line) for line in lines]
        except ValueError as error:
            raise Down("%s is no supervisor" % self.who) from error
        return [message for message in found if isinstance(message, dict)]

    @property
    def who(self) -> str:
        return "rank %d" % self.rank if self.rank >= 0 else "a stranger"

    def close(self) -> None:
        self.socket.close()


class Supervisor:
    """One run, from meeting the others to the end of the workload."""

    def __init__(self, workload: Workload, state: str) -> None:
        self.workload = workload
        self.state = state
        self.id = ""
        self.lines: list[Line] = []
        self.strangers: list[Line] = []
        self.listener: socket.socket | None = None
        self.waiter: subprocess.Popen[bytes] | None = None
        self._beaten = 0.0
        self._told = ""

    def run(self) -> None:
        """Raises Down or Stopped at the end; the container has been stopped by then."""
        try:
            self._look()
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

    # What is told to people.

    def _tell(self, text: str) -> None:
        """Shown by systemctl status, and by status.yml."""
        if text == self._told:
            return
        self._told = text
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

    def _look(self) -> str:
        """The state of the container, once the engine answers."""
        name = self.id or self.workload.container
        while True:
            code, said = self._docker(
                *("inspect", "--type", "container", "--format", "{{.Id}} {{.State.Status}}", name)
            )
            if code == 0:
                self.id, state = said.split()
                return state
            if "no such container" in said.lower():
                raise Down("container %s is gone; launch it again" % name, GIVEN_UP)
            self._tell("waits for the Docker engine: %s" % said[:200])
            time.sleep(PAUSE)

    def _runs(self) -> bool:
        return self._look() in ("running", "paused", "restarting")

    def _stop(self) -> None:
        if self.waiter:
            self.waiter.kill()
            self.waiter.wait()
            self.waiter = None
        if self.id:
            self._docker("stop", "-t", str(STOP), self.id, timeout=STOP + 60)

    def _halt(self) -> None:
        """Stop it, and wait until its memory has come free: the driver gives it back late."""
        if self._runs():
            self._stop()
            last = -1
            for _look in range(60):
                now = _available()
                if now - last < 64 << 20:
                    break
                last = now
                time.sleep(1)

    def _start(self) -> None:
        code, said = self._docker("start", self.id)
        if code:
            raise Down("docker start: %s" % said[-300:])

    # Meeting the others.

    def _lead(self) -> None:
        others = len(self.workload.members) - 1
        running = self._runs()
        if others:
            deadline = time.monotonic() + ADOPT if running else None
            self._listen(deadline)
            self._gather(others, deadline)
        if verdict([self._runs(), *(line.running for line in self.lines)]) == "watch":
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
                self._tell("waits for %s port %d: %s" % (own, self.workload.port, error.strerror))
                if deadline and time.monotonic() > deadline:
                    raise Down("port %d was not free" % self.workload.port) from error
                time.sleep(PAUSE)

    def _gather(self, others: int, deadline: float | None) -> None:
        """Until every rank has said hello."""
        while len(self.lines) < others:
            here = {line.rank for line in self.lines}
            absent = [
                self.workload.members[rank] for rank in range(1, others + 1) if rank not in here
            ]
            self._tell("waits for the supervisors of %s" % ", ".join(absent))
            if deadline and time.monotonic() > deadline:
                raise Down("no supervisors of %s, while this rank ran" % ", ".join(absent))
            self._turn()

    def _follow(self) -> None:
        running = self._runs()
        line = self._call(running)
        line.rank = 0
        self.lines = [line]
        line.say(
            "hello",
            version=VERSION,
            plan=self.workload.plan,
            rank=self.workload.rank,
            running=running,
        )
        deadline = time.monotonic() + ADOPT if running else None
        self._tell("waits for the other ranks")
        while True:
            for _line, message in self._turn(HALT):
                said = message.get("say")
                if said == "watch":
                    return
                if said == "stop":
                    self._halt()
                    deadline = None
                    line.say("stopped")
                elif said == "start":
                    self._start()
                    line.say("started")
                    return
            if deadline and time.monotonic() > deadline:
                raise Down("the other ranks did not come, while this one ran")

    def _call(self, running: bool) -> Line:
        head = self.workload.members[0], self.workload.port
        started = time.monotonic()
        while True:
            try:
                return Line(socket.create_connection(head, 5))
            except OSError as error:
                self._tell(
                    "waits for the supervisor of %s: %s" % (head[0], error.strerror or error)
                )
            if running and time.monotonic() - started > ADOPT:
                raise Down("no supervisor of %s, while this rank ran" % head[0])
            time.sleep(PAUSE)

    def _count(self) -> None:
        """Note this start, or give up where there were too many."""
        now = time.time()
        found = read_state(self.state)
        before = [at for at in found.get("starts", ()) if isinstance(at, int)]
        if not allowed(before, self.workload.starts, now):
            raise Down(
                "started %d times within an hour, which did not last; not again. See logs.yml, "
                "then launch it anew" % self.workload.starts,
                GIVEN_UP,
            )
        write_state(self.state, {**found, "starts": [*before[-99:], round(now)]})

    # While it serves.

    def _watch(self) -> None:
        while True:
            self.waiter = subprocess.Popen(
                [self.workload.docker, "wait", self.id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._tell("runs, with %d ranks in all" % len(self.workload.members))
            while self.waiter.poll() is None:
                self._turn()
            # The wait also ends with the engine; a container may outlive that.
            if not self._runs():
                raise Down("the container of rank %d has ended" % self.workload.rank)

    # The lines.

    def _to_all(self, what: str, **more: t.Any) -> None:
        going = what in ("down", "give up")
        for line in self.lines:
            try:
                line.say(what, **more)
            except Down:
                if not going:
                    raise

    def _hear_from_all(self, what: str) -> None:
        pending = {line.rank for line in self.lines}
        deadline = time.monotonic() + HALT
        while pending:
            if time.monotonic() > deadline:
                raise Down("ranks %s were not %s within %d s" % (sorted(pending), what, HALT))
            for line, message in self._turn(HALT):
                if message.get("say") == what:
                    pending.discard(line.rank)

    def _turn(self, silence: float = 0) -> list[tuple[Line, dict[str, t.Any]]]:
        """Listen for a second at most, admit who comes, and speak where it is time."""
        now = time.monotonic()
        silence = silence or SILENCE
        if now - self._beaten > BEAT:
            self._beaten = now
            self._to_all("beat")
        for line in self.lines:
            if now - line.heard > silence:
                raise Down("nothing heard of %s for %d s" % (line.who, silence))
        out = []
        with selectors.DefaultSelector() as selector:
            for line in (*self.lines, *self.strangers):
                selector.register(line.socket, selectors.EVENT_READ, line)
            if self.listener:
                selector.register(self.listener, selectors.EVENT_READ)
            if not selector.get_map():
                time.sleep(1)
                return []
            ready = [key.data for key, _events in selector.select(1)]
        for line in ready:
            if line is None:
                self._admit()
            elif line in self.strangers:
                self._welcome(line)
            else:
                out += [(line, message) for message in line.receive()]
        for line, message in out:
            if message.get("say") in ("down", "give up"):
                code = GIVEN_UP if message["say"] == "give up" else LOST
                raise Down("%s: %s" % (line.who, str(message.get("why"))[:300]), code)
        return out

    def _admit(self) -> None:
        if self.listener:
            connection, _address = self.listener.accept()
            self.strangers = [*self.strangers, Line(connection)][-64:]

    def _welcome(self, line: Line) -> None:
        """A stranger that has spoken becomes a peer, or is shown the door."""
        try:
            messages = line.receive()
        except Down:
            messages = [{}]
        if not messages:
            return
        self.strangers.remove(line)
        hello = messages[0]
        rank = hello.get("rank")
        if (
            hello.get("say") != "hello"
            or hello.get("version") != VERSION
            or hello.get("plan") != self.workload.plan
            or not isinstance(rank, int)
            or rank not in range(1, len(self.workload.members))
        ):
            line.close()
            return
        if any(known.rank == rank for known in self.lines):
            line.close()
            raise Down("rank %d has come a second time: its first line is dead" % rank)
        line.rank, line.running = rank, hello.get("running") is True
        self.lines.append(line)


def _available() -> int:
    """MemAvailable in bytes."""
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
