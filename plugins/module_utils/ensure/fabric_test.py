# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The measured speed of the links between nodes, compared with minimum values."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric_verdict import (
    DEGRADED,
    NCCL_ALONE,
    SOUND,
    Verdict,
    of_rdma,
    of_tcp,
    worst,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    SKIPPED,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.bandwidth import (
    parse_iperf,
    parse_nccl,
    parse_ping,
    parse_write_bw,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.connectx import Rail, rail_of

_UNIT = "dgxspark-fabric-test-"
# A server ends by itself after this time.
_SERVER_SECONDS = 600
_START_SECONDS = 20.0
_PINGS = 50


@dataclass(frozen=True)
class Wanted:
    """The module's parameters except state; see its documentation."""

    node: str
    members: Sequence[str]
    links: Sequence[Mapping[str, Any]]
    seconds: int
    streams: int
    port: int
    rdma_port: int
    min_gbits: float
    max_ms: float
    min_rdma_gbits: float
    nccl_command: Sequence[str]
    min_nccl_gbytes: float

    def rdma_port_of(self, link: Mapping[str, Any]) -> int:
        """A port derived from the subnet: the same at both ends, and unique on a node."""
        prefix = int(link["prefix"])
        own = ipaddress.IPv4Interface("%s/%d" % (link["address"], prefix))
        return self.rdma_port + (int(own.network.network_address) >> (32 - prefix)) % 1000

    @property
    def ways(self) -> tuple[Way, ...]:
        """The links that this node measures: each link once, from the first of its nodes."""
        at = self.members.index(self.node) if self.node in self.members else 0
        later = self.members[at + 1 :]
        return tuple(way for way in self.all_ways if way.name in later)

    @property
    def all_ways(self) -> tuple[Way, ...]:
        """All links of this node: what ib_write_bw sends goes one way, so each end measures."""
        return tuple(
            Way(
                link["interface"],
                link["address"],
                peer["name"],
                peer["address"],
                link["hca"],
                self.rdma_port_of(link),
            )
            for link in self.links
            for peer in link["peers"]
            if peer["name"] in self.members
        )


@dataclass(frozen=True)
class Way:
    """A link to a peer."""

    interface: str
    own: str
    name: str
    address: str
    hca: str
    rdma_port: int

    def __str__(self) -> str:
        return "%s to %s" % (self.interface, self.name)

    @property
    def back(self) -> str:
        """The other direction."""
        return "%s from %s" % (self.interface, self.name)


@dataclass(frozen=True)
class Measured:
    """A measured value, or why there is none. way is Way as a text, or its other direction."""

    way: str
    value: float = 0.0
    unit: str = ""
    problem: str = ""

    def __str__(self) -> str:
        return "%s: %s" % (self.way, self.problem or "%.4g %s" % (self.value, self.unit))


@dataclass(frozen=True)
class Observed:
    """figures is check -> values; skipped is check -> why there are none.

    rails is interface -> the state of its port.
    """

    figures: Mapping[str, Sequence[Measured]]
    skipped: Mapping[str, str]
    rails: Mapping[str, Rail] = field(default_factory=dict)


def serve(wanted: Wanted) -> None:
    """Start the servers on each link as transient units. Raises Blocked."""
    iperf, write_bw, starter = (find_tool(n) for n in ("iperf3", "ib_write_bw", "systemd-run"))
    if not iperf or not starter:
        missing = "iperf3" if not iperf else "systemd-run"
        raise Blocked("%s is not installed" % missing, "Install it.")
    stop(wanted)
    for link in wanted.links:
        bound = ["--bind", link["address"], "--port", str(wanted.port)]
        commands = {"tcp": [iperf, "--server", *bound]}
        if write_bw and link["hca"]:
            options = _write_options(wanted, link["hca"], wanted.rdma_port_of(link))
            commands["rdma"] = [write_bw, *options]
        for kind, argv in commands.items():
            options = ["--quiet", "--collect", "--unit=" + _unit(kind, link)]
            options.append("--property=RuntimeMaxSec=%d" % _SERVER_SECONDS)
            # ib_write_bw serves one client; each peer is one.
            options.append("--property=Restart=on-success")
            started = run([starter, *options, *argv], _START_SECONDS)
            if not started.ok:
                raise Blocked("%s: %s" % (argv[0], started.describe()), "See its output.")


def stop(wanted: Wanted) -> None:
    """Stop the servers."""
    units = [_unit(kind, link) + ".service" for link in wanted.links for kind in ("tcp", "rdma")]
    if units:
        run([find_tool("systemctl"), "stop", *units], _START_SECONDS)


def _unit(kind: str, link: Mapping[str, Any]) -> str:
    return "%s%s-%s" % (_UNIT, kind, link["interface"])


def _write_options(wanted: Wanted, hca: str, port: int) -> list[str]:
    same = ["-i", "1", "-F", "--report_gbits", "-q", "4"]
    return ["-d", hca, *same, "-p", str(port), "-D", str(wanted.seconds)]


def observe(wanted: Wanted, act: bool) -> Observed:
    """Measure one link after another; nothing in check mode (not act)."""
    figures: dict[str, list[Measured]] = {}
    skipped: dict[str, str] = {}
    ways = wanted.ways
    checks = ("bandwidth", "latency", "rdma", "nccl")
    write_bw = find_tool("ib_write_bw")
    devices = [way for way in wanted.all_ways if way.hca]
    if not act or not (ways or (devices and write_bw)):
        why = "not measured in check mode" if not act else "measured by the other node"
        if not wanted.links:
            why = "no link of the address plan on this node"
        return Observed({}, dict.fromkeys(checks, why))
    rails = {way.interface: rail_of(way.interface, way.hca) for way in devices}
    if ways:
        both = [(way, reverse) for way in ways for reverse in (False, True)]
        figures["bandwidth"] = [_iperf(wanted, way, reverse) for way, reverse in both]
        figures["latency"] = [_ping(way) for way in ways]
    else:
        skipped["bandwidth"] = skipped["latency"] = "measured by the other node"
    if not devices:
        skipped["rdma"] = skipped["nccl"] = "the links have no RoCE device"
        return Observed(figures, skipped)
    if write_bw:
        figures["rdma"] = [_write(wanted, way, write_bw) for way in devices]
    else:
        skipped["rdma"] = "ib_write_bw is not installed: install perftest"
    if wanted.nccl_command:
        result = run(list(wanted.nccl_command), 600)
        value = parse_nccl(result.stdout)
        problem = "" if value is not None else result.describe()
        figures["nccl"] = [Measured("all nodes", value or 0.0, "GB/s", problem)]
    else:
        skipped["nccl"] = "no command configured (dgxspark_fabric_test_nccl_command)"
    return Observed(figures, skipped, rails)


def _iperf(wanted: Wanted, way: Way, reverse: bool) -> Measured:
    argv = [find_tool("iperf3"), "--client", way.address, "--bind", way.own, "--json"]
    argv += ["--port", str(wanted.port), "--time", str(wanted.seconds)]
    argv += ["--parallel", str(wanted.streams), *(["--reverse"] if reverse else [])]
    value, problem = parse_iperf(run(argv, wanted.seconds + 30).stdout)
    return Measured(way.back if reverse else str(way), value, "Gbit/s", problem)


def _ping(way: Way) -> Measured:
    argv = [find_tool("ping"), "-n", "-q", "-c", str(_PINGS), "-i", "0.02", "-I", way.interface]
    result = run([*argv, way.address], 30)
    value = parse_ping(result.stdout)
    return Measured(str(way), value or 0.0, "ms", "" if value is not None else "no answer")


def _write(wanted: Wanted, way: Way, write_bw: str) -> Measured:
    options = _write_options(wanted, way.hca, way.rdma_port)
    result = run([write_bw, *options, way.address], wanted.seconds + 30)
    value = parse_write_bw(result.stdout)
    return Measured(
        str(way), value or 0.0, "Gbit/s", "" if value is not None else result.describe()
    )


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings for the measured values. Pure, without actions."""
    least = "at least %g Gbit/s by TCP with %d streams" % (wanted.min_gbits, wanted.streams)
    expected = {
        "bandwidth": (least, wanted.min_gbits),
        "latency": ("a round trip of at most %g ms" % wanted.max_ms, -wanted.max_ms),
        "rdma": ("at least %g Gbit/s by RDMA" % wanted.min_rdma_gbits, wanted.min_rdma_gbits),
        "nccl": ("at least %g GB/s by NCCL" % wanted.min_nccl_gbytes, wanted.min_nccl_gbytes),
    }
    return Plan(
        tuple(_judge(observed, wanted, check, *wants) for check, wants in expected.items()),
        facts={
            "figures": [
                {
                    "check": check,
                    "way": entry.way,
                    "value": round(entry.value, 4),
                    "unit": entry.unit,
                }
                for check, some in observed.figures.items()
                for entry in some
                if not entry.problem
            ]
        },
    )


def _judge(observed: Observed, wanted: Wanted, check: str, expected: str, limit: float) -> Finding:
    """A negative limit is a maximum with its sign reversed."""
    finding = Finding("fabric_test_%s" % check, OK, expected, "")
    if check not in observed.figures:
        return replace(finding, status=SKIPPED, actual=observed.skipped.get(check, "not measured"))
    figures = observed.figures[check]
    verdicts = [_verdict(observed, wanted, check, figure, limit) for figure in figures]
    texts = [
        "%s (%s)" % (figure, _rail(observed, wanted, figure) or Rail())
        if verdict.kind != SOUND and _roce(wanted, figure)
        else str(figure)
        for figure, verdict in zip(figures, verdicts)
    ]
    finding = replace(finding, actual="; ".join(texts))
    faults = [verdict for verdict in verdicts if verdict.kind != SOUND]
    if not faults:
        return finding
    severity, hint = worst(faults)
    if check == "nccl" and _rdma_is_sound(observed, wanted):
        hint = NCCL_ALONE
    return replace(finding, status=BLOCKED, severity=severity, hint=hint)


def _verdict(
    observed: Observed, wanted: Wanted, check: str, figure: Measured, limit: float
) -> Verdict:
    if figure.problem:
        return Verdict(DEGRADED)
    rail = _rail(observed, wanted, figure)
    if check == "rdma":
        return of_rdma(figure.value, limit, rail)
    if check == "bandwidth":
        roce = bool(_roce(wanted, figure))
        return of_tcp(figure.value, limit, roce, rail, _sound_rdma(observed, wanted, figure))
    within = (figure.value if limit >= 0 else -figure.value) >= limit
    return Verdict(SOUND if within else DEGRADED)


def _roce(wanted: Wanted, figure: Measured) -> str:
    """The interface of a figure, if it has a RoCE device; empty for others."""
    names = [
        way.interface for way in wanted.all_ways if way.hca and figure.way in (str(way), way.back)
    ]
    return next(iter(names), "")


def _rail(observed: Observed, wanted: Wanted, figure: Measured) -> Rail | None:
    return observed.rails.get(_roce(wanted, figure))


def _sound_rdma(observed: Observed, wanted: Wanted, figure: Measured) -> float | None:
    """The figure by RDMA of the same interface, if it is sound."""
    interface = _roce(wanted, figure)
    for other in observed.figures.get("rdma", ()):
        if interface and _roce(wanted, other) == interface and not other.problem:
            rail = observed.rails.get(interface)
            if of_rdma(other.value, wanted.min_rdma_gbits, rail).kind == SOUND:
                return other.value
    return None


def _rdma_is_sound(observed: Observed, wanted: Wanted) -> bool:
    figures = observed.figures.get("rdma", ())
    limit = wanted.min_rdma_gbits
    verdicts = [_verdict(observed, wanted, "rdma", figure, limit) for figure in figures]
    return bool(verdicts) and all(verdict.kind == SOUND for verdict in verdicts)
