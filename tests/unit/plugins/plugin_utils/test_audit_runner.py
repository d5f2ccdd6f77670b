# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A timer's audit: what changes is told once, what cannot be asked is not taken to be gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils import audit_runner
from ansible_collections.dgxspark.suite.plugins.plugin_utils.audit_runner import (
    alone,
    compare,
    read,
    run,
    without_report,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.webhook import signature

SECRET = "hush"


def report(
    *findings: tuple[str, str, str, str],
    unreachable: dict[str, str] | None = None,
    cells: dict[tuple[str, str], str] | None = None,
) -> dict[str, Any]:
    """Of (node, spec, check, status); a status of two words is one that was not assessed."""
    lost = unreachable or {}
    table = {(node, spec): status for node, spec, _check, status in findings}
    table.update(cells or {})
    return {
        "findings": [
            {
                "node": node,
                "spec": spec,
                "check": check,
                "status": "skipped" if status == "unknown" else status,
                "actual": "not assessed: see x" if status == "unknown" else status,
                **dict.fromkeys(("severity", "expected", "fix", "hint"), ""),
            }
            for node, spec, check, status in findings
        ],
        "table": [
            {"node": node, "spec": spec, "status": status} for (node, spec), status in table.items()
        ],
        "unreachable": lost,
    }


SWAP = ("a", "kernel", "swap_now", "drift")
PINS = ("a", "ptxas", "triton_ptxas_path", "blocked")


def changes(*reports: dict[str, Any]) -> list[tuple[set[str], set[str]]]:
    """What appears and what goes, report by report."""
    known: audit_runner.Wrong = {}
    told = []
    for one in reports:
        appeared, gone, known = compare(known, read(one))
        told.append((set(appeared), set(gone)))
    return told


def test_what_is_wrong_appears_once_and_goes_once() -> None:
    well = report((*SWAP[:3], "ok"))
    assert changes(well, report(SWAP), report(SWAP), well, well) == [
        (set(), set()),
        ({"a/kernel/swap_now"}, set()),
        (set(), set()),
        (set(), {"a/kernel/swap_now"}),
        (set(), set()),
    ]


def test_drift_that_becomes_blocked_is_no_news() -> None:
    assert changes(report(SWAP), report((*SWAP[:3], "blocked")))[1] == (set(), set())


@pytest.mark.parametrize("status", ["ok", "accepted", "fixed", "skipped"])
def test_what_no_longer_counts_is_gone(status: str) -> None:
    assert changes(report(SWAP), report((*SWAP[:3], status)))[1] == (set(), {"a/kernel/swap_now"})


def test_a_node_that_is_not_in_the_inventory_any_more_takes_its_drift_along() -> None:
    assert changes(report(SWAP), report())[1] == (set(), {"a/kernel/swap_now"})


def test_a_node_that_cannot_be_reached_keeps_its_drift() -> None:
    lost = report(unreachable={"a": "no route"})
    assert changes(report(SWAP), lost, lost, report(SWAP), report((*SWAP[:3], "ok")))[1:] == [
        ({"a//unreachable"}, set()),
        (set(), set()),
        (set(), {"a//unreachable"}),
        (set(), {"a/kernel/swap_now"}),
    ]


def test_a_spec_whose_check_comes_to_no_end_keeps_its_drift_and_others_do_not() -> None:
    hangs = report(("a", "ptxas", "ptxas_assessed", "blocked"), (*SWAP[:3], "ok"))
    assert changes(report(SWAP, PINS), hangs, report(PINS, (*SWAP[:3], "ok")))[1:] == [
        ({"a/ptxas/ptxas_assessed"}, {"a/kernel/swap_now"}),
        (set(), {"a/ptxas/ptxas_assessed"}),
    ]


def test_a_finding_that_depends_on_another_is_not_gone_when_that_fails() -> None:
    unknown = report((*PINS[:3], "unknown"), ("a", "ptxas", "ptxas_target", "blocked"))
    assert changes(report(PINS), unknown)[1] == ({"a/ptxas/ptxas_target"}, set())


def test_a_node_whose_audit_failed_keeps_its_drift() -> None:
    failed = report(cells={("a", "audit"): "failed", ("a", "kernel"): "not assessed"})
    assert changes(report(SWAP), failed, report(SWAP))[1:] == [
        ({"a/audit/failed"}, set()),
        (set(), {"a/audit/failed"}),
    ]


def test_an_audit_without_a_report_is_wrong_itself_and_forgets_nothing() -> None:
    _appeared, _gone, known = compare({}, read(report(SWAP)))
    appeared, gone, known = compare(known, without_report("no inventory"))
    assert (set(appeared), gone) == ({"//audit_ran"}, {})
    appeared, gone, known = compare(known, read(report(SWAP)))
    assert (appeared, set(gone), set(known)) == ({}, {"//audit_ran"}, {"a/kernel/swap_now"})


class Receiver:
    """Keeps what it is sent; answers by the status at hand."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return "http://127.0.0.1:%d" % self.server.server_port

    @property
    def events(self) -> list[tuple[str, list[str]]]:
        told = [json.loads(body) for _headers, body in self.got]
        return [
            (one["event"], [finding["check"] for finding in one["drift"]["findings"]])
            for one in told
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def config(tmp_path: Path, receiver: Receiver) -> dict[str, Any]:
    """A controller whose ansible-playbook leaves next.json, if there is one, as its report."""
    program = tmp_path / "ansible-playbook"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, shutil, sys\n"
        "print('PLAY [All nodes]', os.environ['ANSIBLE_CALLBACKS_ENABLED'])\n"
        "folder = json.loads(sys.argv[-1])['dgxspark_report_dir']\n"
        f"if os.path.exists('{tmp_path}/next.json'):\n"
        f"    shutil.copy('{tmp_path}/next.json', folder + '/drift.json')\n"
        "else:\n"
        "    sys.exit('ERROR: no inventory')\n"
    )
    program.chmod(0o755)
    return {
        "program": str(program),
        "inventory": "/inventory",
        "playbook": "dgxspark.suite.audit",
        "options": [],
        "ansible_config": "",
        "directory": "",
        "folder": str(tmp_path / "audit"),
        "keep": 3,
        "timeout": 30,
        "urls": [receiver.url],
        "secret": SECRET,
    }


def audit(config: dict[str, Any], told: dict[str, Any] | None) -> int:
    path = Path(config["program"]).with_name("next.json")
    path.unlink(missing_ok=True)
    if told is not None:
        path.write_text(json.dumps(told))
    return run(config)


def test_a_breakage_between_two_audits_is_told_once_and_its_end_once(
    config: dict[str, Any], receiver: Receiver
) -> None:
    well = report((*SWAP[:3], "ok"))
    for told in (well, report(SWAP), report(SWAP), well, well):
        assert audit(config, told) == 0
    assert receiver.events == [("drift_appeared", ["swap_now"]), ("drift_gone", ["swap_now"])]
    for headers, body in receiver.got:
        assert headers["X-Dgxspark-Signature"] == signature(
            SECRET, int(headers["X-Dgxspark-Timestamp"]), body
        )
        assert SECRET.encode() not in body


def test_a_receiver_that_does_not_answer_is_told_by_a_later_run(
    config: dict[str, Any], receiver: Receiver
) -> None:
    receiver.status = 410
    audit(config, report(SWAP))
    receiver.status = 200
    audit(config, report(SWAP))
    audit(config, report(SWAP))
    assert [event for event, _checks in receiver.events] == ["drift_appeared"] * 2
    deliveries = {headers["X-Dgxspark-Delivery"] for headers, _body in receiver.got}
    assert len(deliveries) == 1


def test_reports_are_kept_and_the_oldest_go(config: dict[str, Any]) -> None:
    folder = Path(config["folder"])
    for _number in range(5):
        audit(config, report(SWAP))
    (folder / "reports" / ".20200101T000000.000000Z").mkdir()
    audit(config, report())
    kept = sorted((folder / "reports").iterdir())
    assert len(kept) == 3
    assert all((path / "drift.json").exists() for path in kept)
    latest = folder / "latest"
    assert json.loads((latest / "drift.json").read_text())["findings"] == []
    assert "dgxspark.suite.drift" in (latest / "output.txt").read_text()


def test_an_audit_that_fails_is_told_with_what_it_said_last(
    config: dict[str, Any], receiver: Receiver
) -> None:
    audit(config, report(SWAP))
    assert audit(config, None) == 1
    assert audit(config, None) == 1
    assert audit(config, report(SWAP)) == 0
    assert receiver.events[1:] == [("drift_appeared", ["audit_ran"]), ("drift_gone", ["audit_ran"])]
    (failed,) = json.loads(receiver.got[1][1])["drift"]["findings"]
    assert "left no report: it ended with status 1: ERROR: no inventory" in failed["actual"]


def test_an_audit_that_hangs_is_ended(config: dict[str, Any], tmp_path: Path) -> None:
    program = tmp_path / "hangs"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    assert audit({**config, "program": str(program), "timeout": 0.2}, None) == 1


def test_a_second_audit_at_the_same_time_leaves_it_to_the_first(
    config: dict[str, Any], receiver: Receiver
) -> None:
    folder = Path(config["folder"])
    folder.mkdir()
    with alone(folder) as mine:
        assert mine
        assert audit(config, report(SWAP)) == 0
    assert receiver.got == []
    assert list((folder / "reports").iterdir()) == []


def test_without_a_secret_nothing_is_sent_and_the_rest_is_done(
    config: dict[str, Any], receiver: Receiver
) -> None:
    audit({**config, "secret": ""}, report(SWAP))
    assert receiver.got == []
    state = json.loads((Path(config["folder"]) / "state.json").read_text())
    assert (list(state["wrong"]), state["pending"]) == (["a/kernel/swap_now"], [])


def test_the_program_runs_by_itself_with_nothing_but_webhook_beside_it(
    config: dict[str, Any], receiver: Receiver, tmp_path: Path
) -> None:
    alone_here = tmp_path / "programs"
    alone_here.mkdir()
    for name in ("audit_runner.py", "webhook.py"):
        source = Path(audit_runner.__file__).with_name(name)
        (alone_here / name).write_text(source.read_text())
    (tmp_path / "audit.json").write_text(json.dumps(config))
    (tmp_path / "next.json").write_text(json.dumps(report(SWAP)))
    argv = [sys.executable, "-I", str(alone_here / "audit_runner.py"), str(tmp_path / "audit.json")]
    done = subprocess.run(
        argv, cwd="/", env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    assert "audit: appeared: a/kernel/swap_now: drift" in done.stdout
    assert receiver.events == [("drift_appeared", ["swap_now"])]


def test_a_malformed_finding_is_told_once() -> None:
    bad = ("a", "kernel", "kernel_answer", "failed")
    assert changes(report(SWAP), report(bad), report(bad), report(SWAP))[1:] == [
        ({"a/kernel/kernel_answer"}, set()),
        (set(), set()),
        (set(), {"a/kernel/kernel_answer"}),
    ]


@pytest.mark.parametrize("name", ["audit_runner.py", "webhook.py"])
def test_the_installed_copies_need_nothing_of_the_collection(name: str, tmp_path: Path) -> None:
    """The role audit_timer copies these two files alone."""
    program = tmp_path / name
    program.write_text(Path(audit_runner.__file__).with_name(name).read_text())
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import runpy, sys; runpy.run_path(sys.argv[1])",
            program,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
