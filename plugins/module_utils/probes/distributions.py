# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What is installed in a virtual environment, read from its files: no pip, no import."""

from __future__ import annotations

import csv
import glob
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner import (
    code_owner,
    python_parts,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.requirements import normalized

# What markers may ask of an interpreter, and where its packages are.
_ASK = """
import json, os, platform, sys, sysconfig
print(json.dumps({
    "python_version": "%d.%d" % sys.version_info[:2],
    "python_full_version": platform.python_version(),
    "os_name": os.name,
    "sys_platform": sys.platform,
    "platform_machine": platform.machine(),
    "platform_system": platform.system(),
    "platform_release": platform.release(),
    "platform_python_implementation": platform.python_implementation(),
    "implementation_name": sys.implementation.name,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python: what markers may ask of it, or why it cannot be used.

    refused: why it was not started, as a Blocked.
    """

    path: str
    environment: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    refused: Blocked | None = None

    @property
    def version(self) -> str:
        """3.12, say; empty where it does not run."""
        return self.environment.get("python_version", "")


@dataclass(frozen=True)
class Distribution:
    """An installed package. damage names the first file of it that is missing or cut off."""

    name: str
    version: str
    damage: str = ""


@dataclass(frozen=True)
class InstalledVenv:
    """A virtual environment as it is. kind is absent, venv or other.

    real is the folder behind any link; leftovers are what an interrupted pip has put aside.
    """

    path: str
    kind: str
    real: str = ""
    interpreter: Interpreter = field(default_factory=lambda: Interpreter(""))
    distributions: tuple[Distribution, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """12 hex digits over the Python's version and every package's name and version."""
        lines = ["python %s" % self.interpreter.environment.get("python_full_version", "")]
        lines += sorted(
            "%s==%s" % (distribution.name, distribution.version)
            for distribution in self.distributions
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def ask_interpreter(path: str, timeout: float) -> Interpreter:
    """Start a Python, bare, for what it is; as the user who may write it."""
    try:
        owner = code_owner(python_parts(path))
    except Blocked as blocked:
        return Interpreter(path, problem=str(blocked), refused=blocked)
    argv = owner.command([path, "-I", "-S", "-B", "-c", _ASK])
    result = run(argv, timeout, limit=65536)
    if not result.ok:
        return Interpreter(path, problem=result.describe())
    try:
        environment = foreign.json_of(result.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        environment = None
    if not isinstance(environment, dict) or "python_version" not in environment:
        return Interpreter(path, problem="it is no Python")
    return Interpreter(path, environment)


def read_venv(path: str, timeout: float) -> InstalledVenv:
    """Look at a virtual environment; its Python is started once, for at most timeout seconds."""
    if not os.path.lexists(path):
        return InstalledVenv(path, "absent")
    real = os.path.realpath(path)
    if not os.path.exists(real):
        # A link to what is gone is ours to set anew: nothing is behind it.
        return InstalledVenv(path, "absent", real)
    if not os.path.isfile(os.path.join(real, "pyvenv.cfg")):
        return InstalledVenv(path, "other", real)
    interpreter = ask_interpreter(os.path.join(real, "bin", "python"), timeout)
    distributions: list[Distribution] = []
    leftovers: list[str] = []
    for site in site_packages(real):
        distributions += read_distributions(site)
        leftovers += glob.glob(os.path.join(glob.escape(site), "~*"))
    ordered = tuple(
        sorted(distributions, key=lambda distribution: (distribution.name, distribution.version))
    )
    return InstalledVenv(path, "venv", real, interpreter, ordered, tuple(sorted(leftovers)))


def site_packages(venv: str) -> list[str]:
    """The folders of packages of a virtual environment."""
    return glob.glob(os.path.join(glob.escape(venv), "lib", "python3*", "site-packages"))


def read_distributions(site: str) -> list[Distribution]:
    """Every package of a folder of packages."""
    match = []
    with os.scandir(site) as entries:
        folders = [entry.path for entry in entries if entry.name.endswith(".dist-info")]
    descriptor = os.open(site, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            name, version = _metadata(folder)
            damage = _damage(descriptor, folder) if version else "METADATA"
            match.append(Distribution(name, version, damage))
    finally:
        os.close(descriptor)
    return match


def _metadata(folder: str) -> tuple[str, str]:
    """(normalised name, version); from the folder's name, and no version, where METADATA is bad."""
    fields: dict[str, str] = {}
    try:
        with open(os.path.join(folder, "METADATA"), encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, colon, value = line.partition(":")
                if not colon:
                    break
                fields.setdefault(key, value.strip())
                if "Name" in fields and "Version" in fields:
                    return normalized(fields["Name"]), fields["Version"]
    except OSError:
        pass
    return normalized(os.path.basename(folder).split("-", 1)[0]), ""


def _damage(site: int, folder: str) -> str:
    """The first file that RECORD names and that is missing or has another size; empty if none.

    site is a descriptor of the folder of packages: a relative path costs a third less time.
    """
    try:
        with open(os.path.join(folder, "RECORD"), encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        return "RECORD"
    return _first_damaged(site, rows)


def _first_damaged(site: int, rows: Iterable[list[str]]) -> str:
    for row in rows:
        if not row or row[0].endswith((".pyc", "RECORD")):
            continue
        try:
            size = os.stat(row[0], dir_fd=site).st_size
        except OSError:
            return row[0]
        if len(row) > 2 and foreign.is_whole(row[2]) and int(row[2]) != size:
            return row[0]
    return ""
