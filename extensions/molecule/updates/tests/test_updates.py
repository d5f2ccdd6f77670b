# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""updates.yml: check mode, updates, refusals, a reboot, and a model that is served."""

from __future__ import annotations

import threading
import time

import pytest
from lab import NODES, ended, mark, on_node, playbook, playbook_begun, run, touched

FIRST, OTHER = NODES
VERSION = "dpkg-query -W -f '${Version}' lab-payload"


def make_available(version: str, *nodes: str, broken: bool = False) -> None:
    """Make an update available to apt on these nodes, or on all."""
    how = "broken" if broken else ""
    for node in nodes or NODES:
        on_node(node, f"/opt/lab-make-repository {version} {how}; apt-get -qq update")


def versions() -> list[str]:
    return [on_node(node, VERSION) for node in NODES]


@pytest.fixture(autouse=True)
def current() -> None:
    """Each test begins with current nodes."""
    for node in NODES:
        on_node(node, "rm -f /run/reboot-required; dpkg --purge --force-all lab-payload || true")
        on_node(node, "/opt/lab-make-repository 1.0; apt-get -qq update")
        on_node(node, "dpkg --install /opt/lab-repository/*.deb")


def test_check_mode_reports_versions_and_changes_nothing() -> None:
    make_available("2.0")
    for node in NODES:
        mark(node)
    status, said = playbook("updates", "--check")
    assert status == 0, said
    assert "1 packages: lab-payload 1.0 -> 2.0" in said
    assert "by lists that are 0.0 days old" in said
    assert said.count("changed=1") == 2
    assert versions() == ["1.0", "1.0"]
    for node in NODES:
        assert touched(node) == []


def test_a_run_updates_all_and_the_next_changes_nothing() -> None:
    make_available("2.1")
    for changed in ("changed=1", "changed=0"):
        status, said = playbook("updates")
        assert status == 0, said
        assert said.count(changed) == 2
        assert versions() == ["2.1", "2.1"]


def test_a_run_fetches_the_lists_that_check_mode_did_not() -> None:
    on_node(OTHER, "/opt/lab-make-repository 2.2")
    status, said = playbook("updates", "--check")
    assert status == 0, said
    assert said.count("changed=0") == 2
    status, said = playbook("updates")
    assert status == 0, said
    assert versions() == ["1.0", "2.2"]


def test_a_half_installed_package_on_one_node_prevents_all_updates() -> None:
    make_available("2.3")
    on_node(OTHER, "dpkg --unpack /opt/lab-repository/*.deb")
    status, said = playbook("updates")
    assert status != 0
    assert f"No node is touched. {OTHER}: dpkg_whole: lab-payload is unpacked" in said
    assert versions()[0] == "1.0"


def test_an_update_that_fails_ends_before_the_next_node() -> None:
    make_available("2.4", FIRST, broken=True)
    make_available("2.4", OTHER)
    status, said = playbook("updates")
    assert status != 0
    assert "apt-get dist-upgrade" in said
    assert "journalctl -u dgxspark-updates" in said
    assert versions()[1] == "1.0"


def test_an_update_outlives_the_run_that_began_it() -> None:
    make_available("2.5")
    begun = playbook_begun("updates", "--limit", FIRST)
    active = "systemctl -q is-active dgxspark-updates"
    # It is halted before it can end, and continues when its waiting process is dead.
    halt = f"until {active}; do sleep 0.02; done; systemctl kill -s STOP dgxspark-updates"
    on_node(FIRST, f"timeout 300 sh -c '{halt}'; kill -9 $(pgrep -x systemd-run)")
    status, said = ended(begun)
    on_node(FIRST, "systemctl kill -s CONT dgxspark-updates")
    on_node(FIRST, f"timeout 60 sh -c 'while {active}; do sleep 0.2; done'")
    assert status != 0, said
    assert versions() == ["2.5", "1.0"]
    assert on_node(FIRST, "dpkg --audit") == ""


def test_a_reboot_is_made_only_where_it_is_asked_for() -> None:
    on_node(FIRST, "touch /run/reboot-required")
    status, said = playbook("updates", "--check")
    assert status == 0, said
    assert "a reboot would be needed: an earlier update requires it" in said
    # The lab's nodes are containers: something has to start them again.
    over = threading.Event()

    def switch_on() -> None:
        while not over.is_set():
            if (
                run("docker", "inspect", "-f", "{{.State.Running}}", FIRST).stdout.strip()
                == "false"
            ):
                run("docker", "start", FIRST)
            time.sleep(1)

    watcher = threading.Thread(target=switch_on)
    watcher.start()
    try:
        status, said = playbook("updates", "-e", "dgxspark_updates_reboot=true")
    finally:
        over.set()
        watcher.join()
    assert status == 0, said
    assert "changed=1" in said
    # /run does not survive a reboot.
    assert on_node(FIRST, "ls /run/reboot-required 2>/dev/null || echo none").strip() == "none"


@pytest.mark.long
def test_what_is_served_is_restored() -> None:
    status, said = playbook("launch", "-e", "recipe=lab-tiny-solo", "--limit", FIRST)
    assert status == 0, said
    try:
        asked = "docker inspect -f '{{.Id}}' $(docker ps -q)"
        before = on_node(FIRST, asked)
        make_available("2.6", OTHER)
        status, said = playbook("updates")
        assert status == 0, said
        assert "lab-tiny-solo answers again" in said
        assert on_node(FIRST, asked) == before
        assert versions() == ["1.0", "2.6"]
    finally:
        playbook("stop")
