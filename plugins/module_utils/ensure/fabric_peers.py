# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether each peer answers on its link, with packets of the full size.

A pending change of the links is confirmed if so, and otherwise undone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import fabric_change
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    OK,
    SKIPPED,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.arp import who_has
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import Link, ask_links

# Bytes of the IP and ICMP headers.
_HEADERS = 28
_SMALL = 56
# How long to wait for a peer that is being configured, in seconds.
_PATIENCE = 10.0

# interface, address of a peer
Way = tuple[str, str]


@dataclass(frozen=True)
class LinkPeer:
    """A node that a link should reach."""

    interface: str
    own: str
    name: str
    address: str

    @property
    def way(self) -> Way:
        return self.interface, self.address


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; see its documentation."""

    links: Sequence[Mapping[str, Any]]
    mtu: int

    @property
    def peers(self) -> tuple[LinkPeer, ...]:
        return tuple(
            LinkPeer(link["interface"], link["address"], peer["name"], peer["address"])
            for link in self.links
            for peer in link["peers"]
        )


@dataclass(frozen=True)
class Observed:
    """The input of the plan.

    small and full are the ways on which a peer answers to a packet of normal and of full size.
    heard is (interface, address) -> MACs that answer ARP for an address that does not answer ping.
    owners is own address -> MACs of other devices that answer for it. settled: what happened to a
    pending change.
    """

    links: Mapping[str, Link] = field(default_factory=dict)
    small: frozenset[Way] = frozenset()
    full: frozenset[Way] = frozenset()
    heard: Mapping[Way, tuple[str, ...]] = field(default_factory=dict)
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: fabric_change.Open | None = None
    settled: str = ""
    undone: str = ""
    root: bool = False


def reached(asked: Iterable[Way], size: int = _SMALL, ping: str | None = None) -> set[Way]:
    """The ways with an answer to an unfragmented packet of that many bytes."""
    ways = list(dict.fromkeys(asked))
    ping = find_tool("ping") if ping is None else ping
    if not ways or not ping:
        return set()

    def answers(way: Way) -> bool:
        interface, address = way
        argv = [ping, "-n", "-q", "-c", "1", "-W", "1", "-M", "do", "-s", str(size)]
        # Bound to the interface: another one would prove nothing.
        return any(run([*argv, "-I", interface, address], 5).ok for _attempt in range(2))

    with ThreadPoolExecutor(max_workers=8) as pool:
        return {way for way, answer in zip(ways, pool.map(answers, ways)) if answer}


def observe(wanted: Wanted) -> Observed:
    """Ask the peers. Changes nothing."""
    tools = fabric_change.Tools.search()
    is_open = fabric_change.open_change()
    deadline = time.monotonic() + (_PATIENCE if is_open else 0)
    full: set[Way] = set()
    while True:
        links = ask_links(tools.ip)
        asked = [peer for peer in wanted.peers if _has(links, peer)]
        full |= reached([p.way for p in asked if p.way not in full], wanted.mtu - _HEADERS)
        missing = [peer for peer in wanted.peers if peer.way not in full]
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    small = full | reached([peer.way for peer in asked if peer.way not in full])
    root = os.geteuid() == 0
    own = {link.mac for link in links.values()}
    interfaces = {link["interface"]: link["address"] for link in wanted.links}
    arp = list(interfaces.items())
    lost = {peer.address for peer in asked if peer.way not in small}
    arp += [(name, address) for name in interfaces for address in sorted(lost)]
    answers = {}
    if root:
        with suppress(PermissionError):  # root in a container may lack the capability
            ready = [(name, links[name].mac, to) for name, to in arp if _up(links, name)]
            answers = {
                way: tuple(mac for mac in macs if mac not in own)
                for way, macs in (who_has(ready) if ready else {}).items()
            }
    return Observed(
        links,
        frozenset(small),
        frozenset(full),
        {way: macs for way, macs in answers.items() if macs and way[1] in lost},
        {to: answers[name, to] for name, to in interfaces.items() if answers.get((name, to))},
        is_open,
        root=root,
    )


def _up(links: Mapping[str, Link], name: str) -> bool:
    return name in links and bool(links[name].carrier)


def _has(links: Mapping[str, Link], peer: LinkPeer) -> bool:
    """Whether the link has its own address, which a ping needs."""
    link = links.get(peer.interface)
    return link is not None and peer.own in [entry.partition("/")[0] for entry in link.addresses]


def settle(observed: Observed, wanted: Wanted) -> Observed:
    """Confirm the pending change, or undo it if a peer was lost."""
    if observed.open is None:
        return observed
    tools = fabric_change.Tools.search()
    lost = lost_by_change(observed, wanted)
    if lost:
        fabric_change.undo(tools)
        return replace(observed, undone=lost)
    if not fabric_change.confirm(tools):
        return replace(observed, undone="not confirmed in time")
    return replace(observed, settled="confirmed")


def lost_by_change(observed: Observed, wanted: Wanted) -> str:
    """What a pending change has broken; empty for nothing. Pure."""
    for address, macs in observed.owners.items():
        return "%s is also used by another device: %s answers for it" % (
            address,
            " and ".join(macs),
        )
    for peer in wanted.peers:
        if not _has(observed.links, peer):
            return "%s does not have %s" % (peer.interface, peer.own)
    carried = observed.open.carried if observed.open else ()
    carries = {interface for interface, _address in observed.full}
    lost = [name for name in carried if name not in carries]
    return "%s reached a peer before and reaches none now" % " and ".join(lost) if lost else ""


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings for an observation. Pure, without actions."""
    return Plan(
        (
            _change(observed),
            _cable(observed, wanted),
            _duplicates(observed, wanted),
            _peers(observed, wanted),
            _path_mtu(observed, wanted),
        ),
        facts={"reached": [list(way) for way in sorted(observed.full)], "undone": observed.undone},
    )


def _change(observed: Observed) -> Finding:
    finding = Finding(
        "fabric_change",
        OK,
        "no unconfirmed change of the links",
        observed.settled or "none",
    )
    if observed.undone:
        hint = "Correct what the other checks report, or the address plan, and run again."
        actual = "the change was undone and the old network restored: %s" % observed.undone
        return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint)
    if observed.open and not observed.settled:
        hint = "A run confirms or undoes it: ansible-playbook dgxspark.suite.site --tags fabric."
        return replace(
            finding,
            status=BLOCKED,
            severity=CRITICAL,
            actual="a change is not confirmed",
            hint=hint,
        )
    return finding


def _cable(observed: Observed, wanted: Wanted) -> Finding:
    finding = Finding("fabric_cable", OK, "a cable on every link of the plan", "as expected")
    names = [link["interface"] for link in wanted.links]
    if not names:
        return replace(finding, status=SKIPPED, actual="no address plan")
    known = [
        name
        for name in names
        if name in observed.links and observed.links[name].carrier is not None
    ]
    if not known:
        return replace(
            finding, status=SKIPPED, actual="not assessed: the links are down, see fabric_addresses"
        )
    bare = [name for name in known if not observed.links[name].carrier]
    if not bare:
        return finding
    others = [
        name
        for link in wanted.links
        for name in link.get("others") or ()
        if _up(observed.links, name) and name not in names
    ]
    actual = "no carrier on %s" % " and ".join(bare)
    hint = "Plug in the cable; the node at its other end must be running."
    if others:
        actual += "; carrier on %s" % " and ".join(dict.fromkeys(others))
        hint = "The cable is in the other port: move it, or set dgxspark_fabric_cage."
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint)


def _duplicates(observed: Observed, wanted: Wanted) -> Finding:
    finding = Finding(
        "fabric_duplicates", OK, "no other device uses this node's addresses", "as expected"
    )
    if not wanted.links:
        return replace(finding, status=SKIPPED, actual="no address plan")
    if not observed.root:
        return replace(finding, status=SKIPPED, actual="not assessed: requires root")
    if not any(_up(observed.links, link["interface"]) for link in wanted.links):
        return replace(finding, status=SKIPPED, actual="no link has a carrier")
    if not observed.owners:
        return finding
    duplicates = [
        "%s answers for %s" % (" and ".join(macs), to) for to, macs in observed.owners.items()
    ]
    hint = "Find that device, or give this node another number (dgxspark_fabric_numbers)."
    return replace(
        finding, status=BLOCKED, severity=CRITICAL, actual="; ".join(duplicates), hint=hint
    )


def _peers(observed: Observed, wanted: Wanted) -> Finding:
    peers = ["%s (%s) on %s" % (peer.name, peer.address, peer.interface) for peer in wanted.peers]
    finding = Finding(
        "fabric_peers", OK, "answers from %s" % (", ".join(peers) or "every peer"), "as expected"
    )
    if not wanted.peers:
        return replace(finding, status=SKIPPED, actual="no address plan")
    asked = [peer for peer in wanted.peers if _has(observed.links, peer)]
    if not asked:
        actual = "not assessed: no link has its address yet, see fabric_addresses"
        return replace(finding, status=SKIPPED, actual=actual)
    silent = [_silence(observed, peer) for peer in asked if peer.way not in observed.small]
    if not silent:
        return finding
    hint = (
        "Check that the other node runs and has its address (ansible-playbook dgxspark.suite.site"
        " --tags fabric on both), and that both ends of the cable are in the ports of the plan."
    )
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual="; ".join(silent), hint=hint)


def _silence(observed: Observed, peer: LinkPeer) -> str:
    who = "%s (%s)" % (peer.name, peer.address)
    elsewhere = sorted(
        interface
        for interface, address in observed.heard
        if address == peer.address and interface != peer.interface
    )
    if peer.way in observed.heard:
        # A node answers ARP for its addresses on any interface, but ping only on the right one.
        return (
            "%s answers ARP on %s, but not ping: a cable or an interface is on the wrong port"
            % (
                who,
                peer.interface,
            )
        )
    if elsewhere:
        message = "%s does not answer on %s, but ARP on %s: the cable is in the wrong port"
        return message % (who, peer.interface, " and ".join(elsewhere))
    return "%s does not answer on %s" % (who, peer.interface)


def _path_mtu(observed: Observed, wanted: Wanted) -> Finding:
    finding = Finding(
        "fabric_path_mtu", OK, "packets of %d bytes pass unfragmented" % wanted.mtu, "as expected"
    )
    asked = [peer for peer in wanted.peers if peer.way in observed.small]
    if not asked:
        return replace(finding, status=SKIPPED, actual="not assessed: no peer answers")
    short = [
        "%s (%s) on %s" % (peer.name, peer.address, peer.interface)
        for peer in asked
        if peer.way not in observed.full
    ]
    if not short:
        return finding
    small = [
        "%s has MTU %d" % (name, observed.links[name].mtu)
        for name in sorted({peer.interface for peer in asked})
        if observed.links[name].mtu != wanted.mtu
    ]
    actual = "they do not reach %s, small packets do" % ", ".join(short)
    if small:
        actual += "; %s" % ", ".join(small)
    hint = "Set the same MTU on the other node, and on a switch in between."
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint)
