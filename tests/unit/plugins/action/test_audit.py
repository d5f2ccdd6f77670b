# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit asks of a node is what the roles' tasks say, under the variables of that node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]

PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  vars:
    dgxspark_kernel_swap: "off"
    dgxspark_paths_file: "{{ folder }}/paths.env"
    dgxspark_ptxas_targets: [{venv: "{{ folder }}/a"}, {venv: "{{ folder }}/b"}]
    dgxspark_vllm_runtime_targets: []
    dgxspark_skip: {swap_now: not here}
  pre_tasks:
    - dgxspark.suite.audit:
        role: %s
        width: 1
      tags: [always]
      register: audited
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ audited | to_json }}"
        dest: "{{ folder }}/result"
      tags: [always]
    - ansible.builtin.meta: end_play
      tags: [always]
  roles:
    - %s
"""
PROGRAM = Path(sys.executable).with_name("ansible-playbook")
ENVIRONMENT = {**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
# Nodes that are this machine, as whoever runs the tests; the last has no Python that answers.
NODES = {
    "well": {},
    "wanted": {"dgxspark_fail_on_drift": "yes"},
    "dumb": {"ansible_python_interpreter": "/bin/false"},
}
LOCAL = {
    "ansible_connection": "local",
    "ansible_become": False,
    # Nobody has that.
    "dgxspark_kernel_sysctls": {"net.ipv4.tcp_keepalive_time": 601},
}


def audited(
    tmp_path: Path, *options: str, role: str = "dgxspark.suite.serving_node", read: str = ""
) -> Any:
    """What the audit of a role returns of a node that is this machine; read is the play's role."""
    play = tmp_path / "play.yml"
    play.write_text(PLAY % (role, read or role))
    subprocess.run(
        [str(PROGRAM), "-i", "node,", "-e", f"folder={tmp_path}", *options, str(play)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    return json.loads((tmp_path / "result").read_text())


def specs(result: Any) -> list[str]:
    return [one["spec"] for one in result["results"]]


def test_the_roles_tasks_say_what_is_asked_with_tags_loops_and_variables(tmp_path: Path) -> None:
    result = audited(tmp_path, "--tags", "kernel,ptxas,vllm_runtime")
    # Two targets of one, none of the other.
    assert specs(result) == ["kernel", "ptxas", "ptxas"]
    found = {one["check"]: one for one in result["results"][0]["findings"]}
    assert found["swap_now"]["actual"] == "not applicable: not here"
    targets = [one["findings"][0]["expected"] for one in result["results"][1:]]
    assert [f"{tmp_path}/{name}" in told for name, told in zip("ab", targets, strict=True)] == [
        True,
        True,
    ]
    # Whoever imports a role says more of it than its defaults do.
    assert "ptxas_bin" not in {one["check"] for one in result["results"][1]["findings"]}
    assert "invocation" not in result


def test_tags_that_nothing_has_ask_for_nothing(tmp_path: Path) -> None:
    result = audited(tmp_path, "--tags", "nothing_of_the_kind")
    assert (result["results"], result["changed"]) == ([], False)


def test_what_is_included_while_a_play_runs_is_refused_by_name(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "mine" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text("- ansible.builtin.include_role: {name: dgxspark.suite.kernel}\n")
    result = audited(tmp_path, role="mine")
    assert result["failed"] is True
    assert "the audit cannot see what ansible.builtin.include_role brings in" in result["msg"]


def test_a_condition_leaves_out_what_it_leaves_out_in_the_role(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "mine" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(
        "- dgxspark.suite.ensure_kernel:\n"
        "    {swap: '{{ item }}', kernel: '{{ missing | default(omit) }}'}\n"
        "  loop: [any, 'off']\n"
        "  when: item != 'any'\n"
    )
    result = audited(tmp_path, role="mine")
    assert specs(result) == ["kernel"]
    # So does what the play says of the role.
    told = "{role: mine, tags: [some], vars: {wanted: false}, when: wanted}"
    assert specs(audited(tmp_path, role="mine", read=told)) == []
    told = told.replace("false", "true")
    assert specs(audited(tmp_path, role="mine", read=told)) == ["kernel"]
    assert specs(audited(tmp_path, "--skip-tags", "some", role="mine", read=told)) == []


def test_roles_that_a_role_depends_on_are_asked_for_before_it_under_its_tags(
    tmp_path: Path,
) -> None:
    for name, text in (("meta", "dependencies: [{role: below}]"), ("tasks", "[]")):
        (tmp_path / "roles" / "mine" / name).mkdir(parents=True)
        (tmp_path / "roles" / "mine" / name / "main.yml").write_text(text + "\n")
    below = tmp_path / "roles" / "below" / "tasks" / "main.yml"
    below.parent.mkdir(parents=True)
    below.write_text("- dgxspark.suite.ensure_kernel: {swap: any}\n")
    told = "{role: mine, tags: [some]}"
    assert specs(audited(tmp_path, role="mine", read=told)) == ["kernel"]
    assert specs(audited(tmp_path, "--skip-tags", "some", role="mine", read=told)) == []


def test_a_role_that_the_play_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    result = audited(tmp_path, role="mine", read="dgxspark.suite.kernel")
    assert "no role mine in its play, where it has to stand under roles" in result["msg"]


@pytest.mark.parametrize(
    ("nodes", "options", "status"),
    [
        (["well"], (), 0),
        (["well"], ("-e", "dgxspark_fail_on_drift=true"), 2),
        (["well", "wanted"], (), 2),
        (["well", "dumb"], (), 2),
    ],
)
def test_the_playbooks_status_tells_of_drift_where_that_is_wanted_and_of_who_failed(
    tmp_path: Path, nodes: list[str], options: tuple[str, ...], status: int
) -> None:
    inventory = tmp_path / "nodes.yml"
    heads = {"hosts": {name: NODES[name] for name in nodes}, "vars": LOCAL}
    inventory.write_text(json.dumps({"all": {"children": {"spark_heads": heads}}}))
    argv = [str(PROGRAM), "-i", str(inventory), "playbooks/audit.yml", "--tags", "kernel", *options]
    done = subprocess.run(
        argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "sysctl_values: " in done.stdout
    # What is only read never runs.
    assert "Keep the node out of the known traps" not in done.stdout
