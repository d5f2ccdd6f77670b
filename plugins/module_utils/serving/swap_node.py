# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What a swap does on one node, act by act; each can be repeated after it was interrupted.

A new rank is created under a name that ends in `.next`, the old one is retained under one that ends
in `.previous`; so are the unit files beside their places and the secrets beside the units' states.
After the proof it takes renames and a reload to make a plan permanent. Programs on nodes carry a
copy of this module.
"""

from __future__ import annotations

import os
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    make_directories,
    replace_file,
    rightful_owner,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    NEXT,
    OWNER,
    RETAINED,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers, systemd
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory,
    start_permit,
    supervisor,
    swap_files,
    swap_rules,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_rules import (
    ABSENT,
    IDLE,
    NEW,
    OLD,
    STARTED,
    Here,
)

UNITS = "/etc/systemd/system"
SYSTEMCTL = "/usr/bin/systemctl"
# Seconds: for a question to Docker or systemd; for docker start, which may attach devices.
ASK, START = 60.0, 180.0
LOG_LINES = 200

_RUNS = ("running", "paused", "restarting")
_FORMAT = '{{.ID}}\t{{.State}}\t{{.Names}}\t{{.Label "%sswap"}}' % LABEL


class Rank(t.NamedTuple):
    """The rank that a plan has on this node. id: of its container, empty before it is created."""

    id: str
    name: str
    rank: int
    supervised: bool


class Present(t.NamedTuple):
    """A container of this collection on this node. swap: the swap that has created it."""

    id: str
    state: str
    name: str
    swap: str

    @property
    def runs(self) -> bool:
        return self.state in _RUNS


def rank_of(plan: t.Mapping[str, t.Any], node: str) -> Rank | None:
    """The rank of a plan of swap.json on a node."""
    for rank in plan.get("ranks", ()):
        if rank["node"] == node:
            return Rank(
                str(rank["id"]), str(rank["name"]), int(rank["rank"]), bool(rank["supervised"])
            )
    return None


class Problem(Exception):
    """An act has failed for a reason that a repetition does not end; the text says which."""


class SwapNode:
    """This node in a swap. folder: of swap_files."""

    def __init__(self, swap: t.Mapping[str, t.Any], folder: str = swap_files.FOLDER) -> None:
        self.swap = swap
        self.docker = str(swap["docker"])
        self.old = rank_of(swap["old"], str(swap["me"]))
        self.new = rank_of(swap["new"], str(swap["me"]))
        self._folder = folder
        self._limits: t.Mapping[str, t.Any] = swap["limits"]

    # What there is.

    def here(self, state: str) -> Here:
        """What the rules have to know. Raises EngineError while Docker does not answer."""
        present = self.present()
        old, new = self._old_of(present), self._new_of(present)
        # A container that somebody removed has left the files of its unit.
        old_is_left = state == NEW and self._has_files(self.old, RETAINED)
        new_is_left = state == OLD and self._has_files(self.new, NEXT)
        return Here(
            state,
            IDLE if old is None and old_is_left else _rank_state(old),
            IDLE if new is None and new_is_left else _rank_state(new),
            self._unit(state, old),
            self.old is not None,
            self.new is not None,
        )

    def present(self) -> list[Present]:
        """The containers of this collection. Raises EngineError."""
        question = ["ps", "--all", "--no-trunc", "--filter", "label=%sowner=%s" % (LABEL, OWNER)]
        text = containers.ask(self.docker, [*question, "--format", _FORMAT], ASK)
        rows = [line.split("\t") for line in text.splitlines()]
        return [Present(*row) for row in rows if len(row) == len(Present._fields)]

    def _old_of(self, present: t.Sequence[Present]) -> Present | None:
        own = self.old
        return next((one for one in present if own and one.id == own.id), None)

    def _new_of(self, present: t.Sequence[Present]) -> Present | None:
        swap = str(self.swap["id"])
        return next((one for one in present if one.swap == swap), None)

    def new_id(self) -> str:
        """The container of the new rank, empty for none. Raises EngineError."""
        new = self._new_of(self.present())
        return new.id if new else ""

    def death(self) -> str:
        """How the new rank has ended, in words. Never raises."""
        try:
            text = containers.ask(self.docker, ["inspect", self.new_id()], ASK)
            one = containers.parse_inspect(text)[0]
            last = command.last_line(containers.log_tail(self.docker, one.id, LOG_LINES))
        except (containers.EngineError, IndexError):
            return "the container of the new rank has ended"
        words = "Container %s has ended (%s, exit status %d): %s"
        return words % (one.name, one.status, one.exit_code, last)

    def _unit(self, state: str, old: Present | None) -> str:
        """Whose unit is in its place. Before the decision that can only be the old one's."""
        rank = self.new if state == NEW else self.old
        if rank is None:
            return ""
        if not rank.supervised:
            restored = old is None or (old.runs and old.name == rank.name)
            return NEW if state == NEW else OLD if state == OLD and restored else ""
        path = self._unit_path(rank.name)
        if not os.path.exists(path):
            return ""
        if state not in (NEW, OLD):
            return OLD
        if state == NEW and os.path.exists(path + NEXT):
            return ""
        return state if self._unit_state(rank.name)[0] not in ("inactive", "") else ""

    def _unit_state(self, name: str) -> tuple[str, str]:
        """ActiveState and status text of a unit, both empty where systemd does not answer."""
        unit = name + ".service"
        found = systemd.ask_units(SYSTEMCTL, [unit], ASK)[0].get(unit)
        return (found.active, found.status_text) if found else ("", "")

    def met(self) -> str:
        """What the unit of this node's rank waits for, empty once it has met those of its peers.

        Empty, too, where it has none, or has given up.
        """
        rank = self.new
        if rank is None or not rank.supervised:
            return ""
        state, text = self._unit_state(rank.name)
        return "" if state == "failed" or text.startswith(supervisor.MET) else text or state

    def old_settled(self) -> tuple[bool, str]:
        """Whether the old rank has answered or was given up, and why the latter. EngineError."""
        if self.old is None:
            return True, ""
        old = self._old_of(self.present())
        if old is None:
            return True, "container %s is gone" % self.old.name
        if not self.old.supervised:
            return True, "" if old.runs else "container %s does not run" % self.old.name
        state, text = self._unit_state(self.old.name)
        if state == "failed":
            return True, text or "its unit has given up"
        return old.runs and start_permit.is_complete(old.id, start_permit.FOLDER), ""

    # What is done. Each raises EngineError, Problem and OSError.

    def do(self, act: str) -> None:
        {
            swap_rules.SUSPEND_OLD: self._suspend_old,
            swap_rules.START_NEW: self._start_new,
            swap_rules.STOP_NEW: self._stop_new,
            swap_rules.PLACE_NEW: self._place_new,
            swap_rules.DROP_OLD: self._drop_old,
            swap_rules.PLACE_OLD: self._place_old,
            swap_rules.DROP_NEW: self._drop_new,
        }[act]()

    def release(self) -> float:
        """Wait for the memory of what has stopped: the seconds."""
        _bytes, waited, _stable = memory.await_release(float(self._limits["memory"]))
        return waited

    def _suspend_old(self) -> None:
        old = self._old_of(self.present())
        if self.old and self.old.supervised:
            for path in self._files(self.old.name):
                _move(path, path + RETAINED)
            self._reload()
            self._systemctl("stop", self.old.name + ".service")
            command.run([SYSTEMCTL, "reset-failed", self.old.name + ".service"], ASK)
        if old and self.old:
            self._rename(old, self.old.name + RETAINED)
            self._stop(old.id)

    def clear(self) -> None:
        """Remove what is in the way: containers and units that serve nothing."""
        present = {one.id: one for one in self.present()}
        for leftover in self.swap["remove"]:
            name, identifier = str(leftover["name"]), str(leftover["id"])
            if leftover["unit"] and os.path.exists(self._unit_path(name)):
                self._systemctl("stop", name + ".service")
                for path in self._files(name):
                    _unlink(path)
                self._unlink_alone(name)
                self._reload()
            if identifier in present:
                self._remove(present[identifier])

    def _start_new(self) -> None:
        new = self._new_of(self.present())
        if new is None or self.new is None:
            raise Problem("the container of the new rank is gone")
        lacks = memory.make_room(str(self.swap.get("claim", "")), float(self._limits["memory"]))
        if lacks:
            raise Problem(lacks)
        self._rename(new, self.new.name)
        start_permit.forget(new.id, start_permit.FOLDER)
        done = command.run([self.docker, "start", new.id], START)
        if not done.ok:
            # An engine that is away has another remedy.
            self.present()
            raise Problem("docker start: %s" % done.describe())

    def _stop_new(self) -> None:
        new = self._new_of(self.present())
        if new and new.runs:
            self._stop(new.id)

    def _place_new(self) -> None:
        if self.new is None:
            return
        for path in self._files(self.new.name):
            if os.path.exists(path + NEXT):
                _move(path + NEXT, path)
            elif path == supervisor.state_path(self._unit_path(self.new.name)):
                _unlink(path)
        self._begin(self.new.name)

    def _drop_old(self) -> None:
        old = self._old_of(self.present())
        if self.old:
            for path in self._files(self.old.name):
                _unlink(path + RETAINED)
            self._unlink_alone(self.old.name)
        if old:
            self._remove(old)

    def _place_old(self) -> None:
        if self.old is None:
            return
        old = self._old_of(self.present())
        if old:
            self._rename(old, self.old.name)
        if not self.old.supervised:
            if old is None:
                raise Problem("container %s is gone" % self.old.name)
            containers.ask(self.docker, ["start", old.id], START)
            return
        state = supervisor.state_path(self._unit_path(self.old.name))
        for path in self._files(self.old.name):
            # The count of its starts begins anew.
            if path == state:
                _unlink(path)
                _unlink(path + RETAINED)
            else:
                _move(path + RETAINED, path)
        self._begin(self.old.name)

    def _drop_new(self) -> None:
        for one in self.present():
            if one.swap == str(self.swap["id"]):
                text = containers.log_tail(self.docker, one.id, LOG_LINES)
                self._keep("log-%d" % (self.new.rank if self.new else 0), text)
                self._remove(one)
        if self.new:
            for path in self._files(self.new.name):
                _unlink(path + NEXT)
            self._unlink_alone(self.new.name)

    # By which it is done.

    def _has_files(self, rank: Rank | None, suffix: str) -> bool:
        paths = self._files(rank.name) if rank else ()
        return any(os.path.exists(path + suffix) for path in paths)

    def _files(self, name: str) -> tuple[str, ...]:
        """The unit file of a container, its secret and its state."""
        unit = self._unit_path(name)
        return unit, supervisor.secret_path(unit), supervisor.state_path(unit)

    def _unit_path(self, name: str) -> str:
        return os.path.join(UNITS, name + ".service")

    def _link_path(self, name: str) -> str:
        """The link by which a boot starts the unit; it does no harm while there is no unit."""
        return os.path.join(UNITS, "multi-user.target.wants", name + ".service")

    def _unlink_alone(self, name: str) -> None:
        """Remove the link of a unit that is in no place any more."""
        path = self._unit_path(name)
        if not any(map(os.path.exists, (path, path + RETAINED, path + NEXT))):
            _unlink(self._link_path(name))

    def prepare(self, unit: str, secret: str) -> None:
        """Put the unit of the new rank beside its place. Raises OSError and Blocked."""
        if self.new is None or not self.new.supervised:
            return
        path, secret_path, _state = self._files(self.new.name)
        _replace(path + NEXT, unit, 0o644)
        _replace(secret_path + NEXT, secret + "\n", 0o600)
        link = self._link_path(self.new.name)
        os.makedirs(os.path.dirname(link), exist_ok=True)
        with suppress(FileExistsError):
            os.symlink(path, link)

    def prepare_old(self, unit: str, secret: str) -> None:
        """Replace the secret of the old rank's unit, and provide that where it is missing.

        Its peers get the same one. Raises OSError and Blocked.
        """
        if self.old is None or not self.old.supervised:
            return
        path, secret_path, _state = self._files(self.old.name)
        suffix = "" if os.path.exists(path) else RETAINED
        if suffix:
            _replace(path + suffix, unit, 0o644)
        _replace(secret_path + suffix, secret + "\n", 0o600)

    def _begin(self, name: str) -> None:
        self._reload()
        self._systemctl("start", "--no-block", name + ".service")

    def _reload(self) -> None:
        self._systemctl("daemon-reload")

    def _systemctl(self, *words: str) -> None:
        done = command.run([SYSTEMCTL, *words], ASK * 4)
        gone = "not loaded" in done.stderr or "not found" in done.stderr
        if not done.ok and not (gone and words[0] == "stop"):
            raise Problem("systemctl %s: %s" % (" ".join(words), done.describe()))

    def _rename(self, container: Present, name: str) -> None:
        if container.name != name:
            containers.ask(self.docker, ["rename", container.id, name], ASK)

    def _stop(self, identifier: str) -> None:
        seconds = int(self._limits["stop"])
        start_permit.forget(identifier, start_permit.FOLDER)
        words = ["stop", "-t", str(seconds), identifier]
        containers.ask(self.docker, words, seconds + START)

    def _remove(self, container: Present) -> None:
        if container.runs:
            self._stop(container.id)
        start_permit.forget(container.id, start_permit.FOLDER)
        containers.ask(self.docker, ["rm", "--force", "--volumes", container.id], START)

    def _keep(self, name: str, text: str) -> None:
        swap_files.keep(str(self.swap["service"]), name, text.encode(), self._folder)


def _rank_state(container: Present | None) -> str:
    return ABSENT if container is None else STARTED if container.runs else IDLE


def _move(path: str, goal: str) -> None:
    with suppress(FileNotFoundError):
        os.rename(path, goal)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _replace(path: str, text: str, mode: int) -> None:
    make_directories(os.path.dirname(path))
    replace_file(path, text.encode(), mode, rightful_owner(os.geteuid()))
