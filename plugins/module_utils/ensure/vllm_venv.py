# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The virtual environment with vLLM and Ray: the pinned packages, the same on every node.

It is repaired in place if its Python is right. Otherwise a new one is made beside it, verified, and
put in its place in one step; a running server keeps the files of the old one.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    EnvEdit,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import (
    SERVE_FROM,
    Spec,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner import (
    code_owner,
    python_parts,
    venv_parts,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import last_line, run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    can_replace,
    make_directories,
    obstacle_to,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Action,
    Blocked,
    Finding,
    Plan,
    explained,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.distributions import (
    Distribution,
    InstalledVenv,
    Interpreter,
    ask_interpreter,
    read_distributions,
    read_venv,
    site_packages,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.requirements import (
    Pin,
    parse,
    same_version,
)

# Key of paths.env -> (program of the environment, check id).
PROGRAMS = {
    "VLLM_BIN": ("vllm", "vllm_bin"),
    "RAY_BIN": ("ray", "ray_bin"),
    "PY_BIN": ("python", "py_bin"),
    "PIP_BIN": ("pip", "pip_bin"),
}
KEYS = tuple(PROGRAMS)

# Created with the environment or by an installer; never reported as surplus.
_TOOLS = ("pip", "setuptools", "wheel", "uv")

# Marks in our folders: unfinished; finished, with the pins that it was made from.
_BUILDING, _FINISHED = ".dgxspark-building", ".dgxspark-venv"
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_PYTHON_SECONDS = 20.0


@dataclass(frozen=True)
class Wanted:
    """The module's parameters. requirements is text; free_gib is in GiB, timeout in seconds.

    only_wheels: nothing is built on the node, where a package could run its own code.
    """

    path: str
    python: str
    requirements: str
    wheelhouse: str | None
    installer: str
    exact: bool
    free_gib: float
    log_file: str
    paths_file: str
    timeout: float
    only_wheels: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        for name in ("path", "python", "wheelhouse", "log_file", "paths_file"):
            path = getattr(self, name)
            if path is not None and (not os.path.isabs(path) or "\n" in path):
                raise ValueError("%s: expected an absolute path, found %r" % (name, path))
        if os.path.dirname(os.path.normpath(self.path)) == "/":
            raise ValueError("path: expected a folder below another one, found %r" % self.path)
        if self.timeout <= 0:
            raise ValueError("timeout: expected more than 0 seconds, found %g" % self.timeout)

    @property
    def venv(self) -> str:
        return os.path.normpath(self.path)


@dataclass(frozen=True)
class Observed:
    """The input of the plan. pins are those of requirements, or why they cannot be parsed.

    abandoned are our folders that a killed run has left. free is in bytes. programs are the
    executable ones of the environment. outsider: why no environment is made there. stuck: why
    remains are not removed.
    """

    venv: InstalledVenv
    base: Interpreter
    pins: tuple[Pin, ...] | Blocked
    uv: str
    abandoned: tuple[str, ...]
    free: int
    writable: bool
    programs: frozenset[str]
    file: EnvFile | Blocked
    outsider: Blocked | None = None
    stuck: Blocked | None = None


def observe(wanted: Wanted) -> Observed:
    """Read the node. Changes nothing."""
    try:
        file: EnvFile | Blocked = EnvFile.read(wanted.paths_file)
    except Blocked as blocked:
        file = blocked
    venv = read_venv(wanted.venv, _PYTHON_SECONDS)
    base = ask_interpreter(wanted.python, _PYTHON_SECONDS)
    environment = base.environment or venv.interpreter.environment
    try:
        pins: tuple[Pin, ...] | Blocked = parse(wanted.requirements, environment)
    except ValueError as error:
        pins = Blocked("requirements: %s" % error, "Pin every package: pip freeze, or uv export.")
    programs = frozenset(
        name
        for name, _check in PROGRAMS.values()
        if os.access(os.path.join(wanted.venv, "bin", name), os.X_OK)
    )
    abandoned = tuple(_abandoned(wanted.venv))
    return Observed(
        venv,
        base,
        pins,
        find_tool("uv") if wanted.installer != "pip" else "",
        abandoned,
        _free(wanted.venv),
        can_replace(wanted.venv),
        programs,
        file,
        _outsider(wanted) or obstacle_to(wanted.venv),
        stuck=_stuck((*abandoned, *venv.leftovers)),
    )


def _outsider(wanted: Wanted) -> Blocked | None:
    parent = os.path.dirname(wanted.venv)
    try:
        owner = code_owner((parent, *python_parts(wanted.python)))
    except Blocked as blocked:
        return blocked
    if not owner.is_another:
        return None
    return Blocked(
        "%s or %s belongs to user %d" % (parent, wanted.python, owner.uid),
        "Make the environment as that user (become_user), or set a path and a python of root's.",
    )


def _stuck(folders: Iterable[str]) -> Blocked | None:
    """Why these are removed neither as root nor as the owner of the folder that has them."""
    try:
        for folder in folders:
            Owner.of(os.path.dirname(folder))
    except Blocked as blocked:
        return blocked
    return None


def _abandoned(venv: str) -> list[str]:
    parent, name = os.path.split(venv)
    try:
        names = os.listdir(parent)
    except OSError:
        return []
    ours = [os.path.join(parent, sibling) for sibling in names if _is_ours(sibling, name)]
    return sorted(path for path in ours if os.path.lexists(os.path.join(path, _BUILDING)))


def _is_ours(folder: str, name: str) -> bool:
    """Whether this module has made that folder beside the environment of that name."""
    pattern = r"\.%s\.([0-9a-f]{8}\.\d+(\.previous)?|tmp-\w+)" % re.escape(name)
    return bool(re.fullmatch(pattern, folder))


def _free(path: str) -> int:
    """Free bytes of the file system that has path."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


@dataclass(frozen=True)
class Difference:
    """The difference between the environment and the pins."""

    missing: tuple[Pin, ...] = ()
    other: tuple[tuple[Pin, str], ...] = ()  # with the installed version
    damaged: tuple[tuple[Pin, str], ...] = ()  # with the damaged file
    surplus: tuple[Distribution, ...] = ()
    doubled: tuple[str, ...] = ()

    @property
    def install(self) -> tuple[Pin, ...]:
        pins = [*self.missing, *(entry[0] for entry in (*self.other, *self.damaged))]
        return tuple(sorted(pins, key=lambda pin: pin.name))

    def __bool__(self) -> bool:
        return bool(self.install or self.surplus or self.doubled)

    def describe(self) -> str:
        problems = ["%s is missing" % pin.name for pin in self.missing]
        problems += ["%s is %s" % (pin.name, version) for pin, version in self.other]
        problems += ["%s is damaged (%s)" % (pin.name, file) for pin, file in self.damaged]
        problems += [
            "%s %s is not pinned" % (distribution.name, distribution.version)
            for distribution in self.surplus
        ]
        problems += ["%s is installed twice" % name for name in self.doubled]
        more = "; and %d more" % (len(problems) - 6) if len(problems) > 6 else ""
        return "; ".join(problems[:6]) + more


def compare(distributions: Sequence[Distribution], pins: Sequence[Pin], exact: bool) -> Difference:
    """The difference. Pure; exact: packages without a pin are surplus."""
    have: dict[str, list[Distribution]] = {}
    for distribution in distributions:
        have.setdefault(distribution.name, []).append(distribution)
    missing, other, damaged = [], [], []
    for pin in pins:
        if pin.name not in have:
            missing.append(pin)
            continue
        distribution = have[pin.name][0]
        if distribution.version and not same_version(distribution.version, pin.version):
            other.append((pin, distribution.version))
        elif distribution.damage:
            damaged.append((pin, distribution.damage))
    names = {pin.name for pin in pins}
    surplus = [
        distribution
        for distribution in distributions
        if distribution.name not in names and distribution.name not in _TOOLS
    ]
    doubled = sorted(name for name, some in have.items() if len(some) > 1)
    return Difference(
        tuple(missing),
        tuple(other),
        tuple(damaged),
        tuple(surplus if exact else ()),
        tuple(doubled),
    )


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    case = _Case(observed, wanted)
    packages = packages_plan(observed, wanted)
    rebuilt = any(finding.status == DRIFT for finding in packages.findings[:2])
    programs, edit = case.programs(rebuilt)
    return Plan(
        (*packages.findings, *programs),
        (*packages.actions, *edit),
        case.paths,
        case.facts(),
        case.parity(),
    )


def packages_plan(observed: Observed, wanted: Wanted) -> Plan:
    """The same without programs and paths.env: of an environment that serves nothing. Pure."""
    case = _Case(observed, wanted)
    findings, actions = case.environment()
    findings.append(case.leftovers())
    if findings[-1].status == DRIFT:
        folders = (*observed.abandoned, *observed.venv.leftovers)
        actions.append(Clear(wanted.venv, folders, (findings[-1].check,)))
    return Plan(tuple(findings), tuple(actions))


@dataclass(frozen=True)
class _Case:
    """An observation, and the conclusions from it."""

    observed: Observed
    wanted: Wanted

    @property
    def pins(self) -> tuple[Pin, ...]:
        return () if isinstance(self.observed.pins, Blocked) else self.observed.pins

    @property
    def difference(self) -> Difference:
        return compare(self.observed.venv.distributions, self.pins, self.wanted.exact)

    @property
    def unusable(self) -> str:
        """Why the environment cannot be repaired in place; empty if it can."""
        venv = self.observed.venv
        if venv.kind == "absent":
            return "%s does not exist" % venv.path
        if venv.interpreter.problem:
            return "its Python fails: %s" % venv.interpreter.problem
        if self.observed.base.version and venv.interpreter.version != self.observed.base.version:
            return "it has Python %s" % venv.interpreter.version
        if self.difference.doubled:
            return "%s is installed twice" % ", ".join(self.difference.doubled)
        return ""

    @property
    def obstacle(self) -> Blocked | None:
        """Why nothing can be created or repaired."""
        observed, wanted = self.observed, self.wanted
        if isinstance(observed.pins, Blocked):
            return observed.pins
        if observed.venv.kind == "other":
            return Blocked(
                "%s exists and is not a virtual environment" % wanted.venv,
                "Check what it is, and move it away.",
            )
        if not observed.pins:
            hint = "Set the pinned packages (role: dgxspark_vllm_venv_requirements)."
            return Blocked("no packages are configured", hint)
        if not observed.writable:
            hint = "Run as root (become), on a file system that is not read-only."
            return Blocked("%s cannot be written by this user" % wanted.venv, hint)
        if observed.venv.interpreter.refused:
            return observed.venv.interpreter.refused
        if self.unusable and observed.outsider:
            return observed.outsider
        if self.unusable and observed.base.problem:
            hint = "Install it, or set another python (role: dgxspark_vllm_venv_python)."
            return Blocked("%s: %s" % (wanted.python, observed.base.problem), hint)
        if self.wanted.installer == "uv" and not observed.uv:
            return Blocked("uv is not installed", "Install it, or use pip (installer: auto).")
        needed = wanted.free_gib * (1 << 30)
        if observed.free < needed:
            message = "%.1f GiB are free on its file system" % (observed.free / (1 << 30))
            return Blocked(
                message, "Free some space: %g GiB are required (free_gib)." % wanted.free_gib
            )
        return None

    def environment(self) -> tuple[list[Finding], list[Action]]:
        """The findings about Python and packages, and their repairs."""
        observed = self.observed
        version = observed.base.version or "any"
        python = Finding(
            "venv_python",
            OK,
            "a virtual environment with Python %s in %s" % (version, self.wanted.venv),
            "Python %s"
            % observed.venv.interpreter.environment.get("python_full_version", "unknown"),
        )
        expected = "the %d pinned packages, complete" % len(self.pins)
        packages = Finding("venv_packages", OK, expected, self._count())
        if not self.wanted.requirements.strip():
            reason = "not assessed: no packages are configured (dgxspark_vllm_venv_requirements)"
            packages = replace(packages, status=SKIPPED, expected="pinned packages", actual=reason)
        elif isinstance(observed.pins, Blocked):
            packages = self._to_block(replace(packages, actual=str(observed.pins)), observed.pins)
        elif self.unusable or self.difference:
            packages = replace(packages, actual=self.difference.describe() or "not usable")
            packages = self._to_repair(packages)
        if observed.venv.kind == "other" or self.unusable:
            actual = "not a virtual environment" if observed.venv.kind == "other" else self.unusable
            python = self._to_repair(replace(python, actual=actual))
        findings = [python, packages]
        drifting = tuple(finding.check for finding in findings if finding.status == DRIFT)
        if not drifting:
            return findings, []
        if self.unusable:
            return findings, [Build(self.wanted, self.pins, observed.venv, observed.uv, drifting)]
        return findings, [Repair(self.wanted, self.difference, observed.uv, drifting)]

    def _count(self) -> str:
        distributions = self.observed.venv.distributions
        return "%d packages, fingerprint %s" % (len(distributions), self.observed.venv.fingerprint)

    def _to_repair(self, finding: Finding) -> Finding:
        if self.obstacle:
            return self._to_block(finding, self.obstacle)
        tool = "uv" if self.observed.uv else "pip"
        fix = "install %d packages with %s" % (len(self.difference.install), tool)
        if self.unusable:
            fix = "make a new environment with %s, verify it, and replace the old one" % tool
        elif self.difference.surplus:
            fix += ", remove %d" % len(self.difference.surplus)
        return replace(finding, status=DRIFT, severity=CRITICAL, fix=fix)

    @staticmethod
    def _to_block(finding: Finding, obstacle: Blocked) -> Finding:
        hint = explained(obstacle)
        return replace(finding, status=BLOCKED, severity=CRITICAL, hint=hint)

    def leftovers(self) -> Finding:
        folders = (*self.observed.abandoned, *self.observed.venv.leftovers)
        actual = ", ".join(folders) or "nothing"
        finding = Finding("venv_leftovers", OK, "no remains of an interrupted run", actual)
        if not folders:
            return finding
        if self.observed.stuck:
            return replace(self._to_block(finding, self.observed.stuck), severity=WARNING)
        return replace(finding, status=DRIFT, severity=WARNING, fix="remove it")

    @property
    def changes(self) -> dict[str, str]:
        """The entries that paths.env lacks."""
        values = {} if isinstance(self.observed.file, Blocked) else self.observed.file.values()
        names = {key: os.path.join(self.wanted.venv, "bin", PROGRAMS[key][0]) for key in self._keys}
        return {key: path for key, path in names.items() if values.get(key) != path}

    @property
    def _keys(self) -> list[str]:
        """Keys whose programs the pins bring or that exist already."""
        names = {pin.name for pin in self.pins} | {"python", "pip"}
        if any(name.startswith("vllm") for name in names):
            names.add("vllm")
        return [
            key
            for key, (program, _check) in PROGRAMS.items()
            if program in names or program in self.observed.programs
        ]

    @property
    def paths(self) -> dict[str, str]:
        """Our entries of paths.env after the run."""
        return {key: os.path.join(self.wanted.venv, "bin", PROGRAMS[key][0]) for key in self._keys}

    def programs(self, rebuilt: bool) -> tuple[list[Finding], tuple[Action, ...]]:
        """A finding for each program, and the edit of paths.env for all of them."""
        findings = [self._program(key, rebuilt) for key in self._keys]
        drifting = tuple(finding.check for finding in findings if finding.status == DRIFT)
        file = self.observed.file
        if not drifting or isinstance(file, Blocked):
            return findings, ()
        obstacle = file.obstacle(KEYS)
        if obstacle:
            return [
                self._to_block(finding, obstacle) if finding.status == DRIFT else finding
                for finding in findings
            ], ()
        keys = {PROGRAMS[key][1]: key for key in PROGRAMS}
        changes = {keys[check]: self.changes[keys[check]] for check in drifting}
        return findings, (EnvEdit(file, changes, KEYS, drifting),)

    def _program(self, key: str, rebuilt: bool) -> Finding:
        program, check = PROGRAMS[key]
        path, file = os.path.join(self.wanted.venv, "bin", program), self.observed.file
        expected = "%s=%s, executable" % (key, path)
        if isinstance(file, Blocked):
            return self._to_block(Finding(check, OK, expected, str(file)), file)
        named = file.values().get(key, "not set")
        if program not in self.observed.programs and not rebuilt:
            actual = "%s is not executable" % path
            hint = "Pin a package that brings it, see venv_packages."
            return Finding(check, BLOCKED, expected, actual, WARNING, hint=hint)
        if key not in self.changes:
            return Finding(check, OK, expected, named)
        fix = "write %s=%s in %s" % (key, path, self.wanted.paths_file)
        return Finding(check, DRIFT, expected, named, WARNING, fix)

    def facts(self) -> dict[str, Any]:
        venv = self.observed.venv
        return {
            "venv": self.wanted.venv,
            "python_version": venv.interpreter.environment.get("python_full_version", ""),
            "packages": {
                distribution.name: distribution.version for distribution in venv.distributions
            },
            "fingerprint": venv.fingerprint if venv.kind == "venv" else "",
        }

    def parity(self) -> dict[str, str]:
        venv = self.observed.venv
        if venv.kind != "venv":
            return {}
        return {"packages of %s" % self.wanted.venv: venv.fingerprint}


def _shown(pins: Sequence[Pin]) -> str:
    return "".join("%s==%s\n" % (pin.name, pin.version) for pin in pins)


@dataclass(frozen=True)
class Repair:
    """Install missing and wrong packages and remove surplus ones, in place."""

    wanted: Wanted
    difference: Difference
    uv: str
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.wanted.venv

    @property
    def before(self) -> str:
        other = ["%s==%s\n" % (pin.name, version) for pin, version in self.difference.other]
        other += [
            "%s==%s damaged\n" % (distribution[0].name, distribution[0].version)
            for distribution in self.difference.damaged
        ]
        other += [
            "%s==%s\n" % (distribution.name, distribution.version)
            for distribution in self.difference.surplus
        ]
        return "".join(sorted(other))

    @property
    def after(self) -> str:
        return _shown(self.difference.install)

    def apply(self) -> None:
        """Raises Blocked or OSError; the installer rolls back an unfinished installation."""
        install = Installer(self.wanted, self.uv, self.wanted.venv)
        if self.difference.install:
            install.packages(self.difference.install, again=bool(self.difference.damaged))
        if self.difference.surplus:
            install.remove([distribution.name for distribution in self.difference.surplus])


@dataclass(frozen=True)
class Build:
    """Make a new environment beside the old one, verify it, and put it in its place."""

    wanted: Wanted
    pins: tuple[Pin, ...]
    venv: InstalledVenv
    uv: str
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.wanted.venv

    @property
    def before(self) -> str:
        distributions = self.venv.distributions
        return "".join(
            "%s==%s\n" % (distribution.name, distribution.version) for distribution in distributions
        )

    @property
    def after(self) -> str:
        return _shown(self.pins)

    def apply(self) -> None:
        """Raises Blocked or OSError, and then the old environment is unchanged."""
        make_directories(os.path.dirname(self.wanted.venv))
        folder = self._new_folder()
        link = folder + ".link"
        try:
            self._make(folder)
            os.symlink(os.path.basename(folder), link)
            previous = self._put_in_place(link)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(FileNotFoundError):
                os.unlink(link)
            raise
        self._remove_older(folder, previous)

    def _new_folder(self) -> str:
        """A new folder named by the pins; a mark in it says that it is ours and unfinished."""
        parent, name = os.path.split(self.wanted.venv)
        digest = hashlib.sha256("\n".join(pin.line for pin in self.pins).encode()).hexdigest()[:8]
        number = 1
        while os.path.lexists(os.path.join(parent, ".%s.%s.%d" % (name, digest, number))):
            number += 1
        folder = os.path.join(parent, ".%s.%s.%d" % (name, digest, number))
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        with open(os.path.join(folder, _BUILDING), "w", encoding="ascii"):
            pass
        return folder

    def _make(self, folder: str) -> None:
        install = Installer(self.wanted, self.uv, folder)
        hint = "Check that python3-venv is installed: `apt install python3-venv`."
        install.run([self.wanted.python, "-m", "venv", folder], hint)
        install.packages(self.pins)
        distributions = [
            distribution
            for site in site_packages(folder)
            for distribution in read_distributions(site)
        ]
        difference = compare(distributions, self.pins, exact=False)
        if difference:
            message = "the new environment differs from the pins: %s" % difference.describe()
            raise Blocked(message, "See %s." % self.wanted.log_file)
        with open(os.path.join(folder, _FINISHED), "w", encoding="utf-8") as stream:
            stream.write(_shown(self.pins))
        os.unlink(os.path.join(folder, _BUILDING))

    def _put_in_place(self, link: str) -> str:
        """Replace path by this link: the path of the old environment, empty if there was none."""
        path = self.wanted.venv
        if not os.path.lexists(path) or os.path.islink(path):
            previous = os.path.realpath(path) if os.path.lexists(path) else ""
            os.replace(link, path)
            return previous
        # rename(2) cannot replace a folder by a link, but can exchange them in one step.
        _exchange(link, path)
        previous = link[: -len(".link")] + ".previous"
        os.rename(link, previous)
        return previous

    def _remove_older(self, folder: str, previous: str) -> None:
        """Keep the previous environment for running servers, and remove our older ones."""
        parent, name = os.path.split(self.wanted.venv)
        for sibling in os.listdir(parent):
            path = os.path.join(parent, sibling)
            ours = _is_ours(sibling, name) and not os.path.islink(path)
            if ours and path not in (folder, previous):
                shutil.rmtree(path, ignore_errors=True)


def _exchange(folder: str, other: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(folder), os.fsencode(other)
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other)


@dataclass(frozen=True)
class Clear:
    """Remove the remains of an interrupted run."""

    subject: str
    folders: tuple[str, ...]
    repairs: tuple[str, ...]
    after: str = ""

    @property
    def before(self) -> str:
        return "".join("remains: %s\n" % folder for folder in self.folders)

    def apply(self) -> None:
        """Raises Blocked or OSError."""
        for folder in self.folders:
            Owner.of(os.path.dirname(folder)).do(partial(_remove, folder))


def _remove(folder: str) -> None:
    if os.path.isdir(folder) and not os.path.islink(folder):
        shutil.rmtree(folder)
    elif os.path.lexists(folder):
        os.unlink(folder)


@dataclass(frozen=True)
class Installer:
    """Runs pip or uv for one environment, as its owner, with the output in the log."""

    wanted: Wanted
    uv: str
    venv: str

    def packages(self, pins: Sequence[Pin], again: bool = False) -> None:
        """Install exactly these, without dependencies: the pins are complete."""
        with self._scratch() as scratch:
            requirements = os.path.join(scratch, "requirements.txt")
            with open(requirements, "w", encoding="utf-8") as stream:
                stream.write("".join(pin.line + "\n" for pin in pins))
            owner = self._owner()
            owner.give(requirements)
            owner.give(scratch)
            options = ["--no-deps", "--requirement", requirements]
            if all(pin.hashed for pin in pins):
                options.append("--require-hashes")
            if self.wanted.only_wheels:
                options.append("--only-binary=:all:")
            if self.wanted.wheelhouse:
                options += ["--no-index", "--find-links", self.wanted.wheelhouse]
            if self.uv:
                options += ["--cache-dir", os.path.join(scratch, "cache"), "--compile-bytecode"]
                options += ["--reinstall"] if again else []
            else:
                options += ["--force-reinstall"] if again else []
            hint = "Its output is in %s." % self.wanted.log_file
            self.run([*self._verb("install"), *options], hint, scratch)

    def remove(self, names: Sequence[str]) -> None:
        yes = [] if self.uv else ["--yes"]
        hint = "Its output is in %s." % self.wanted.log_file
        self.run([*self._verb("uninstall"), *yes, *names], hint)

    def _owner(self, program: str = "") -> Owner:
        """As whom a program runs that starts the environment's Python; raises Blocked."""
        parts = venv_parts(self.venv) if os.path.exists(os.path.join(self.venv, "bin")) else ()
        return code_owner((*parts, *(python_parts(program) if program else ())))

    def _verb(self, verb: str) -> list[str]:
        python = os.path.join(self.venv, "bin", "python")
        if self.uv:
            return [self.uv, "pip", verb, "--python", python]
        return [python, "-m", "pip", verb, "--disable-pip-version-check", "--no-input"]

    @contextmanager
    def _scratch(self) -> Iterator[str]:
        """A folder on the file system of the environment: /tmp may be memory, and links need it."""
        parent, name = os.path.split(self.wanted.venv)
        if self._owner().is_another:
            parent = "/var/tmp"  # the owner may exchange what root makes in the owner's folders
        with tempfile.TemporaryDirectory(prefix=".%s.tmp-" % name, dir=parent) as scratch:
            with open(os.path.join(scratch, _BUILDING), "w", encoding="ascii"):
                pass
            yield scratch

    def run(self, argv: Sequence[str], hint: str, scratch: str = "") -> None:
        """Raises Blocked with the last line of output, and OSError if the log cannot be written."""
        owner = self._owner(argv[0])
        make_directories(os.path.dirname(self.wanted.log_file))
        with open(self.wanted.log_file, "a", encoding="utf-8") as stream:
            stream.write("\n$ %s\n" % " ".join(argv))
            start = stream.tell()
        # The shell only redirects; the command and the log are its arguments. Servers run as
        # another user, who has to read what is installed.
        script = 'umask 022; exec "$@" >>"$0" 2>&1'
        result = run(
            ["/bin/sh", "-c", script, self.wanted.log_file, *owner.command(argv)],
            self.wanted.timeout,
            env=self._environment(scratch, owner),
        )
        if not result.ok:
            with open(self.wanted.log_file, encoding="utf-8", errors="replace") as stream:
                stream.seek(start)
                line = last_line(stream.read())
            program = " ".join(argv[:3])
            raise Blocked("%s: %s: %s" % (program, result.describe(), line), hint)

    def _environment(self, scratch: str, owner: Owner) -> Mapping[str, str]:
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(("PIP_", "UV_"))
        }
        home = scratch or "/" if owner.is_another else os.path.expanduser("~")
        temporary = {"TMPDIR": scratch} if scratch else {}
        return {**passed, "HOME": home, "PYTHONDONTWRITEBYTECODE": "", **temporary}


SPEC = Spec(
    name="vllm_venv",
    options={
        "path": {"type": "path", "default": "/opt/ai-tools/vllm-env"},
        "python": {"type": "path", "default": "/usr/bin/python3"},
        "requirements": {"type": "str", "default": ""},
        "wheelhouse": {"type": "path"},
        "installer": {"type": "str", "choices": ["auto", "uv", "pip"], "default": "auto"},
        "exact": {"type": "bool", "default": False},
        "free_gib": {"type": "float", "default": 12},
        "log_file": {"type": "path", "default": "/var/log/dgxspark/vllm_venv.log"},
        "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
        "timeout": {"type": "int", "default": 3600},
        **SERVE_FROM,
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
)
