# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal of a role and of a playbook ends with the command to type next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TASKS = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
PLAYBOOKS = {path.stem for path in ROOT.glob("playbooks/*.yml")}
# Name of the task -> why its message has no such line.
EXCEPTIONS = {
    "Fail if the recipe cannot be launched": "the lookup launch_plan puts the line at its end",
    "Report the failed launch": "the template failed.j2 has it",
    "Fail on drift": "the drift report below it ends with the line",
    "Require one node and one disk": "no command knows which disk may be emptied",
}
# The last line of a message, or the filter that puts it there.
LINE = re.compile(r"(?:^|\n)next: [^\n]+\s*\Z|\| dgxspark\.suite\.refusal\(.+\) \}\}\Z", re.S)
# The name of a playbook as the two write it.
NAMED = re.compile(r"""(?:'dgxspark\.suite\.command',|suite\.refusal\()\s*'(\w+)'""")


def refusals(tasks: object) -> Iterator[tuple[str, str]]:
    """Name and message of each task that can only refuse."""
    for task in tasks if isinstance(tasks, list) else ():
        for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from refusals(task.get(key))
        arguments: dict[str, Any] = task.get("ansible.builtin.assert") or {}
        if arguments:
            yield str(task.get("name")), str(arguments.get("fail_msg", ""))
        if "ansible.builtin.fail" in task:
            yield str(task.get("name")), str(task["ansible.builtin.fail"].get("msg", ""))


FOUND = [
    (f"{path.relative_to(ROOT)}: {name}", name, message)
    for path in TASKS
    for name, message in refusals(yaml.safe_load(path.read_text("utf-8")))
]


@pytest.mark.parametrize(
    ("name", "message"), [one[1:] for one in FOUND], ids=[one[0] for one in FOUND]
)
def test_a_refusal_leads_on(name: str, message: str) -> None:
    jinja2.Environment().parse(message)
    assert bool(LINE.search(message)) != (name in EXCEPTIONS), message
    # What is typed next is no part of the sentence.
    assert "ansible-playbook" not in message
    assert set(NAMED.findall(message)) <= PLAYBOOKS


def test_every_exception_is_one() -> None:
    assert set(EXCEPTIONS) <= {name for _label, name, _message in FOUND}
    assert len(FOUND) > 25
    failed = (ROOT / "roles/launch/templates/failed.j2").read_text("utf-8")
    assert failed.splitlines()[-1].startswith("next: ")
    named = NAMED.findall("\n".join(path.read_text("utf-8") for path in TASKS))
    assert set(named) <= PLAYBOOKS


def test_a_refusal_of_a_launch_names_a_playbook() -> None:
    """Refusals of Python code, as `refusal(why, "status")`."""
    sources = [
        *ROOT.glob("plugins/plugin_utils/recipe/launch/*.py"),
        *ROOT.glob("plugins/plugin_utils/services/*.py"),
        *ROOT.glob("plugins/filter/*.py"),
        *ROOT.glob("plugins/action/*.py"),
    ]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    named = re.findall(r'playbook_command\(\s*"(\w+)"', text)
    assert named
    assert set(named) <= PLAYBOOKS
