# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The links between nodes: ports, their interface pairs, addresses and MTU by netplan."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import (
    fabric_change,
    fabric_peers,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    blocked_by,
    judge_file,
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    MARK,
    FileWrite,
    OwnFile,
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
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.connectx import (
    Port,
    cages,
    find_ports,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import (
    Link,
    ask_default_routes,
    ask_links,
    session_address,
    stacked,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.netplan import (
    NETWORKD,
    Generated,
    NetplanSetting,
    generate,
    handed_over,
    other_profiles,
    rival_profile,
    settings,
)

# Why nothing of the fabric is set up; see also plugin_utils/next_step.py.
NO_PLAN = "no address plan (dgxspark_fabric_topology)"
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
# An interface in our netplan file.
_NAMED = re.compile(r"^    (\S+):$", re.MULTILINE)
# The comment that names the peers of a link, for a later run.
_REACHES = re.compile(r"^# (\S+) reaches .*\((\d+\.\d+\.\d+\.\d+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; see its documentation."""

    topology: str
    links: Sequence[Mapping[str, Any]]
    cages: Sequence[Sequence[str]]
    cage: int | None
    mtu: int
    renderer: str
    netplan_file: str
    facts_file: str
    confirm_seconds: int
    # Whether drift is going to be repaired; fabric_confirm then asks the peers afterwards.
    act: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        networks: dict[str, ipaddress.IPv4Network] = {}
        for link in self.links:
            own = link["address"]
            try:
                address = ipaddress.IPv4Interface("%s/%s" % (own, link["prefix"]))
                peers = [ipaddress.IPv4Address(peer["address"]) for peer in link["peers"]]
            except ValueError as error:
                raise ValueError("links: %s: %s" % (own, error)) from None
            for other, network in networks.items():
                if network.overlaps(address.network):
                    message = (
                        "links: %s and %s are in the same subnet %s; each interface needs its own"
                    )
                    raise ValueError(message % (other, own, network))
            networks[own] = address.network
            for peer in peers:
                if peer == address.ip:
                    raise ValueError("links: %s is used by this node and by a peer" % own)
                if peer not in address.network:
                    message = "links: %s is not in the subnet of %s"
                    raise ValueError(message % (peer, address))
            if len(set(peers)) != len(peers):
                raise ValueError("links: two peers of %s have the same address" % own)
        for name in (name for cage in self.cages for name in cage):
            if not _INTERFACE.fullmatch(name):
                raise ValueError("cages: expected the name of an interface, found %r" % name)
        if not 1280 <= self.mtu <= 9978:
            raise ValueError("mtu: expected 1280 to 9978, found %d" % self.mtu)
        if not 10 <= self.confirm_seconds <= 3600:
            raise ValueError("confirm_seconds: expected 10 to 3600")
        if not re.fullmatch(r"/[A-Za-z0-9._/-]+\.yaml", self.netplan_file):
            raise ValueError("netplan_file: expected an absolute path that ends in .yaml")


@dataclass(frozen=True)
class Joined:
    """A link of the address plan, with its interface."""

    interface: str
    cage: int
    twin: int
    address: str
    prefix: int
    peers: tuple[tuple[str, str], ...]  # name, address

    @property
    def with_prefix(self) -> str:
        return "%s/%d" % (self.address, self.prefix)


@dataclass(frozen=True)
class Observed:
    """The input of the plan.

    foreign are the other netplan files, name -> text, or why they cannot be read. after is what
    netplan generates from them and our planned file, present what it has generated so far. peers is
    None if fabric_confirm is going to ask them. profiles are those of other hands than netplan's.
    """

    ports: tuple[Port, ...] = ()
    links: Mapping[str, Link] = field(default_factory=dict)
    default_routes: tuple[str, ...] = ()
    session: str = ""
    own: OwnFile | Blocked = field(default_factory=lambda: OwnFile(""))
    foreign: Mapping[str, str] | str = field(default_factory=dict)
    after: Generated = field(default_factory=Generated)
    present: Mapping[str, str] = field(default_factory=dict)
    facts_file: OwnFile | Blocked = field(default_factory=lambda: OwnFile(""))
    tools: fabric_change.Tools = field(default_factory=lambda: fabric_change.Tools(*[""] * 6))
    root: bool = False
    peers: fabric_peers.Observed | None = None
    profiles: tuple[NetplanSetting, ...] = ()


def observe(wanted: Wanted, sysfs: str = "/sys") -> Observed:
    """Read the node. Changes nothing."""
    tools = fabric_change.Tools.search()
    observed = Observed(
        find_ports(sysfs),
        ask_links(tools.ip),
        ask_default_routes(tools.ip),
        session_address(os.environ),
        own_file(wanted.netplan_file),
        facts_file=own_file(wanted.facts_file),
        tools=tools,
        root=os.geteuid() == 0,
    )
    joined, _problem = join(observed, wanted)
    if not wanted.act:
        observed = replace(observed, peers=fabric_peers.observe(_asked(observed, wanted, joined)))
    if not joined:
        return observed
    folder, own_name = os.path.split(wanted.netplan_file)
    foreign = _foreign(folder, own_name)
    after = Generated()
    if tools.netplan and not isinstance(foreign, str):
        after = generate(tools.netplan, {**foreign, own_name: netplan_text(joined, wanted)})
    return replace(
        observed,
        foreign=foreign,
        after=after,
        present=handed_over(),
        profiles=other_profiles(),
    )


def _asked(observed: Observed, wanted: Wanted, joined: Sequence[Joined]) -> fabric_peers.Wanted:
    """The parameters of fabric_confirm."""
    return fabric_peers.Wanted(
        [_link_facts(observed, wanted, entry) for entry in joined], wanted.mtu
    )


def _foreign(folder: str, own_name: str) -> Mapping[str, str] | str:
    files = {}
    try:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".yaml") and name != own_name:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", errors="surrogateescape") as stream:
                    files[name] = stream.read()
    except OSError as error:
        return "%s cannot be read: %s" % (error.filename, error.strerror)
    return files


def all_cages(observed: Observed, wanted: Wanted) -> tuple[tuple[str, ...], ...]:
    """The interfaces of each cage, from the inventory or else from the card."""
    return tuple(tuple(cage) for cage in wanted.cages) or cages(observed.ports)


def join(observed: Observed, wanted: Wanted) -> tuple[tuple[Joined, ...], str]:
    """(the links of the plan with their interfaces, why there are none). Pure."""
    known = all_cages(observed, wanted)
    joined = []
    for link in wanted.links:
        cage, problem = link.get("cage"), ""
        if cage is None:
            cage, problem = _choose(observed, wanted, known)
        if problem or cage is None:
            return (), problem
        names = known[cage] if cage < len(known) else ()
        name = names[link["twin"]] if link["twin"] < len(names) else ""
        if not name or name not in observed.links:
            message = "cage %d has no interface %d on this node%s"
            return (), message % (cage, link["twin"], " (%s)" % name if name else "")
        peers = tuple((peer["name"], peer["address"]) for peer in link["peers"])
        joined.append(Joined(name, cage, link["twin"], link["address"], link["prefix"], peers))
    return tuple(joined), ""


def _choose(
    observed: Observed, wanted: Wanted, known: Sequence[Sequence[str]]
) -> tuple[int | None, str]:
    """The cage for a link without one: the only one, the one with a cable, or as before."""
    if wanted.cage is not None:
        return wanted.cage, ""
    present = [n for n, names in enumerate(known) if any(name in observed.links for name in names)]
    cabled = [n for n in present if any(_carrier(observed, name) for name in known[n])]
    text = observed.own.text or "" if isinstance(observed.own, OwnFile) else ""
    before = [n for n in present if any("    %s:\n" % name in text for name in known[n])]
    for candidates in (present, cabled, before):
        if len(candidates) == 1:
            return candidates[0], ""
    if not present:
        return None, "no ConnectX-7 is visible (this is so without a cable)"
    message = "%s cages have a cable" if cabled else "none of %s cages has a visible cable"
    return None, message % (len(cabled) or len(present))


def _carrier(observed: Observed, name: str) -> bool:
    return name in observed.links and bool(observed.links[name].carrier)


def netplan_text(joined: Sequence[Joined], wanted: Wanted) -> str:
    """The netplan file. Pure."""
    lines = [COMMENT.rstrip("\n")]
    for entry in joined:
        lines += ["# %s reaches %s (%s)" % (entry.interface, *peer) for peer in entry.peers]
    lines += ["network:", "  version: 2", "  ethernets:"]
    for entry in joined:
        lines.append("    %s:" % entry.interface)
        if wanted.renderer:
            lines.append("      renderer: %s" % wanted.renderer)
        lines += [
            "      dhcp4: false",
            "      dhcp6: false",
            "      accept-ra: false",
            "      link-local: []",
            # The address is set without a peer, and the boot does not wait for the link.
            "      ignore-carrier: true",
            "      optional: true",
            "      mtu: %d" % wanted.mtu,
            "      addresses: [%s]" % entry.with_prefix,
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Apply:
    """Write our netplan file and apply it to its links only; see fabric_change."""

    wanted: Wanted
    joined: tuple[Joined, ...]
    observed: Observed
    renderer: str
    text: str
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.wanted.netplan_file

    @property
    def before(self) -> str:
        own = self.observed.own
        text = own.text or "" if isinstance(own, OwnFile) else ""
        return text + "".join(
            "# %s: mtu %d, %s\n" % (link.name, link.mtu, _addresses(link)) for link in self._links
        )

    @property
    def after(self) -> str:
        shown = self.text + "".join(
            "# %s: mtu %d, %s\n" % (entry.interface, self.wanted.mtu, entry.with_prefix)
            for entry in self.joined
        )
        for name in dropped(self.observed, self.joined):
            shown += "# %s: mtu %d, no address\n" % (name, self.observed.links[name].mtu)
        return shown

    @property
    def _links(self) -> list[Link]:
        names = [entry.interface for entry in self.joined] + dropped(self.observed, self.joined)
        return [self.observed.links[name] for name in names]

    def apply(self) -> None:
        """Raises Blocked, and then the old network has been restored."""
        own = self.observed.own
        text = own.text or "" if isinstance(own, OwnFile) else ""
        # The peers of the old plan, and those of the new one.
        asked = _REACHES.findall(text)
        asked += [(entry.interface, peer[1]) for entry in self.joined for peer in entry.peers]
        touched = {entry.interface for entry in self.joined}
        fabric_change.change(
            self.observed.tools,
            self.renderer,
            [self.wanted.netplan_file, self.wanted.facts_file],
            self.text,
            self._links,
            {entry.interface: (entry.with_prefix, self.wanted.mtu) for entry in self.joined},
            dropped(self.observed, self.joined),
            lambda: sorted({name for name, _peer in fabric_peers.reached(asked)} & touched),
            self.wanted.confirm_seconds,
        )


def dropped(observed: Observed, joined: Sequence[Joined]) -> list[str]:
    """The interfaces of our file that are no longer in the plan. Pure."""
    text = observed.own.text or "" if isinstance(observed.own, OwnFile) else ""
    wanted = [entry.interface for entry in joined]
    return [name for name in _NAMED.findall(text) if name in observed.links and name not in wanted]


def _addresses(link: Link) -> str:
    marked = ["%s (link-local)" % address for address in link.link_local]
    return " ".join(link.addresses or marked) or "no address"


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    joined, problem = join(observed, wanted)
    drifts = _drifts(observed, wanted, joined)
    setting, conflict = _conflict(observed, wanted, joined)
    guarded = _guard(observed, joined, bool(drifts))
    obstacle = _obstacle(observed, joined, setting, bool(drifts)) or conflict
    if guarded.status == BLOCKED:
        obstacle = Blocked(guarded.actual, guarded.hint)
    findings = [
        _ports(observed, wanted, problem),
        _subnets(observed, wanted, joined, drifts),
        guarded,
        _netplan(observed, wanted, joined, drifts, conflict),
        _runtime("fabric_addresses", observed, wanted, joined, drifts),
        _runtime("fabric_mtu", observed, wanted, joined, drifts),
        _rdma(observed, wanted, joined),
    ]
    if obstacle:
        findings = [
            blocked_by(finding, obstacle) if finding.status == DRIFT else finding
            for finding in findings
        ]
    repairs = tuple(finding.check for finding in findings if finding.status == DRIFT)
    renderer = setting.renderer if setting else NETWORKD
    text = netplan_text(joined, wanted) if joined else ""
    actions: list[Action] = []
    if repairs:
        actions.append(Apply(wanted, joined, observed, renderer, text, repairs))
    facts_edit, some = _facts_file(observed, wanted, joined, bool(obstacle))
    carried = (
        fabric_peers.plan(observed.peers, _asked(observed, wanted, joined)).findings
        if observed.peers
        else ()
    )
    return Plan(
        (*findings, facts_edit, *carried),
        # If the change fails, the facts are not written either.
        (*actions, *(replace(action, repairs=(*repairs, *action.repairs)) for action in some)),
        facts={
            "links": [_link_facts(observed, wanted, entry) for entry in joined],
            "ports": [_port(port) for port in observed.ports],
            "management_interface": next(iter(observed.default_routes), ""),
            "address": _launch_address(wanted, joined),
        },
    )


def _link_facts(observed: Observed, wanted: Wanted, entry: Joined) -> dict[str, Any]:
    port = _port_of(observed, entry.interface)
    gid = port.gid_of(entry.address) if port else None
    return {
        "interface": entry.interface,
        "cage": entry.cage,
        "twin": entry.twin,
        "address": entry.address,
        "prefix": entry.prefix,
        "mtu": wanted.mtu,
        "hca": port.hca if port else "",
        "gid": gid.gid if gid else "",
        "gid_index": gid.index if gid else None,
        "peers": [{"name": name, "address": address} for name, address in entry.peers],
        "others": [
            name
            for number, names in enumerate(all_cages(observed, wanted))
            for name in names
            if number != entry.cage
        ],
    }


def _port(port: Port) -> dict[str, Any]:
    return {
        "interface": port.interface,
        "pci": port.pci,
        "cage": port.cage,
        "carrier": port.carrier,
        "hca": port.hca,
    }


def _port_of(observed: Observed, interface: str) -> Port | None:
    return next((port for port in observed.ports if port.interface == interface), None)


def _launch_address(wanted: Wanted, joined: Sequence[Joined]) -> str:
    # In a ring no address of a node is in the subnet of all other nodes.
    return joined[0].address if joined and wanted.topology != "ring" else ""


def _drifts(observed: Observed, wanted: Wanted, joined: Sequence[Joined]) -> dict[str, str]:
    """Check -> its difference from the plan."""
    drifts = {}
    if joined and isinstance(observed.own, OwnFile):
        differs = observed.own.differs(netplan_text(joined, wanted), 0o600)
        if differs:
            drifts["fabric_netplan"] = differs
    links = [(entry, observed.links[entry.interface]) for entry in joined]
    wrong = [
        "%s has %s%s" % (link.name, _addresses(link), "" if link.up else " and is down")
        for entry, link in links
        if link.addresses != (entry.with_prefix,) or not link.up
    ]
    if wrong:
        drifts["fabric_addresses"] = "; ".join(wrong)
    small = [
        "%s has %d" % (link.name, link.mtu) for _entry, link in links if link.mtu != wanted.mtu
    ]
    if small:
        drifts["fabric_mtu"] = "; ".join(small)
    return drifts


def _conflict(
    observed: Observed, wanted: Wanted, joined: Sequence[Joined]
) -> tuple[NetplanSetting | None, Blocked | None]:
    """(what netplan would set on the first link, why that differs from the plan)."""
    used = next(filter(None, (_used(observed, entry) for entry in joined)), None)
    if used:
        return None, used
    if not joined or isinstance(observed.foreign, str) or not observed.root:
        return None, None
    if not observed.tools.netplan:
        return None, Blocked("netplan is not installed", "Install netplan.io.")
    if isinstance(observed.own, Blocked):
        return None, observed.own
    if observed.after.error:
        message = "netplan rejects its files: %s" % observed.after.error
        return None, Blocked(message, "Run `netplan generate`, and correct the file that it names.")
    first = None
    for entry in joined:
        link = observed.links[entry.interface]
        some = [a for a in settings(observed.after.files) if a.concerns(link.name, link.mac)]
        wrong = _wrong(some, entry, wanted.mtu)
        if wrong:
            message = "%s sets %s on %s" % (_blame(observed.foreign, link), wrong, link.name)
            hint = "Remove that from the file, or set dgxspark_fabric_networks accordingly."
            return None, Blocked(message, hint)
        rival = rival_profile(some[0], observed.profiles, link.name, link.mac)
        if rival:
            message = "%s takes %s before %s does" % (rival.path, link.name, wanted.netplan_file)
            hint = "Remove that profile, or exclude the port in it: it wins at the next boot."
            return None, Blocked(message, hint)
        first = first or some[0]
    return first, None


def _used(observed: Observed, entry: Joined) -> Blocked | None:
    """Why an interface is not free for the plan: a bond, bridge or VLAN uses it, now or by netplan.

    A member of a bond must have no address of its own.
    """
    link = observed.links[entry.interface]
    some = [a for a in settings(observed.after.files) if a.concerns(link.name, link.mac)]
    uppers = [*stacked(observed.links, link.name), *(name for a in some for name in a.uppers)]
    if not uppers:
        return None
    known = observed.foreign if isinstance(observed.foreign, Mapping) else {}
    files = [name for name, text in known.items() if any(upper in text for upper in uppers)]
    where = " (%s)" % " and ".join(files) if files else ""
    return Blocked(
        "%s is used by %s%s" % (link.name, " and ".join(dict.fromkeys(uppers)), where),
        "Remove it from there, or leave this port out of the plan (dgxspark_fabric_links).",
    )


def _wrong(some: Sequence[NetplanSetting], entry: Joined, mtu: int) -> str:
    """What netplan would set that differs from the plan."""
    if not some:
        return "nothing"
    if len(some) > 1:
        return "a second configuration, %s," % " and ".join(os.path.basename(a.path) for a in some)
    wrong = ["address %s" % a for a in some[0].addresses if a != entry.with_prefix]
    if some[0].dhcp:
        wrong.append("DHCP")
    if some[0].mtu != mtu:
        wrong.append("MTU %d" % some[0].mtu)
    return ", ".join(wrong)


def _blame(foreign: Mapping[str, str], link: Link) -> str:
    naming = [
        name
        for name, text in foreign.items()
        if link.name in text or (link.mac and link.mac in text.lower())
    ]
    return " and ".join(naming or foreign) or "netplan"


def _obstacle(
    observed: Observed, joined: Sequence[Joined], setting: NetplanSetting | None, drifts: bool
) -> Blocked | None:
    """Why nothing can be applied, apart from conflicts between netplan files."""
    if not joined or not drifts:
        return None
    if not observed.root:
        return Blocked("this user may not change the network", "Run as root (become).")
    if isinstance(observed.foreign, str):
        return Blocked(observed.foreign, "Make it readable for root.")
    missing = observed.tools.missing(setting.renderer if setting else NETWORKD)
    if missing:
        return Blocked("not installed: %s" % ", ".join(missing), "Install these programs.")
    text = observed.own.text or "" if isinstance(observed.own, OwnFile) else ""
    ours = {*(entry.interface for entry in joined), *_NAMED.findall(text)}
    for path in sorted({*observed.after.files, *observed.present}):
        of_ours = any("netplan-%s." % name in path for name in ours)
        if not of_ours and observed.after.files.get(path) != observed.present.get(path):
            message = "/run/%s differs from what netplan would generate" % path
            hint = "A netplan file was edited and not applied. Apply it, or undo the edit."
            return Blocked(message, hint)
    return None


def _guard(observed: Observed, joined: Sequence[Joined], drifts: bool) -> Finding:
    """Whether the plan leaves the default route and this SSH session alone."""
    finding = Finding(
        "fabric_session",
        OK,
        "no change of the default route's or this session's interface",
        "as expected",
    )
    if not joined:
        return replace(finding, status=SKIPPED, actual="no address plan")
    routes = dict.fromkeys(observed.default_routes, "the default route")
    # fe80::1%INTERFACE: an address of the link alone.
    address, _percent, zone = observed.session.partition("%")
    session = [
        name
        for name, link in observed.links.items()
        if address and address in link.local and zone in ("", name)
    ]
    reasons = {**routes, **dict.fromkeys(session, "this SSH session")}
    touched = [entry.interface for entry in joined] + dropped(observed, joined)
    # A route or a session over a bond or a VLAN goes over its ports.
    carrying = [
        (name, reasons[user])
        for name in touched
        for user in (name, *stacked(observed.links, name))
        if user in reasons
    ]
    hit = ["%s carries %s" % carried for carried in carrying]
    if not hit:
        return finding
    actual = "; ".join(hit)
    if not drifts:
        return replace(finding, actual="%s; nothing changes there" % actual)
    hint = (
        "Connect over another interface, or remove this one from the plan (dgxspark_fabric_links)."
    )
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint)


def _ports(observed: Observed, wanted: Wanted, problem: str) -> Finding:
    known = all_cages(observed, wanted)
    descriptions = []
    for number, names in enumerate(known):
        present = [name for name in names if name in observed.links]
        if present:
            descriptions.append(
                "cage %d: %s"
                % (
                    number,
                    ", ".join("%s (%s)" % (name, _state(observed, name)) for name in present),
                )
            )
    finding = Finding(
        "fabric_ports",
        OK,
        "the ports of the links between nodes",
        "; ".join(descriptions) or "none found",
    )
    if not wanted.links:
        if descriptions:
            return finding
        actual = (
            "no ConnectX-7 is visible (this is so without a cable), and no address plan needs one"
        )
        return replace(finding, status=SKIPPED, actual=actual)
    if not problem:
        return finding
    hint = (
        "Plug in the cable, check that lspci lists the card, or set the cage: "
        "dgxspark_fabric_cage, dgxspark_fabric_links."
    )
    actual = "%s. %s" % (problem, "; ".join(descriptions)) if descriptions else problem
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint)


def _state(observed: Observed, name: str) -> str:
    carrier = observed.links[name].carrier
    return "down" if carrier is None else "cabled" if carrier else "no cable"


def _subnets(
    observed: Observed, wanted: Wanted, joined: Sequence[Joined], drifts: Mapping[str, str]
) -> Finding:
    """Whether two interfaces are in one subnet, as some setup scripts configure them."""
    names = {name for cage in all_cages(observed, wanted) for name in cage}
    subnets = [
        (link.name, ipaddress.IPv4Interface(address).network)
        for link in observed.links.values()
        if link.name in names
        # Link-local addresses do not count beside others: nothing uses them then.
        for address in link.addresses or link.link_local
    ]
    finding = Finding("fabric_subnets", OK, "each interface in its own subnet", "as expected")
    if not subnets:
        return replace(finding, status=SKIPPED, actual="no interface has an address")
    for at, (name, network) in enumerate(subnets):
        for other, another in subnets[:at]:
            if other != name and network.overlaps(another):
                actual = "%s and %s are both in %s" % (other, name, another)
                if another.is_link_local:
                    actual += ", by link-local addresses"
                finding = replace(finding, severity=CRITICAL, actual=actual)
                ours = {entry.interface for entry in joined}
                if "fabric_addresses" in drifts and {name, other} <= ours:
                    return replace(finding, status=DRIFT, fix="set the addresses of the plan")
                hint = "One answers for the other. Set an address plan (dgxspark_fabric_topology)."
                return replace(finding, status=BLOCKED, hint=hint)
    return finding


def _netplan(
    observed: Observed,
    wanted: Wanted,
    joined: Sequence[Joined],
    drifts: Mapping[str, str],
    conflict: Blocked | None,
) -> Finding:
    finding = Finding(
        "fabric_netplan",
        OK,
        "%s according to the address plan, and no conflicting file" % wanted.netplan_file,
        "as expected",
    )
    if not joined:
        why = "see fabric_ports" if wanted.links else NO_PLAN
        return replace(finding, status=SKIPPED, actual=why)
    if not observed.root and (
        isinstance(observed.foreign, str) or isinstance(observed.own, Blocked)
    ):
        return replace(
            finding, status=SKIPPED, actual="not assessed: only root may read netplan files"
        )
    actual = drifts.get("fabric_netplan", "")
    if conflict:
        finding = replace(finding, severity=CRITICAL, actual=str(conflict))
        return blocked_by(finding, conflict)
    if not actual:
        return finding
    fix = "write it, apply it to its links only, and undo it unless confirmed"
    return replace(finding, status=DRIFT, severity=CRITICAL, actual=actual, fix=fix)


def _runtime(
    check: str,
    observed: Observed,
    wanted: Wanted,
    joined: Sequence[Joined],
    drifts: Mapping[str, str],
) -> Finding:
    wants = {
        "fabric_addresses": [
            "%s has %s" % (entry.interface, entry.with_prefix) for entry in joined
        ],
        "fabric_mtu": ["%s has %d" % (entry.interface, wanted.mtu) for entry in joined],
    }
    default = "addresses of the plan" if check == "fabric_addresses" else "MTU %d" % wanted.mtu
    finding = Finding(check, OK, "; ".join(wants[check]) or default, "as expected")
    if not joined:
        return replace(finding, status=SKIPPED, actual="no address plan")
    if check not in drifts:
        return finding
    fix = "apply %s to its links" % wanted.netplan_file
    return replace(finding, status=DRIFT, severity=CRITICAL, actual=drifts[check], fix=fix)


def _rdma(observed: Observed, wanted: Wanted, joined: Sequence[Joined]) -> Finding:
    finding = Finding("fabric_rdma", OK, "a RoCE device with a RoCE v2 GID for each link", "")
    ports = {entry.interface: _port_of(observed, entry.interface) for entry in joined}
    if not any(ports.values()):
        why = "the links are not ConnectX-7 ports" if joined else "no address plan"
        return replace(finding, status=SKIPPED, actual=why)
    devices, wrong = [], []
    for entry in joined:
        port = ports[entry.interface]
        if not port:
            continue
        gid = port.gid_of(entry.address)
        if not port.hca:
            wrong.append("%s has no RoCE device" % port.interface)
        elif not gid and observed.links[entry.interface].addresses == (entry.with_prefix,):
            wrong.append("%s has no RoCE v2 GID for %s" % (port.hca, entry.address))
        else:
            devices.append(
                "%s is %s%s" % (port.interface, port.hca, ", GID %d" % gid.index if gid else "")
            )
    if not wrong:
        return replace(finding, actual="; ".join(devices))
    hint = "Install rdma-core, load mlx5_ib (see `rdma link`), set the interface down and up."
    return replace(finding, status=BLOCKED, severity=WARNING, actual="; ".join(wrong), hint=hint)


def _facts_file(
    observed: Observed, wanted: Wanted, joined: Sequence[Joined], blocked: bool
) -> tuple[Finding, tuple[FileWrite, ...]]:
    """The local facts for launches."""
    expected = "%s with the links, for launches" % wanted.facts_file
    if not joined or blocked:
        why = "not assessed: the links differ from the plan" if joined else "no address plan"
        return Finding("fabric_facts", SKIPPED, expected, why), ()
    links = []
    for port_link in joined:
        port = _port_of(observed, port_link.interface)
        entry = {
            "interface": port_link.interface,
            "address": port_link.address,
            "hca": port.hca if port else "",
        }
        links.append(entry)
    content = {
        "_": "%s: changes made here are overwritten." % MARK,
        "topology": wanted.topology,
        "address": _launch_address(wanted, joined),
        "links": links,
    }
    text = json.dumps(content, indent=2) + "\n"
    finding, actions = judge_file("fabric_facts", observed.facts_file, wanted.facts_file, text)
    return finding, tuple(action for action in actions if isinstance(action, FileWrite))


def _wanted(exempt: object, **options: Any) -> Wanted:
    return Wanted(**options)


_PEER = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
}
_LINK = {
    "cage": {"type": "int"},
    "twin": {"type": "int", "required": True},
    "address": {"type": "str", "required": True},
    "prefix": {"type": "int", "default": 24},
    "peers": {"type": "list", "elements": "dict", "default": [], "options": _PEER},
}

SPEC = Spec(
    name="fabric",
    options={
        "topology": {"type": "str", "default": "", "choices": ["", "pair", "ring", "switch"]},
        "links": {"type": "list", "elements": "dict", "default": [], "options": _LINK},
        "cages": {"type": "list", "elements": "list", "default": []},
        "cage": {"type": "int"},
        "mtu": {"type": "int", "default": 9000},
        "renderer": {"type": "str", "default": "", "choices": ["", "networkd", "NetworkManager"]},
        "netplan_file": {"type": "path", "default": "/etc/netplan/60-dgxspark-fabric.yaml"},
        "facts_file": {"type": "path", "default": "/etc/ansible/facts.d/dgxspark_fabric.fact"},
        "confirm_seconds": {"type": "int", "default": 120},
    },
    wanted=_wanted,
    observe=observe,
    plan=plan,
    needs_context=True,
)
