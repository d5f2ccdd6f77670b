# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen output of a run: phases, progress, changes, messages; nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
name: brief
type: stdout
short_description: Screen output of phases, progress, changes and messages
version_added: 0.2.0
description:
  - Prints the name of each play, of each task that changes something, fails or takes long, and the
    progress that tasks report. Tasks that change nothing, and skipped ones, are not printed.
  - Prints the message of M(ansible.builtin.debug) as plain text that can be pasted. Hosts with the
    same message share it.
  - Prints an error as one paragraph per cause, followed by the hosts. With C(-v), results are added
    in the format of C(ansible.builtin.default), with C(-vvv) also tracebacks.
  - The end has the hosts that failed or could not be reached, or else the number of changes, and
    the command to type next, if a message has one on its last line, after the word C(next) and a
    colon. So may that of a failed task, unless a node has put it in words. Where a playbook of
    this collection cannot inspect nodes, that command checks them.
author:
  - dgxspark.suite contributors (@dgxspark)
options:
  slow_seconds:
    description:
      - Seconds after which the name of a running task is printed, and at its end how long it took.
    type: float
    default: 1.5
    env:
      - name: DGXSPARK_BRIEF_SLOW_SECONDS
    ini:
      - section: callback_brief
        key: slow_seconds
extends_documentation_fragment:
  - result_format_callback
requirements:
  - enabled in C(ansible.cfg) with C(stdout_callback = dgxspark.suite.brief)
"""

import re
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    NEXT,
    parted,
    playbook_command,
    playbook_name,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.quantities import duration
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import outcomes
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import natural

WIDTH = 120
# Lines of what a failed program printed.
PRINTED = 10
_DEBUG = ("ansible.builtin.debug", "ansible.legacy.debug", "debug")
# Fails where Docker does not answer.
_INSPECTS = "dgxspark.suite.workload_info"
# Playbooks whose last line is that of the drift report, or that need no node.
_REPORT = ("site", "audit", "discover", "recipes", "audit_timer")
# Failures of these are put in words on the controller, so that no node chooses the command to type
# next.
_OURS = {
    *_DEBUG,
    *(f"ansible.builtin.{name}" for name in ("assert", "fail", "set_fact")),
    *(f"dgxspark.suite.{name}" for name in ("cluster_lock", "model_setup", "services")),
}


class CallbackModule(CallbackBase):
    """Collects the results of a task from all hosts; prints when the next one starts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "dgxspark.suite.brief"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.started = time.monotonic()
        self.play = ""  # its name, until it is printed
        self.hosts: Any = []  # its pattern
        self.check = False
        self.task: _Task | None = None
        self.errors: set[str] = set()  # those that were printed
        self.changes = 0
        self.results = 0
        self.patterns: list[str] = []  # of plays that no host matches
        self.next = ""  # the command to type next
        self.unprepared: list[str] = []  # hosts that could not be inspected
        self.slow = 0.0
        self.watch = _Watch(self._on_slow)

    def set_options(self, *args: Any, **kwargs: Any) -> None:
        super().set_options(*args, **kwargs)
        self.slow = float(self.get_option("slow_seconds"))

    # Plays and tasks.

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._end_task()
        self.play = " ".join(str(play.get_name()).split())
        self.check = bool(play.check_mode)
        self.play += " (check)" if self.check else ""
        self.hosts = play.hosts

    def v2_playbook_on_no_hosts_matched(self) -> None:
        hosts = self.hosts if isinstance(self.hosts, list) else [str(self.hosts)]
        self.patterns += [host for host in hosts if host not in self.patterns]

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._end_task()
        self.task = _Task(task)
        self.watch.start(self.task, self.task.started + self.slow)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    # Results.

    def v2_runner_on_ok(self, result: Any) -> None:
        self.results += 1
        self._handle_warnings(result.result)
        task, host = self._task(result), result.host.get_name()
        if result.task.action in _DEBUG:
            for outcome in _outcomes(result):
                message = self._message(result, outcome)
                if message:
                    task.add(task.messages, message, host)
            return
        if result.result.get("changed"):
            task.changed.append(host)
        self._verbose(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.results += 1
        self._handle_warnings(result.result)
        task, host = self._task(result), result.host.get_name()
        if not ignore_errors:
            for outcome in _outcomes(result, "failed"):
                reason = self._reason(outcome)
                ours = result.task.action in _OURS
                if result.task.action == _INSPECTS and host not in self.unprepared:
                    self.unprepared.append(host)
                task.add(task.errors, self._led_on(reason) if ours else reason, host)
        self._verbose(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self.results += 1
        task, host = self._task(result), result.host.get_name()
        for outcome in _outcomes(result, "unreachable"):
            task.add(task.errors, "unreachable: " + self._reason(outcome), host)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self.results += 1
        self._verbose(result, "skipped", 1)

    def v2_runner_retry(self, result: Any) -> None:
        task, host = self._task(result), result.host.get_name()
        left = result.result["retries"] - result.result["attempts"]
        self._head(task)
        self._line(f"    {host}: again, {left} more attempts: {self._reason(result.result)}")

    def v2_on_file_diff(self, result: Any) -> None:
        task = self._task(result)
        for outcome in _outcomes(result):
            diff = self._get_diff(outcome["diff"]) if outcome.get("diff") else ""
            if diff:
                self._head(task)
                self._display.display(diff.rstrip("\n"))

    # The end.

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end_task()
        self.watch.stop()
        summaries = {host: stats.summarize(host) for host in sorted(stats.processed)}
        lost = [host for host, counts in summaries.items() if counts["unreachable"]]
        failed = [host for host, counts in summaries.items() if counts["failures"]]
        took = duration(time.monotonic() - self.started)
        if lost or failed:
            ends = [("failed", failed), ("unreachable", lost)]
            parts = [f"{word}: {', '.join(hosts)}" for word, hosts in ends if hosts]
            self._line("\n" + "; ".join(parts) + f" (after {took})", C.COLOR_ERROR)
        elif not self.results and self.patterns:
            self._line(
                f"\nNothing was run: the inventory has no host for {' or '.join(self.patterns)}",
                C.COLOR_ERROR,
            )
        elif self.changes:
            tasks = "1 task" if self.changes == 1 else f"{self.changes} tasks"
            did = "would change" if self.check else "changed"
            self._line(f"\nComplete: {tasks} {did} something, in {took}", C.COLOR_CHANGED)
        elif self.results:
            nothing = "nothing would change" if self.check else "nothing changed"
            self._line(f"\nComplete: {nothing}, in {took}", C.COLOR_OK)

        command = self.next or self._checked([*self.unprepared, *lost])
        if command:
            self._line(command)

    @staticmethod
    def _checked(nodes: list[str]) -> str:
        """What leads on from nodes that nobody could inspect: their drift report has the reason."""
        if not nodes or playbook_name() in ("", *_REPORT):
            return ""
        limit = ",".join(dict.fromkeys(nodes))
        return NEXT + playbook_command("site", ["--check", "--limit", limit])

    # Printing.

    def _task(self, result: Any) -> _Task:
        """The task of a result, which may be one of an earlier task where the strategy is free."""
        if self.task is None or self.task.uuid != result.task._uuid:
            self._end_task()
            self.task = _Task(result.task)
        return self.task

    def _end_task(self) -> None:
        self.watch.pause()
        task, self.task = self.task, None
        if task is None:
            return
        self.changes += bool(task.changed)
        took = time.monotonic() - task.started
        slow = took > self.slow and task.head
        if task.changed:
            self._head(task)
            word = "would change" if self.check else "changed"
            suffix = f" ({duration(took)})" if slow else ""
            self._line(f"    {word}: {_names(task.changed)}{suffix}", C.COLOR_CHANGED)
        for text, hosts in sorted(task.messages.items(), key=lambda entry: natural(entry[1][0])):
            self._print_play()
            separator = "\n" if "\n" in text else " "
            several = len(task.messages) > 1
            self._line(f"{_names(hosts)}:{separator}{text}" if several else text)
        for text, hosts in task.errors.items():
            self._error(task, text, _names(hosts))

    def _error(self, task: _Task, text: str, hosts: str) -> None:
        error = f"{hosts}: {text}"
        if error not in self.errors:
            self.errors.add(error)
            self._head(task)
            self._line(_paragraph(error), C.COLOR_ERROR)

    def _print_play(self) -> None:
        play, self.play = self.play, ""
        if play:
            self._line(f"\n{play}", C.COLOR_HIGHLIGHT)

    def _head(self, task: _Task) -> None:
        self._print_play()
        if not task.head:
            task.head = True
            self._line(f"  {task.name}")

    def _on_slow(self, task: _Task) -> None:
        """Called by the thread of the watch."""
        if task is self.task and not task.silent:
            self._head(task)

    def _line(self, text: str, color: str | None = None) -> None:
        self._display.display(shown(text), color=color)

    def _verbose(self, result: Any, word: str, least: int = 0) -> None:
        if self._run_is_verbose(result, verbosity=least):
            self._head(self._task(result))
            self._clean_results(result.result, result.task.action)
            dumped = self._dump_results(result.result)
            self._display.display(f"    {word}: {result.host.get_name()} => {dumped}")

    def _message(self, result: Any, outcome: dict[str, Any]) -> str:
        if "msg" in result.task.args:
            message = outcome.get("msg", "")
        else:
            name = result.task.args.get("var", "")
            message = outcome.get(name, outcome)
        if isinstance(message, (list, tuple)) and all(isinstance(part, str) for part in message):
            message = "\n".join(message)
        if not isinstance(message, str):
            return self._text(message)
        return self._led_on(message)

    def _led_on(self, message: str) -> str:
        """The message without the command to type next, which is printed last."""
        text, command = parted(message)
        self.next = command or self.next
        return text

    def _text(self, value: Any) -> str:
        dumped = str(self._dump_results({"value": value}, indent=2))
        return textwrap.dedent(dumped.strip().removeprefix("value:").strip("\n"))

    @staticmethod
    def _reason(outcome: dict[str, Any]) -> str:
        """The message of a failure, and the last lines that its program printed, if any."""
        message = _WRAPPED.sub("", str(outcome.get("msg") or "").strip())
        printed = ""
        if not message or outcome.get("rc"):
            keys = ("stderr", "module_stderr", "stdout", "module_stdout")
            printed = next((str(outcome[key]).strip() for key in keys if outcome.get(key)), "")
        lines = [line for line in (message, *printed.splitlines()[-PRINTED:]) if line]
        return "\n".join(lines) or "it failed without a message"


# What core puts before the sentence of a lookup of ours.
_WRAPPED = re.compile(
    r"Task failed: (?:[^\n]*? failed: |[^\n]*? for '[^'\n]*': )*"
    r"The lookup plugin 'dgxspark\.suite\.\w+' failed: "
)


class _Task:
    """The running task, and what its hosts have returned."""

    def __init__(self, task: Any) -> None:
        self.uuid = task._uuid
        self.name = " ".join(str(task.get_name()).rpartition(" : ")[2].split())
        # Names of these say nothing: their content does.
        self.silent = task.action in _DEBUG or bool(task.no_log)
        self.started = time.monotonic()
        self.head = False  # whether its name is printed
        self.changed: list[str] = []
        self.messages: dict[str, list[str]] = {}  # text -> hosts
        self.errors: dict[str, list[str]] = {}

    @staticmethod
    def add(texts: dict[str, list[str]], text: str, host: str) -> None:
        hosts = texts.setdefault(text, [])
        if host not in hosts:
            hosts.append(host)


class _Watch:
    """A thread that calls back once for each task that is still running at its time."""

    def __init__(self, call: Callable[[_Task], None]) -> None:
        self._call = call
        self._changed = threading.Condition()
        self._task: _Task | None = None
        self._at = 0.0
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self, task: _Task, at: float) -> None:
        with self._changed:
            self._task, self._at = task, at
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._changed.notify()

    def pause(self) -> None:
        with self._changed:
            self._task = None

    def stop(self) -> None:
        with self._changed:
            self._task, self._ended = None, True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._ended:
                left = self._at - time.monotonic() if self._task else None
                if self._task and left is not None and left <= 0:
                    task, self._task = self._task, None
                    self._call(task)
                else:
                    self._changed.wait(left)


def _outcomes(result: Any, word: str = "") -> list[dict[str, Any]]:
    """The results of a loop's items, those only that have the word set; or else the result."""
    items = outcomes(result.result) if result.task.loop else []
    chosen = [item for item in items if isinstance(item, dict) and (not word or item.get(word))]
    return chosen or [result.result]


def _names(hosts: list[str]) -> str:
    return ", ".join(sorted(hosts, key=natural))


def _paragraph(text: str) -> str:
    """Wrapped where a line is longer than the screen; lines that fit, and commands, stay."""
    width = (
        min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH) if sys.stdout.isatty() else WIDTH
    )
    lines = []
    for line in text.splitlines():
        if line.startswith((" ", "\t")):
            lines.append(line)
        else:
            lines += textwrap.wrap(
                line, width - 4, break_on_hyphens=False, break_long_words=False
            ) or [""]
    return "\n".join(f"    {line}".rstrip() for line in lines)
