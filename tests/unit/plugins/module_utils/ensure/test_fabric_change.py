# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change and the ways back from it, with programs that only note what they are told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import fabric_change
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import Link

# Named as no interface is: the script that undoes a change is run for real.
LINK = Link("no-such-link0", "02::1", 1500, True, True, ("198.51.100.77/27",))
AFTER = "198.51.100.11/25"


@dataclass(frozen=True)
class Node:
    """A folder with tools; `ip` says that the link is as wanted, unless told otherwise."""

    root: Path

    @property
    def folder(self) -> str:
        return str(self.root / "state" / "fabric-change")

    @property
    def file(self) -> Path:
        return self.root / "60-fabric.yaml"

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def tool(self, name: str, script: str = "") -> str:
        path = self.root / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.root}/calls\n{script}\n')
        path.chmod(0o755)
        return str(path)

    def tools(self, **scripts: str) -> fabric_change.Tools:
        said = [
            {
                "ifname": LINK.name,
                "flags": ["UP"],
                "mtu": 9000,
                "addr_info": [
                    {
                        "family": "inet",
                        "scope": "global",
                        "local": AFTER.partition("/")[0],
                        "prefixlen": 25,
                    }
                ],
            }
        ]
        names = ("netplan", "systemctl", "systemd_run", "networkctl")
        ip = self.tool("ip", f"[ $1 = -json ] && echo '{json.dumps(said)}'; true")
        return fabric_change.Tools(
            ip, *(self.tool(name, scripts.get(name, "")) for name in names), nmcli=""
        )

    def change(self, tools: fabric_change.Tools, carried: Sequence[str] = (LINK.name,)) -> None:
        fabric_change.change(
            tools,
            "networkd",
            [str(self.file), str(self.root / "facts")],
            "new\n",
            [LINK],
            {LINK.name: (AFTER, 9000)},
            ["no-such-link1"],
            lambda: carried,
            60,
            self.folder,
        )


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    # What these programs report does not change.
    monkeypatch.setattr(fabric_change, "_STEADY_SECONDS", 0.0)
    return Node(tmp_path)


def test_a_change_waits_to_be_confirmed(node: Node) -> None:
    node.file.write_text("old\n")
    tools = node.tools()
    node.change(tools)
    assert node.file.read_text() == "new\n"
    assert node.file.stat().st_mode & 0o777 == 0o600
    waiting = fabric_change.open_change(node.folder)
    assert waiting is not None
    assert waiting.carried == (LINK.name,)
    # The timer is set before anything is written or applied.
    names = [line.partition(" ")[0] for line in node.calls]
    assert names.index("systemd_run") < names.index("netplan")
    assert f"networkctl reconfigure {LINK.name}" in node.calls
    assert "ip address flush dev no-such-link1" in node.calls
    assert any("--on-active=60s" in line and "undo.sh" in line for line in node.calls)
    assert fabric_change.confirm(tools, node.folder)
    assert fabric_change.open_change(node.folder) is None
    assert not fabric_change.confirm(tools, node.folder)
    assert node.file.read_text() == "new\n"


def test_an_undo_puts_back_file_and_links(node: Node) -> None:
    node.file.write_text("old\n")
    tools = node.tools()
    node.change(tools)
    (node.root / "facts").write_text("new\n")
    fabric_change.undo(tools, node.folder)
    assert node.file.read_text() == "old\n"
    assert not (node.root / "facts").exists()
    assert fabric_change.open_change(node.folder) is None
    assert not Path(node.folder + ".undoing").exists()


def test_a_second_change_goes_back_to_what_was_before_the_first(node: Node) -> None:
    node.file.write_text("old\n")
    tools = node.tools()
    node.change(tools)
    node.change(tools, carried=())
    waiting = fabric_change.open_change(node.folder)
    assert waiting is not None
    assert waiting.carried == (LINK.name,)
    fabric_change.undo(tools, node.folder)
    assert node.file.read_text() == "old\n"


def test_a_program_that_fails_takes_the_change_back(node: Node) -> None:
    node.file.write_text("old\n")
    with pytest.raises(Blocked, match="reconfigure no-such-link0: exit status 1"):
        node.change(node.tools(networkctl="[ $1 = reload ]"))
    assert node.file.read_text() == "old\n"
    assert fabric_change.open_change(node.folder) is None


def test_without_a_timer_nothing_is_changed(node: Node) -> None:
    node.file.write_text("old\n")
    with pytest.raises(Blocked, match="undo timer"):
        node.change(node.tools(systemd_run="exit 1"))
    assert node.file.read_text() == "old\n"
    assert [line for line in node.calls if line.startswith("netplan")] == []


def test_links_that_do_not_follow_take_the_change_back(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fabric_change, "_SETTLE_SECONDS", 0.1)
    tools = replace(node.tools(), ip=node.tool("ip", "echo '[]'"))
    with pytest.raises(Blocked, match="no-such-link0 did not get"):
        node.change(tools)
    assert not node.file.exists()


def test_an_undo_that_was_interrupted_is_done_again_before_the_next_change(node: Node) -> None:
    node.file.write_text("old\n")
    tools = node.tools()
    node.change(tools)
    Path(node.folder).rename(node.folder + ".undoing")
    node.change(tools)
    assert not Path(node.folder + ".undoing").exists()
    fabric_change.undo(tools, node.folder)
    assert node.file.read_text() == "old\n"


def test_the_script_quotes_what_it_is_given(node: Node) -> None:
    folder = str(node.root / "it's; here")
    script = fabric_change.undo_script(node.tools(), "networkd", folder, ["/a b"], [LINK])
    path = node.root / "undo.sh"
    path.write_text(script)
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0
    assert "restore no-such-link0 1500 up 198.51.100.77/27" in script
    assert "put_back '/a b'" in script


def test_a_change_whose_notes_are_gone_is_still_open(node: Node) -> None:
    Path(node.folder).mkdir(parents=True)
    assert fabric_change.open_change(node.folder) is None
    (Path(node.folder) / "change.json").write_text("garbage")
    assert fabric_change.open_change(node.folder) == fabric_change.Open((), 0.0)
