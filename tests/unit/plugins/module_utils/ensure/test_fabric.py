# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for links that were observed; nothing here touches a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import (
    fabric_change,
    fabric_peers,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric import (
    Observed,
    Wanted,
    join,
    netplan_text,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import OwnFile
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, Plan
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.connectx import Gid, Port
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import Link
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.netplan import (
    Generated,
    parse_connection,
    parse_network,
)

A, B, OTHER = "enp1s0f0np0", "enP2p1s0f0np0", "enp1s0f1np1"
FIRST, SECOND = "198.51.100.11/25", "198.51.100.139/25"
FILE = "/etc/netplan/60-dgxspark-fabric.yaml"
TOOLS = fabric_change.Tools(
    "/sbin/ip",
    "/usr/sbin/netplan",
    "/bin/systemctl",
    "/bin/systemd-run",
    "/bin/networkctl",
    "/bin/nmcli",
)
LINKS: list[dict[str, Any]] = [
    {
        "cage": None,
        "twin": twin,
        "address": address,
        "prefix": 25,
        "peers": [{"name": "spark2", "address": peer}],
    }
    for twin, address, peer in (
        (0, "198.51.100.11", "198.51.100.12"),
        (1, "198.51.100.139", "198.51.100.140"),
    )
]


def wanted(**given: Any) -> Wanted:
    defaults: dict[str, Any] = {
        "topology": "pair",
        "links": LINKS,
        "cages": [],
        "cage": None,
        "mtu": 9000,
        "renderer": "",
        "netplan_file": FILE,
        "facts_file": "/etc/ansible/facts.d/dgxspark_fabric.fact",
        "confirm_seconds": 120,
    }
    return Wanted(**{**defaults, **given})


def link(name: str, *addresses: str, mtu: int = 9000, up: bool = True) -> Link:
    local = tuple(address.partition("/")[0] for address in addresses)
    return Link(name, "02::1", mtu, up, up or None, addresses, local=local)


def network(name: str, *addresses: str, mtu: int = 9000, more: str = "") -> str:
    lines = [f"[Match]\nName={name}\n[Link]\nMTUBytes={mtu}\n[Network]"]
    return "\n".join([*lines, *(f"Address={entry}" for entry in addresses), more]) + "\n"


def handed(files: Mapping[str, str]) -> Generated:
    return Generated({f"systemd/network/10-netplan-{name}.network": t for name, t in files.items()})


FRESH = Observed(
    ports=(
        Port(A, "0000:01:00.0", True, "rocep1s0f0"),
        Port(B, "0002:01:00.0", True, "roceP2p1s0f0"),
    ),
    links={
        A: link(A, mtu=1500, up=False),
        B: link(B, mtu=1500, up=False),
        "enP7s7": link("enP7s7", "203.0.113.1/24", mtu=1500),
    },
    default_routes=("enP7s7",),
    session="203.0.113.1",
    own=OwnFile(FILE),
    after=handed({A: network(A, FIRST), B: network(B, SECOND)}),
    facts_file=OwnFile("/etc/ansible/facts.d/dgxspark_fabric.fact"),
    tools=TOOLS,
    root=True,
)


def converged() -> Observed:
    joined, _problem = join(FRESH, wanted())
    facts = plan(FRESH, wanted()).actions[1].after
    return replace(
        FRESH,
        links={**FRESH.links, A: link(A, FIRST), B: link(B, SECOND)},
        own=OwnFile(FILE, netplan_text(joined, wanted()), 0o600),
        present=FRESH.after.files,
        facts_file=OwnFile(wanted().facts_file, facts, 0o644),
    )


def having(made: Plan, status: str) -> set[str]:
    return {finding.check for finding in made.findings if finding.status == status}


def said(made: Plan, check: str) -> str:
    (entries,) = [finding for finding in made.findings if finding.check == check]
    return f"{entries.actual}. {entries.hint}"


def test_links_are_set_up_from_nothing() -> None:
    made = plan(FRESH, wanted())
    assert having(made, "drift") == {
        "fabric_netplan",
        "fabric_addresses",
        "fabric_mtu",
        "fabric_facts",
    }
    assert having(made, "blocked") == set()
    change, facts = made.actions
    assert f"    {A}:\n" in change.after
    assert "      mtu: 9000\n      addresses: [198.51.100.11/25]\n" in change.after
    assert f"# {A}: mtu 1500, no address" in change.before
    told = json.loads(facts.after)
    assert told["address"] == "198.51.100.11"
    assert [entry["hca"] for entry in told["links"]] == ["rocep1s0f0", "roceP2p1s0f0"]
    assert made.facts["management_interface"] == "enP7s7"


def test_what_is_as_planned_is_left_alone() -> None:
    made = plan(converged(), wanted())
    assert made.actions == ()
    # The GIDs of addresses that are there are expected.
    assert having(made, "blocked") == {"fabric_rdma"}
    assert "no RoCE v2 GID for 198.51.100.11" in said(made, "fabric_rdma")


def test_launches_are_told_device_and_gid() -> None:
    gid = Gid(3, "0000:0000:0000:0000:0000:ffff:c633:640b", "RoCE v2")
    ports = (replace(FRESH.ports[0], gids=(gid,)),)
    seen = replace(converged(), ports=ports, links=converged().links)
    entries = {**LINKS[0], "cage": 0}
    made = plan(seen, wanted(links=[entries]))
    (told,) = made.facts["links"]
    assert (told["interface"], told["hca"], told["gid_index"]) == (A, "rocep1s0f0", 3)
    assert "GID 3" in said(made, "fabric_rdma")


def test_in_a_ring_no_address_is_for_all() -> None:
    assert plan(FRESH, wanted(topology="ring")).facts["address"] == ""


def test_without_a_plan_it_only_looks() -> None:
    made = plan(FRESH, wanted(topology="", links=[]))
    assert made.actions == ()
    assert having(made, "ok") == {"fabric_ports"}
    gone = plan(replace(FRESH, ports=()), wanted(topology="", links=[]))
    assert "no ConnectX-7" in said(gone, "fabric_ports")
    assert having(gone, "skipped") >= {"fabric_ports", "fabric_netplan"}


def test_a_plan_needs_its_ports() -> None:
    made = plan(replace(FRESH, ports=()), wanted())
    assert having(made, "blocked") == {"fabric_ports"}
    assert made.actions == ()
    missing = plan(FRESH, wanted(cage=1))
    assert "cage 1 has no interface 0" in said(missing, "fabric_ports")


def both_cages(carrier: bool) -> Observed:
    port = Port(OTHER, "0000:01:00.1", carrier)
    twin = Port("enP2p1s0f1np1", "0002:01:00.1", carrier)
    links = {name: link(name) for name in (OTHER, twin.interface)}
    if not carrier:
        links = {name: replace(entry, carrier=False) for name, entry in links.items()}
    return replace(FRESH, ports=(*FRESH.ports, port, twin), links={**FRESH.links, **links})


def test_of_two_cages_the_one_with_the_cable_is_meant() -> None:
    joined, _problem = join(both_cages(carrier=True), wanted())
    assert [entry.cage for entry in joined] == [1, 1]
    seen = both_cages(carrier=False)
    _none, problem = join(seen, wanted())
    assert problem == "none of 2 cages has a visible cable"
    # With the cable pulled out, it stays where it was.
    before = replace(seen, own=converged().own)
    assert [entry.interface for entry in join(before, wanted())[0]] == [A, B]
    assert [entry.interface for entry in join(seen, wanted(cage=0))[0]] == [A, B]
    up = {name: link(name) for name in (A, B)}
    _none, problem = join(replace(seen, links={**seen.links, **up, OTHER: up[A]}), wanted())
    assert problem == "2 cages have a cable"


def test_the_inventory_may_name_the_links() -> None:
    joined, _problem = join(replace(FRESH, ports=()), wanted(cages=[[B, A], ["gone0", "gone1"]]))
    assert [entry.interface for entry in joined] == [B, A]


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (replace(FRESH, session="198.51.100.200"), ""),
        (
            replace(
                FRESH, links={**FRESH.links, A: link(A, "203.0.113.9/24")}, session="203.0.113.9"
            ),
            f"{A} carries this SSH session",
        ),
        (replace(FRESH, default_routes=(B,)), f"{B} carries the default route"),
    ],
)
def test_what_the_node_is_reached_by_is_never_touched(seen: Observed, message: str) -> None:
    made = plan(seen, wanted())
    blocked = {"fabric_session", "fabric_netplan", "fabric_addresses", "fabric_mtu"}
    assert having(made, "blocked") == (blocked if message else set())
    if message:
        assert message in said(made, "fabric_session")
        assert made.actions == ()


@pytest.mark.parametrize(
    ("upper", "changes"),
    [
        ("bond0", {"links": {A: {"master": "bond0"}}}),
        ("br0", {"links": {B: {"master": "br0"}}}),
        ("storage.7", {"links": {"storage.7": {"parent": A}}}),
        ("bond0", {"after": {A: network(A, FIRST, more="Bond=bond0"), B: network(B, SECOND)}}),
        ("vlan7", {"after": {A: network(A, FIRST), B: network(B, SECOND, more="VLAN=vlan7")}}),
    ],
)
def test_a_port_that_a_bond_a_bridge_or_a_vlan_uses_is_left_alone(
    upper: str, changes: dict[str, Any]
) -> None:
    links = dict(FRESH.links)
    for name, attributes in changes.get("links", {}).items():
        links[name] = replace(links.get(name, link(name)), **attributes)
    after = handed(changes["after"]) if "after" in changes else FRESH.after
    files = {"50-other.yaml": f"network: {{x: {{{upper}: }}}}"}
    made = plan(replace(FRESH, links=links, after=after, foreign=files), wanted())
    netplan = next(finding for finding in made.findings if finding.check == "fabric_netplan")
    assert (netplan.status, made.actions) == ("blocked", ())
    assert upper in netplan.actual
    assert "50-other.yaml" in netplan.actual


def test_a_session_over_a_bond_of_the_ports_goes_over_the_ports() -> None:
    links = {
        **FRESH.links,
        A: replace(link(A), master="bond0"),
        "bond0": link("bond0"),
        "bond0.7": replace(link("bond0.7", "203.0.113.9/24"), parent="bond0"),
    }
    made = plan(replace(FRESH, links=links, session="203.0.113.9"), wanted())
    session = next(finding for finding in made.findings if finding.check == "fabric_session")
    assert (session.status, made.actions) == ("blocked", ())
    assert A in session.actual


def test_a_session_over_the_links_is_fine_where_nothing_changes() -> None:
    made = plan(replace(converged(), session="198.51.100.11"), wanted())
    assert "nothing changes there" in said(made, "fabric_session")
    assert "fabric_session" in having(made, "ok")


THEIRS = {"40-cx7.yaml": f"... {A} ...", "50-cloud-init.yaml": "..."}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        # Netplan merges what agrees.
        ({A: network(A, FIRST), B: network(B, SECOND)}, ""),
        (
            {A: network(A, FIRST, "198.51.100.13/25"), B: network(B, SECOND)},
            f"40-cx7.yaml sets address 198.51.100.13/25 on {A}",
        ),
        (
            {A: network(A, FIRST, more="DHCP=ipv4"), B: network(B, SECOND)},
            f"40-cx7.yaml sets DHCP on {A}",
        ),
        (
            {A: network(A, FIRST, mtu=1500), B: network(B, SECOND)},
            f"40-cx7.yaml sets MTU 1500 on {A}",
        ),
        (
            {A: network(A, FIRST), "x": network("enp1s0f0*"), B: network(B, SECOND)},
            "a second configuration",
        ),
    ],
)
def test_somebody_elses_file_is_merged_or_named(files: dict[str, str], message: str) -> None:
    made = plan(replace(FRESH, foreign=THEIRS, after=handed(files)), wanted())
    if not message:
        assert having(made, "blocked") == set()
        return
    assert message in said(made, "fabric_netplan")
    assert "fabric_addresses" in having(made, "blocked")
    assert FILE not in [action.subject for action in made.actions]


def test_an_edit_that_nobody_applied_is_not_applied_by_the_way() -> None:
    after = Generated({**FRESH.after.files, "systemd/network/10-netplan-enP7s7.network": "new"})
    seen = replace(FRESH, after=after, present={"systemd/network/10-netplan-enP7s7.network": "old"})
    told = plan(seen, wanted())
    assert "10-netplan-enP7s7.network" in said(told, "fabric_netplan")


def test_links_of_an_earlier_plan_of_ours_are_let_go() -> None:
    earlier = OwnFile(FILE, f"# Managed by dgxspark.suite\n    {OTHER}:\n", 0o600)
    links = {**FRESH.links, OTHER: link(OTHER, "198.51.100.77/27")}
    stale = {f"systemd/network/10-netplan-{OTHER}.network": network(OTHER)}
    made = plan(replace(FRESH, own=earlier, links=links, present=stale), wanted())
    assert having(made, "blocked") == set()
    assert f"# {OTHER}: mtu 9000, 198.51.100.77/27" in made.actions[0].before
    assert f"# {OTHER}: mtu 9000, no address" in made.actions[0].after


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": False}, "Run as root (become)"),
        ({"tools": replace(TOOLS, netplan="")}, "netplan"),
        ({"tools": replace(TOOLS, networkctl="", systemd_run="")}, "systemd-run, networkctl"),
        ({"own": Blocked("it does not belong", "Look.")}, "does not belong"),
        ({"after": Generated(error="a.yaml:3:1: Error")}, "a.yaml:3:1"),
        ({"foreign": "/etc/netplan cannot be read: why"}, "/etc/netplan cannot be read"),
    ],
)
def test_what_stands_in_the_way_is_told(changes: dict[str, Any], message: str) -> None:
    made = plan(replace(FRESH, **changes), wanted())
    assert {"fabric_addresses", "fabric_mtu"} <= having(made, "blocked")
    assert message in said(made, "fabric_addresses")
    assert made.actions == ()


def test_twins_in_one_subnet_are_found_with_and_without_a_plan() -> None:
    both = {A: link(A, "192.0.2.1/24"), B: link(B, "192.0.2.3/24")}
    seen = replace(FRESH, links={**FRESH.links, **both})
    told = plan(seen, wanted())
    assert "fabric_subnets" in having(told, "drift")
    assert "fabric_subnets" in told.actions[0].repairs
    told = plan(seen, wanted(topology="", links=[]))
    assert having(told, "blocked") == {"fabric_subnets"}
    assert f"{A} and {B} are both in 192.0.2.0/24" in said(told, "fabric_subnets")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"links": [LINKS[0], {**LINKS[1], "address": "198.51.100.13"}]}, "in the same subnet"),
        (
            {"links": [{**LINKS[0], "address": "198.51.100.12"}]},
            "is used by this node and by a peer",
        ),
        ({"links": [{**LINKS[0], "address": "198.51.100.300"}]}, "198.51.100.300"),
        ({"links": [{**LINKS[0], "prefix": 31}]}, "is not in the subnet"),
        ({"links": [{**LINKS[0], "peers": LINKS[0]["peers"] * 2}]}, "two peers"),
        ({"cages": [["eth0; reboot"]]}, "expected the name of an interface"),
        ({"mtu": 68}, "mtu: expected"),
        ({"confirm_seconds": 1}, "confirm_seconds: expected"),
        ({"netplan_file": "/etc/../x.yml"}, "netplan_file: expected"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wanted(**given)


def test_for_networkmanager_its_own_client_is_used() -> None:
    commands = fabric_change.apply_commands(TOOLS, "NetworkManager", [A])
    assert [argv[1:] for argv in commands] == [
        ["generate"],
        ["connection", "reload"],
        ["connection", "up", f"netplan-{A}", "ifname", A],
    ]
    assert "renderer: NetworkManager" in netplan_text(
        join(FRESH, wanted())[0], wanted(renderer="NetworkManager")
    )


def test_networkd_reconfigures_the_links_alone() -> None:
    commands = fabric_change.apply_commands(replace(TOOLS, nmcli=""), "networkd", [A, B])
    assert [argv[1:] for argv in commands] == [
        ["generate"],
        ["start", "systemd-networkd.service"],
        ["reload"],
        ["reconfigure", A, B],
    ]


def test_networkmanager_lets_go_before_networkd_takes_over_and_leaves_no_address() -> None:
    commands = fabric_change.apply_commands(TOOLS, "networkd", [A])
    assert [argv[1:] for argv in commands] == [
        ["generate"],
        ["device", "set", A, "managed", "no"],
        ["-4", "address", "flush", "dev", A, "scope", "global"],
        ["start", "systemd-networkd.service"],
        ["reload"],
        ["reconfigure", A],
    ]


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    seen = observe(wanted(netplan_file=str(tmp_path / "a.yaml")), sysfs=str(tmp_path))
    assert seen.ports == ()
    assert seen.root == (os.geteuid() == 0)
    assert list(tmp_path.iterdir()) == []


def test_a_check_tells_what_the_peers_answer_and_a_run_leaves_that_to_fabric_confirm() -> None:
    ways = frozenset({(A, "198.51.100.12"), (B, "198.51.100.140")})
    links = {A: link(A, FIRST), B: link(B, SECOND)}
    seen = replace(FRESH, links=links, peers=fabric_peers.Observed(links, ways, ways))
    values = {finding.check: finding.status for finding in plan(seen, wanted()).findings}
    assert (values["fabric_peers"], values["fabric_path_mtu"]) == ("ok", "ok")
    assert "fabric_peers" not in {finding.check for finding in plan(FRESH, wanted()).findings}


def link_local(name: str, number: int, *more: str) -> Link:
    own = f"169.254.{number}.1"
    return Link(name, "02::1", 1500, True, True, more, link_local=(f"{own}/16",), local=(own,))


def test_ports_with_link_local_addresses_alone_are_in_one_subnet() -> None:
    links = {**FRESH.links, A: link_local(A, 10), B: link_local(B, 20)}
    observed = replace(FRESH, links=links)
    made = plan(observed, wanted(topology="", links=[]))
    assert having(made, "blocked") == {"fabric_subnets"}
    assert "169.254.0.0/16" in said(made, "fabric_subnets")
    assert "dgxspark_fabric_topology" in said(made, "fabric_subnets")
    # The address plan is the repair.
    made = plan(observed, wanted())
    assert {"fabric_subnets", "fabric_addresses"} <= having(made, "drift")
    assert "169.254.10.1/16 (link-local)" in said(made, "fabric_addresses")
    # Beside the addresses of the plan nothing uses them.
    links = {**links, A: link_local(A, 10, FIRST), B: link_local(B, 20, SECOND)}
    made = plan(replace(observed, links=links), wanted(topology="", links=[]))
    assert "fabric_subnets" in having(made, "ok")


@pytest.mark.parametrize(
    ("session", "local", "hit"),
    [
        ("169.254.10.1", ("169.254.10.1",), True),
        (f"fe80::1%{A}", ("fe80::1",), True),
        ("fe80::1%enP7s7", ("fe80::1",), False),
        ("2001:db8::5", ("2001:db8::5",), True),
        ("2001:db8::6", ("2001:db8::5",), False),
    ],
)
def test_a_session_over_any_kind_of_address_is_noticed(
    session: str, local: tuple[str, ...], hit: bool
) -> None:
    links = {**FRESH.links, A: replace(FRESH.links[A], local=local)}
    made = plan(replace(FRESH, links=links, session=session), wanted())
    assert ("fabric_session" in having(made, "blocked")) is hit


OWN_PROFILE = "[Match]\nName={name}\n[Network]\nDHCP=yes\n"
NM_PROFILE = "[connection]\nid=x\ninterface-name={name}\n{more}[ipv4]\nmethod=auto\n"


@pytest.mark.parametrize(
    ("path", "name", "rival"),
    [
        ("/etc/systemd/network/05-mine.network", A, True),
        ("/usr/lib/systemd/network/05-mine.network", "enp1*", True),
        ("/etc/systemd/network/05-all.network", "*", True),
        ("/etc/systemd/network/05-other.network", "enP7s7", False),
        # The first that matches counts, and netplan's is 10-netplan-NAME.network.
        ("/etc/systemd/network/80-mine.network", A, False),
    ],
)
def test_a_profile_that_matches_before_ours_decides_about_the_next_boot(
    path: str, name: str, rival: bool
) -> None:
    profile = parse_network(path, OWN_PROFILE.format(name=name))
    made = plan(replace(converged(), profiles=(profile,)), wanted())
    assert ("fabric_netplan" in having(made, "blocked")) is rival
    assert not made.actions
    if rival:
        assert (path in said(made, "fabric_netplan"), FILE in said(made, "fabric_netplan")) == (
            True,
            True,
        )


@pytest.mark.parametrize(
    ("name", "more", "renderer", "rival"),
    [
        (A, "", "NetworkManager", True),
        (A, "autoconnect=false\n", "NetworkManager", False),
        ("enP7s7", "", "NetworkManager", False),
        # networkd has the port, and NetworkManager leaves it alone.
        (A, "", "networkd", False),
    ],
)
def test_a_profile_of_network_manager_contends_with_its_own_kind(
    name: str, more: str, renderer: str, rival: bool
) -> None:
    profile = parse_connection("/etc/x.nmconnection", NM_PROFILE.format(name=name, more=more))
    keyfile = "[connection]\ninterface-name=%s\n[ethernet]\nmtu=9000\n[ipv4]\nmethod=manual\n"
    keyfile += "address1=%s\n"
    files = {
        f"NetworkManager/system-connections/netplan-{port}.nmconnection": keyfile % (port, own)
        for port, own in ((A, FIRST), (B, SECOND))
    }
    after = Generated(files) if renderer == "NetworkManager" else FRESH.after
    observed = replace(converged(), profiles=(profile,), after=after, present=after.files)
    made = plan(observed, wanted())
    assert ("fabric_netplan" in having(made, "blocked")) is rival
