# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign programs, well-behaved and not; all of them real."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    EXITED,
    NOT_EXECUTABLE,
    NOT_FOUND,
    NOT_STARTED,
    SIGNALLED,
    TIMED_OUT,
    last_line,
    run,
)

ENDINGS = [
    ("echo hello", EXITED, 0, "exit status 0: hello"),
    ("echo oops >&2; exit 3", EXITED, 3, "exit status 3: oops"),
    ("exit 255", EXITED, 255, "exit status 255"),
    ("kill -SEGV $$", SIGNALLED, 11, "died by signal 11 (SIGSEGV)"),
    ("echo half; kill -KILL $$", SIGNALLED, 9, "died by signal 9 (SIGKILL): half"),
]


@pytest.mark.parametrize(("script", "outcome", "code", "described"), ENDINGS)
def test_each_ending_is_told_apart(script: str, outcome: str, code: int, described: str) -> None:
    result = run(["/bin/sh", "-c", script], 5)
    assert (result.outcome, result.code, result.describe()) == (outcome, code, described)
    assert result.ok is (code == 0)


def test_a_hanging_program_is_killed_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    result = run(["/bin/sh", "-c", "sleep 60 & echo $! >%s; wait" % (tmp_path / "pid")], 0.5)
    assert (result.outcome, result.code) == (TIMED_OUT, None)
    assert result.describe() == "did not end within 0.5 s"
    assert time.monotonic() - started < 5
    child = Path("/proc/%s/stat" % (tmp_path / "pid").read_text().strip())
    for _attempt in range(50):
        if not child.exists() or child.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child of the killed program runs on")


def test_a_program_that_ignores_the_polite_signals_is_killed() -> None:
    result = run(["/bin/sh", "-c", "trap '' TERM INT HUP; while :; do sleep 1; done"], 0.3)
    assert result.outcome == TIMED_OUT


def test_what_was_printed_before_a_timeout_is_kept() -> None:
    result = run(["/bin/sh", "-c", "echo so far; exec sleep 60"], 0.5)
    assert result.stdout == "so far\n"


def test_a_child_that_keeps_the_pipes_does_not_delay_the_result() -> None:
    started = time.monotonic()
    result = run(["/bin/sh", "-c", "sleep 60 & echo done"], 30)
    assert (result.outcome, result.stdout) == (EXITED, "done\n")
    assert time.monotonic() - started < 5


def test_a_program_that_closes_its_streams_is_waited_for() -> None:
    result = run(["/bin/sh", "-c", "exec <&- >&- 2>&-; sleep 0.3; exit 4"], 5)
    assert (result.outcome, result.code) == (EXITED, 4)
    assert result.seconds >= 0.3


def test_a_flood_is_bounded_and_keeps_both_ends() -> None:
    script = "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last"
    result = run(["/bin/sh", "-c", script], 20, limit=1000)
    assert result.stdout.startswith("first\nxx")
    assert result.stdout.endswith("x\nlast\n")
    assert "bytes left out" in result.stdout
    assert len(result.stdout) < 1100


def test_an_endless_flood_ends_at_the_timeout() -> None:
    result = run(["/bin/sh", "-c", "exec yes"], 0.3, limit=1000)
    assert result.outcome == TIMED_OUT


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert run(["/bin/sh", "-c", "printf 'a\\377b'"], 5).stdout == "a\ufffdb"


def test_input_larger_than_a_pipe_is_fed_and_answered() -> None:
    text = "ä" * 400_000
    assert run(["/bin/cat"], 20, stdin=text, limit=1 << 21).stdout == text


def test_input_that_is_not_wanted_is_no_error() -> None:
    assert run(["/bin/true"], 5, stdin="x" * 1_000_000).ok


def test_the_environment_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_OF_A_LOGIN", "1")
    lines = run(["/usr/bin/env"], 5, env={"MORE": "1"}).stdout.split()
    names = {line.partition("=")[0] for line in lines}
    assert names == {"LANG", "LC_ALL", "PATH", "PYTHONDONTWRITEBYTECODE", "MORE"}


def test_it_runs_at_the_root_unless_told_otherwise(tmp_path: Path) -> None:
    assert run(["/bin/pwd"], 5).stdout == "/\n"
    assert run(["/bin/pwd"], 5, cwd=str(tmp_path)).stdout == "%s\n" % tmp_path


def write(path: Path, text: str, mode: int) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_each_reason_not_to_start_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    cases = [
        (str(tmp_path / "none"), NOT_FOUND, "does not exist"),
        (str(tmp_path / "link"), NOT_FOUND, "is a broken link"),
        (str(tmp_path), NOT_EXECUTABLE, "is a directory"),
        (write(tmp_path / "plain", "", 0o644), NOT_EXECUTABLE, "is not executable"),
        (write(tmp_path / "orphan", "#!/none/sh\n", 0o755), NOT_EXECUTABLE, "interpreter"),
        (write(tmp_path / "junk", "\x01\x02", 0o755), NOT_EXECUTABLE, "not a program that"),
        (write(tmp_path / "loop", "#!%s\n" % (tmp_path / "loop"), 0o755), NOT_STARTED, "could not"),
    ]
    for path, outcome, reason in cases:
        result = run([path], 5)
        assert (result.outcome, reason in result.describe()) == (outcome, True), result


def test_an_argument_with_a_nul_is_no_crash() -> None:
    assert run(["/bin/echo", "a\0b"], 5).outcome == NOT_STARTED


def test_no_descriptor_is_leaked() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _round in range(5):
        run(["/bin/echo"], 5)
        run(["/none"], 5)
        run(["/bin/sleep", "9"], 0.05)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("text", "line"), [("", ""), (" \n\n", ""), ("a\n b \n\n", "b"), ("x" * 999, "x" * 300)]
)
def test_the_last_line_that_says_anything(text: str, line: str) -> None:
    assert last_line(text) == line
