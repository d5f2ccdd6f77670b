# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One audit, started by a timer: stores its report and sends each change to webhooks once.

    audit_runner.py CONFIG

It needs only Python and webhook.py beside it. The role audit_timer installs both and writes CONFIG.
The state file is written before anything is sent, so that a run that is killed neither loses nor
repeats a message.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WEBHOOK = Path(__file__).resolve().with_name("webhook.py")

APPEARED, GONE = "drift_appeared", "drift_gone"
_IN_ORDER = ("ok", "fixed", "accepted", "skipped")
# The fields of a finding in a message.
_FIELDS = ("node", "spec", "check", "status", "severity", "expected", "actual", "fix", "hint")
_STAMP = re.compile(r"\d{8}T\d{6}\.\d{6}Z")
# How many runs try to deliver a message.
_ATTEMPTS = 24

Wrong = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Audit:
    """The result of one audit, by node, spec and check.

    wrong: drift, blocked checks and failures, by "node/spec/check". doubt: keys, or prefixes of
    keys, whose state is unknown; an earlier entry of those remains.
    """

    wrong: Wrong
    doubt: frozenset[str] = frozenset()


def read(report: Mapping[str, Any]) -> Audit:
    """The result of a report; see docs/contracts/drift_report.md."""
    wrong: Wrong = {}
    doubt: set[str] = set()
    malformed: set[str] = set()  # specs whose failure is a finding
    for finding in report["findings"]:
        place = f"{finding['node']}/{finding['spec']}"
        if finding["status"] == "failed":
            malformed.add(place)
        key = f"{place}/{finding['check']}"
        if finding["status"] not in _IN_ORDER:
            wrong.setdefault(key, {name: finding[name] for name in _FIELDS})
            if finding["check"] == f"{finding['spec']}_assessed":
                doubt.add(f"{place}/")
        elif finding["status"] == "skipped" and finding["actual"].startswith("not assessed"):
            doubt.add(key)
    for cell in report["table"]:
        place = f"{cell['node']}/{cell['spec']}"
        if cell["status"] == "failed" and place not in malformed:
            actual = cell.get("message", "")
            wrong[f"{place}/failed"] = _entry(cell["node"], cell["spec"], "failed", actual)
        if cell["status"] in ("failed", "not assessed"):
            doubt.add(f"{place}/")
        if cell["spec"] == "audit" and cell["status"] == "failed":
            doubt.add(f"{cell['node']}/")
    for node, why in report["unreachable"].items():
        wrong[f"{node}//unreachable"] = _entry(node, "", "unreachable", why)
        doubt.add(f"{node}/")
    return Audit(wrong, frozenset(doubt))


def without_report(why: str) -> Audit:
    """The result of an audit that left no report: that is wrong, everything else in doubt."""
    return Audit({"//audit_ran": _entry("", "", "audit_ran", why)}, frozenset([""]))


def _entry(node: str, spec: str, check: str, actual: str) -> dict[str, Any]:
    known = {"node": node, "spec": spec, "check": check, "actual": actual}
    return {**dict.fromkeys(_FIELDS, ""), **known, "status": "failed", "severity": "critical"}


def compare(known: Wrong, audit: Audit) -> tuple[Wrong, Wrong, Wrong]:
    """(entries that appeared, entries that are gone, all entries from now on)."""

    def in_doubt(key: str) -> bool:
        return key not in audit.wrong and any(
            key == doubt or ((doubt.endswith("/") or not doubt) and key.startswith(doubt))
            for doubt in audit.doubt
        )

    # Failures of a node, a spec or the audit itself are never in doubt.
    own = ("unreachable", "failed", "audit_ran")
    remaining = {
        key: entry
        for key, entry in known.items()
        if key not in audit.wrong and in_doubt(key) and entry["check"] not in own
    }
    appeared = {key: entry for key, entry in audit.wrong.items() if key not in known}
    gone = {
        key: entry
        for key, entry in known.items()
        if key not in audit.wrong and key not in remaining
    }
    return appeared, gone, {**remaining, **audit.wrong}


@dataclass
class State:
    """The entries of the last audit, and the messages that are still to be sent."""

    path: Path
    wrong: Wrong = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> State:
        """Raises ValueError if the file is invalid: starting afresh would repeat all messages."""
        if not path.exists():
            return cls(path)
        state = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, dict(state["wrong"]), list(state["pending"]))

    def save(self) -> None:
        text = json.dumps({"wrong": self.wrong, "pending": self.pending}, indent=1)
        temporary = self.path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self.path)


def messages(
    urls: list[str], appeared: Wrong, gone: Wrong, wrong: int, now: str
) -> Iterator[dict[str, Any]]:
    """One for each event and receiver; an event has the same delivery id for all receivers."""
    for event, entries in ((APPEARED, appeared), (GONE, gone)):
        if not entries:
            continue
        drift = {"findings": [entries[key] for key in sorted(entries)], "wrong": wrong}
        body = {"schema": 1, "event": event, "time": now, "drift": drift}
        delivery = secrets.token_hex(16)
        for url in urls:
            yield {
                "url": url,
                "event": event,
                "delivery": delivery,
                "body": json.dumps(body, sort_keys=True),
                "attempts": 0,
            }


def send(pending: list[dict[str, Any]], secret: str) -> list[dict[str, Any]]:
    """Try to deliver in parallel; returns the messages that were not delivered."""
    senders = []
    for message in pending:
        sender = subprocess.Popen(
            [sys.executable, "-I", str(WEBHOOK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        with suppress(BrokenPipeError):
            if sender.stdin:
                sender.stdin.write(json.dumps({**message, "secret": secret}))
                sender.stdin.close()
        senders.append(sender)
    left = []
    for message, sender in zip(pending, senders, strict=True):
        if sender.wait() and message["attempts"] + 1 < _ATTEMPTS:
            left.append({**message, "attempts": message["attempts"] + 1})
    return left


def rotate(reports: Path, keep: int) -> None:
    """Remove the oldest reports, and the remains of killed runs."""
    for path in reports.iterdir():
        if path.name.startswith(".") and _STAMP.fullmatch(path.name[1:]):
            shutil.rmtree(path, ignore_errors=True)
    complete = sorted(path for path in reports.iterdir() if _STAMP.fullmatch(path.name))
    for path in complete[: max(0, len(complete) - keep)]:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other run is active."""
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def ask(config: Mapping[str, Any], work: Path) -> Audit:
    """Run the playbook; its output and reports are then in the directory work."""
    argv = [config["program"], *("-i", config["inventory"]), config["playbook"]]
    argv += [*config["options"], "--extra-vars", json.dumps({"dgxspark_report_dir": str(work)})]
    environment = {**os.environ, "ANSIBLE_CALLBACKS_ENABLED": "dgxspark.suite.drift"}
    environment["ANSIBLE_NOCOLOR"] = "1"
    if config["ansible_config"]:
        environment["ANSIBLE_CONFIG"] = config["ansible_config"]
    log = work / "output.txt"
    try:
        with log.open("w", encoding="utf-8") as stream:
            done = subprocess.run(
                argv,
                cwd=config["directory"] or "/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=config["timeout"],
                check=False,
            )
        ended = f"it ended with status {done.returncode}"
    except subprocess.TimeoutExpired:
        ended = f"it had not ended after {config['timeout']} s"
    except OSError as error:
        ended = f"it could not be started: {error}"
    with suppress(OSError, ValueError, KeyError):
        return read(json.loads((work / "drift.json").read_text(encoding="utf-8")))
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    return without_report(f"{config['program']} left no report: {ended}: {''.join(last)[:300]}")


def run(config: Mapping[str, Any]) -> int:
    """One audit; returns 0 if it left a report, whatever its findings."""
    folder = Path(config["folder"])
    reports = folder / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    with alone(folder) as mine:
        if not mine:
            print("audit: another audit is running; it reports the changes")
            return 0
        state = State.load(folder / "state.json")
        rotate(reports, config["keep"])
        stamp = _stamp()
        work = reports / f".{stamp}"
        work.mkdir()
        audit = ask(config, work)
        work.rename(reports / stamp)
        latest = folder / "latest.new"
        latest.unlink(missing_ok=True)
        latest.symlink_to(Path("reports") / stamp)
        latest.replace(folder / "latest")
        appeared, gone, state.wrong = compare(state.wrong, audit)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if config["secret"]:
            new = messages(config["urls"], appeared, gone, len(state.wrong), now)
            state.pending += new
        state.save()
        rotate(reports, config["keep"])
        for word, entries in (("appeared", appeared), ("gone", gone)):
            for key in sorted(entries):
                print(f"audit: {word}: {key}: {entries[key]['actual'][:200]}")
        print(f"audit: {len(appeared)} appeared, {len(gone)} gone, {len(state.wrong)} wrong now")
        sys.stdout.flush()
        if state.pending:
            state.pending = send(state.pending, config["secret"])
            state.save()
    return int("//audit_ran" in audit.wrong)


def _stamp() -> str:
    """The time as a name that sorts, also for two reports in one second."""
    now = time.time()
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit("usage: audit_runner.py CONFIG")
    return run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))


if __name__ == "__main__":
    raise SystemExit(main())
