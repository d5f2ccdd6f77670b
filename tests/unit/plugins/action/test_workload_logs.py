# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How logs are followed, over played looks."""

from __future__ import annotations

import json
import types
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.action import workload_logs as action

Result = dict[str, t.Any]


class Follow(action.ActionModule):
    """The action, over played looks."""

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


def test_followed_lines_are_shown_once_until_the_ranks_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(action, "display", types.SimpleNamespace(display=shown.append))
    monkeypatch.setattr(action, "time", types.SimpleNamespace(sleep=lambda _seconds: None))
    line = {"at": "2026-11-22T03:20:21Z", "container": "c", "rank": "0", "text": "one"}
    later = {**line, "at": "2026-11-22T03:20:22Z", "text": "two"}
    looks = [{"lines": [line], "running": True}, {"lines": [later], "running": False}]
    follow = Follow(looks, follow="true", lines=3)
    assert follow.run(task_vars={"inventory_hostname": "spark2"})["lines"] == []
    assert shown == ["[rank 0 spark2] one", "[rank 0 spark2] two"]
    assert [asked["since"] for asked in follow.asked] == [{}, {"c": "2026-11-22T03:20:21Z"}]
    assert follow.asked[0]["lines"] == 3


def test_nothing_is_followed_once_ansible_playbook_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parents = iter([100, 1])
    monkeypatch.setattr(action.os, "getppid", lambda: next(parents))
    follow = Follow([{"lines": [], "running": True}], follow=True)
    assert follow.run(task_vars={})["lines"] == []


def test_without_following_one_look_is_all() -> None:
    seen = {"lines": [], "running": True}
    follow = Follow([seen])
    assert follow.run(task_vars={}) == seen
