# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the lab's commands and prints its progress."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# Wheels and logs, shared by all runs and checkouts of this user.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgxspark-suite"

# What apt, pip and docker print when they reach nothing.
OFFLINE = ("connection", "temporary failure", "could not resolve", "timed out", "no such host")

_started = time.monotonic()


def say(text: str) -> None:
    print(f"lab {time.monotonic() - _started:5.0f} s  {text}", flush=True)


def fail(text: str) -> NoReturn:
    sys.exit(f"lab: {text}")


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """The result of a short command, whatever its exit status."""
    words = [str(word) for word in argv]
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
    )


def output(*argv: str | Path) -> str:
    """The output of a short command; the lab exits if it fails."""
    done = run(*argv)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        fail(f"{' '.join(map(str, argv[:5]))} … ended with {done.returncode}:\n{said}")
    return done.stdout.strip()


def docker(*argv: str | Path) -> str:
    return output("docker", *argv)


def log_of(title: str) -> Path:
    return CACHE / "logs" / (hashlib.sha256(title.encode()).hexdigest()[:8] + ".log")


def work(title: str, *argv: str | Path) -> None:
    """Run a long command; the lab exits if it fails."""
    code = attempt(title, *argv)
    if code:
        log = log_of(title)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        hint = ""
        if any(sign in tail.lower() for sign in OFFLINE):
            hint = (
                "\nlab: probably the network. apt, pip and docker use this machine's settings and "
                "proxies; the next start continues from here."
            )
        fail(f"{title}: ended with {code}. Its last lines, the rest is in {log}:\n{tail}{hint}")


def attempt(title: str, *argv: str | Path) -> int:
    """Run a long command: print its title, and every 10 s its last line. Its exit status."""
    say(title)
    log = log_of(title)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        words = [str(word) for word in argv]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        )
        while True:
            try:
                return process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                say(f"  … {last_line(log)}")


def last_line(log: Path) -> str:
    lines = log.read_bytes()[-2000:].decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip()[:90] for line in reversed(lines) if line.strip()), "running")


def wait_for(seconds: float, *argv: str | Path) -> bool:
    """Whether a command succeeds within that time."""
    deadline = time.monotonic() + seconds
    while run(*argv).returncode:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str, if_known: Sequence[str] = ()) -> None:
    """Install Debian packages on this machine; those of if_known only if its release has them."""
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    work("Debian packages: refreshing the list", *quiet, "update")
    packages += tuple(name for name in if_known if run("apt-cache", "show", name).stdout)
    names = " ".join(packages)
    work(f"Debian packages: {names}", *quiet, "install", "-y", "--no-install-recommends", *packages)
