# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lab runs commands and tells what it is doing."""

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

# Wheels and logs: kept between runs and shared by all checkouts of this user.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgxspark-suite"

# What apt, pip and docker say where they reach nothing.
OFFLINE = ("connection", "temporary failure", "could not resolve", "timed out", "no such host")

_started = time.monotonic()


def say(text: str) -> None:
    print(f"lab {time.monotonic() - _started:5.0f} s  {text}", flush=True)


def fail(text: str) -> NoReturn:
    sys.exit(f"lab: {text}")


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """A command that is quick, whatever becomes of it."""
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
    """What a quick command prints; the lab ends where it fails."""
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
    """A command that takes its time; the lab ends where it fails."""
    code = attempt(title, *argv)
    if code:
        log = log_of(title)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        hint = ""
        if any(sign in tail.lower() for sign in OFFLINE):
            hint = (
                "\nlab: the network, it seems. apt, pip and docker go by this machine's settings "
                "and proxies; the next start goes on from here."
            )
        fail(f"{title}: ended with {code}. Its last lines, the rest is in {log}:\n{tail}{hint}")


def attempt(title: str, *argv: str | Path) -> int:
    """Run a command that may take its time: says so, then every 10 s what it printed last."""
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
    return next((line.strip()[:90] for line in reversed(lines) if line.strip()), "still at it")


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
    """Install Debian packages on this machine; those of if_known where its release has them."""
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    work("Debian packages: refreshing the list", *quiet, "update")
    packages += tuple(name for name in if_known if run("apt-cache", "show", name).stdout)
    names = " ".join(packages)
    work(f"Debian packages: {names}", *quiet, "install", "-y", "--no-install-recommends", *packages)
