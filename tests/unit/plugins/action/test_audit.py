# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit asks of a node is what the roles' tasks say, under the variables of that node."""

from __future__ import annotations

import json
import os
import re
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
    served = ("-e", "dgxspark_serve_from=both")
    result = audited(tmp_path, *served, "--tags", "kernel,ptxas,vllm_runtime")
    # Two targets of one, none of the other.
    assert specs(result) == ["kernel", "ptxas", "ptxas"]
    # What is skipped here is skipped there, and reported as not assessed.
    assert result["skipped_specs"] == ["vllm_runtime"]
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
    result = audited(tmp_path, role="mine", read=told)
    assert (specs(result), result["skipped_specs"]) == ([], ["kernel", "kernel"])
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


def test_a_role_that_the_play_does_not_name_is_refused(tmp_path: Path) -> None:
    result = audited(tmp_path, role="mine", read="dgxspark.suite.kernel")
    assert result["failed"] is True
    assert "role mine under roles" in result["msg"]


# A role of one's own for each: its tasks, and the words of the refusal that name what it is about.
KERNEL = "- name: Check\n  dgxspark.suite.ensure_kernel: {swap: any}\n"
REFUSED = {
    "set_fact": (
        "- ansible.builtin.set_fact: {wanted: true}\n"
        + KERNEL
        + "  when: wanted | default(false)\n",
        ("'Check'", "variable wanted"),
    ),
    "set_fact_in_a_variable": (
        "- ansible.builtin.set_fact: {wanted: any}\n"
        "- name: Check\n  dgxspark.suite.ensure_kernel: {swap: '{{ mine }}'}\n"
        "  vars: {mine: '{{ wanted }}'}\n",
        ("'Check'", "variable wanted"),
    ),
    "set_fact_without_names": (
        "- name: Set\n  ansible.builtin.set_fact: {'{{ name }}': 1}\n" + KERNEL,
        ("'Set'", "set_fact"),
    ),
    "registered": (
        "- ansible.builtin.command: {argv: [uname]}\n  register: told\n"
        + KERNEL
        + "  when: told is changed\n",
        ("'Check'", "variable told"),
    ),
    "registered_by_a_check": (
        KERNEL + "  register: kernel\n- name: Next\n  dgxspark.suite.ensure_storage:\n"
        "    directories: '{{ kernel.directories | default([]) }}'\n",
        ("'Next'", "variable kernel"),
    ),
    "facts": (
        "- ansible.builtin.setup:\n"
        + KERNEL
        + "  when: ansible_facts.system | default('') == 'Linux'\n",
        ("'Check'", "variable ansible_facts"),
    ),
    "undefined": (KERNEL + "  when: nobody_sets_it\n", ("nobody_sets_it",)),
    "undefined_loop": (KERNEL + "  loop: '{{ nobody_sets_it }}'\n", ("nobody_sets_it",)),
    "loop_that_is_no_list": (KERNEL + "  loop: '{{ 7 }}'\n", ("'Check'", "loop")),
    "assert": (
        "- name: Stop\n  ansible.builtin.assert: {that: true}\n" + KERNEL,
        ("'Stop'", "assert"),
    ),
    "fail": ("- name: Stop\n  fail:\n  when: false\n" + KERNEL, ("'Stop'", "fail")),
    "end_role": ("- name: Stop\n  ansible.builtin.meta: end_host\n" + KERNEL, ("end_host",)),
    "include_role": (
        "- name: Include\n  ansible.builtin.include_role: {name: dgxspark.suite.kernel}\n",
        ("'Include'", "include_role"),
    ),
    "include_tasks": (
        "- name: Include\n  include_tasks: more.yml\n",
        ("'Include'", "include_tasks"),
    ),
    "include_vars": ("- name: Include\n  include_vars: more.yml\n" + KERNEL, ("include_vars",)),
    "rescue": (
        "- block:\n    - name: Check\n      dgxspark.suite.ensure_kernel: {swap: any}\n"
        "  rescue:\n    - ansible.builtin.debug:\n",
        ("'Check'", "rescue"),
    ),
    "block_attribute": (
        "- block:\n    - name: Check\n      dgxspark.suite.ensure_kernel: {swap: any}\n"
        "  become_user: nobody\n",
        ("'Check'", "become_user"),
    ),
    "args": (
        "- name: Check\n  dgxspark.suite.ensure_kernel:\n  args: '{{ options }}'\n"
        "  vars: {options: {swap: any}}\n",
        ("'Check'", "args"),
    ),
    "acts": (KERNEL + "  check_mode: false\n", ("'Check'", "check_mode")),
    "acts_by_a_template": (KERNEL + "  check_mode: '{{ false }}'\n", ("'Check'", "check_mode")),
    **{
        name: (KERNEL + f"  {name}: {value}\n", ("'Check'", name))
        for name, value in {
            "any_errors_fatal": "true",
            "async": "60",
            "become": "true",
            "become_flags": "-n",
            "become_method": "su",
            "become_user": "nobody",
            "changed_when": "false",
            "connection": "ssh",
            "debugger": "never",
            "delegate_to": "other",
            "delegate_facts": "true",
            "diff": "true",
            "environment": "{A: b}",
            "failed_when": "false",
            "ignore_errors": "true",
            "ignore_unreachable": "true",
            "module_defaults": "{dgxspark.suite.ensure_kernel: {swap: any}}",
            "no_log": "true",
            "notify": "nobody",
            "port": "23",
            "remote_user": "nobody",
            "retries": "2",
            "run_once": "true",
            "throttle": "1",
            "timeout": "9",
            "until": "true",
            "with_items": "[1]",
        }.items()
    },
    **{
        f"loop_control_{name}": (
            KERNEL + f"  loop: [1]\n  loop_control: {{{name}: {value}}}\n",
            ("'Check'", f"loop_control: {name}"),
        )
        for name, value in {
            "index_var": "number",
            "extended": "true",
            "pause": "1",
            "break_when": "true",
        }.items()
    },
}
EACH = """
- hosts: all
  connection: local
  gather_facts: false
  pre_tasks:
    - block:
        - dgxspark.suite.audit:
            role: "{{ item }}"
          loop: "{{ all_of_them }}"
          register: audited
      rescue:
        - ansible.builtin.copy:
            content: "{{ audited.results | to_json }}"
            dest: "{{ folder }}/results"
    - ansible.builtin.meta: end_play
  roles: %s
"""


def test_what_cannot_be_honoured_is_refused_by_name(tmp_path: Path) -> None:
    for name, (tasks, _words) in REFUSED.items():
        role = tmp_path / "roles" / name / "tasks" / "main.yml"
        role.parent.mkdir(parents=True)
        role.write_text(tasks)
        (role.parent / "more.yml").write_text("{}")
    play = tmp_path / "play.yml"
    play.write_text(EACH % json.dumps(list(REFUSED)))
    variables = json.dumps({"folder": str(tmp_path), "all_of_them": list(REFUSED)})
    argv = [str(PROGRAM), "-i", "node,", "-e", variables, str(play)]
    done = subprocess.run(
        argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results").read_text())
    wrong = {}
    for result in results:
        name, message = result["item"], result.get("msg", "")
        words = [*REFUSED[name][1]]
        if not name.startswith("undefined"):
            words += [f"{name}: task ", "dgxspark_task_by_task=true"]
        if not result["failed"] or "results" in result or not all(one in message for one in words):
            wrong[name] = message or "not refused"
    assert (wrong, len(results)) == ({}, len(REFUSED))


def test_tasks_of_other_modules_and_what_concerns_them_alone_are_passed_over(
    tmp_path: Path,
) -> None:
    role = tmp_path / "roles" / "mine" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(
        "- ansible.builtin.command: {argv: [uname]}\n  register: told\n  delegate_to: other\n"
        "- ansible.builtin.debug: {msg: '{{ told }}'}\n  when: told is changed\n"
        "- block:\n    - dgxspark.suite.ensure_kernel: {swap: any}\n"
        "  always:\n    - dgxspark.suite.ensure_storage: {directories: []}\n"
        "- dgxspark.suite.ensure_storage: {directories: []}\n  loop: []\n"
        "- include_tasks: more.yml\n  tags: [never]\n"
    )
    result = audited(tmp_path, role="mine")
    assert specs(result) == ["kernel", "storage"]
    assert result["skipped_specs"] == ["storage"]


def test_files_that_a_role_copies_change_no_facts(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "mine" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(
        "- ansible.builtin.file: {path: /x, state: directory}\n"
        "- ansible.builtin.slurp: {src: /x/y}\n  register: launchers_token\n"
        "- ansible.builtin.copy: {content: '{{ launchers_token }}', dest: /x/y}\n"
        + KERNEL
        + "  when: ansible_facts.system | default('Linux') == 'Linux'\n"
    )
    assert specs(audited(tmp_path, role="mine")) == ["kernel"]


def test_a_check_as_a_handler_is_refused(tmp_path: Path) -> None:
    for name, text in (("tasks", "[]\n"), ("handlers", KERNEL)):
        (tmp_path / "roles" / "mine" / name).mkdir(parents=True)
        (tmp_path / "roles" / "mine" / name / "main.yml").write_text(text)
    result = audited(tmp_path, role="mine")
    assert result["failed"] is True
    assert "mine: task 'Check': it is a handler" in result["msg"]


def test_a_role_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    role = tmp_path / "roles" / "mine" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(KERNEL)
    told = "{role: mine, vars: {a: 1}}\n    - {role: mine, vars: {a: 2}}"
    result = audited(tmp_path, role="mine", read=told)
    assert "role mine under roles once" in result["msg"]


# Each of them reports and repairs nothing; the last one by the tasks of the roles.
REPORTS = {
    "audit": ("audit.yml", "-e", "dgxspark_act=true"),
    "check": ("site.yml", "--check"),
    "act": ("site.yml", "-e", "dgxspark_act=false"),
    "serial": ("site.yml", "--check", "-e", "dgxspark_serial=1"),
    "tasks": ("site.yml", "--check", "-e", "dgxspark_task_by_task=true"),
}


def site(tmp_path: Path, nodes: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    """A playbook of this collection on nodes that are this machine."""
    inventory = tmp_path / "nodes.yml"
    heads = {"hosts": {name: NODES[name] for name in nodes}, "vars": LOCAL}
    inventory.write_text(json.dumps({"all": {"children": {"spark_heads": heads}}}))
    argv = [str(PROGRAM), "-i", str(inventory), f"playbooks/{options[0]}", *options[1:]]
    return subprocess.run(
        argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("nodes", "options", "status"),
    [
        (["well"], REPORTS["audit"], 0),
        (["well"], REPORTS["check"], 0),
        (["well"], (*REPORTS["check"], "-e", "dgxspark_fail_on_drift=true"), 2),
        (["well", "wanted"], REPORTS["check"], 2),
        (["well", "wanted"], REPORTS["act"], 2),
        (["well", "dumb"], REPORTS["audit"], 2),
        (["well", "dumb"], REPORTS["serial"], 2),
    ],
)
def test_the_status_reports_drift_only_if_that_is_wanted_and_a_node_that_failed(
    tmp_path: Path, nodes: list[str], options: tuple[str, ...], status: int
) -> None:
    done = site(tmp_path, nodes, *options, "--tags", "kernel")
    assert done.returncode == status, done.stdout + done.stderr
    assert "sysctl_values: " in done.stdout
    # The role itself does not run.
    assert "dgxspark.suite.kernel : " not in done.stdout


def test_every_way_to_report_gives_the_same_findings_changes_and_diffs(tmp_path: Path) -> None:
    variables = {
        "dgxspark_storage_directories": [{"path": str(tmp_path / "made"), "mode": "0755"}],
        "dgxspark_vllm_runtime_targets": [],
    }
    reports, changed, diffs = {}, {}, {}
    for name, options in REPORTS.items():
        folder = tmp_path / name
        given = json.dumps({**variables, "dgxspark_report_dir": str(folder)})
        tags = ("--tags", "kernel,storage,vllm_runtime", "--diff", "-e", given)
        done = site(tmp_path, ["well", "wanted"], *options, *tags)
        report = json.loads((folder / "drift.json").read_text())
        reports[name] = {key: report[key] for key in ("counts", "table", "findings")}
        assert report["run"]["check_mode"] is True
        changed[name] = re.findall(r"(\S+) +: ok=\d+ +changed=(\d+)", done.stdout)
        diffs[name] = re.findall(r"^[-+@].*", done.stdout.partition("PLAY RECAP")[0], re.M)
        assert not (tmp_path / "made").exists()
    assert {cell["status"] for cell in reports["tasks"]["table"]} >= {"drift", "not assessed"}
    for name in REPORTS:
        assert reports[name] == reports["tasks"], name
        # One task speaks for all that drift.
        assert [node for node, number in changed[name] if number != "0"] == ["wanted", "well"]
        assert sorted(diffs[name]) == sorted(diffs["tasks"]) != [], name


def test_a_role_starts_at_a_task_in_check_mode(tmp_path: Path) -> None:
    task = next(
        line.removeprefix("- name: ")
        for line in (ROOT / "roles/kernel/tasks/main.yml").read_text().splitlines()
        if line.startswith("- name: ")
    )
    start = ("--start-at-task", f"dgxspark.suite.kernel : {task}", "--tags", "kernel")
    done = site(tmp_path, ["well"], *REPORTS["check"], *start)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sysctl_values: drift" in done.stdout
    assert "dgxspark.suite.kernel : " in done.stdout
