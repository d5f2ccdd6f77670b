# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen output of real runs on two hosts, which are this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

PROGRAM = shutil.which("ansible-playbook")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="ansible-playbook is not on the PATH")

HEAD = """\
- name: Do the work
  hosts: {hosts}
  gather_facts: false
  tasks:
"""


class Run:
    """Runs tasks with the callback; the lines of stdout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = 0
        self.slow_seconds = 600.0

    def __call__(self, tasks: str, *options: str, hosts: str = "all") -> list[str]:
        inventory = self.folder / "hosts"
        inventory.write_text("n2 ansible_connection=local\nn10 ansible_connection=local\n")
        playbook = self.folder / "play.yml"
        playbook.write_text(
            HEAD.format(hosts=hosts) + textwrap.indent(textwrap.dedent(tasks), "    ")
        )
        return self.ran("-i", str(inventory), str(playbook), *options)

    def ran(self, *words: str) -> list[str]:
        done = subprocess.run(
            [str(PROGRAM), *words],
            env={
                **os.environ,
                "ANSIBLE_STDOUT_CALLBACK": "dgxspark.suite.brief",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
                "ANSIBLE_FORCE_COLOR": "false",
                "ANSIBLE_NOCOLOR": "true",
                "ANSIBLE_LOCAL_TEMP": str(self.folder),
                "DGXSPARK_BRIEF_SLOW_SECONDS": str(self.slow_seconds),
                "FOLDER": str(self.folder),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.status = done.returncode
        return done.stdout.splitlines()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_tasks_that_change_nothing_are_not_printed(run: Run) -> None:
    lines = run(
        """\
        - name: Quiet
          ansible.builtin.command: "true"
          changed_when: false
        - name: Left out
          ansible.builtin.command: "true"
          when: false
        """
    )
    assert lines[0] == ""
    assert lines[1].startswith("Complete: nothing changed, in ")
    assert len(lines) == 2
    assert run.status == 0


WRITE = """\
- name: Write a file
  ansible.builtin.copy:
    content: "of {{ inventory_hostname }}"
    dest: "{{ lookup('ansible.builtin.env', 'FOLDER') }}/{{ inventory_hostname }}.txt"
    mode: "0644"
"""


def test_changes_are_printed_and_in_check_mode_what_would_change(run: Run) -> None:
    checked = run(WRITE, "--check", "--diff")
    assert checked[1:3] == ["Do the work (check)", "  Write a file"]
    assert "+of n10" in checked
    assert "    would change: n2, n10" in checked
    assert checked[-1].startswith("Complete: 1 task would change something, in ")
    changed = run(WRITE)
    assert changed[1:4] == ["Do the work", "  Write a file", "    changed: n2, n10"]
    assert changed[-1].startswith("Complete: 1 task changed something, in ")


def test_messages_are_plain_text_that_can_be_pasted(run: Run) -> None:
    lines = run(
        """\
        - name: Show the command
          ansible.builtin.debug:
            msg: |-
              docker run \\
                --detach \\
                'it''s "quoted"'
        - name: Show each host
          ansible.builtin.debug:
            msg: "this is {{ inventory_hostname }}"
        - name: Show lines
          ansible.builtin.debug:
            msg: [one, two]
          run_once: true
        - name: Show a value
          ansible.builtin.debug:
            var: ansible_play_hosts
          run_once: true
        """
    )
    assert lines[1:-2] == [
        "Do the work",
        "docker run \\",
        "  --detach \\",
        "  'it''s \"quoted\"'",
        "n2: this is n2",
        "n10: this is n10",
        "one",
        "two",
        "n2",
        "n10",
    ]


def test_control_characters_of_a_message_are_visible(run: Run) -> None:
    lines = run(
        """\
        - name: Show
          ansible.builtin.debug:
            msg: "\\e[2J\\e]0;x\\a"
        """
    )
    assert lines[2] == "\\x1b[2J\\x1b]0;x\\x07"


def test_an_error_is_one_paragraph_and_the_last_line_names_the_hosts(run: Run) -> None:
    lines = run(
        """\
        - name: Look
          ansible.builtin.command: sh -c "echo no such thing >&2; exit 3"
          when: inventory_hostname == 'n10'
        - name: Give up
          ansible.builtin.fail:
            msg: "{{ 'long ' * 30 }}"
          when: inventory_hostname == 'n2'
        """
    )
    assert lines[2] == "  Look"
    assert lines[3].startswith("    n10: ")
    assert "    no such thing" in lines
    assert "  Give up" in lines
    assert max(map(len, lines)) <= 120
    assert lines[-1].startswith("failed: n10, n2 (after ")
    assert run.status == 2


def test_an_error_that_is_ignored_or_rescued_does_not_fail_the_run(run: Run) -> None:
    lines = run(
        """\
        - name: Ignored
          ansible.builtin.fail:
            msg: nobody sees this
          ignore_errors: true
        - name: Together
          block:
            - name: Rescued
              ansible.builtin.fail:
                msg: seen once
          rescue:
            - name: Continue
              ansible.builtin.meta: noop
        """
    )
    assert [line for line in lines if "seen once" in line] == ["    n2, n10: seen once"]
    assert not [line for line in lines if "nobody sees this" in line]
    assert lines[-1].startswith("Complete: ")
    assert run.status == 0


def test_a_slow_task_is_named_while_it_runs_and_its_duration_at_the_end(run: Run) -> None:
    run.slow_seconds = 0.5
    lines = run(
        """\
        - name: Sleep
          ansible.builtin.command: sleep 1
        - name: Sleep without a change
          ansible.builtin.command: sleep 1
          changed_when: false
        """,
        "--limit=n2",
    )
    assert lines[2] == "  Sleep"
    assert lines[3].startswith("    changed: n2 (")
    assert lines[4] == "  Sleep without a change"


def test_a_run_without_hosts_says_so(run: Run) -> None:
    lines = run(WRITE, hosts="spark_heads:spark_workers")
    assert "the inventory has no host for" in lines[-1]
    assert "spark_heads" in lines[-1]


def test_results_are_printed_on_request(run: Run) -> None:
    lines = run(
        """\
        - name: Quiet
          ansible.builtin.command: echo "the output"
          changed_when: false
        """,
        "-v",
        "--limit=n2",
    )
    assert "  Quiet" in lines
    assert any("the output" in line for line in lines)


def test_the_command_to_type_next_is_the_last_line(run: Run) -> None:
    lines = run(
        """\
        - ansible.builtin.debug:
            msg: ["It serves.", "next: ansible-playbook dgxspark.suite.status"]
          run_once: true
        - ansible.builtin.command: "true"
        """
    )
    assert "It serves." in lines
    assert lines[-1] == "next: ansible-playbook dgxspark.suite.status"
    assert lines[-2].startswith("Complete: ")
    # A message of that line alone prints nothing else.
    lines = run('- ansible.builtin.debug: {msg: "next: true"}\n')
    assert lines[-1] == "next: true"
    assert not [line for line in lines if line.startswith("n2")]


def test_a_refusal_ends_with_the_command_to_type_next(run: Run) -> None:
    lines = run(
        """\
        - name: Refuse
          ansible.builtin.assert:
            that: false
            fail_msg: >-
              Several services
              run

              next: ansible-playbook dgxspark.suite.status
            quiet: true
          run_once: true
        """
    )
    assert "    n2: Several services run" in lines
    assert lines[-1] == "next: ansible-playbook dgxspark.suite.status"
    assert [line for line in lines if "next:" in line] == lines[-1:]


def test_a_node_does_not_choose_the_command_to_type_next(run: Run) -> None:
    lines = run(
        """\
        - ansible.builtin.command: {argv: [sh, -c, "echo x; echo 'next: true'; exit 1"]}
        """
    )
    assert "    next: true" in lines
    assert lines[-1].startswith("failed: ")


@pytest.mark.parametrize(
    "node",
    ["ansible_connection: local, ansible_become: false", "ansible_ssh_executable: /bin/false"],
)
def test_nodes_that_nobody_can_inspect_are_checked_next(run: Run, node: str) -> None:
    inventory = run.folder / "sparks.yml"
    inventory.write_text(f"spark_heads: {{hosts: {{spark1: {{{node}}}}}}}\n")
    words = ["-e", "dgxspark_docker_bin=/nowhere", "-e", "dgxspark_fabric_test_while_serving=true"]
    lines = run.ran("-i", str(inventory), "dgxspark.suite.fabric_test", *words)
    site = f"ansible-playbook -i {inventory} dgxspark.suite.site"
    assert lines[-1] == f"next: {site} --check --limit spark1", lines
