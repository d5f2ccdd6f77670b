# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The scripts and units that start Ray and vLLM on a node."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
    blocked_by,
    judge_file,
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import (
    SERVE_FROM,
    Spec,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_findings import (
    ask,
    judge_loaded,
    masked_units,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launcher_account import (
    USER,
    Account,
    Token,
    judge_token,
    judge_user,
    ray_version,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launcher_texts import (
    scripts,
    units,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import COMMENT, OwnFile
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
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.sockets import (
    RayPort,
    ray_ports,
    unprotected,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import Unit

_SCRIPT_MODE, _FILE_MODE = 0o755, 0o644


@dataclass(frozen=True)
class Wanted:
    """The module's parameters. ray_object_store_bytes is in bytes, interval in seconds."""

    folder: str
    unit_folder: str
    workloads: str
    ray_file: str
    ray_auth: bool
    ray_token_file: str
    paths_file: str
    user: str
    starts: int
    interval: int
    ray_head_address: str
    ray_node_address: str
    ray_port: int
    ray_object_store_bytes: int
    limits: Mapping[str, Any]
    writable: Sequence[str]
    enabled: Sequence[str]

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        names = ("folder", "unit_folder", "workloads", "ray_file", "ray_token_file", "paths_file")
        paths = [(name, getattr(self, name)) for name in names]
        for name, path in (*paths, *(("writable", path) for path in self.writable)):
            if not re.fullmatch(r"(/[A-Za-z0-9._+@-]+)+", path) or ".." in path.split("/"):
                message = "expected an absolute path of letters, digits and ._+@-, found %r"
                raise ValueError("%s: %s" % (name, message % path))
        if not re.fullmatch(r"[a-z_][a-z0-9_-]*", self.user):
            raise ValueError("user: expected the name of a user, found %r" % self.user)
        for name in ("ray_head_address", "ray_node_address"):
            address = getattr(self, name)
            try:
                ipaddress.ip_address(address or "192.0.2.1")
            except ValueError as error:
                raise ValueError("%s: %s" % (name, error)) from error
        if bool(self.ray_head_address) != bool(self.ray_node_address):
            raise ValueError("ray_head_address and ray_node_address: set both or neither")
        for name in ("starts", "interval", "ray_port"):
            if getattr(self, name) <= 0:
                raise ValueError("%s: expected more than 0" % name)
        for name, value in self.limits.items():
            if not re.fullmatch(r"[A-Z]+", name) or not re.fullmatch(r"\d+|infinity", str(value)):
                raise ValueError("limits: expected as MEMLOCK: infinity, found %r" % {name: value})
        for unit in self.enabled:
            if not re.fullmatch(r"dgxspark-(ray-head|ray-worker|vllm@[A-Za-z0-9._-]+)", unit):
                message = "expected dgxspark-ray-head, -ray-worker or -vllm@NAME, found %r"
                raise ValueError("enabled: " + message % unit)

    @property
    def ray_text(self) -> str | None:
        """The Ray settings of this node; None if Ray is not used."""
        if not self.ray_head_address:
            return None
        lines = [
            "RAY_HEAD_ADDRESS=%s" % self.ray_head_address,
            "RAY_NODE_ADDRESS=%s" % self.ray_node_address,
            "RAY_PORT=%d" % self.ray_port,
        ]
        if self.ray_object_store_bytes:
            lines.append("RAY_OBJECT_STORE_BYTES=%d" % self.ray_object_store_bytes)
        if self.ray_auth:
            lines.append("RAY_AUTH_MODE=token")
            lines.append("RAY_AUTH_TOKEN_PATH=%s" % self.ray_token_file)
        return COMMENT + "".join(line + "\n" for line in lines)

    def files(self) -> dict[str, tuple[str, str | None, int]]:
        """Check id -> (path, text, mode) of our files; text is None if a file should not exist."""
        files: dict[str, tuple[str, str | None, int]] = {}
        programs = scripts(self.folder, self.paths_file, self.workloads, self.ray_file)
        for name, text in programs.items():
            check = "launcher_%s" % name.replace("-", "_")
            files[check] = os.path.join(self.folder, name), text, _SCRIPT_MODE
        services = units(
            self.folder,
            self.workloads,
            self.ray_file,
            self.user,
            self.starts,
            self.interval,
            {name: str(value) for name, value in self.limits.items()},
            self.writable,
        )
        for name, text in services.items():
            check = "unit_%s" % re.sub(r"[^a-z]+", "_", name.partition(".")[0]).strip("_")
            files[check] = os.path.join(self.unit_folder, name), text, _FILE_MODE
        files["ray_config"] = self.ray_file, self.ray_text, _FILE_MODE
        return files


@dataclass(frozen=True)
class Observed:
    """The input of the plan. units are their states, or why systemd does not answer.

    ray is the version of the environment's Ray, empty if unknown; ports are those of any Ray.
    """

    files: Mapping[str, OwnFile | Blocked]
    systemctl: str
    account: Account
    token: Token
    ray: str
    ports: Sequence[RayPort]
    units: Mapping[str, Unit] | Blocked = field(default_factory=dict)


def observe(wanted: Wanted) -> Observed:
    """Read the files, and ask systemd. Changes nothing."""
    files = {check: own_file(path) for check, (path, _text, _mode) in wanted.files().items()}
    systemctl = find_tool("systemctl")
    return Observed(
        files,
        systemctl,
        Account.read(wanted.user),
        Token.read(wanted.ray_token_file),
        _ray_version(wanted.paths_file),
        ray_ports(),
        ask(systemctl, _asked(wanted)),
    )


def _ray_version(paths_file: str) -> str:
    try:
        return ray_version(EnvFile.read(paths_file).values().get("RAY_BIN", ""))
    except Blocked:
        return ""  # ensure_vllm_venv reports what is wrong with the file


def _asked(wanted: Wanted) -> list[str]:
    """The units to ask systemd about; a template is represented by one instance."""
    names = ["dgxspark-ray-head", "dgxspark-ray-worker", "dgxspark-vllm@template", *wanted.enabled]
    return ["%s.service" % name for name in dict.fromkeys(names)]


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    user, create = judge_user(observed.account)
    findings: list[Finding] = [user]
    actions: list[Action] = [*create]
    for check, (path, text, mode) in wanted.files().items():
        finding, action = judge_file(check, observed.files[check], path, text, mode)
        findings.append(finding)
        actions += action
    written = [
        entry.check
        for entry in findings
        if entry.status == DRIFT and entry.check.startswith("unit")
    ]
    loaded, reload = judge_loaded("units_loaded", observed.units, observed.systemctl, written)
    enabled, enable = _enabled(observed, wanted)
    token, give = _token(observed, wanted)
    return Plan(
        (*findings, token, loaded, enabled, _reachable(observed, wanted)),
        (*actions, *give, *reload, *enable),
        facts={"folder": wanted.folder, "workloads": wanted.workloads},
    )


def _token(observed: Observed, wanted: Wanted) -> Judged:
    if wanted.ray_head_address and wanted.ray_auth:
        is_head = wanted.ray_head_address == wanted.ray_node_address
        return judge_token(observed.token, observed.account, observed.ray, is_head)
    why = "Ray is not used" if wanted.ray_auth else "ray_auth is false"
    return Finding("ray_token", OK, "no token", why), ()


def _reachable(observed: Observed, wanted: Wanted) -> Finding:
    """Whether a Ray of this node, by a launcher or a launch, takes orders from anybody."""
    expected = "no Ray without a token listens outside of the link"
    links = {wanted.ray_head_address, wanted.ray_node_address}
    ports = unprotected(observed.ports, links)
    if not ports:
        return Finding("ray_reachable", OK, expected, "as expected")
    named = [
        "%s (pid %d) on %s port %d" % (ray.process, ray.pid, ray.address, ray.port) for ray in ports
    ]
    more = " and %d more" % (len(named) - 4) if len(named) > 4 else ""
    return Finding(
        "ray_reachable",
        BLOCKED,
        expected,
        "%s%s: whoever reaches it controls the node" % (", ".join(named[:4]), more),
        CRITICAL,
        hint="Start Ray 2.52 or later with a token (dgxspark_launchers_ray_auth,"
        " dgxspark_ray_auth), or close its ports to other networks and accept this.",
    )


def _enabled(observed: Observed, wanted: Wanted) -> Judged:
    names = ["%s.service" % name for name in wanted.enabled]
    expected = "%s enabled at boot" % ", ".join(names) if names else "no units configured"
    if not names:
        return Finding("units_enabled", OK, expected, "as expected"), ()
    if isinstance(observed.units, Blocked):
        return Finding("units_enabled", SKIPPED, expected, str(observed.units)), ()
    missing = [name for name in names if not observed.units.get(name, Unit()).enabled]
    finding = Finding("units_enabled", OK, expected, "as expected")
    if not missing:
        return finding, ()
    actual = "%s: not enabled" % ", ".join(missing)
    fix = "systemctl enable (starts nothing)"
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=actual, fix=fix)
    masked = [name for name in missing if observed.units.get(name, Unit()).masked]
    if masked:
        return blocked_by(finding, masked_units(masked)), ()
    argv = (observed.systemctl, "enable", *missing)
    after = "".join("%s enabled\n" % name for name in missing)
    return finding, (Command("systemd", argv, "", after, ("units_enabled",)),)


SPEC = Spec(
    name="launchers",
    options={
        "folder": {"type": "path", "default": "/opt/dgxspark/bin"},
        "unit_folder": {"type": "path", "default": "/etc/systemd/system"},
        "workloads": {"type": "path", "default": "/etc/dgxspark/workloads"},
        "ray_file": {"type": "path", "default": "/etc/dgxspark/ray.env"},
        "ray_auth": {"type": "bool", "default": True},
        "ray_token_file": {"type": "path", "default": "/etc/dgxspark/ray-token"},
        "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
        "user": {"type": "str", "default": USER},
        "starts": {"type": "int", "default": 3},
        "interval": {"type": "int", "default": 3600},
        "ray_head_address": {"type": "str", "default": ""},
        "ray_node_address": {"type": "str", "default": ""},
        "ray_port": {"type": "int", "default": 6379},
        "ray_object_store_bytes": {"type": "int", "default": 0},
        "limits": {"type": "dict", "default": {"MEMLOCK": "infinity", "NOFILE": 1048576}},
        "writable": {"type": "list", "elements": "path", "default": ["/ai/cache"]},
        "enabled": {"type": "list", "elements": "str", "default": []},
        **SERVE_FROM,
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
)
