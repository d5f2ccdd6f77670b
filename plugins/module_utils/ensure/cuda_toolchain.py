# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Driver, kernel modules and CUDA toolkit of a node, and the paths of their binaries."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.cuda_driver import (
    UNINSTALLER,
    DriverFiles,
    judge_at_boot,
    judge_driver,
    judge_modules,
    judge_start,
    packaged_version,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    PTXAS_BIN,
    EnvEdit,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
    judge_file,
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    LinkWrite,
    OwnFile,
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    later_files,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.boot_module import (
    MODPROBE_FOLDERS,
    SECURE_BOOT,
    boot_module,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import (
    CUDNN_PACKAGES,
    DRIVER_FILE,
    NCCL_PACKAGES,
    TOOLKITS,
    CudaStart,
    Smi,
    Toolkit,
    ask_cuda,
    ask_smi,
    examine_as_owner,
    library_version,
    parse_driver,
    toolkits,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import (
    STATUS_FILE,
    read_packages,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import (
    Binary,
    capability,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.shell_profiles import (
    last_assignment,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import VersionSpec

# Key of paths.env -> check id.
NVCC_BIN, NVIDIA_SMI_BIN = "NVCC_BIN", "NVIDIA_SMI_BIN"
CHECKS = {
    NVCC_BIN: "nvcc_bin",
    PTXAS_BIN: "cuda_ptxas_bin",
    NVIDIA_SMI_BIN: "nvidia_smi_bin",
}

# With Debian's alternatives the link names this link, which names the toolkit.
_ALTERNATIVE = "/etc/alternatives/cuda"


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; versions are VersionSpecs, timeout is in seconds."""

    driver: str
    cuda: str
    cudnn: str
    nccl: str
    arch: str
    link: str
    paths_file: str
    profile_file: str
    environment_file: str
    timeout: float

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        for name in ("driver", "cuda", "cudnn", "nccl"):
            try:
                VersionSpec.parse(getattr(self, name))
            except ValueError as error:
                raise ValueError("%s: %s" % (name, error)) from error
        try:
            capability(self.arch)
        except ValueError as error:
            raise ValueError("arch: %s" % error) from error
        for name in ("link", "paths_file", "profile_file", "environment_file"):
            path = getattr(self, name)
            if not os.path.isabs(path) or "\n" in path or '"' in path:
                raise ValueError("%s: expected an absolute path, found %r" % (name, path))
        if self.timeout <= 0:
            raise ValueError("timeout: expected more than 0 seconds, found %g" % self.timeout)

    @property
    def profile_text(self) -> str:
        """For login shells; appended to PATH, so that earlier entries win."""
        return (
            COMMENT
            + (
                'export CUDA_HOME="%s"\n'
                'case ":$PATH:" in\n'
                '    *":$CUDA_HOME/bin:"*) ;;\n'
                '    *) export PATH="$PATH:$CUDA_HOME/bin" ;;\n'
                "esac\n"
            )
            % self.link
        )

    @property
    def environment_text(self) -> str:
        """For services (EnvironmentFile=)."""
        return COMMENT + 'CUDA_HOME="%s"\n' % self.link


@dataclass(frozen=True)
class Places:
    """The paths that are read."""

    driver_file: str = DRIVER_FILE
    toolkits: str = TOOLKITS
    dpkg_status: str = STATUS_FILE
    tools: tuple[str, ...] = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
    python: str = sys.executable
    boot: str = "/boot"
    modules: str = "/lib/modules"
    modprobe: tuple[str, ...] = MODPROBE_FOLDERS
    secure_boot: str = SECURE_BOOT
    alternatives: str = "/var/lib/dpkg/alternatives/cuda"


@dataclass(frozen=True)
class ToolkitLink:
    """The link to the toolkit in use. kind is absent, link or other; target its real path.

    obstacle: why it cannot be replaced; None if it can. chosen is the toolkit that Debian's
    alternatives would set the link to, empty if they do not manage it; choices are all of theirs.
    """

    kind: str
    names: str = ""
    target: str = ""
    obstacle: Blocked | None = None
    chosen: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """The input of the plan.

    driver is (version, open) of the loaded modules. assemblers is toolkit folder -> its ptxas.
    entries is key of paths.env -> whether its binary is usable. login_home is (CUDA_HOME, the file)
    of a file of profile.d that is read after ours. start is None if CUDA was not started.
    """

    smi: Smi
    driver: tuple[str, bool]
    toolkits: tuple[Toolkit, ...]
    assemblers: Mapping[str, Binary]
    link: ToolkitLink
    cudnn: str
    nccl: str
    file: EnvFile | Blocked
    entries: Mapping[str, bool]
    profile: OwnFile | Blocked
    environment: OwnFile | Blocked
    update_alternatives: str = ""
    files: DriverFiles = field(default_factory=DriverFiles)
    login_home: tuple[str, str] = ("", "")
    start: CudaStart | None = None


def observe(wanted: Wanted, places: Places | None = None) -> Observed:
    """Read the node and run its binaries. Changes nothing."""
    at = places or Places()
    try:
        file: EnvFile | Blocked = EnvFile.read(wanted.paths_file)
    except Blocked as blocked:
        file = blocked
    values = {} if isinstance(file, Blocked) else file.values()
    packages = read_packages(at.dpkg_status)
    kits = toolkits(at.toolkits, wanted.link, wanted.timeout)
    assemblers = {
        kit.home: examine_as_owner(
            os.path.realpath(os.path.join(kit.home, "bin", "ptxas")),
            "system",
            wanted.arch,
            wanted.timeout,
        )
        for kit in kits
    }
    tried = {binary.path: binary.works for binary in assemblers.values()}
    entries = {}
    for key in CHECKS:
        path = values.get(key, "")
        if key == PTXAS_BIN and path:
            path = os.path.realpath(path) if os.path.isabs(path) else path
            if path not in tried:
                tried[path] = examine_as_owner(path, "pinned", wanted.arch, wanted.timeout).works
            entries[key] = tried[path]
        elif path:
            entries[key] = os.path.isabs(path) and _executable(path)
    smi = ask_smi(find_tool("nvidia-smi", at.tools), wanted.timeout)
    return Observed(
        smi,
        parse_driver(read_text(at.driver_file) or ""),
        kits,
        assemblers,
        _link(wanted.link, at.alternatives),
        library_version(packages, CUDNN_PACKAGES),
        library_version(packages, NCCL_PACKAGES),
        file,
        entries,
        own_file(wanted.profile_file),
        own_file(wanted.environment_file),
        find_tool("update-alternatives", at.tools),
        DriverFiles(
            packaged_version(packages),
            find_tool(UNINSTALLER, at.tools),
            boot_module(at.boot, at.modules, at.modprobe, at.secure_boot),
        ),
        last_assignment(later_files(wanted.profile_file), "CUDA_HOME"),
        None if smi.problem else ask_cuda(wanted.timeout, at.python),
    )


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _link(path: str, database: str) -> ToolkitLink:
    obstacle = obstacle_to(path)
    # status, the link, then pairs of other links; the choices follow an empty line.
    head, _empty, entries = (read_text(database) or "").partition("\n\n")
    managed = head.splitlines()[1:2] == [path]
    chosen = os.path.realpath(_ALTERNATIVE) if managed and os.path.exists(_ALTERNATIVE) else ""
    choices = tuple(line for line in entries.splitlines() if line.startswith("/"))
    if not os.path.lexists(path):
        return ToolkitLink("absent", obstacle=obstacle)
    if not os.path.islink(path):
        return ToolkitLink("other", target=path, obstacle=obstacle)
    return ToolkitLink("link", os.readlink(path), os.path.realpath(path), obstacle, chosen, choices)


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    case = _Case(observed, wanted)
    module, is_open = observed.driver
    judged = [
        (judge_driver(observed.smi, module, observed.files, wanted.driver), ()),
        (judge_modules(module, is_open, observed.files, wanted.driver), ()),
        (judge_start(observed.smi, observed.start), ()),
        (judge_at_boot(module, observed.files.boot, wanted.driver), ()),
        case.toolkit(),
        case.link(),
        _library("cudnn_version", "cuDNN", observed.cudnn, wanted.cudnn),
        _library("nccl_version", "NCCL", observed.nccl, wanted.nccl),
        judge_file("cuda_profile", observed.profile, wanted.profile_file, wanted.profile_text),
        judge_file(
            "cuda_environment",
            observed.environment,
            wanted.environment_file,
            wanted.environment_text,
        ),
        (_at_login(observed, wanted), ()),
    ]
    binaries, edit = case.binaries()
    findings = (*(finding for finding, _actions in judged), *binaries)
    actions = (*(action for _finding, some in judged for action in some), *edit)
    parity = {
        name: version
        for name, version in (
            ("driver", case.driver_version),
            ("cuda", case.chosen.version if case.chosen else ""),
            ("cudnn", observed.cudnn),
            ("nccl", observed.nccl),
        )
        if version
    }
    return Plan(findings, actions, case.paths, case.facts(), parity)


@dataclass(frozen=True)
class _Case:
    """An observation, and the conclusions from it."""

    observed: Observed
    wanted: Wanted

    @property
    def driver_version(self) -> str:
        return (
            self.observed.smi.gpus[0].driver if self.observed.smi.gpus else self.observed.driver[0]
        )

    def _suits(self, toolkit: Toolkit) -> bool:
        spec = VersionSpec.parse(self.wanted.cuda)
        works = self.observed.assemblers[toolkit.home].works
        return not toolkit.problem and works and spec.matches(toolkit.version)

    @property
    def chosen(self) -> Toolkit | None:
        """The suitable toolkit that the link points to, or else the newest suitable one."""
        suits = [kit for kit in self.observed.toolkits if self._suits(kit)]
        linked = [kit for kit in suits if kit.home == self.observed.link.target]
        return next(iter([*linked, *suits]), None)

    def toolkit(self) -> Judged:
        spec = VersionSpec.parse(self.wanted.cuda)
        expected = "a CUDA toolkit %s with a working nvcc and a ptxas that assembles for %s"
        finding = Finding("cuda_toolkit", OK, expected % (spec, self.wanted.arch), "")
        if self.chosen:
            return replace(finding, actual="%s (%s)" % (self.chosen.home, self.chosen.version)), ()
        actual = "; ".join(self._described(kit) for kit in self.observed.toolkits)
        return replace(
            finding,
            status=BLOCKED,
            severity=CRITICAL,
            actual=actual or "no toolkit in /usr/local",
            hint="Install a toolkit; on DGX OS: apt-get install cuda-toolkit-13-0.",
        ), ()

    def _described(self, toolkit: Toolkit) -> str:
        text = "%s (%s)" % (toolkit.home, toolkit.version or "unknown version")
        if toolkit.problem:
            return "%s: %s" % (text, toolkit.problem)
        binary = self.observed.assemblers[toolkit.home]
        return text if binary.works else "%s: ptxas: %s" % (text, binary.detail)

    def link(self) -> Judged:
        link, path = self.observed.link, self.wanted.link
        if not self.chosen:
            reason = "not assessed: see cuda_toolkit"
            return Finding("cuda_link", SKIPPED, "%s points to a toolkit" % path, reason), ()
        home = self.chosen.home
        actual = link.target or "%s does not exist" % path
        finding = Finding("cuda_link", OK, "%s points to %s" % (path, home), actual)
        stays = link.chosen in ("", home) or not self.observed.update_alternatives
        if link.target == home and stays:
            return finding, ()
        if link.target == home:
            actual = "%s, but %s leads to %s, which the next CUDA package sets" % (
                home,
                _ALTERNATIVE,
                link.chosen,
            )
            finding = replace(finding, actual=actual)
        finding = replace(
            finding, status=DRIFT, severity=WARNING, fix="point %s to %s" % (path, home)
        )
        repairs = ("cuda_link",)
        obstacle = link.obstacle
        if not stays and home not in link.choices:
            hint = "Register it: `update-alternatives --install %s cuda %s 100`."
            obstacle = Blocked("the alternatives do not know %s" % home, hint % (path, home))
        if link.kind == "other":
            hint = "Move it away: a link to the toolkit in use belongs there."
            obstacle = Blocked("%s is not a link" % path, hint)
        if obstacle:
            hint = explained(obstacle)
            return replace(finding, status=BLOCKED, fix="", hint=hint), ()
        if (link.names == _ALTERNATIVE or not stays) and self.observed.update_alternatives:
            argv = (self.observed.update_alternatives, "--set", "cuda", home)
            before, after = "%s\n" % link.target, "%s\n" % home
            hint = "See `update-alternatives --display cuda`."
            return finding, (Command(_ALTERNATIVE, argv, before, after, repairs, hint=hint),)
        return finding, (LinkWrite(path, home, link.names, repairs),)

    @property
    def changes(self) -> dict[str, str]:
        """Changes of paths.env; working entries stay."""
        names = {
            NVCC_BIN: self.chosen.nvcc if self.chosen else "",
            PTXAS_BIN: self.observed.assemblers[self.chosen.home].path if self.chosen else "",
            NVIDIA_SMI_BIN: self.observed.smi.path if not self.observed.smi.problem else "",
        }
        present = self._values
        changes = {}
        for key, path in names.items():
            # A working PTXAS_BIN may be the choice of ensure_ptxas; nvcc belongs to its toolkit.
            works = self.observed.entries.get(key, False)
            settled = works if key == PTXAS_BIN else works and present.get(key) == path
            if path and not settled:
                changes[key] = path
        return changes

    @property
    def _values(self) -> Mapping[str, str]:
        return {} if isinstance(self.observed.file, Blocked) else self.observed.file.values()

    @property
    def paths(self) -> dict[str, str]:
        """Our entries of paths.env after the run."""
        working = {key: self._values[key] for key, works in self.observed.entries.items() if works}
        return {**working, **self.changes}

    def binaries(self) -> tuple[list[Finding], tuple[Action, ...]]:
        """A finding for each key of paths.env, and the edit that repairs all of them."""
        findings = [self._binary(key) for key in CHECKS]
        drifting = tuple(finding.check for finding in findings if finding.status == DRIFT)
        file = self.observed.file
        if not drifting or isinstance(file, Blocked):
            return findings, ()
        obstacle = file.obstacle(tuple(CHECKS))
        if obstacle:
            hint = explained(obstacle)
            return [
                replace(finding, status=BLOCKED, hint=hint, fix="")
                if finding.status == DRIFT
                else finding
                for finding in findings
            ], ()
        return findings, (EnvEdit(file, self.changes, tuple(CHECKS), drifting),)

    def _binary(self, key: str) -> Finding:
        path, file = self.changes.get(key, ""), self.observed.file
        named = self._values.get(key, "")
        expected = "%s names a working binary" % key
        if isinstance(file, Blocked):
            return Finding(CHECKS[key], BLOCKED, expected, str(file), WARNING, hint=file.hint)
        if path:
            fix = "write %s=%s in %s" % (key, path, self.wanted.paths_file)
            expected = "%s=%s" % (key, path)
            return Finding(CHECKS[key], DRIFT, expected, named or "not set", WARNING, fix)
        if self.observed.entries.get(key):
            return Finding(CHECKS[key], OK, expected, named)
        see = "cuda_driver" if key == NVIDIA_SMI_BIN else "cuda_toolkit"
        actual = "%s; no working binary found" % (named or "not set")
        hint = "It is set once there is one, see %s." % see
        return Finding(CHECKS[key], BLOCKED, expected, actual, WARNING, hint=hint)

    def facts(self) -> dict[str, Any]:
        return {
            "driver_version": self.driver_version,
            "gpus": [asdict(gpu) for gpu in self.observed.smi.gpus],
            "toolkits": [asdict(kit) for kit in self.observed.toolkits],
            "cuda_home": self.chosen.home if self.chosen else "",
            "cudnn_version": self.observed.cudnn,
            "nccl_version": self.observed.nccl,
        }


def _at_login(observed: Observed, wanted: Wanted) -> Finding:
    """A file of profile.d that is read after ours, and the toolkit that paths.env is about."""
    expected = "no file that is read after %s sets another CUDA_HOME" % wanted.profile_file
    finding = Finding("cuda_at_login", OK, expected, "as expected")
    home, path = observed.login_home
    if not path or os.path.realpath(home) == os.path.realpath(wanted.link):
        return finding
    actual = "%s sets CUDA_HOME=%s and is read after %s" % (path, home, wanted.profile_file)
    hint = "Remove that line: logins would have another toolkit than the services (paths.env)."
    return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint)


def _library(check: str, name: str, version: str, wanted: str) -> Judged:
    spec = VersionSpec.parse(wanted)
    finding = Finding(check, OK, "%s %s" % (name, spec), version or "not installed")
    if spec.clauses and not spec.matches(version):
        hint = "Install it from the NVIDIA repository of the node."
        return replace(finding, status=BLOCKED, severity=WARNING, hint=hint), ()
    if not spec.clauses:
        finding = replace(finding, expected="%s of any version, or not installed" % name)
    return finding, ()


SPEC = Spec(
    name="cuda_toolchain",
    options={
        "driver": {"type": "str", "default": ">=580,<590"},
        "cuda": {"type": "str", "default": ""},
        "cudnn": {"type": "str", "default": ""},
        "nccl": {"type": "str", "default": ""},
        "arch": {"type": "str", "default": "sm_121"},
        "link": {"type": "path", "default": "/usr/local/cuda"},
        "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
        "profile_file": {"type": "path", "default": "/etc/profile.d/dgxspark-cuda.sh"},
        "environment_file": {"type": "path", "default": "/etc/dgxspark/cuda.env"},
        "timeout": {"type": "int", "default": 20},
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
)
