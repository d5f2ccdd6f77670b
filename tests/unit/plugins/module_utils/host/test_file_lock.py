# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ansible_collections.dgxspark.suite.plugins.module_utils.host.file_lock import holder

HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "w")
fcntl.lockf(stream, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_process_that_holds_a_lock_is_told_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(str(path)) is None
    path.write_text("")
    assert holder(str(path)) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        held = holder(str(path))
        assert held is not None
        assert held.pid == process.pid
        assert str(path) in str(held) or "import fcntl" in str(held)
        process.communicate()
    assert holder(str(path)) is None
