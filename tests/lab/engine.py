# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine that runs the nodes: the one that answers, or one that the lab starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from shell import CACHE, can_install, fail, install, run, say, wait_for, work

PID = CACHE / "dockerd.pid"
LOG = CACHE / "dockerd.log"


def answers() -> bool:
    return shutil.which("docker") is not None and run("docker", "info").returncode == 0


def ensure() -> None:
    """Use the engine that answers; as root on a Debian-like system, install and start one."""
    if answers():
        return
    if os.geteuid() != 0:
        fail("no Docker engine answers: start one and join group docker, or run this as root")
    daemon = [] if shutil.which("dockerd") else ["docker.io", "iptables"]
    # Since Debian 13 the client is a separate package that docker.io only recommends.
    client = [] if shutil.which("docker") else ["docker-cli"]
    if daemon or client:
        if not can_install():
            fail("no Docker engine answers, and there is no apt-get to install one: install Docker")
        install(*daemon, if_known=client)
        if shutil.which("docker") is None:
            fail("no command docker, and apt has no package docker-cli: install a Docker client")
    if Path("/run/systemd/system").is_dir():
        work("Docker engine: starting it", "systemctl", "start", "docker")
    else:
        start()
    if not wait_for(30, "docker", "info"):
        fail(f"the Docker engine does not answer: see {LOG} or journalctl -u docker")


def start() -> None:
    say("Docker engine: starting dockerd (make demo-down stops it)")
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    PID.write_text(str(process.pid))


def stop() -> None:
    """Stop the dockerd that the lab started, but no other."""
    if not PID.exists():
        return
    pid = int(PID.read_text() or 0)
    PID.unlink()
    with contextlib.suppress(OSError):
        if b"dockerd" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return
        say("Docker engine: stopping the one that the lab started")
        os.kill(pid, 15)
        for _tenth in range(150):
            os.kill(pid, 0)  # raises once it is gone
            time.sleep(0.1)
