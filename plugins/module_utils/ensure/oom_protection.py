# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""When a node runs out of memory, the workload is ended, not sshd.

GPU memory is system memory here, and no cgroup limit applies to it: a daemon has to end the
workload before the kernel's OOM killer acts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.apt_install import (
    SIMULATE_SECONDS,
    Installation,
    objection,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
    blocked_by,
    judge_file,
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_findings import (
    ask,
    judge_loaded,
    masked_units,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_texts import quoted
from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import COMMENT, OwnFile
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import Simulation, simulate
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import parse_meminfo
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import (
    ROOTS,
    UNIT_ROOTS,
    Overruled,
    Unit,
    drop_ins,
    list_units,
    overruling,
    unit_drop_ins,
)

NONE, EARLYOOM, OOMD = "none", "earlyoom", "systemd-oomd"

RELEASE_UNIT = "dgxspark-release-page-cache.service"
# No RemainAfterExit: each start must release the page cache again.
RELEASE_TEXT = COMMENT + (
    "[Unit]\n"
    "Description=Release the page cache, so that the GPU can have that memory\n"
    "[Service]\n"
    "Type=oneshot\n"
    "ExecStart=/bin/sh -c 'sync; echo 3 >/proc/sys/vm/drop_caches'\n"
)
_SERVERS = "dgxspark-vllm@.service"
_SERVERS_TEXT = COMMENT + f"[Unit]\nWants={RELEASE_UNIT}\nAfter={RELEASE_UNIT}\n"

_SLICE = "system.slice"
# Units of the launchers. Units of launched containers only supervise processes of the engine.
_WORKLOADS = (
    "dgxspark-ray-head.service",
    "dgxspark-ray-worker.service",
    "dgxspark-vllm@*.service",
)
_WORKLOAD_SCORE = 500  # set by the launchers' units
# OpenSSH lowers its own score, and sessions get the score that sshd was started with. If the unit
# lowered it, every program started from a login would be protected like sshd.
_LOWER_THEMSELVES = ("ssh.service", "sshd.service")
_CAP_SYS_RESOURCE = 24
_SECONDS = 60.0
# Another apt-get, for example an update by the dashboard, may be running.
_LOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Protected:
    """A unit to protect: its highest allowed oom_score_adj, and its MemoryMin in MiB.

    Either may be None: not checked.
    """

    unit: str
    score: int | None
    memory_mib: int | None

    @property
    def check(self) -> str:
        return "oom_unit_%s" % re.sub(r"[^a-z0-9]+", "_", self.unit.rpartition(".")[0].lower())

    @property
    def text(self) -> str:
        lines = ["[Service]\n"]
        if self.score is not None and self.unit not in _LOWER_THEMSELVES:
            lines.append("OOMScoreAdjust=%d\n" % self.score)
        if self.memory_mib is not None:
            lines.append("MemoryMin=%dM\n" % self.memory_mib)
        lines.append("ManagedOOMPreference=omit\n")
        return COMMENT + "".join(lines)


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; see its documentation for units and meaning."""

    daemon: str
    term_mib: int
    kill_mib: int
    prefer: str
    avoid: str
    pressure_percent: int
    pressure_seconds: int
    protected: Sequence[Mapping[str, Any]]
    release_page_cache: bool

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        if not 0 < self.kill_mib < self.term_mib:
            message = "expected 0 < kill_mib < term_mib, found %d and %d"
            raise ValueError("kill_mib: " + message % (self.kill_mib, self.term_mib))
        for name in ("prefer", "avoid"):
            value = getattr(self, name)
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError("%s: %s: %s" % (name, value, error)) from error
            if "\n" in value or "\0" in value:
                raise ValueError("%s: expected one line, found %r" % (name, value))
        if not 0 < self.pressure_percent <= 100:
            raise ValueError("pressure_percent: expected 1 to 100")
        if self.pressure_seconds < 1:
            raise ValueError("pressure_seconds: expected 1 or more")
        units = [unit.unit for unit in self.units]
        for unit in self.units:
            if not re.fullmatch(r"[A-Za-z0-9_.@-]+\.service", unit.unit):
                raise ValueError("protected: expected as ssh.service, found %r" % unit.unit)
            if unit.score is not None and not -1000 <= unit.score <= 1000:
                raise ValueError("protected: %s: score: expected -1000 to 1000" % unit.unit)
            if unit.memory_mib is not None and unit.memory_mib < 1:
                raise ValueError("protected: %s: memory_mib: expected 1 or more" % unit.unit)
        if len(set(units)) != len(units):
            raise ValueError("protected: a unit occurs twice")

    @property
    def units(self) -> tuple[Protected, ...]:
        return tuple(
            Protected(entry["unit"], entry.get("score"), entry.get("memory_mib"))
            for entry in self.protected
        )

    def command(self, earlyoom: str) -> tuple[str, ...]:
        """The command line of earlyoom.

        earlyoom acts when memory and swap are both low. The swap limit of 100 % always holds, since
        a node is already unreachable when its workload is being swapped out.
        """
        words = [earlyoom, "-M", "%d,%d" % (self.term_mib << 10, self.kill_mib << 10)]
        words += ["-s", "100,100", "-r", "3600"]
        if self.prefer:
            words += ["--prefer", self.prefer]
        if self.avoid:
            words += ["--avoid", self.avoid]
        return tuple(words)

    @property
    def slice_text(self) -> str | None:
        """The drop-in of system.slice, which needs at least the MemoryMin of all its units."""
        total = sum(entry.memory_mib or 0 for entry in self.units)
        lines = ["MemoryMin=%dM\n" % total] if total else []
        if self.daemon == OOMD:
            lines.append("ManagedOOMMemoryPressure=kill\n")
            lines.append("ManagedOOMMemoryPressureLimit=%d%%\n" % self.pressure_percent)
        return COMMENT + "[Slice]\n" + "".join(lines) if lines else None

    @property
    def oomd_text(self) -> str | None:
        if self.daemon != OOMD:
            return None
        text = "[OOM]\nDefaultMemoryPressureLimit=%d%%\nDefaultMemoryPressureDurationSec=%ds\n"
        return COMMENT + text % (self.pressure_percent, self.pressure_seconds)

    def earlyoom_text(self, earlyoom: str) -> str | None:
        """The drop-in, so that /etc/default/earlyoom stays as it is."""
        if self.daemon != EARLYOOM:
            return None
        lines = "[Service]\nExecStart=\nExecStart=%s\nOOMScoreAdjust=-900\n"
        return COMMENT + lines % quoted(self.command(earlyoom))

    def files(self, at: Places) -> dict[str, tuple[str, str | None]]:
        """Check id -> (path, text) of our files; text is None if the file should not exist."""

        def drop_in(unit: str) -> str:
            return os.path.join(at.unit_folder, unit + ".d", "90-dgxspark.conf")

        release = self.release_page_cache
        return {
            "oom_earlyoom_config": (
                drop_in("earlyoom.service"),
                self.earlyoom_text(at.earlyoom or at.earlyoom_packaged),
            ),
            "oom_oomd_config": (at.oomd_file, self.oomd_text),
            "oom_slice": (drop_in(_SLICE), self.slice_text),
            **{entry.check: (drop_in(entry.unit), entry.text) for entry in self.units},
            "oom_page_cache_unit": (
                os.path.join(at.unit_folder, RELEASE_UNIT),
                RELEASE_TEXT if release else None,
            ),
            "oom_page_cache": (
                os.path.join(at.unit_folder, _SERVERS + ".d", "90-dgxspark-page-cache.conf"),
                _SERVERS_TEXT if release else None,
            ),
        }


@dataclass(frozen=True)
class Places:
    """The paths that are read. Tools that are None are searched."""

    proc: str = "/proc"
    cgroups: str = "/sys/fs/cgroup"
    unit_folder: str = "/etc/systemd/system"
    oomd_file: str = "/etc/systemd/oomd.conf.d/90-dgxspark.conf"
    unit_roots: tuple[str, ...] = UNIT_ROOTS
    systemd: tuple[str, ...] = ROOTS
    earlyoom_packaged: str = "/usr/bin/earlyoom"  # where the package puts it
    systemctl: str | None = None
    earlyoom: str | None = None
    oomd: str | None = None
    choom: str | None = None
    apt_get: str | None = None

    def with_tools(self) -> Places:
        """A copy with the path of each tool; empty if it is not installed."""
        tools: dict[str, Any] = {
            name: find_tool(name.replace("_", "-"))
            for name in ("systemctl", "earlyoom", "choom", "apt_get")
            if getattr(self, name) is None
        }
        if self.oomd is None:
            folders = ("/usr/lib/systemd", "/lib/systemd")
            tools["oomd"] = find_tool(OOMD, folders)
        return replace(self, **tools)


@dataclass(frozen=True)
class Running:
    """A unit's main process: its score (None if it has ended) and command line."""

    score: int | None
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """The input of the plan. memory_min is in bytes, None if unknown.

    simulation is what apt would do to install a missing daemon. later is check of one of our
    drop-ins -> (path, text) of those that systemd reads after it.
    """

    places: Places
    files: Mapping[str, OwnFile | Blocked]
    units: Mapping[str, Unit] | Blocked
    running: Mapping[str, Running] = field(default_factory=dict)
    memory_min: Mapping[str, int | None] = field(default_factory=dict)
    workloads: tuple[str, ...] = ()
    may_lower: bool = True
    pressure: bool = True
    meminfo: Mapping[str, int] = field(default_factory=dict)
    simulation: Simulation | None = None
    later: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def observe(wanted: Wanted, places: Places | None = None) -> Observed:
    """Read the node. Changes nothing."""
    at = (places or Places()).with_tools()
    files = {check: own_file(path) for check, (path, _text) in wanted.files(at).items()}
    names = [entry.unit for entry in wanted.units]
    workloads = list_units(at.systemctl or "", _WORKLOADS)
    asked = ["earlyoom.service", "systemd-oomd.service", _SLICE, *names]
    asked += [name for name in (RELEASE_UNIT, *workloads) if name not in asked]
    units = ask(at.systemctl or "", asked)
    running, memory = {}, {}
    if not isinstance(units, Blocked):
        running = {name: _running(at, unit.pid) for name, unit in units.items() if unit.pid}
        memory = {name: _memory_min(at, units[name]) for name in (_SLICE, *names)}
    return Observed(
        at,
        files,
        units,
        running,
        memory,
        workloads,
        _may_lower(read_text(at.proc + "/1/status") or ""),
        os.path.exists(at.proc + "/pressure/memory")
        and os.path.exists(at.cgroups + "/cgroup.controllers"),
        parse_meminfo(read_text(at.proc + "/meminfo") or ""),
        _simulation(at, wanted),
        _later(at, wanted, {} if isinstance(units, Blocked) else units),
    )


def _later(
    at: Places, wanted: Wanted, units: Mapping[str, Unit]
) -> dict[str, tuple[tuple[str, str], ...]]:
    later = {}
    for check, (path, text) in wanted.files(at).items():
        folder, own = os.path.split(path)
        name = os.path.basename(folder)[: -len(".d")]
        if text is None or not folder.endswith(".d"):
            continue
        if name.endswith(".conf"):
            files = drop_ins([os.path.join(root, name + ".d") for root in at.systemd])
        else:
            files = unit_drop_ins(name, units.get(name, Unit()).drop_ins, at.unit_roots)
        later[check] = tuple(file for file in files if os.path.basename(file[0]) > own)
    return later


def _simulation(at: Places, wanted: Wanted) -> Simulation | None:
    if wanted.daemon == NONE or _binary(at, wanted) or not at.apt_get:
        return None
    return simulate(at.apt_get, (wanted.daemon,), SIMULATE_SECONDS)


def _running(at: Places, pid: int) -> Running:
    folder = "%s/%d/" % (at.proc, pid)
    score = (read_text(folder + "oom_score_adj") or "").strip()
    command = read_text(folder + "cmdline") or ""
    argv = tuple(command.split("\0")[:-1])
    return Running(int(score) if re.fullmatch(r"-?\d+", score) else None, argv)


def _memory_min(at: Places, unit: Unit) -> int | None:
    text = read_text("%s%s/memory.min" % (at.cgroups, unit.cgroup)) if unit.cgroup else None
    if text is None:
        return None
    return int(text) if foreign.is_whole(text.strip()) else 1 << 62  # "max"


def _may_lower(status: str) -> bool:
    """Whether processes of this system may lower their score, from the status of process 1."""
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return not match or bool(int(match[1], 16) >> _CAP_SYS_RESOURCE & 1)


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    files = _files(observed, wanted)
    installed = _installed(observed, wanted)
    written = [pair.check for pair, some in files if some]
    at = observed.places
    loaded = judge_loaded("oom_units_loaded", observed.units, at.systemctl or "", written)
    judged = [
        *files,
        installed,
        loaded,
        _at_boot(observed, wanted),
        _daemon(observed, wanted, installed[0]),
        _scores(observed, wanted),
        _memory(observed, wanted),
        _workloads(observed),
    ]
    return Plan(
        tuple(finding for finding, _actions in judged),
        tuple(action for _finding, some in judged for action in some),
        facts={
            "daemon": wanted.daemon,
            "available_kib": observed.meminfo.get("MemAvailable", 0),
            "scores": {name: pair.score for name, pair in sorted(observed.running.items())},
        },
    )


def _unit(observed: Observed, name: str) -> Unit:
    return Unit() if isinstance(observed.units, Blocked) else observed.units.get(name, Unit())


def _files(observed: Observed, wanted: Wanted) -> list[Judged]:
    absent = {
        entry.check: entry.unit
        for entry in wanted.units
        if not isinstance(observed.units, Blocked) and not _unit(observed, entry.unit).there
    }
    judged = []
    for check, (path, text) in wanted.files(observed.places).items():
        finding, actions = judge_file(check, observed.files[check], path, text)
        if check in absent:
            reason = "%s does not exist on this node" % absent[check]
            finding, actions = Finding(check, SKIPPED, finding.expected, reason), ()
        judged.append((finding, actions))
    return judged


def _at_boot(observed: Observed, wanted: Wanted) -> Judged:
    """The next start: a drop-in that is read after ours wins, whatever holds now."""
    expected = "no drop-in that is read after ours takes a protection away"
    finding = Finding("oom_at_boot", OK, expected, "as expected")
    files = wanted.files(observed.places)
    weaker = [
        "%s and is read after %s" % (rival, files[check][0])
        for check, later in observed.later.items()
        for rival in overruling(files[check][1] or "", later)
        if not _stronger(rival, files[check][1] or "")
    ]
    if not weaker:
        return finding, ()
    hint = "Remove that line, or change what this collection sets (protected, daemon)."
    actual = "; ".join(weaker)
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint), ()


def _stronger(rival: Overruled, ours: str) -> bool:
    """Whether another value protects at least as well as ours."""
    match = re.search(r"^%s=(.*)$" % re.escape(rival.key), ours, re.MULTILINE)
    pair = (rival.value, match[1] if match else "")
    if rival.key == "OOMScoreAdjust":
        scores = [int(word) for word in pair if re.fullmatch(r"-?\d{1,4}", word)]
        return len(scores) == 2 and scores[0] <= scores[1]
    if rival.key == "MemoryMin":
        sizes = [size for size in map(_size, pair) if size is not None]
        return len(sizes) == 2 and sizes[0] >= sizes[1]
    return False


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _size(word: str) -> int | None:
    """Bytes of a size as systemd writes it (systemd.resource-control(5)); None for other words."""
    if word == "infinity":
        return 1 << 62
    match = re.fullmatch(r"(\d{1,15})([KMGT]?)", word)
    return int(match[1]) * _UNITS[match[2]] if match else None


def _binary(at: Places, wanted: Wanted) -> str:
    path = at.earlyoom if wanted.daemon == EARLYOOM else at.oomd
    return path or ""


def _installed(observed: Observed, wanted: Wanted) -> Judged:
    expected = "%s is installed" % wanted.daemon
    if wanted.daemon == NONE:
        return Finding("oom_daemon_installed", SKIPPED, "no daemon", "not managed"), ()
    binary = _binary(observed.places, wanted)
    finding = Finding("oom_daemon_installed", OK, expected, binary)
    if binary:
        return finding, ()
    fix = "apt-get install %s" % wanted.daemon
    finding = replace(finding, status=DRIFT, severity=CRITICAL, actual="not installed", fix=fix)
    if wanted.daemon == OOMD and not observed.pressure:
        return blocked_by(finding, _NO_PRESSURE), ()
    if not observed.places.apt_get:
        return blocked_by(finding, Blocked("apt-get is not installed", "Install it manually.")), ()
    planned, names = observed.simulation or Simulation(), (wanted.daemon,)
    refresh = bool(planned.unknown)
    obstacle = None if refresh else objection(planned, names)
    if obstacle:
        return blocked_by(finding, obstacle), ()
    repairs = ("oom_daemon_installed", "oom_daemon")
    apt_get = observed.places.apt_get
    return finding, (Installation(apt_get, names, refresh, _LOCK_SECONDS, repairs),)


_NO_PRESSURE = Blocked(
    "systemd-oomd needs cgroup v2 and /proc/pressure, and one of them is missing",
    "Use earlyoom, or boot with systemd.unified_cgroup_hierarchy=1 and psi=1.",
)


def _daemon(observed: Observed, wanted: Wanted, installed: Finding) -> Judged:
    """Whether the daemon runs as configured and is enabled at boot."""
    if wanted.daemon == NONE:
        return Finding("oom_daemon", SKIPPED, "no daemon", "not managed"), ()
    name = "%s.service" % wanted.daemon
    finding = Finding("oom_daemon", OK, "%s runs as configured" % name, "as expected")
    if isinstance(observed.units, Blocked):
        return replace(finding, status=SKIPPED, actual=str(observed.units)), ()
    unit, running = _unit(observed, name), observed.running.get(name)
    wrong = []
    if unit.active != "active" or not running:
        wrong.append("it is %s" % unit.active)
    elif wanted.daemon == EARLYOOM:
        binary = _binary(observed.places, wanted)
        if running.argv != wanted.command(binary):
            wrong.append("it runs as: %s" % " ".join(running.argv))
    if not unit.enabled:
        wrong.append("it is not enabled")
    config = observed.files["oom_oomd_config"]
    if wanted.daemon == OOMD and isinstance(config, OwnFile):
        # It reads its configuration only when it starts.
        if config.differs(wanted.oomd_text, 0o644):
            wrong.append("it runs with other settings")
        if not observed.pressure:
            return blocked_by(replace(finding, severity=CRITICAL), _NO_PRESSURE), ()
    if not wrong:
        return finding, ()
    fix = "enable and restart %s" % name
    finding = replace(finding, status=DRIFT, severity=CRITICAL, actual="; ".join(wrong), fix=fix)
    if unit.masked:
        return blocked_by(finding, masked_units((name,))), ()
    if installed.status == BLOCKED:
        obstacle = Blocked("%s is not installed" % wanted.daemon, "See oom_daemon_installed.")
        return blocked_by(finding, obstacle), ()
    systemctl = observed.places.systemctl or ""
    hint = "See `journalctl -u %s`." % name
    repairs = ("oom_daemon",)
    return finding, (
        Command(name, (systemctl, "enable", name), "", "enabled\n", repairs, hint=hint),
        Command(name, (systemctl, "restart", name), "", "restarted\n", repairs, hint=hint),
    )


def _scores(observed: Observed, wanted: Wanted) -> Judged:
    """The effective scores of the protected units, from /proc."""
    wants = {unit.unit: unit.score for unit in wanted.units if unit.score is not None}
    limits = ", ".join("%s at most %d" % pair for pair in wants.items())
    finding = Finding("oom_scores", OK, "oom_score_adj of %s" % limits if wants else "any", "")
    running = {
        unit: (observed.running[unit].score, score)
        for unit, score in wants.items()
        if unit in observed.running and observed.running[unit].score is not None
    }
    if not running:
        return replace(finding, status=SKIPPED, actual="none of these units runs"), ()
    actual = ", ".join("%s %s" % (unit, process) for unit, (process, _score) in running.items())
    finding = replace(finding, actual=actual)
    wrong = {
        unit: (process, score)
        for unit, (process, score) in running.items()
        if process is not None and process > score
    }
    if not wrong:
        return finding, ()
    if not observed.may_lower:
        reason = "%s: this system may not lower a score (no CAP_SYS_RESOURCE), as in a container"
        return replace(finding, status=SKIPPED, actual=reason % actual), ()
    finding = replace(finding, status=DRIFT, severity=CRITICAL, fix="lower them with choom")
    choom = observed.places.choom
    if not choom:
        return blocked_by(finding, Blocked("choom is not installed", "Install util-linux.")), ()
    return finding, tuple(
        Command(
            "oom_score_adj of %s" % unit,
            (choom, "-n", str(score), "-p", str(_unit(observed, unit).pid)),
            "%d\n" % process,
            "%d\n" % score,
            ("oom_scores",),
            hint="Run as root (become).",
        )
        for unit, (process, score) in wrong.items()
    )


def _memory(observed: Observed, wanted: Wanted) -> Judged:
    """The effective memory.min of the units."""
    wants = {unit.unit: unit.memory_mib << 20 for unit in wanted.units if unit.memory_mib}
    sizes = ", ".join("%s %d MiB" % (unit, size >> 20) for unit, size in wants.items())
    finding = Finding(
        "oom_memory_min", OK, "memory.min of %s" % sizes if wants else "any", "as expected"
    )
    if not wants:
        return replace(finding, actual="not managed"), ()
    wants = {_SLICE: sum(wants.values()), **wants}
    current = {
        unit: observed.memory_min.get(unit)
        for unit in wants
        if unit == _SLICE or _unit(observed, unit).active == "active"
    }
    if isinstance(observed.units, Blocked) or all(size is None for size in current.values()):
        reason = "not assessed: cgroup v1, or no memory controller"
        return replace(finding, status=SKIPPED, actual=reason), ()
    short = {unit: size or 0 for unit, size in current.items() if (size or 0) < wants[unit]}
    if not short:
        return finding, ()
    actual = ", ".join("%s %d MiB" % (unit, size >> 20) for unit, size in short.items())
    fix = "set it now (the drop-ins set it at boot)"
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=actual, fix=fix)
    systemctl = observed.places.systemctl or ""
    return finding, tuple(
        Command(
            "MemoryMin of %s" % unit,
            (systemctl, "set-property", "--runtime", unit, "MemoryMin=%d" % wants[unit]),
            "%d\n" % size,
            "%d\n" % wants[unit],
            ("oom_memory_min",),
            hint="Run as root (become).",
        )
        for unit, size in short.items()
    )


def _workloads(observed: Observed) -> Judged:
    """Whether the OOM killer would end workloads first."""
    expected = "workloads with an oom_score_adj of at least %d" % _WORKLOAD_SCORE
    scores = {
        name: observed.running[name].score
        for name in observed.workloads
        if name in observed.running
    }
    finding = Finding("oom_workloads", OK, expected, "")
    if not scores:
        return replace(finding, status=SKIPPED, actual="no launcher unit runs"), ()
    actual = ", ".join("%s %s" % pair for pair in sorted(scores.items()))
    finding = replace(finding, actual=actual)
    if all(score is None or score >= _WORKLOAD_SCORE for score in scores.values()):
        return finding, ()
    hint = "Update its unit (--tags launchers), then restart it."
    return replace(finding, status=BLOCKED, severity=WARNING, hint=hint), ()


PROTECTED = [
    {"unit": "ssh.service", "score": -900, "memory_mib": 512},
    {"unit": "docker.service", "score": -500, "memory_mib": 512},
    {"unit": "containerd.service", "score": -999, "memory_mib": 256},
]
WORKLOADS = r"^(VLLM::.*|ray::.*|raylet|vllm|sglang.*|llama-server|python[0-9.]*)$"
SPARED = r"^(systemd.*|sshd|dockerd|containerd.*|dbus-daemon|NetworkManager)$"

SPEC = Spec(
    name="oom_protection",
    options={
        "daemon": {
            "type": "str",
            "choices": ["earlyoom", "systemd-oomd", "none"],
            "default": "earlyoom",
        },
        "term_mib": {"type": "int", "default": 4096},
        "kill_mib": {"type": "int", "default": 2048},
        "prefer": {"type": "str", "default": WORKLOADS},
        "avoid": {"type": "str", "default": SPARED},
        "pressure_percent": {"type": "int", "default": 60},
        "pressure_seconds": {"type": "int", "default": 20},
        "protected": {
            "type": "list",
            "elements": "dict",
            "default": PROTECTED,
            "options": {
                "unit": {"type": "str", "required": True},
                "score": {"type": "int"},
                "memory_mib": {"type": "int"},
            },
        },
        "release_page_cache": {"type": "bool", "default": True},
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
)
