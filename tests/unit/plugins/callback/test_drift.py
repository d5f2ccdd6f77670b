# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: from results as they come to what stands on the screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants

from ansible_collections.dgxspark.suite.plugins.callback.drift import COLOURS, ORDER, CallbackModule

ENSURE_PTXAS = "dgxspark.suite.ensure_ptxas"
AUDIT = "dgxspark.suite.audit"


class Screen:
    """Keeps (colour, text)."""

    verbosity = 0

    def __init__(self) -> None:
        self.shown: list[tuple[str | None, str]] = []

    def banner(self, text: str) -> None:
        self.shown.append((None, text))

    def display(self, text: str, color: str | None = None) -> None:
        self.shown.append((color, text))


class Run:
    """A run of which each task is told to the callback."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.callback = CallbackModule(display=self.screen)

    def tell(
        self,
        event: str,
        node: str,
        result: dict[str, Any],
        action: str = ENSURE_PTXAS,
        reported_in: str = "",
    ) -> None:
        host = SimpleNamespace(get_name=lambda: node)
        variables = {"dgxspark_report_in": reported_in} if reported_in else {}
        task = SimpleNamespace(
            action=action.rpartition(".")[2], resolved_action=action, vars=variables
        )
        told = SimpleNamespace(host=host, task=task, result=result)
        getattr(self.callback, f"v2_runner_on_{event}")(told)

    def report(self) -> list[tuple[str | None, str]]:
        self.callback.v2_playbook_on_stats(None)
        return self.screen.shown

    def table(self) -> list[tuple[str | None, list[str]]]:
        """Its rows as (colour, words), the head first; a status of two words is one."""
        rows = [
            (colour, text.replace("not assessed", "not-assessed").split())
            for colour, text in self.report()[1:]
        ]
        ends = [number for number, (_c, text) in enumerate(self.report()[1:]) if "\n" in text]
        return rows[: ends[0]]

    def summary(self) -> tuple[str | None, str]:
        return self.report()[-1]


def finding(status: str, check: str = "ptxas_target", **more: str) -> dict[str, str]:
    told = {"check": check, "status": status, "severity": "critical"}
    return {**told, "expected": "a Triton", "actual": "none", "fix": "", "hint": "", **more}


def envelope(*findings: dict[str, str], spec: str = "ptxas") -> dict[str, Any]:
    return {"changed": False, "spec": spec, "findings": list(findings)}


def test_a_run_without_ensure_modules_says_nothing() -> None:
    run = Run()
    run.tell("ok", "spark1", {"msg": "hello"}, "ansible.builtin.debug")
    run.tell("failed", "spark1", {"msg": "no"}, "community.docker.docker_container")
    run.tell("unreachable", "spark2", {"msg": "no route", "unreachable": True}, "setup")
    assert run.report() == []


STATUSES: dict[str, tuple[str, dict[str, Any], str]] = {
    **{
        status: ("ok", envelope(finding(status)), status)
        for status in ("ok", "drift", "fixed", "blocked", "skipped", "accepted")
    },
    "blocked in a run": ("failed", {**envelope(finding("blocked")), "msg": "no"}, "blocked"),
    "skipped by when": ("skipped", {"skip_reason": "Conditional result was False"}, "not-assessed"),
    "an empty loop": ("skipped", {"skipped_reason": "No items", "results": []}, "not-assessed"),
    "hidden by no_log": ("ok", {"censored": "the output has been hidden"}, "not-assessed"),
    "failed before it looked": ("failed", {"msg": "missing required arguments"}, "failed"),
    "unreachable": ("unreachable", {"msg": "timed out", "unreachable": True}, "unreachable"),
    "the worst of several": (
        "ok",
        envelope(finding("ok"), finding("drift", "b"), finding("blocked", "c"), finding("fixed")),
        "blocked",
    ),
    "the worst of a loop": (
        "ok",
        {"results": [envelope(finding("ok")), envelope(finding("drift")), envelope(finding("ok"))]},
        "drift",
    ),
    "a loop with one item skipped": (
        "ok",
        {"results": [envelope(finding("ok")), {"skipped": True}]},
        "not-assessed",
    ),
    "a loop with one item failed": (
        "failed",
        {"results": [envelope(finding("drift")), {"failed": True, "msg": "no"}]},
        "failed",
    ),
}


@pytest.mark.parametrize(("event", "result", "cell"), STATUSES.values(), ids=STATUSES)
def test_each_outcome_has_its_word_and_colour(
    event: str, result: dict[str, Any], cell: str
) -> None:
    run = Run()
    run.tell(event, "spark1", result)
    colour = COLOURS[cell.replace("-", " ")]
    assert run.table() == [(None, ["node", "ptxas"]), (colour, ["spark1", cell])]
    assert run.summary()[0] == colour


def test_every_status_has_a_rank_and_a_colour() -> None:
    assert set(ORDER) == set(COLOURS)
    assert set(COLOURS.values()) <= set(constants.COLOR_CODES)
    assert ORDER[-2:] == ("ok", "skipped")


def test_the_table_is_sorted_and_what_nobody_looked_at_is_not_ok() -> None:
    run = Run()
    run.tell("ok", "spark2", envelope(finding("ok")))
    run.tell("ok", "spark1", envelope(finding("ok"), spec="fabric"), "dgxspark.suite.ensure_fabric")
    run.tell("ok", "spark1", envelope(finding("drift")))
    run.tell("unreachable", "spark3", {"msg": "no route to host"}, "ansible.builtin.setup")
    assert run.table() == [
        (None, ["node", "fabric", "ptxas"]),
        (COLOURS["drift"], ["spark1", "ok", "drift"]),
        (COLOURS["not assessed"], ["spark2", "not-assessed", "ok"]),
        (COLOURS["unreachable"], ["spark3", "unreachable", "unreachable"]),
    ]
    assert run.summary() == (
        COLOURS["unreachable"],
        "\nChecks: 1 unreachable, 1 drift, 1 not assessed, 2 ok",
    )


def test_nodes_and_specs_stand_in_order() -> None:
    run = Run()
    for name in "edfacb":
        run.tell("ok", name, envelope(finding("ok"), spec=f"spec_{name}"))
    (_colour, head), *rows = run.table()
    assert head == ["node", *(f"spec_{name}" for name in "abcdef")]
    assert [words[0] for _colour, words in rows] == list("abcdef")


def test_columns_are_aligned() -> None:
    run = Run()
    run.tell("ok", "a-node-of-a-long-name", envelope(finding("ok")))
    run.tell("ok", "s", envelope(finding("ok"), spec="b"), "dgxspark.suite.ensure_b")
    _banner, head, first, second = [text for _colour, text in run.report()[:4]]
    assert head.index("ptxas") == first.index("ok") == second.rindex("not assessed")


def test_what_was_seen_before_a_node_was_lost_is_still_told() -> None:
    run = Run()
    run.tell(
        "ok", "spark1", envelope(finding("drift"), spec="fabric"), "dgxspark.suite.ensure_fabric"
    )
    run.tell("unreachable", "spark1", {"msg": "timed out", "unreachable": True})
    told = [text for _colour, text in run.report()]
    assert any(text.startswith("\nspark1: fabric: ptxas_target: drift") for text in told)
    assert (COLOURS["unreachable"], "\nspark1: unreachable: timed out") in run.report()
    assert run.table()[1][1] == ["spark1", "unreachable", "unreachable"]


def test_a_loop_that_lost_its_node_names_the_reason() -> None:
    run = Run()
    lost = {"msg": "ssh: Connection refused", "unreachable": True}
    items = [envelope(finding("drift")), lost]
    run.tell("unreachable", "spark1", {"msg": "All items completed", "results": items})
    assert (
        COLOURS["unreachable"],
        "\nspark1: unreachable: ssh: Connection refused",
    ) in run.report()
    assert run.summary()[1] == "\nChecks: 1 unreachable, 1 drift"


def test_a_paragraph_has_what_there_is_to_say() -> None:
    run = Run()
    long = "write TRITON_PTXAS_PATH=/usr/local/cuda-13.0/bin/ptxas to /etc/dgxspark/paths.env " * 2
    run.tell("ok", "spark1", envelope(finding("drift", "triton_ptxas_sm121", fix=long)))
    (paragraph,) = [entry for entry in run.report() if "expected:" in entry[1]]
    assert paragraph == (
        COLOURS["drift"],
        "\nspark1: ptxas: triton_ptxas_sm121: drift (critical)\n"
        "  expected: a Triton\n"
        "  actual:   none\n"
        "  fix:      write TRITON_PTXAS_PATH=/usr/local/cuda-13.0/bin/ptxas to "
        "/etc/dgxspark/paths.env write\n"
        "            TRITON_PTXAS_PATH=/usr/local/cuda-13.0/bin/ptxas to /etc/dgxspark/paths.env",
    )


def test_what_is_left_as_it_is_has_one_line_after_the_paragraphs() -> None:
    run = Run()
    accepted = finding("accepted", "b", hint="Accepted until 2027-01-31: Alice is on it")
    for node in ("spark1", "spark2"):
        run.tell("ok", node, envelope(finding("skipped", "a", actual="no GPU"), accepted))
        run.tell("ok", node, envelope(finding("drift", "z"), spec="zeta"))
    texts = [text for _colour, text in run.report()]
    lines = [text for text in texts if "Alice" in text or "no GPU" in text]
    assert lines == [
        "\nspark1, spark2: ptxas: a: skipped: no GPU",
        "spark1, spark2: ptxas: b: accepted: Accepted until 2027-01-31: Alice is on it",
    ]
    assert texts.index(lines[0]) > next(n for n, text in enumerate(texts) if "zeta: z" in text)


def test_a_spec_is_skipped_only_where_nothing_else_was_found() -> None:
    run = Run()
    run.tell("ok", "spark1", envelope(finding("ok", "a"), finding("skipped", "b")))
    run.tell("ok", "spark2", envelope(finding("skipped", "a"), finding("skipped", "b")))
    assert [words for _colour, words in run.table()[1:]] == [
        ["spark1", "ok"],
        ["spark2", "skipped"],
    ]


def test_findings_of_other_actions_of_ours_are_told_too() -> None:
    run = Run()
    parity = "dgxspark.suite.parity"
    run.tell("ok", "spark1", envelope(finding("blocked", "same_cuda"), spec="parity"), parity)
    run.tell("ok", "spark1", {"containers": []}, "dgxspark.suite.workload_info")
    run.tell("ok", "spark1", {"findings": []}, "example.other.module")
    assert [words for _colour, words in run.table()] == [["node", "parity"], ["spark1", "blocked"]]


def test_a_task_that_looks_twice_is_told_once() -> None:
    for check_mode, cell in ((True, "drift"), (False, "fixed")):
        run = Run()
        run.callback.check_mode = check_mode
        run.tell("ok", "spark1", envelope(finding("blocked")), reported_in="never")
        run.tell("ok", "spark1", envelope(finding("drift")), reported_in="check")
        if not check_mode:
            run.tell("ok", "spark1", envelope(finding("fixed")), reported_in="ran")
            run.tell("skipped", "spark1", {}, reported_in="ran")
        assert [words for _colour, words in run.table()[1:]] == [["spark1", cell]]


def test_nodes_that_drift_alike_share_a_paragraph() -> None:
    run = Run()
    for node in ("spark2", "spark1"):
        run.tell("ok", node, envelope(finding("drift"), finding("ok", "b")))
    run.tell("ok", "spark1", envelope(finding("drift")))
    run.tell("ok", "spark3", envelope(finding("drift", actual="an old one")))
    heads = [text.splitlines()[1] for _c, text in run.report() if "expected:" in text]
    assert heads == [
        "spark1, spark2: ptxas: ptxas_target: drift (critical)",
        "spark3: ptxas: ptxas_target: drift (critical)",
    ]
    assert run.summary()[1] == "\nChecks: 4 drift, 2 ok"


def test_the_summary_counts_findings_and_what_has_none() -> None:
    run = Run()
    run.tell("ok", "a", envelope(*(finding(s, s) for s in ("ok", "ok", "fixed", "accepted"))))
    run.tell("ok", "b", envelope(finding("skipped"), finding("blocked")))
    run.tell("skipped", "c", {})
    run.tell("failed", "d", {"msg": "no"})
    assert run.summary() == (
        COLOURS["failed"],
        "\nChecks: 1 failed, 1 blocked, 1 not assessed, 1 fixed, 1 accepted, 2 ok, 1 skipped",
    )


PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - dgxspark.suite.ensure_ptxas:
        venv: "{{ item }}"
        paths_file: "{{ playbook_dir }}/paths.env"
      loop: ["{{ playbook_dir }}/vllm-env"]
      when: inventory_hostname != 'asleep'
"""
INVENTORY = {
    "all": {
        "hosts": {
            "awake": {"ansible_connection": "local"},
            "asleep": {"ansible_connection": "local"},
            "gone": {"ansible_connection": "ssh", "ansible_ssh_executable": "SSH"},
        },
        "vars": {"ansible_python_interpreter": sys.executable},
    }
}


def test_a_real_check_ends_with_the_report(tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host gone port 22: No route' >&2\nexit 255\n")
    ssh.chmod(0o755)
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts.yml").write_text(json.dumps(INVENTORY).replace("SSH", str(ssh)))
    (tmp_path / "ansible.cfg").touch()
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", "hosts.yml", "--check", "play.yml"),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_CALLBACKS_ENABLED": "dgxspark.suite.drift",
            "ANSIBLE_NOCOLOR": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 4, done.stdout + done.stderr  # hosts that cannot be reached
    report = done.stdout.partition("DRIFT REPORT")[2].splitlines()[1:]
    assert [line.rstrip() for line in report[:4]] == [
        "node    ptxas",
        "asleep  not assessed",
        "awake   blocked",
        "gone    unreachable",
    ]
    text = "\n".join(report)
    assert "\nawake: ptxas: ptxas_target: blocked (critical)\n  expected: Triton" in text
    assert "vllm-env is not a directory" in text
    assert "\ngone: unreachable: Task failed: Failed to connect to the host via ssh: ssh: " in text
    summary = report[-1] if report[-1] else report[-2]
    assert summary.startswith("Checks: 1 unreachable, 1 blocked, 1 not assessed, ")
    assert not (tmp_path / "paths.env").exists()


def _audited(*specs: tuple[str, str]) -> dict[str, Any]:
    """What the audit returns: (spec, status of its only check)."""
    told = {"severity": "info", "expected": "e", "actual": "a", "fix": "", "hint": ""}
    findings = {spec: [{"check": f"{spec}_x", "status": status, **told}] for spec, status in specs}
    return {"results": [{"spec": spec, "findings": found} for spec, found in findings.items()]}


def test_an_audit_is_told_like_the_modules_that_it_stands_for() -> None:
    run = Run()
    run.tell("ok", "spark1", _audited(("kernel", "ok"), ("ptxas", "drift")), AUDIT)
    run.tell("ok", "spark2", _audited(("kernel", "ok"), ("ptxas", "blocked")), AUDIT)
    assert [words for _colour, words in run.table()] == [
        ["node", "kernel", "ptxas"],
        ["spark1", "ok", "drift"],
        ["spark2", "ok", "blocked"],
    ]


def test_an_audit_that_fails_on_one_node_is_told_of_that_node_alone() -> None:
    run = Run()
    run.tell("ok", "spark1", _audited(("kernel", "ok")), AUDIT)
    run.tell("failed", "spark2", {"msg": "it answered garbage"}, AUDIT)
    run.tell("unreachable", "spark3", {"msg": "no route", "unreachable": True}, AUDIT)
    assert [words for _colour, words in run.table()] == [
        ["node", "audit", "kernel"],
        ["spark1", "ok", "ok"],
        ["spark2", "failed", "not-assessed"],
        ["spark3", "unreachable", "unreachable"],
    ]
    assert run.callback.messages == {("spark2", "audit"): "it answered garbage"}


def test_an_audit_of_nothing_is_no_finding() -> None:
    run = Run()
    run.tell("ok", "spark1", {"results": []}, AUDIT)
    assert run.report() == []


SITE_INVENTORY = {
    "mine": {
        "hosts": {"gone": {"ansible_host": "192.0.2.1", "ansible_user": "alice"}},
        "vars": {"ansible_ssh_executable": "SSH"},
    }
}


@pytest.mark.parametrize("enabled", ["", "dgxspark.suite.drift"])
@pytest.mark.parametrize("imported", [False, True])
def test_a_playbook_of_ours_brings_the_report_with_it(
    tmp_path: Path, enabled: str, imported: bool
) -> None:
    """Once, with all nodes lost, whatever the configuration enables."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'No route' >&2\nexit 255\n")
    ssh.chmod(0o755)
    (tmp_path / "hosts.yml").write_text(json.dumps(SITE_INVENTORY).replace("SSH", str(ssh)))
    (tmp_path / "ansible.cfg").write_text("[callback_drift]\nreport_dir = reports\n")
    (tmp_path / "mine.yml").write_text("- import_playbook: dgxspark.suite.site\n")
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "true",
    }
    environment.pop("ANSIBLE_CALLBACKS_ENABLED", None)
    if enabled:
        environment["ANSIBLE_CALLBACKS_ENABLED"] = enabled
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", "hosts.yml", "--check", "-e", "dgxspark_hosts=mine"),
            "mine.yml" if imported else "dgxspark.suite.site",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stdout.count("DRIFT REPORT") == 1
    assert "Callback dispatch" not in done.stderr
    assert (tmp_path / "reports" / "drift.json").exists()
    assert done.stdout.splitlines()[-1] == "next: ssh alice@192.0.2.1"
