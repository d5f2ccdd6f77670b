# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The processes of a node that use a model, by their command lines."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# Programs that serve models, named by one of the first words of a command line.
_SERVERS = ("vllm", "sglang", "llama-server", "trtllm-serve", "text-generation-launcher", "ollama")
_FIRST_WORDS = 4
_ARGV_BYTES = 1 << 17


@dataclass(frozen=True)
class Process:
    """pid and name of a process, and the words of its command line."""

    pid: int
    name: str
    argv: Sequence[str]

    @property
    def serves(self) -> bool:
        """Whether it is a model server, and not another program with a model's name as argument."""
        return any(
            os.path.basename(word).partition(".")[0] in _SERVERS
            for word in self.argv[:_FIRST_WORDS]
        )


def processes(proc: str = "/proc") -> list[Process]:
    """All processes but this one, its ancestors, and those of Ansible."""
    own = set(_line_of(os.getpid(), proc))
    running = []
    for entry in sorted(filter(foreign.is_whole, _names(proc)), key=int):
        if int(entry) in own:
            continue
        with suppress(OSError):
            argv = _read(os.path.join(proc, entry, "cmdline")).split("\0")[:-1]
            name = foreign.line(_read(os.path.join(proc, entry, "comm")).strip())
            if argv and not any(
                os.path.basename(word).startswith("ansible") for word in argv[:_FIRST_WORDS]
            ):
                running.append(Process(int(entry), name, argv))
    return running


def _read(path: str) -> str:
    with open(path, "rb") as stream:
        return stream.read(_ARGV_BYTES).decode("utf-8", "replace")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _line_of(pid: int, proc: str) -> Iterator[int]:
    """A process and its ancestors."""
    while pid > 0:
        yield pid
        try:
            with open(os.path.join(proc, str(pid), "stat"), "rb") as stream:
                # The name, in parentheses, may contain anything.
                pid = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return


class Users:
    """Finds the processes that use a model, for many models at the cost of one."""

    def __init__(self, running: Sequence[Process]) -> None:
        self._by_name: dict[str, list[Process]] = {}
        self._by_path: dict[str, list[Process]] = {}
        for process in running:
            for word in set(_values(process.argv)):
                if word.startswith("/"):
                    for path in _and_parents(os.path.normpath(word)):
                        self._by_path.setdefault(path, []).append(process)
                else:
                    self._by_name.setdefault(word.partition(":")[0], []).append(process)

    def of(self, name: str, paths: Collection[str]) -> list[Process]:
        """Processes that name it: its repository, also as repo:QUANT, or a path in one of paths."""
        users = {process.pid: process for process in self._by_name.get(name, ())}
        for path in paths:
            users.update((process.pid, process) for process in self._by_path.get(path, ()))
        return [users[pid] for pid in sorted(users)]


def _and_parents(path: str) -> Iterator[str]:
    while path != "/":
        yield path
        path = os.path.dirname(path)


def _values(argv: Sequence[str]) -> Iterator[str]:
    for word in argv:
        yield word
        if word.startswith("-") and "=" in word:
            yield word.partition("=")[2]
