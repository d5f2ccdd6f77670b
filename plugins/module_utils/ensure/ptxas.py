# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the ptxas that Triton uses assembles for this machine, and which pin repairs it.

A pin is written only after Triton has compiled a kernel with it; the repair is the smallest change
of the launchers' environment that works. No decision depends on a table of versions: versions only
explain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.cached_answers import (
    CACHED,
    FOLDER,
    OPTIONS,
    CachedTarget,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    MODE,
    PINS,
    PTXAS_BIN,
    EnvEdit,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import (
    SERVE_FROM,
    Spec,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    EnvironmentChange,
    Image,
    TargetProblem,
    Trial,
    TritonReport,
    VenvTarget,
    ask,
    find_docker,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    INFO,
    OK,
    SKIPPED,
    WARNING,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import examine_as_owner
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import (
    Binary,
    capability,
    cuda_ptxas,
    gpu_names,
    version_key,
)

KEYS = (PTXAS_BIN, *PINS)

# Variables of paths.env that Triton or ptxas read; others may be secret.
_REACHES_TRITON = ("TRITON_", "PTXAS", "CUDA_", "DISABLE_PTXAS")

# As named in hints: the parameter, and the variable of the role.
_CUDA_HOME = "cuda_home (role: dgxspark_ptxas_cuda_home)"

# The check ids name sm_121 whatever arch is.
_ASSEMBLES = "triton_ptxas_sm121"
_COMPILES = "triton_compile_sm121"
_CHECKS = {
    PINS[0]: "triton_ptxas_path",
    PINS[1]: "triton_ptxas_blackwell_path",
    PTXAS_BIN: "ptxas_bin",
}


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; exactly one of venv and image. timeout is in seconds."""

    venv: str | None
    image: str | None
    arch: str
    cuda_home: str | None
    paths_file: str
    timeout: float
    docker_bin: str | None
    image_python: str
    manage_ptxas_bin: bool
    optional: bool = False
    costly: str = CACHED
    cache_folder: str = FOLDER

    @property
    def target(self) -> str:
        """The virtual environment or the image."""
        return self.image or self.venv or ""

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        try:
            capability(self.arch)
        except ValueError as error:
            raise ValueError("arch: %s" % error) from error
        if self.timeout <= 0:
            raise ValueError("timeout: expected more than 0 seconds, found %g" % self.timeout)
        if self.image is not None and not re.match(r"[A-Za-z0-9]", self.image):
            raise ValueError("image: expected the name or id of an image, found %r" % self.image)
        for name in ("venv", "cuda_home", "paths_file", "docker_bin", "cache_folder"):
            path = getattr(self, name)
            if path is not None and not os.path.isabs(path):
                raise ValueError("%s: expected an absolute path, found %r" % (name, path))


def _expected(check: str, wanted: Wanted) -> str:
    names = " and ".join(gpu_names(wanted.arch))
    number = capability(wanted.arch)
    return {
        _ASSEMBLES: "the ptxas that Triton chooses in %s assembles for %s" % (wanted.target, names),
        _COMPILES: 'Triton in %s compiles for GPUTarget("cuda", %d, 32)' % (wanted.target, number),
        _CHECKS[PTXAS_BIN]: "a ptxas that works for %s, or not set if %s needs no pin"
        % (names, wanted.target),
    }.get(check, "not set, or a ptxas that works with Triton in %s" % wanted.target)


@dataclass(frozen=True)
class Observed:
    """The input of the plan.

    file is paths.env, or why it cannot be used. entries are the binaries that its KEYS name, system
    those of the node's CUDA toolkits, best first. report is the target's answer in the launchers'
    environment and without its pins; retrials are those with a pin to a toolkit's binary, made only
    if no other trial worked. target caches the answers.
    """

    file: EnvFile | Blocked
    entries: Mapping[str, Binary]
    system: tuple[Binary, ...]
    report: TritonReport | TargetProblem
    retrials: tuple[Trial, ...] = ()
    target: CachedTarget | None = None

    @property
    def values(self) -> dict[str, str]:
        return {} if isinstance(self.file, Blocked) else self.file.values()


def observe(wanted: Wanted) -> Observed:
    """Read the node and ask the target. Changes nothing."""
    try:
        file: EnvFile | Blocked = EnvFile.read(wanted.paths_file)
    except Blocked as blocked:
        file = blocked
    values = {} if isinstance(file, Blocked) else file.values()
    binaries: dict[str, Binary] = {}

    def look(path: str, where: str) -> Binary:
        if path not in binaries:
            binaries[path] = examine_as_owner(path, where, wanted.arch, wanted.timeout)
        return binaries[path]

    system = tuple(look(path, "system") for path in cuda_ptxas(wanted.cuda_home))
    entries = {key: look(values[key], "pinned") for key in KEYS if key in values}
    reached: VenvTarget | Image = VenvTarget(wanted.target)
    if wanted.image:
        docker = find_docker(wanted.docker_bin or values.get("DOCKER_BIN", ""))
        reached = Image(wanted.image, docker, wanted.image_python, optional=wanted.optional)
    target = CachedTarget(reached, wanted.cache_folder, wanted.costly)
    env = {key: value for key, value in values.items() if key.startswith(_REACHES_TRITON)}
    pins = [key for key in PINS if key in values]
    mounted = [values[key] for key in pins]
    changes = [EnvironmentChange(), *(EnvironmentChange({key: None}) for key in pins)]
    if len(pins) > 1:
        changes.append(EnvironmentChange(dict.fromkeys(pins)))
    report = ask(target, wanted.arch, env, changes, wanted.timeout, mounted=mounted)
    if isinstance(report, TargetProblem) or any(trial.works for trial in report.trials):
        return Observed(file, entries, system, report, target=target)
    named = () if wanted.cuda_home or PTXAS_BIN not in entries else (entries[PTXAS_BIN],)
    changes = pinning((*named, *system))
    if not changes:
        return Observed(file, entries, system, report, target=target)
    mounted += [change.expect for change in changes]
    again = ask(target, wanted.arch, env, changes, wanted.timeout, True, mounted)
    if isinstance(again, TargetProblem):
        return Observed(file, entries, system, again)
    return Observed(file, entries, system, report, again.trials, target)


def pinning(binaries: Sequence[Binary]) -> list[EnvironmentChange]:
    """The environments to try, in this order: each working binary, pinned by each variable."""
    working = dict.fromkeys(os.path.realpath(binary.path) for binary in binaries if binary.works)
    return [EnvironmentChange({key: path}, path) for path in working for key in PINS]


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    file, report = observed.file, observed.report
    facts = _facts(observed, wanted)
    parity = _parity(observed, wanted)
    changes: Mapping[str, str | None] = {}
    if isinstance(file, Blocked) or isinstance(report, TargetProblem):
        findings = _unassessed(observed, wanted)
    else:
        case = _Case(wanted, file, report, observed.entries, observed.system, observed.retrials)
        findings, changes = case.findings(), case.changes
    drifts = any(finding.status == DRIFT for finding in findings)
    if isinstance(file, Blocked) or not drifts:
        return Plan(tuple(findings), paths=_paths(observed, {}), facts=facts, parity=parity)
    obstacle = file.obstacle(KEYS)
    if obstacle:
        findings = [_out_of_reach(finding, obstacle) for finding in findings]
        return Plan(tuple(findings), paths=_paths(observed, {}), facts=facts, parity=parity)
    repairs = tuple(finding.check for finding in findings if finding.status == DRIFT)
    edit = EnvEdit(file, changes, KEYS, repairs)
    return Plan(tuple(findings), (edit,), _paths(observed, changes), facts, parity)


def _paths(observed: Observed, changes: Mapping[str, str | None]) -> dict[str, str]:
    """Our entries of paths.env after the run: changed ones, and working ones."""
    working = {key: entry.path for key, entry in observed.entries.items() if entry.works}
    return {key: value for key, value in {**working, **changes}.items() if value}


def _facts(observed: Observed, wanted: Wanted) -> dict[str, Any]:
    report = observed.report if isinstance(observed.report, TritonReport) else None
    binaries = [*observed.system, *observed.entries.values()]
    target = {"image" if wanted.image else "venv": wanted.target}
    chosen = None
    if report:
        current = report.trials[0]
        binaries = [*report.binaries, *binaries, *([current.binary] if current.binary else [])]
        if report.image:
            target["id"] = report.image
        if current.path:
            why = _why(report, observed.values, wanted)
            version = current.binary.version if current.binary else ""
            chosen = {"path": current.path, "version": version, "why": why}
    unique: dict[tuple[str, str], dict[str, Any]] = {}
    for binary in binaries:
        unique.setdefault((binary.path, binary.sha256), asdict(binary))
    return {
        "arch": wanted.arch,
        "target": target,
        "triton_version": report.version if report else None,
        "ptxas": list(unique.values()),
        "chosen": chosen,
        "pins": {key: observed.values[key] for key in PINS if key in observed.values},
    }


def _parity(observed: Observed, wanted: Wanted) -> dict[str, str]:
    report = observed.report
    if isinstance(report, TargetProblem):
        return {}
    parity = {"triton in %s" % wanted.target: report.version}
    return {**parity, "image %s" % wanted.image: report.image} if wanted.image else parity


def _pin_in_use(report: TritonReport, values: Mapping[str, str]) -> str:
    """The variable that determines Triton's choice; empty if none does."""
    chosen = report.trials[0].path
    for key in PINS:
        without = _without(report, key)
        if chosen and values.get(key) == chosen and without and without.path != chosen:
            return key
    return ""


def _without(report: TritonReport, key: str) -> Trial | None:
    """The trial without this pin."""
    return next((trial for trial in report.trials if trial.changes == {key: None}), None)


def _why(report: TritonReport, values: Mapping[str, str], wanted: Wanted) -> str:
    pin = _pin_in_use(report, values)
    if pin:
        return "%s in %s" % (pin, wanted.paths_file)
    if not report.trials[0].path.startswith(report.root + os.sep):
        return "set by the environment of the target itself"
    ignored = " and ".join(key for key in PINS if key in values)
    return "Triton's own" + (" (ignores %s)" % ignored if ignored else "")


def _unassessed(observed: Observed, wanted: Wanted) -> list[Finding]:
    """The findings if paths.env cannot be read or Triton does not answer."""
    problem = isinstance(observed.report, TargetProblem)
    reason = "not assessed: %s" % ("see ptxas_target" if problem else "see paths_file")
    findings = [_target(observed.report, wanted), _paths_file(observed.file)]
    for check in (_ASSEMBLES, _COMPILES):
        findings.append(Finding(check, SKIPPED, _expected(check, wanted), reason))
    for key, check in _CHECKS.items():
        if key == PTXAS_BIN and not wanted.manage_ptxas_bin:
            continue
        entry = observed.entries.get(key)
        finding = Finding(check, SKIPPED, _expected(check, wanted), reason)
        if entry and not entry.is_ptxas:
            finding = replace(
                finding,
                status=BLOCKED,
                severity=WARNING,
                actual=entry.describe(),
                hint="It is repaired once the target answers; or correct %s in %s."
                % (key, wanted.paths_file),
            )
        findings.append(finding)
    return findings


def _out_of_reach(finding: Finding, obstacle: Blocked) -> Finding:
    if finding.status != DRIFT:
        return finding
    return replace(finding, status=BLOCKED, hint="%s. %s" % (obstacle, obstacle.hint))


def _target(report: TritonReport | TargetProblem, wanted: Wanted) -> Finding:
    expected = "Triton with its NVIDIA backend in %s" % wanted.target
    if isinstance(report, TargetProblem):
        if report.left_out:
            return Finding("ptxas_target", SKIPPED, expected, "not assessed: " + report.actual)
        hint = report.hint
        return Finding("ptxas_target", BLOCKED, expected, report.actual, CRITICAL, hint=hint)
    actual = "Triton %s, Python %s" % (report.version, report.python)
    return Finding("ptxas_target", OK, expected, actual)


def _paths_file(file: EnvFile | Blocked) -> Finding:
    expected = "a text file of mode %04o owned by root, or no file if none is needed" % MODE
    if isinstance(file, Blocked):
        hint = file.hint
        return Finding("paths_file", BLOCKED, expected, str(file), CRITICAL, hint=hint)
    if file.text is None:
        return Finding("paths_file", OK, expected, "%s does not exist" % file.path)
    actual = "%s has mode %04o and owner %d" % (file.path, file.mode, file.owner)
    if file.permissions_ok:
        return Finding("paths_file", OK, expected, actual)
    fix = "set mode %04o and owner of %s" % (MODE, file.path)
    return Finding("paths_file", DRIFT, expected, actual, WARNING, fix)


@dataclass(frozen=True)
class _Case:
    """The normal case: paths.env is readable and Triton has answered."""

    wanted: Wanted
    file: EnvFile
    report: TritonReport
    entries: Mapping[str, Binary]
    system: tuple[Binary, ...]
    retrials: tuple[Trial, ...]

    @property
    def current(self) -> Trial:
        return self.report.trials[0]

    @property
    def working(self) -> Trial | None:
        """The first trial that worked; None if none did."""
        return next((trial for trial in (*self.report.trials, *self.retrials) if trial.works), None)

    @property
    def repair(self) -> Mapping[str, str | None] | None:
        """The change of pins with which Triton worked; None if none did."""
        return self.working.changes if self.working else None

    @property
    def changes(self) -> dict[str, str | None]:
        """All changes of paths.env: the repair, and entries that name no ptxas."""
        changes = dict(self.repair or {})
        for key in PINS:
            if key in self.entries and not self.entries[key].is_ptxas:
                changes.setdefault(key, None)
        pin = next((changes[key] for key in PINS if changes.get(key)), None)
        if self.current.works and _pin_in_use(self.report, self.file.values()):
            pin = self.current.path
        entry = self.entries.get(PTXAS_BIN)
        if not self.wanted.manage_ptxas_bin:
            return changes
        if entry and not entry.is_ptxas:
            changes[PTXAS_BIN] = pin or next(
                (binary.path for binary in self.system if binary.works), None
            )
        elif pin and not (entry and entry.works):
            changes[PTXAS_BIN] = pin
        return changes

    def findings(self) -> list[Finding]:
        return [
            _target(self.report, self.wanted),
            _paths_file(self.file),
            self._assembles(),
            self._compiles(),
            *(self._pin(key) for key in PINS),
            *([self._ptxas_bin()] if self.wanted.manage_ptxas_bin else []),
        ]

    def _fix(self, keys: Sequence[str]) -> str:
        """The edits of these keys as text."""
        parts = []
        for key in keys:
            if key in self.changes:
                value = self.changes[key]
                parts.append("write %s=%s" % (key, value) if value else "remove %s" % key)
        return "%s in %s" % (" and ".join(parts), self.wanted.paths_file) if parts else ""

    def _judged(self, check: str, good: bool, actual: str, hint: str) -> Finding:
        """A finding about Triton: ok, repairable by the change that worked, or blocked."""
        finding = Finding(check, OK, _expected(check, self.wanted), actual)
        if good:
            return finding
        if self.repair:
            return replace(finding, status=DRIFT, severity=CRITICAL, fix=self._fix(PINS))
        return replace(finding, status=BLOCKED, severity=CRITICAL, hint=hint)

    def _assembles(self) -> Finding:
        binary = self.current.binary
        actual = gist(self.current.error)
        if binary:
            why = _why(self.report, self.file.values(), self.wanted)
            actual = "%s; %s" % (binary.describe(), why)
        return self._judged(_ASSEMBLES, self._has_assembled, actual, self._advice())

    @property
    def _has_assembled(self) -> bool:
        return self.current.binary is not None and self.current.binary.works

    def _compiles(self) -> Finding:
        actual = "as expected" if self.current.compiled else gist(self.current.error)
        hint = self._advice() if self._has_assembled else "See %s." % _ASSEMBLES
        finding = self._judged(_COMPILES, self.current.compiled, actual, hint)
        return replace(finding, hint=finding.hint or self._condition())

    def _advice(self) -> str:
        return advice(self.report.version, self.wanted.arch, self.system, self.retrials)

    def _condition(self) -> str:
        """What else an image needs for a pin to take effect."""
        trial = self.working
        if not self.wanted.image or not trial:
            return ""
        env = {**self.file.values(), **trial.changes}
        pin = next((key for key in PINS if env.get(key) == trial.path), None)
        if not pin:
            return ""
        hint = (
            "This applies to containers started with --mount type=bind,source=%s,target=%s,readonly"
            " --env %s=%s. The playbook dgxspark.suite.launch starts them so."
        )
        return hint % (trial.path, trial.path, pin, trial.path)

    def _pin(self, key: str) -> Finding:
        check = _CHECKS[key]
        entry = self.entries.get(key)
        finding = Finding(check, OK, _expected(check, self.wanted), "not set")
        if key in self.changes:
            actual = entry.describe() if entry else "not set"
            if entry and entry.works:
                actual += "; with it: " + gist(self.current.error)
            severity = CRITICAL if key in (self.repair or {}) else WARNING
            return self._to_change(key, actual, severity)
        if not entry:
            return finding
        if _pin_in_use(self.report, self.file.values()) != key:
            actual = "%s; Triton %s does not use it for %s"
            actual %= (entry.describe(), self.report.version, self.wanted.arch)
            return replace(finding, actual=actual)
        own = _without(self.report, key)
        if not (own and own.binary and own.binary.works):
            return replace(finding, actual="in use: " + entry.describe())
        actual = "%s instead of %s, which works as well" % (entry.describe(), own.binary.describe())
        hint = "Remove %s from %s unless it is intended." % (key, self.wanted.paths_file)
        older = version_key(entry.version) < version_key(own.binary.version)
        severity = WARNING if older else INFO
        return replace(finding, actual=actual, hint=hint, severity=severity)

    def _ptxas_bin(self) -> Finding:
        entry = self.entries.get(PTXAS_BIN)
        actual = entry.describe() if entry else "not set"
        if PTXAS_BIN in self.changes:
            return self._to_change(PTXAS_BIN, actual, WARNING)
        check = _CHECKS[PTXAS_BIN]
        return Finding(check, OK, _expected(check, self.wanted), actual)

    def _to_change(self, key: str, actual: str, severity: str) -> Finding:
        value = self.changes[key]
        expected = "%s=%s" % (key, value) if value else "%s not set" % key
        expected += ", for Triton in %s" % self.wanted.target
        return Finding(_CHECKS[key], DRIFT, expected, actual, severity, self._fix([key]))


def advice(
    version: str, arch: str, system: Sequence[Binary], retrials: Sequence[Trial] = ()
) -> str:
    """The hint if no trial worked.

    version is Triton's; system are the toolkits' binaries, retrials the trials with them.
    """
    series = version_key(version)[:2]
    upgrade = "Upgrade Triton to 3.6 or later, which includes a ptxas for %s" % arch
    tried = _tried(system, retrials)
    if series < (3, 4):
        return upgrade + ": Triton %s does not support %s with any ptxas." % (version, arch)
    if series < (3, 5):
        text = ", or set %s to a CUDA 12.9 toolkit: Triton %s does not accept CUDA 13."
        return upgrade + text % (_CUDA_HOME, version) + tried
    if series < (3, 6):
        text = ", or install a CUDA toolkit 12.9 or later, or set %s to one."
        return upgrade + text % _CUDA_HOME + tried
    text = (
        "Reinstall Triton %s, whose own ptxas should support %s, or install a CUDA toolkit that"
        " does, or set %s to one."
    )
    return text % (version, arch, _CUDA_HOME) + tried


def _tried(system: Sequence[Binary], retrials: Sequence[Trial]) -> str:
    """The trials, as text for the hint."""
    errors = {trial.path: gist(trial.error) for trial in retrials if trial.error}
    tried = []
    for binary in system:
        failed = errors.get(binary.path, "Triton does not use it")
        tried.append(binary.describe() + (": " + failed if binary.works else ""))
    return " Tried: %s." % "; ".join(tried) if tried else " No CUDA toolkit was found."


def gist(error: str) -> str:
    """The text of an exception in one line, without Triton's instructions to reproduce it."""
    lines = [line.strip() for line in error.splitlines()]
    shown = [line for line in lines if line and not line.startswith("Repro command")]
    return "; ".join(shown)[:400] or "no error message"


SPEC = Spec(
    name="ptxas",
    options={
        "venv": {"type": "path"},
        "image": {"type": "str"},
        "arch": {"type": "str", "default": "sm_121"},
        "cuda_home": {"type": "path"},
        "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
        "timeout": {"type": "int", "default": 60},
        "docker_bin": {"type": "path"},
        "image_python": {"type": "str", "default": "python3"},
        "manage_ptxas_bin": {"type": "bool", "default": True},
        **OPTIONS,
        "optional": {"type": "bool", "default": False},
        **SERVE_FROM,
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
    either=("venv", "image"),
    costly=True,
    store=lambda observed: observed.target and observed.target.store(),
)
