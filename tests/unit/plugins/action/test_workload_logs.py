# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following logs, over fake looks."""

from __future__ import annotations

import json
import types
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.action import workload_logs as action
from ansible_collections.dgxspark.suite.plugins.plugin_utils import follow

Result = dict[str, t.Any]


class Follow(action.ActionModule):
    """The action over fake looks."""

    def __init__(self, looks: list[Result], **arguments: t.Any) -> None:
        self.looks, self.asked = looks, [arguments][:0]
        task = types.SimpleNamespace(
            args=arguments, async_val=0, check_mode=False, action="dgxspark.suite.workload_logs"
        )
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp"))
        super().__init__(task, connection, None, None, None)

    def _execute_module(self, **call: t.Any) -> Result:
        self.asked.append(json.loads(json.dumps(call["module_args"])))
        return self.looks[len(self.asked) - 1]


def test_followed_lines_are_printed_once_until_the_ranks_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(action, "display", types.SimpleNamespace(display=shown.append))
    monkeypatch.setattr(follow.time, "sleep", lambda _seconds: None)
    line = {"at": "2026-11-22T03:20:21Z", "container": "c", "rank": "0", "text": "one"}
    later = {**line, "at": "2026-11-22T03:20:22Z", "text": "two"}
    looks = [{"lines": [line], "running": True}, {"lines": [later], "running": False}]
    logs = Follow(looks, follow="true", lines=3)
    assert logs.run(task_vars={"inventory_hostname": "spark2"})["lines"] == []
    assert shown == ["[rank 0 spark2] one", "[rank 0 spark2] two"]
    assert [asked["since"] for asked in logs.asked] == [{}, {"c": "2026-11-22T03:20:21Z"}]
    assert logs.asked[0]["lines"] == 3


def test_following_ends_when_ansible_playbook_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parents = iter([100, 1])
    monkeypatch.setattr(follow.os, "getppid", lambda: next(parents))
    logs = Follow([{"lines": [], "running": True}], follow=True)
    assert logs.run(task_vars={})["lines"] == []


def test_without_follow_there_is_one_look() -> None:
    seen = {"lines": [], "running": True}
    logs = Follow([seen])
    assert logs.run(task_vars={}) == seen


def test_a_node_prints_lines_and_nothing_else_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(action, "display", types.SimpleNamespace(display=shown.append))
    line = {"at": "2026-11-22T03:20:21Z", "container": "c", "rank": "0", "text": "one"}
    lines = [
        {**line, "rank": "\x1b[2J"},
        {**line, "text": "\x1b]52;c;eA==\x07\x9b2J\nPLAY RECAP"},
        {**line, "text": ["x"]},
        {"text": "two"},
        "three",
        line,
    ]
    state = {"lines": lines, "running": False}
    Follow([state], follow=True).run(task_vars={"inventory_hostname": "spark2"})
    expected = ["\\x1b]52;c;eA==\\x07\\x9b2J\\nPLAY RECAP", "one"]
    assert shown == [
        "[rank \\x1b[2J spark2] one",
        *(f"[rank 0 spark2] {text}" for text in expected),
    ]
    once = Follow([state]).run(task_vars={})
    assert [one["text"] for one in once["lines"]] == ["one", *expected]
    assert Follow([{**state, "lines": "x"}]).run(task_vars={})["lines"] == []
