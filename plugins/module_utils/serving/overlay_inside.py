# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What an overlay does in a container of its base. Runs in the Python of the image."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    interpreter,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import requirements
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import overlay

LIST = "list"
JUDGE = "judge"
INSTALL = "install"

_ROOT = "/"
_LINES = 8  # of what pip said last


def answer(request: Mapping[str, Any], _sources: Mapping[str, str]) -> None:
    """Do one step and reply.

    request: `step`; `folder`, of the overlay in the container; `seconds`, for pip and for run.sh.
    The reply has `base`, the listing before. JUDGE adds `installs`, what pip would install, by
    (name, version); `held`, whether that is within the constraints; `error`, why it is not.
    INSTALL adds `after`, the listing then, and `error`.
    """
    reply: dict[str, Any] = {"base": listing(), "error": ""}
    step, folder, seconds = request["step"], request.get("folder", ""), request.get("seconds", 60)
    with tempfile.TemporaryDirectory() as scratch:
        if step == JUDGE:
            reply.update(_judged(folder, reply["base"], scratch, seconds))
        elif step == INSTALL:
            reply["error"] = _installed(folder, reply["base"], scratch, seconds)
            importlib.invalidate_caches()
            reply["after"] = listing()
    interpreter.reply(reply)


def listing() -> dict[str, str]:
    """Normalised name -> version of what this Python imports; the first of a name counts."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        if name:
            found.setdefault(requirements.normalized(name), str(one.version))
    return found


def constraints(base: Mapping[str, str]) -> str:
    """Lines that hold every distribution at its version, where pip reads such a version."""
    return "".join(
        "%s==%s\n" % (name, version)
        for name, version in sorted(base.items())
        if requirements.is_version(version)
    )


def _judged(folder: str, base: Mapping[str, str], scratch: str, seconds: float) -> dict[str, Any]:
    if not os.path.isfile(os.path.join(folder, overlay.REQUIREMENTS)):
        return {"installs": [], "held": True}
    _copy_files(folder)
    error = ""
    # Without the constraints pip says what it would move, and not only that it may not.
    for held in (True, False):
        report = os.path.join(scratch, "report-%s" % held)
        options = ["--dry-run", "--report", report]
        done = _pip(folder, base if held else {}, scratch, options, seconds)
        if done.ok:
            return {"error": error, **_read(report), "held": held}
        error = error or _said(done)
    return {"installs": [], "held": False, "error": error}


def _read(report: str) -> dict[str, Any]:
    with open(report, encoding="utf-8") as stream:
        try:
            return {"installs": overlay.read_report(stream.read())}
        except overlay.Unreadable as error:
            return {"installs": [], "error": str(error)}


def _installed(folder: str, base: Mapping[str, str], scratch: str, seconds: float) -> str:
    """Install it; why that failed, empty if it did not."""
    _copy_files(folder)
    if os.path.isfile(os.path.join(folder, overlay.REQUIREMENTS)):
        done = _pip(folder, base, scratch, ["--no-cache-dir"], seconds)
        if not done.ok:
            return _said(done)
    script = os.path.join(folder, overlay.SCRIPT)
    if os.path.isfile(script):
        done = command.run(["sh", "-eu", script], seconds, env=dict(os.environ), cwd=folder)
        if not done.ok:
            return "%s: %s" % (overlay.SCRIPT, _said(done))
    return ""


def _copy_files(folder: str) -> None:
    files = os.path.join(folder, overlay.FILES)
    if os.path.isdir(files):
        shutil.copytree(files, _ROOT, symlinks=True, dirs_exist_ok=True)


def _pip(
    folder: str,
    base: Mapping[str, str],
    scratch: str,
    options: Sequence[str],
    seconds: float,
) -> command.Result:
    """`pip install` of the requirements. base: what is held at its version."""
    argv = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-input", *options]
    held = os.path.join(scratch, "constraints.txt")
    with open(held, "w", encoding="utf-8") as stream:
        stream.write(constraints(base))
    # An image may hold versions by itself, as NVIDIA's do since 25.03.
    own = os.environ.get("PIP_CONSTRAINT", "").split() if base else []
    for file in [held, *own]:
        argv += ["--constraint", file]
    wheels = os.path.join(folder, overlay.WHEELS)
    if os.path.isdir(wheels):
        argv += ["--no-index", "--find-links", wheels]
    argv += ["--requirement", os.path.join(folder, overlay.REQUIREMENTS)]
    env = {
        **os.environ,
        "PIP_CONSTRAINT": "",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        # The container is nobody's system: what Debian's Python protects is the image itself.
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
    }
    return command.run(argv, seconds, env=env, cwd=folder)


def _said(done: command.Result) -> str:
    """How pip ended, with the lines in which it gives its reason."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines[-_LINES:]
    return "; ".join(errors[:_LINES]) or done.describe()
