# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the answers of nodes to an inventory: names, cables, fabric, text, file."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.filter.fabric_plan import fabric_plan
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery import avahi
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.fabric import (
    Fabric,
    cables,
    propose,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.inventory import (
    Differs,
    text_of,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.logins import advice
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.nodes import (
    Node,
    node_of,
    sorted_out,
)

PORTS = (("enp1s0f0np0", "enP2p1s0f0np0"), ("enp1s0f1np1", "enP2p1s0f1np1"))
# A cable: (node, cage) to (node, cage)
Cable = tuple[tuple[int, int], tuple[int, int]]
LOCAL = "fe80::%d:%d"


def info(number: int, **more: Any) -> dict[str, Any]:
    """What spark_info returns for the node of that number, without a cable."""
    mine = f"192.0.2.{10 + number}"
    addresses = [{"interface": "enP7s7", "address": mine, "prefix": 24}]
    ports = []
    for cage, names in enumerate(PORTS):
        for twin, name in enumerate(names):
            local = LOCAL % (number, 2 * cage + twin + 1)
            addresses.append({"interface": name, "address": local, "prefix": 64})
            port = {"interface": name, "cage": cage, "twin": twin, "state": "no cable"}
            ports.append({**port, "users": [], "neighbours": []})
    return {
        "machine": {
            "hostname": f"spark{number}",
            "product": "NVIDIA_DGX_Spark",
            "gpu": "NVIDIA GB10",
            "release": "DGX Spark",
            "key": f"{number} {number}",
        },
        "session": mine,
        "default_interface": "enP7s7",
        "addresses": addresses,
        "networks": ["192.0.2.0/24"],
        "ports": ports,
        "fabric": {},
        "rdma": True,
        "cache": {"path": "", "repositories": 0, "size": 0, "counted": True},
        "user": "alice",
        "sudo": "free",
        **more,
    }


def plug(infos: dict[int, dict[str, Any]], *ends: Cable) -> None:
    """Direct cables: both interfaces of a cage answer those of the other cage."""
    for here, there in (*ends, *((there, here) for here, there in ends)):
        for port in infos[here[0]]["ports"]:
            if port["cage"] == here[1]:
                port["state"] = "cabled"
                local = LOCAL % (there[0], 2 * there[1] + port["twin"] + 1)
                port["neighbours"] = [*port["neighbours"], local]


def give(one: dict[str, Any], interface: str, address: str) -> None:
    bare, _slash, prefix = address.partition("/")
    entry = {"interface": interface, "address": bare, "prefix": int(prefix)}
    one["addresses"] = [*one["addresses"], entry]


def nodes_of(infos: dict[int, dict[str, Any]]) -> tuple[Node, ...]:
    given = [node_of(f"192.0.2.{10 + number}", one) for number, one in infos.items()]
    nodes, left_out = sorted_out(given)
    assert not left_out
    return nodes


def sparks(count: int, *ends: Cable) -> dict[int, dict[str, Any]]:
    infos = {number: info(number) for number in range(1, count + 1)}
    plug(infos, *ends)
    return infos


PAIR: Cable = ((1, 0), (2, 0))
RING: tuple[Cable, ...] = (((1, 0), (2, 1)), ((2, 0), (3, 1)), ((3, 0), (1, 1)))


def loaded(nodes: tuple[Node, ...], fabric: Fabric) -> dict[str, Any]:
    return dict(yaml.safe_load(text_of(nodes, fabric)))


def test_two_cabled_sparks_get_a_plan() -> None:
    nodes = nodes_of(sparks(2, PAIR))
    fabric = propose(nodes)
    assert fabric.topology == "pair"
    inventory = loaded(nodes, fabric)
    common = inventory["all"]["vars"]
    networks = common["dgxspark_fabric_networks"]
    assert len(fabric_plan("spark1", "pair", ["spark1", "spark2"], networks)) == 2
    assert common["ansible_user"] == "alice"
    assert common["dgxspark_devices"] == ["/dev/infiniband"]
    assert inventory["spark_heads"]["hosts"] == {"spark1": {"ansible_host": "192.0.2.11"}}
    assert inventory["spark_workers"]["hosts"] == {"spark2": {"ansible_host": "192.0.2.12"}}
    assert inventory["spark_services"]["hosts"] == {}


def test_networks_that_a_node_uses_are_not_proposed() -> None:
    infos = sparks(2, PAIR)
    infos[1]["networks"] = ["192.168.176.0/21"]  # 176 to 183
    give(infos[2], "docker0", "192.168.184.1/24")
    assert propose(nodes_of(infos)).networks == ("192.168.185.0/24", "192.168.186.0/24")
    infos[2]["networks"] = ["192.168.0.0/16"]
    fabric = propose(nodes_of(infos))
    assert not fabric.planned
    assert "dgxspark_fabric_networks" in fabric.why


def applied(infos: dict[int, dict[str, Any]], fabric: Fabric) -> None:
    """What the fabric role makes of the plan: addresses, and its local facts."""
    for number, one in infos.items():
        plan = fabric_plan(f"spark{number}", fabric.topology, fabric.order, fabric.networks)
        cage = next(port["cage"] for port in one["ports"] if port["state"] == "cabled")
        links = []
        for link in plan:
            interface = PORTS[cage if link["cage"] is None else link["cage"]][link["twin"]]
            give(one, interface, f"{link['address']}/{link['prefix']}")
            links.append({"interface": interface, "address": link["address"], "hca": ""})
        one["fabric"] = {"topology": fabric.topology, "links": links}


@pytest.mark.parametrize("ends", [(PAIR,), RING], ids=["pair", "ring"])
def test_once_the_plan_is_applied_the_inventory_is_the_same(ends: tuple[Cable, ...]) -> None:
    infos = sparks(2 if ends == (PAIR,) else 3, *ends)
    nodes = nodes_of(infos)
    fabric = propose(nodes)
    before = text_of(nodes, fabric)
    applied(infos, fabric)
    later = nodes_of(infos)
    assert text_of(later, propose(later)) == before


def test_an_applied_plan_is_recognised_in_another_order_of_the_nodes() -> None:
    infos = sparks(2, PAIR)
    fabric = propose(nodes_of(infos))
    applied(infos, fabric)
    turned = propose(nodes_of({2: infos[2], 1: infos[1]}))
    assert (turned.topology, turned.networks) == ("pair", fabric.networks)
    assert turned.numbers == {"spark2": 2, "spark1": 1}


def test_without_a_cable_there_is_no_plan_but_a_reason() -> None:
    nodes = nodes_of(sparks(2))
    fabric = propose(nodes)
    assert not fabric.planned
    assert "no cable" in fabric.why
    assert f"# No fabric: {fabric.why}" in text_of(nodes, fabric)
    assert "dgxspark_fabric" not in str(loaded(nodes, fabric))


def test_an_interface_that_is_down_is_named_with_the_command() -> None:
    infos = sparks(2)
    infos[1]["ports"][0]["state"] = "down"
    assert "sudo ip link set enp1s0f0np0 up" in propose(nodes_of(infos)).why


def test_a_card_that_is_not_visible_is_no_error() -> None:
    infos = sparks(2)
    infos[1]["ports"] = []
    fabric = propose(nodes_of(infos))
    assert not fabric.planned
    assert fabric.why.startswith("spark1 has no visible ConnectX-7 port")


def test_a_cable_to_something_else_is_no_fabric() -> None:
    infos = sparks(2, PAIR)
    for one in infos.values():
        for port in one["ports"]:
            port["neighbours"] = ["fe80::99"] if port["neighbours"] else []
    nodes = nodes_of(infos)
    fabric = propose(nodes)
    assert not fabric.planned
    assert "spark1 and spark2" in fabric.why
    assert cables(nodes)[0].endswith(": no Spark")


def test_one_side_that_hears_the_other_is_enough() -> None:
    infos = sparks(2, PAIR)
    for port in infos[2]["ports"]:
        port["neighbours"] = []
    assert propose(nodes_of(infos)).topology == "pair"


def test_with_two_cables_the_cage_of_the_other_node_is_named() -> None:
    infos = sparks(2, ((1, 1), (2, 0)))
    for port in infos[1]["ports"][:2]:
        port["state"] = "cabled"  # to something else
    fabric = propose(nodes_of(infos))
    assert fabric.topology == "pair"
    assert fabric.hosts == {"spark1": {"dgxspark_fabric_cage": 1}}


@pytest.mark.parametrize("own", [True, False], ids=["addresses", "none"])
def test_a_bond_is_never_planned_and_its_addresses_are_kept(own: bool) -> None:
    infos = sparks(2, PAIR)
    for number, one in infos.items():
        for port in one["ports"][:2]:
            port["users"] = ["bond0"]
        if own:
            give(one, "bond0", f"198.51.100.{number}/24")
    fabric = propose(nodes_of(infos))
    assert not fabric.topology
    if own:
        assert fabric.hosts["spark2"] == {"dgxspark_fabric_address": "198.51.100.2"}
    else:
        assert "bond0" in fabric.why
        assert not fabric.planned


def test_addresses_that_somebody_has_set_up_are_kept() -> None:
    infos = sparks(2, PAIR)
    for number, one in infos.items():
        give(one, "enp1s0f0np0", f"198.51.100.{number}/25")
        give(one, "enP2p1s0f0np0", f"198.51.100.{128 + number}/25")
    nodes = nodes_of(infos)
    heads = loaded(nodes, propose(nodes))["spark_heads"]["hosts"]
    assert heads["spark1"]["dgxspark_fabric_address"] == "198.51.100.1"


def test_addresses_without_a_common_network_are_left_alone() -> None:
    infos = sparks(2, PAIR)
    give(infos[2], "enp1s0f0np0", "198.51.100.2/25")
    fabric = propose(nodes_of(infos))
    assert not fabric.planned
    assert "enp1s0f0np0 of spark2 has 198.51.100.2/25" in fabric.why


def test_link_local_addresses_are_no_plan() -> None:
    infos = sparks(2, PAIR)
    for number, one in infos.items():
        give(one, "enp1s0f0np0", f"169.254.0.{number}/16")
    assert propose(nodes_of(infos)).topology == "pair"


def test_three_on_a_switch() -> None:
    infos = sparks(3, ((1, 0), (2, 0)), ((2, 0), (3, 0)), ((1, 0), (3, 0)))
    fabric = propose(nodes_of(infos))
    assert (fabric.topology, len(fabric.networks)) == ("switch", 2)


def test_a_ring_puts_the_nodes_in_the_order_of_its_cables() -> None:
    backwards: tuple[Cable, ...] = (((1, 0), (3, 1)), ((3, 0), (2, 1)), ((2, 0), (1, 1)))
    nodes = nodes_of(sparks(3, *backwards))
    fabric = propose(nodes)
    assert (fabric.topology, len(fabric.networks)) == ("ring", 6)
    assert fabric.order == ("spark1", "spark3", "spark2")
    assert list(loaded(nodes, fabric)["spark_workers"]["hosts"]) == ["spark3", "spark2"]


def test_a_ring_with_two_equal_ends_is_explained() -> None:
    nodes = nodes_of(sparks(3, ((1, 0), (2, 0)), ((2, 1), (3, 1)), ((3, 0), (1, 1))))
    fabric = propose(nodes)
    assert not fabric.planned
    assert "cage 0 of a node to cage 1" in fabric.why


def test_two_of_three_cabled_are_no_switch() -> None:
    infos = sparks(3, PAIR)
    infos[3]["ports"][0]["state"] = "cabled"
    assert "spark3" in propose(nodes_of(infos)).why


def test_one_spark_needs_no_fabric() -> None:
    nodes = nodes_of(sparks(1))
    inventory = loaded(nodes, propose(nodes))
    assert "No fabric" not in text_of(nodes, propose(nodes))
    assert inventory["spark_workers"]["hosts"] == {}


def test_another_machine_is_left_out_with_its_product_unless_any_is_wanted() -> None:
    other = info(1)
    other["machine"] |= {"product": "PowerEdge \x1b[2J", "gpu": "", "release": ""}
    given = [node_of("192.0.2.11", other), node_of("192.0.2.12", info(2))]
    nodes, left_out = sorted_out(given)
    assert [node.name for node in nodes] == ["spark2"]
    assert "PowerEdge \\x1b[2J" in left_out["192.0.2.11"]
    assert len(sorted_out(given, any_machine=True)[0]) == 2


def test_the_name_of_its_maker_is_no_obstacle() -> None:
    other = info(1)
    other["machine"] |= {"product": "GX10", "release": ""}
    assert sorted_out([node_of("192.0.2.11", other)])[1] == {}


def test_a_machine_with_two_addresses_is_one_node() -> None:
    given = [node_of("192.0.2.11", info(1)), node_of("198.51.100.11", info(1))]
    nodes, left_out = sorted_out(given)
    assert len(nodes) == 1
    assert "192.0.2.11" in left_out["198.51.100.11"]


def test_two_of_the_same_hostname_get_different_names() -> None:
    names = []
    for number in (1, 2, 3):
        one = info(number)
        one["machine"]["hostname"] = "Spark.example" if number < 3 else "localhost"
        names.append(node_of(f"192.0.2.1{number}", one))
    assert [node.name for node in sorted_out(names)[0]] == ["spark", "spark-2", "spark3"]


def test_a_node_of_the_inventory_keeps_its_name() -> None:
    given = [node_of("alpha", info(1), fixed=True), node_of("192.0.2.12", info(2))]
    assert [node.name for node in sorted_out(given)[0]] == ["alpha", "spark2"]


def test_the_management_address_is_never_one_of_the_fabric() -> None:
    one = info(1, session="198.51.100.1")
    give(one, "enp1s0f0np0", "198.51.100.1/24")
    assert node_of("198.51.100.1", one).address == "192.0.2.11"
    # Without a session, the interface of the default route counts.
    assert node_of("spark1.example", info(1, session="")).address == "192.0.2.11"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"machine": None},
        {"ports": 3},
        {"networks": ["x"]},
        {"addresses": [{}]},
        {"addresses": [{"interface": "a", "address": "192.0.2.1", "prefix": 99}]},
        {"user": "{{ lookup('pipe', 'id') }}"},
        {"user": None},
    ],
)
def test_an_answer_of_something_else_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="spark_info"):
        node_of("192.0.2.11", {**info(1), **broken} if broken else {})


TEMPLATE = "{{ lookup('pipe', 'id') }}"


def test_no_template_of_a_node_becomes_part_of_the_inventory() -> None:
    infos = sparks(2, PAIR)
    infos[1]["machine"] |= {"hostname": TEMPLATE, "product": f"GB10 {TEMPLATE}"}
    infos[1]["cache"] = {**infos[1]["cache"], "path": f"/home/{TEMPLATE}", "repositories": 1}
    infos[1]["session"] = TEMPLATE
    infos[2]["ports"][0]["users"] = [f"{TEMPLATE}\nall: 1"]
    infos[2]["fabric"] = {"topology": [TEMPLATE], "links": TEMPLATE}
    nodes = nodes_of(infos)
    text = text_of(nodes, propose(nodes))
    assert TEMPLATE not in str(yaml.safe_load(text))
    assert "1" not in yaml.safe_load(text)


@pytest.mark.parametrize("links", [None, [None], [{}], [{"address": [1]}], TEMPLATE, []])
def test_local_facts_of_something_else_are_no_plan(links: Any) -> None:
    infos = sparks(2, PAIR)
    for one in infos.values():
        one["fabric"] = {"topology": "pair", "links": links}
    assert propose(nodes_of(infos)).networks


def test_existing_models_are_offered_with_their_owner() -> None:
    infos = sparks(2)
    infos[2]["cache"] = {
        "path": "/home/alice/.cache/huggingface",
        "repositories": 3,
        "size": 5 << 30,
        "counted": False,
    }
    nodes = nodes_of(infos)
    assert nodes[1].cached == "3 repositories, more than 5 GiB"
    common = loaded(nodes, propose(nodes))["all"]["vars"]
    assert common["dgxspark_hf_home"] == "/home/alice/.cache/huggingface"
    assert common["dgxspark_storage_owner"] == "alice"
    # A cache grows; the text of the inventory must not.
    assert "5 GiB" not in text_of(nodes, propose(nodes))


def test_different_caches_are_not_offered() -> None:
    infos = sparks(2)
    for number, one in infos.items():
        one["cache"] = {**one["cache"], "path": f"/home/user{number}/.cache/huggingface"}
    nodes = nodes_of(infos)
    assert "dgxspark_hf_home" not in text_of(nodes, propose(nodes))


def test_different_users_are_named_for_each_node() -> None:
    nodes = nodes_of(sparks(2))
    nodes = (nodes[0], replace(nodes[1], user="no"))
    inventory = loaded(nodes, propose(nodes))
    assert inventory["spark_workers"]["hosts"]["spark2"]["ansible_user"] == "no"
    assert "ansible_user" not in inventory["all"]["vars"]


def test_this_machine_itself_needs_no_ssh() -> None:
    nodes = (replace(nodes_of(sparks(1))[0], local=True),)
    host = loaded(nodes, propose(nodes))["spark_heads"]["hosts"]["spark1"]
    assert host == {"ansible_connection": "local", "dgxspark_address": "192.0.2.11"}


def test_a_file_is_written_once_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "inventories" / "mine"
    path = folder / "hosts.yml"
    assert write(str(folder), "a: 1\n", check_mode=True) == (str(path), True)
    assert not folder.exists()
    assert write(str(folder), "a: 1\n") == (str(path), True)
    before = path.stat()
    assert write(str(folder), "a: 1\n") == (str(path), False)
    with pytest.raises(Differs, match=r"-a: 1\n\+a: 2"):
        write(str(folder), "a: 2\n")
    assert path.read_text() == "a: 1\n"
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert stat.S_ISREG(before.st_mode)


# As avahi-browse's manual page and its source write it.
ANNOUNCED = r"""
+;wlp9s9;IPv4;spark-1a2b;SSH Remote Terminal;local
=;enp1s0f0np0;IPv4;spark-1a2b;SSH Remote Terminal;local;spark-1a2b.local;169.254.7.1;22;
=;eth0;IPv6;spark-1a2b;SSH Remote Terminal;local;spark-1a2b.local;fe80::1;22;
=;eth0;IPv4;spark-1a2b;SSH Remote Terminal;local;spark-1a2b.local;192.0.2.11;22;
=;eth0;IPv6;Alice\039s\032GX10\059;SSH Remote Terminal;local;gx10-3c4d.local;2001:db8::12;22;"a=b;c"
=;eth0;IPv6;spark-5e6f;SSH Remote Terminal;local;spark-5e6f.local;fe80::3;22;
=;eth0;IPv4;printer;SSH Remote Terminal;local;printer.local;192.0.2.40;22;
=;eth0;IPv4;evil;SSH Remote Terminal;local;spark;-oProxyCommand=x;22;
=;eth0;IPv4;evil;SSH Remote Terminal;local;-oProxyCommand.local;192.0.2.66;22;
Failed to resolve service 'spark-7' of type '_ssh._tcp' in domain 'local': Timeout reached
=;eth0;IPv4
"""


def test_what_machines_announce_is_read() -> None:
    found = avahi.parse(ANNOUNCED)
    usable = {one.host: one.address for one in found if one.is_spark}
    assert usable == {
        "spark-1a2b": "192.0.2.11",
        "gx10-3c4d": "2001:db8::12",
        "spark-5e6f": "",
        "spark": "",
    }
    left_out = avahi.report(found)
    assert any(line.startswith("spark-5e6f: left out") for line in left_out)
    assert any(line.startswith("printer (192.0.2.40): left out") for line in left_out)


def test_no_announcement_is_no_machine() -> None:
    assert avahi.parse("") == ()


SSH = "Data could not be sent to remote host. Make sure this host can be reached over ssh: "
REASONS = {
    "a key that is not accepted": (
        "alice@192.0.2.11: Permission denied (publickey,password).",
        "ssh-copy-id alice@192.0.2.11",
    ),
    "an unknown host key": (
        "No ED25519 host key is known for 192.0.2.11\nHost key verification failed.",
        "ssh-keyscan -t ed25519 192.0.2.11 | tee -a ~/.ssh/known_hosts | ssh-keygen -lf -",
    ),
    "another host key": (
        "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.",
        "ssh-keygen -R 192.0.2.11",
    ),
    "no answer": ("ssh: connect to host port 22: Connection timed out", "ssh alice@192.0.2.11"),
    "an unknown name": (
        "ssh: Could not resolve hostname spark9: Name or service not known",
        "-e nodes=ADDRESS",
    ),
    "something else": ("kex_exchange_identification: \x1b[2J", "ssh alice@192.0.2.11"),
}


@pytest.mark.parametrize(("said", "line"), REASONS.values(), ids=REASONS)
def test_a_node_without_an_answer_has_a_line_to_type(said: str, line: str) -> None:
    text = "\n".join(advice("192.0.2.11", "alice", SSH + said))
    assert line in text
    assert "\x1b" not in text


def test_a_line_to_type_has_the_port() -> None:
    text = "\n".join(advice("192.0.2.11", "alice", "Permission denied (publickey)", 2222))
    assert "ssh-copy-id -p 2222 alice@192.0.2.11" in text
