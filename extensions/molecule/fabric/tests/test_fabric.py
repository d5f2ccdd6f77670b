# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links set up from nothing: what goes wrong with them, what survives, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab import (
    INVENTORY,
    NETPLAN,
    NODES,
    Verdict,
    address,
    all_reach,
    links,
    module,
    on_node,
    playbook,
    run,
    verdicts_of,
    wait_for,
)

HERE, THERE = NODES[:2]
CONVERGE = "extensions/molecule/fabric/converge.yml"
FACTS = "/etc/ansible/facts.d/dgxspark_fabric.fact"
CHANGE = "/var/lib/dgxspark/fabric-change"


def fabric(nodes: tuple[str, ...], *options: str) -> dict[str, Verdict]:
    """The role on these nodes."""
    return verdicts_of(CONVERGE, nodes, "fabric", *options)


def why(verdict: Verdict, check: str) -> str:
    """What a check found, and what it says one can do."""
    (found,) = [found for found in verdict.findings if found["check"] == check]
    return f"{found['actual']}. {found['hint']}"


def network(node: str) -> str:
    """The links of a node as they are, and the file by which they are so."""
    seen = "ip -o -4 address show | awk '{print $2, $4}' | grep ^en | sort"
    files = f"cat {NETPLAN} {FACTS}; ls /etc/netplan"
    return on_node(node, f"{seen}; {files}; cat /sys/class/net/en*/mtu")


def logs_in(node: str) -> bool:
    return run("ansible", *INVENTORY, node, "-m", "ansible.builtin.ping").returncode == 0


@contextmanager
def unharmed(node: str) -> Iterator[None]:
    """See that a node's network is what it was, that nothing waits there, and that SSH is open."""
    before = network(node)
    yield
    assert network(node) == before
    assert on_node(node, f"ls {CHANGE}* 2>/dev/null || :") == ""
    assert logs_in(node)
    assert all_reach()


def plug(*pairs: tuple[str, str]) -> None:
    """Plug cables, each from an interface here to one there."""
    lines = [f"cables.plug(({HERE!r}, {near!r}), ({THERE!r}, {far!r}))" for near, far in pairs]
    script = "\n".join(["import cables", *lines])
    done = run("docker", "exec", "--workdir=/", "dgxspark-lab-cables", "python3", "-c", script)
    assert done.returncode == 0, done.stderr


def test_both_twins_reach_the_peer_at_full_size() -> None:
    assert len(links(HERE, THERE)) == 2
    assert all_reach()


def test_small_mtu_and_duplicate_address_are_told_apart_and_repaired() -> None:
    (near, far_address), _other = links(HERE, THERE)
    (far, _near_address), (far_other, other_address) = links(THERE, HERE)
    taken = f"ip address replace {other_address}/24 dev {far_other}"
    on_node(THERE, f"ip link set {far} mtu 1500; {taken}")
    seen = fabric((HERE, THERE), "--check")
    # A node answers nobody who has its own address.
    spoilt = {"fabric_path_mtu", "fabric_duplicates", "fabric_peers"}
    assert seen[HERE].having("blocked") == spoilt
    assert f"({far_address}) on {near}, small packets do" in why(seen[HERE], "fabric_path_mtu")
    assert f"answers for {other_address}" in why(seen[HERE], "fabric_duplicates")
    assert {"fabric_mtu", "fabric_addresses"} <= seen[THERE].having("drift")
    repaired = fabric((HERE, THERE))
    assert repaired[THERE].having("fixed") == {"fabric_mtu", "fabric_addresses"}
    assert repaired[THERE].diff == seen[THERE].diff
    assert not repaired[HERE].having("blocked")


def test_a_cable_on_the_wrong_port_is_named() -> None:
    (near, first), (other, _second) = links(HERE, THERE)
    (far, _first), (far_other, _second) = links(THERE, HERE)
    plug((near, far_other), (other, far))
    try:
        wait_for(lambda: on_node(HERE, "ip -4 -o address show").count(" en") >= 2, 30)
        seen = fabric((HERE,), "--check")[HERE]
    finally:
        plug((near, far), (other, far_other))
    assert "fabric_peers" in seen.having("blocked")
    assert f"{THERE} ({first})" in why(seen, "fabric_peers")
    assert "wrong port" in why(seen, "fabric_peers")
    wait_for(all_reach, 30)


def test_a_peer_that_is_down_is_told_and_a_restart_brings_the_links_back() -> None:
    for far, _address in links(THERE, HERE):
        on_node(THERE, f"ip link set {far} down")
    seen = fabric((HERE,), "--check")[HERE]
    assert seen.having("blocked") == {"fabric_cable", "fabric_peers"}
    assert "no carrier on " in why(seen, "fabric_cable")
    assert f"{THERE} (" in why(seen, "fabric_peers")
    # By themselves: nobody sets anything up again.
    run("docker", "restart", THERE)
    wait_for(all_reach, 90)


def test_somebody_elses_file_is_named_and_nothing_is_done() -> None:
    (near, _address), _other = links(HERE, THERE)
    theirs = "/etc/netplan/40-theirs.yaml"
    text = f"network: {{version: 2, ethernets: {{{near}: {{addresses: [192.0.2.1/24]}}}}}}"
    with unharmed(HERE):
        on_node(HERE, f"ip link set {near} mtu 8000; echo '{text}' >{theirs}; chmod 600 {theirs}")
        try:
            seen = fabric((HERE,))[HERE]
            assert (
                on_node(HERE, f"cat {theirs}; cat /sys/class/net/{near}/mtu") == f"{text}\n8000\n"
            )
        finally:
            on_node(HERE, f"rm {theirs}; ip link set {near} mtu 9000")
    assert {"fabric_netplan", "fabric_mtu"} <= seen.having("blocked")
    told = f"40-theirs.yaml sets address 192.0.2.1/24 on {near}"
    assert told in why(seen, "fabric_netplan")
    assert not seen.changed


def test_a_wrong_plan_undoes_itself_while_ssh_stays() -> None:
    wrong = {"dgxspark_fabric_networks": [f"198.51.100.{n * 32}/27" for n in range(6)]}
    with unharmed(HERE):
        seen = fabric((HERE,), "-e", json.dumps(wrong))[HERE]
    assert seen.having("fixed") == {"fabric_netplan", "fabric_addresses", "fabric_facts"}
    assert "fabric_change" in seen.having("blocked")
    assert "reached a peer before" in why(seen, "fabric_change")


def wrong_links() -> dict[str, Any]:
    """The plan of a module call that gives this node other addresses, both twins of one cage."""
    names = [name for name, _address in links(HERE, THERE)]
    both = [{"twin": n, "address": f"198.51.100.{n * 32 + 1}", "prefix": 27} for n in (0, 1)]
    return {"cages": [names], "links": both, "confirm_seconds": 10, "facts_file": FACTS}


@pytest.mark.long
def test_without_a_controller_the_node_goes_back_by_itself() -> None:
    with unharmed(HERE):
        before = network(HERE)
        # The first of the role's two tasks, and nothing after it.
        made = module(HERE, "ensure_fabric", wrong_links())
        assert made["changed"]
        assert "198.51.100.1/27" in on_node(HERE, "ip -o -4 address show")
        wait_for(lambda: on_node(HERE, f"ls -d {CHANGE}* 2>/dev/null || :") == "", 60)
        wait_for(lambda: network(HERE) == before, 15)


def test_the_interface_of_the_session_is_never_touched() -> None:
    plan = {**wrong_links(), "cages": [["eth0", "eth1"]]}
    with unharmed(HERE):
        seen = module(HERE, "ensure_fabric", plan)
    (found,) = [found for found in seen["findings"] if found["check"] == "fabric_session"]
    assert found["status"] == "blocked"
    assert "eth0 carries this SSH session" in found["actual"]
    assert seen["failed"]


@pytest.mark.long
def test_a_launch_goes_over_the_links_and_no_measurement_disturbs_it() -> None:
    (near, _address), _other = links(HERE, THERE)
    (far, _address), _other = links(THERE, HERE)

    def sent() -> dict[str, int]:
        files = {name: f"/sys/class/net/{name}/statistics/tx_bytes" for name in (far, "eth0")}
        return {name: int(on_node(THERE, f"cat {path}")) for name, path in files.items()}

    # By what the role left on the nodes, and not by the inventory.
    status, said = playbook("launch", "-e", "recipe=lab-tiny-2", "-e", "dgxspark_fabric_address=")
    assert status == 0, said
    try:
        before = sent()
        body = {"model": "lab-tiny-2", "prompt": "two sparks", "max_tokens": 32, "temperature": 0}
        asked = f"curl -sS -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
        assert "choices" in on_node(HERE, f"{asked} http://{address(HERE)}:8000/v1/completions")
        after = sent()
        assert f"GLOO_SOCKET_IFNAME={near}" in on_node(
            HERE, "docker inspect --format '{{.Config.Env}}' dgxspark-lab-tiny-2-0"
        )
        status, told = playbook("fabric_test")
        assert status != 0
        assert "Stop it (ansible-playbook dgxspark.suite.stop), or set dgxspark_fabric_" in told
    finally:
        playbook("stop")
    grown = {name: after[name] - before[name] for name in before}
    assert grown[far] > 20 * grown["eth0"], grown


def test_the_links_are_measured_and_a_slow_one_is_told() -> None:
    limit = ("-e", "dgxspark_fabric_test_max_ms=0.000001")
    status, said = playbook("fabric_test", *limit)
    assert status != 0
    assert "Drift remains: fabric_test_latency." in said
    assert "fabric_test_rdma: skipped: the links have no RoCE device" in said
