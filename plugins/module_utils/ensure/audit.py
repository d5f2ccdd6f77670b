# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Checks of many specs in parallel, each in its own process, so that failures stay separate."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Callable, NoReturn

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine import cached_answers
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    Finding,
)

# Seconds for a terminated process to remove its scratch files and probe containers.
_GRACE = 5.0
_CHUNK = 1 << 16


class InvalidOption(Exception):
    """What the spec's own module refuses before it looks at anything."""


@dataclass(frozen=True)
class Job:
    """A spec, and the options of a task for it."""

    spec: Spec
    options: Mapping[str, Any]

    def check(self) -> dict[str, Any]:
        """The result of the spec's module in check mode, without its own facts.

        Raises InvalidOption, naming the option, for an invalid value.
        """
        validated = ArgumentSpecValidator(**self.spec.arguments).validate(dict(self.options))
        if validated.error_messages:
            raise InvalidOption("; ".join(validated.error_messages))
        options = validated.validated_parameters
        try:
            exempt = Exemptions.given(options["skip"], options["accepted"])
            observe, plan, _store = self.spec.functions(options, exempt, act=False)
        except ValueError as error:
            raise InvalidOption(str(error)) from error
        result, _failed_checks = converge(observe, plan, act=False, exempt=exempt)
        keys = ("changed", "findings", "paths", "parity", "seconds", "diff")
        return {"spec": self.spec.name, **{key: result[key] for key in keys}}

    def refused(self, why: str) -> dict[str, Any]:
        """The result of a spec with an invalid option: its module fails in a run, too."""
        failed = {"failed": True, "msg": why, "changed": False}
        return {"spec": self.spec.name, **failed, "findings": [], "parity": {}}

    def unassessed(self, why: str, hint: str) -> dict[str, Any]:
        """The result of a check that did not finish."""
        name = self.spec.name
        expected = "the checks of %s finish" % name
        finding = Finding(
            "%s_assessed" % name, BLOCKED, expected, "not assessed: %s" % why, CRITICAL, hint=hint
        )
        return {"spec": name, "changed": False, "findings": [asdict(finding)], "parity": {}}


class _Running:
    """A job's process."""

    def __init__(self, number: int, job: Job, deadline: float, work: Callable[[Job], Any]) -> None:
        self.number, self.job, self.deadline = number, job, deadline
        self.reply = bytearray()
        self.ended_by = ""  # the limit that it exceeded
        self.source, sink = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.source)
            _child(sink, job, work)
        os.close(sink)

    def stop(self, why: str) -> None:
        """Terminate it; kill it the second time."""
        number = signal.SIGKILL if self.ended_by else signal.SIGTERM
        self.ended_by = self.ended_by or why
        self.deadline = time.monotonic() + _GRACE
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def outcome(self) -> dict[str, Any]:
        """Its result; it has ended, or has closed its end of the pipe."""
        os.close(self.source)
        _pid, status = os.waitpid(self.pid, 0)
        if self.ended_by:
            hint = (
                "Run it alone to see where it hangs: ansible-playbook dgxspark.suite.site --check"
                " --tags %s."
            )
            return self.job.unassessed(self.ended_by, hint % self.job.spec.name)
        try:
            result, error, states = foreign.json_of(bytes(self.reply).decode())
            cached_answers.KNOWN_STATES.update(states)
        except ValueError:
            result, error = None, _exit_reason(status)
        if result is None:
            hint = "This is a bug in the collection: please report it."
            return self.job.unassessed(error, hint)
        return dict(result)


def _exit_reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "its process was killed by signal %d" % os.WTERMSIG(status)
    return "its process ended with status %d and no result" % os.WEXITSTATUS(status)


def _child(sink: int, job: Job, work: Callable[[Job], Any]) -> NoReturn:
    """Do the work, write [result, error, states] as JSON, and exit."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(1)

    status = 1
    try:
        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGHUP, leave)
        try:
            reply = [work(job), "", cached_answers.COMPUTED_STATES]
        except InvalidOption as error:
            reply = [job.refused(str(error)), "", {}]
        except Exception:  # reported as the result of this spec only
            lines = traceback.format_exc().strip().splitlines()
            reply = [None, "%s (%s)" % (lines[-1], lines[-3].strip() if len(lines) > 2 else ""), {}]
        rest = memoryview(json.dumps(reply).encode())
        while rest:
            rest = rest[os.write(sink, rest) :]
        status = 0
    finally:
        os._exit(status)  # without the exit handlers and buffers of the parent


def side_by_side(
    jobs: Sequence[Job],
    width: int,
    probe_seconds: float,
    node_seconds: float,
    work: Callable[[Job], Any] = Job.check,
) -> list[dict[str, Any]]:
    """The results of all jobs, in their order; at most width jobs run at a time.

    A costly job uses gigabytes of memory, so only one of those runs at a time. A job that runs
    longer than probe_seconds is not assessed, nor one that has not ended after node_seconds.
    """
    end = time.monotonic() + node_seconds
    # The longest jobs start first.
    waiting = sorted(enumerate(jobs), key=lambda process: not process[1].spec.costly)
    outcomes: dict[int, dict[str, Any]] = {}
    running: list[_Running] = []
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                now = time.monotonic()
                if now >= end:
                    for number, job in waiting:
                        why = "not started within the %g s of the node" % node_seconds
                        outcomes[number] = job.unassessed(
                            why, "Check which of the other checks takes so long."
                        )
                    waiting = []
                for number, job in _startable(waiting, running, width):
                    waiting.remove((number, job))
                    process = _Running(number, job, min(end, now + probe_seconds), work)
                    selector.register(process.source, selectors.EVENT_READ, process)
                    running.append(process)
                for key, _events in selector.select(_until(running, now)):
                    process = key.data
                    data = os.read(process.source, _CHUNK)
                    process.reply += data
                    if not data:
                        selector.unregister(process.source)
                        running.remove(process)
                        outcomes[process.number] = process.outcome()
                for process in running:
                    if time.monotonic() >= process.deadline:
                        process.stop(
                            "it had not finished after %g s" % min(probe_seconds, node_seconds)
                        )
        finally:
            for process in running:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
    return [outcomes[number] for number in range(len(jobs))]


def _startable(
    waiting: Sequence[tuple[int, Job]], running: Sequence[_Running], width: int
) -> list[tuple[int, Job]]:
    """The jobs that may start now."""
    room = width - len(running)
    costly = any(process.job.spec.costly for process in running)
    chosen: list[tuple[int, Job]] = []
    for number, job in waiting:
        if len(chosen) >= room or (job.spec.costly and costly):
            continue
        costly = costly or job.spec.costly
        chosen.append((number, job))
    return chosen


def _until(running: Sequence[_Running], now: float) -> float:
    return max(0.0, min((process.deadline for process in running), default=now) - now)
