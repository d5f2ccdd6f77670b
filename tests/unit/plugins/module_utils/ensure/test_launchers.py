# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts and units on a node that is a folder, with a systemd that is a script."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import (
    launcher_account,
    launchers,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launcher_account import (
    Account,
    judge_user,
    ray_version,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launchers import (
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.sockets import RayPort

# Its units are stale when `stale` is there, and enabled when they are named in `enabled`.
SYSTEMCTL = """#!/bin/sh
cd {root}
echo "$*" >>calls
case $1 in
    daemon-reload) rm -f stale ;;
    enable) shift; printf '%s\\n' "$@" >>enabled ;;
    show)
        shift 3
        for unit; do
            printf 'Id=%s\\nLoadState=loaded\\n' "$unit"
            [ -e stale ] && echo NeedDaemonReload=yes || echo NeedDaemonReload=no
            grep -qsx "$unit" enabled && echo UnitFileState=enabled || echo UnitFileState=disabled
            echo
        done ;;
esac
"""
FILES = {
    *("launcher_dgxspark", "launcher_dgxspark_vllm"),
    *("launcher_dgxspark_ray_head", "launcher_dgxspark_ray_worker"),
    *("unit_dgxspark_vllm", "unit_dgxspark_ray_head", "unit_dgxspark_ray_worker"),
}
RAY = {"ray_head_address": "192.0.2.1", "ray_node_address": "192.0.2.2"}
HEAD = {"ray_head_address": "192.0.2.1", "ray_node_address": "192.0.2.1"}


class Node:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports: list[RayPort] = []
        self.account = Account("root", os.geteuid())
        self.systemctl = root / "systemctl"
        self.systemctl.write_text(SYSTEMCTL.replace("{root}", str(root)))
        self.systemctl.chmod(0o755)

    @property
    def token(self) -> Path:
        return self.root / "secret" / "token"

    def calls(self, verb: str) -> list[str]:
        lines = (self.root / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(verb)]

    def wanted(self, **parameters: Any) -> Wanted:
        return Wanted(
            **{
                "folder": "/opt/bin",
                "unit_folder": "/etc/units",
                "workloads": "/etc/work",
                "ray_file": "/etc/ray.env",
                "user": "root",
                "starts": 3,
                "interval": 3600,
                "ray_head_address": "",
                "ray_node_address": "",
                "ray_port": 6379,
                "ray_object_store_bytes": 0,
                "ray_auth": True,
                "writable": [],
                "limits": {"MEMLOCK": "infinity", "NOFILE": 1024},
                "enabled": [],
                **{
                    name: str(self.root) + path
                    for name, path in (
                        ("folder", "/bin"),
                        ("unit_folder", "/units"),
                        ("ray_file", "/ray.env"),
                        ("ray_token_file", "/secret/token"),
                        ("paths_file", "/paths.env"),
                    )
                },
                **parameters,
            }
        )

    def run(self, act: bool, **parameters: Any) -> tuple[dict[str, Any], str]:
        wanted = self.wanted(**parameters)
        return converge(partial(observe, wanted), partial(plan, wanted=wanted), act)

    def repaired(self, *checks: str, **parameters: Any) -> dict[str, Any]:
        """Check and run announce and do the same; the next run is silent."""
        checked, _complaint = self.run(False, **parameters)
        assert having(checked, "drift") == set(checks)
        done, complaint = self.run(True, **parameters)
        assert having(done, "fixed") == set(checks), complaint
        assert (done["changed"], done["diff"]) == (checked["changed"], checked["diff"])
        again, complaint = self.run(True, **parameters)
        assert (again["changed"], complaint) == (False, "")
        return done


def having(result: dict[str, Any], status: str) -> set[str]:
    return {entry["check"] for entry in result["findings"] if entry["status"] == status}


class FakeAccount:
    """Reads the user of the node."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def read(self, _name: str) -> Account:
        return self.node.account


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)
    monkeypatch.setattr(launchers, "find_tool", lambda _name: str(node.systemctl))
    monkeypatch.setattr(launchers, "ray_ports", lambda: node.ports)
    monkeypatch.setattr(launchers, "Account", FakeAccount(node))
    return node


@pytest.fixture
def converged(node: Node) -> Node:
    assert node.run(True)[1] == ""
    return node


def test_a_fresh_node_gets_scripts_and_units_and_systemd_reads_them(node: Node) -> None:
    node.repaired(*FILES)
    assert (node.root / "bin" / "dgxspark").stat().st_mode & 0o777 == 0o755
    assert (node.root / "units" / "dgxspark-vllm@.service").stat().st_mode & 0o777 == 0o644
    assert len(node.calls("daemon-reload")) == 1
    assert not (node.root / "ray.env").exists()


def test_an_edited_launcher_is_put_right_without_a_reload(converged: Node) -> None:
    script = converged.root / "bin" / "dgxspark-vllm"
    script.write_text(script.read_text() + "echo mine\n")
    converged.repaired("launcher_dgxspark_vllm")
    script.chmod(0o777)
    converged.repaired("launcher_dgxspark_vllm")
    assert len(converged.calls("daemon-reload")) == 1


def test_an_edited_unit_is_put_right_with_a_reload(converged: Node) -> None:
    (converged.root / "units" / "dgxspark-ray-head.service").unlink()
    converged.repaired("unit_dgxspark_ray_head")
    assert len(converged.calls("daemon-reload")) == 2
    (converged.root / "stale").write_text("")
    converged.repaired("units_loaded")
    assert len(converged.calls("daemon-reload")) == 3


def test_ray_is_told_its_addresses_where_it_is_used(converged: Node) -> None:
    converged.token.parent.mkdir()
    converged.token.write_text("abc")
    converged.token.chmod(0o600)
    converged.repaired("ray_config", **RAY, ray_object_store_bytes=9)
    text = (converged.root / "ray.env").read_text()
    assert text.splitlines()[1:] == [
        "RAY_HEAD_ADDRESS=192.0.2.1",
        "RAY_NODE_ADDRESS=192.0.2.2",
        "RAY_PORT=6379",
        "RAY_OBJECT_STORE_BYTES=9",
        "RAY_AUTH_MODE=token",
        f"RAY_AUTH_TOKEN_PATH={converged.token}",
    ]
    converged.repaired("ray_config", **RAY, ray_auth=False)
    assert "AUTH" not in (converged.root / "ray.env").read_text()
    converged.repaired("ray_config")
    assert not (converged.root / "ray.env").exists()


def test_the_head_creates_its_token_once_and_nothing_shows_it(converged: Node) -> None:
    done = converged.repaired("ray_config", "ray_token", **HEAD)
    token = converged.token.read_text()
    assert len(token) == 64
    assert stat.S_IMODE(converged.token.stat().st_mode) == 0o600
    assert token not in str(done)
    converged.token.chmod(0o644)
    converged.repaired("ray_token", **HEAD)
    assert stat.S_IMODE(converged.token.stat().st_mode) == 0o600
    assert converged.token.read_text() == token


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_token_is_the_users(converged: Node) -> None:
    converged.account = Account("nobody", 65534)
    converged.repaired("ray_config", "ray_token", **HEAD)
    assert converged.token.stat().st_uid == 65534


def test_a_worker_gets_its_token_from_the_head_and_makes_none(converged: Node) -> None:
    checked, _complaint = converged.run(False, **RAY)
    assert having(checked, "drift") == {"ray_config", "ray_token"}
    done, complaint = converged.run(True, **RAY)
    assert (having(done, "fixed"), having(done, "blocked")) == ({"ray_config"}, {"ray_token"})
    assert "head" in complaint
    assert not converged.token.exists()


def test_a_link_in_place_of_the_token_is_not_followed(converged: Node) -> None:
    other = converged.root / "other"
    other.write_text("")
    other.chmod(0o644)
    converged.token.parent.mkdir()
    converged.token.symlink_to(other)
    result, _complaint = converged.run(True, **HEAD)
    assert having(result, "blocked") == {"ray_token"}
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("version", "blocked"),
    [("2.51.2", True), ("1.9", True), ("2.52.0", False), ("2.60.0", False), ("3.0", False)],
)
def test_a_ray_that_can_require_no_token_is_refused(
    converged: Node, version: str, blocked: bool
) -> None:
    site = converged.root / "venv" / "lib" / "python3.12" / "site-packages"
    (site / f"ray-{version}.dist-info").mkdir(parents=True)
    ray = converged.root / "venv" / "bin" / "ray"
    (converged.root / "paths.env").write_text(f"RAY_BIN={ray}\n")
    assert ray_version(str(ray)) == version
    result, _complaint = converged.run(False, **HEAD)
    assert (having(result, "blocked") == {"ray_token"}) is blocked
    result, _complaint = converged.run(False, **HEAD, ray_auth=False)
    assert having(result, "blocked") == set()


@pytest.mark.parametrize(
    ("address", "asks", "status"),
    [
        ("0.0.0.0", False, "blocked"),
        ("::", False, "blocked"),
        ("198.51.100.7", False, "blocked"),
        ("0.0.0.0", True, "ok"),
        ("127.0.0.1", False, "ok"),
        ("::1", False, "ok"),
        ("192.0.2.1", False, "ok"),
    ],
)
def test_a_ray_that_takes_orders_from_anybody_is_reported(
    converged: Node, address: str, asks: bool, status: str
) -> None:
    converged.ports = [RayPort(address, 46379, 7, "gcs_server", asks)]
    result, _complaint = converged.run(False, **HEAD, ray_auth=False)
    (found,) = [entry for entry in result["findings"] if entry["check"] == "ray_reachable"]
    assert found["status"] == status
    assert status == "ok" or f"{address} port 46379" in found["actual"]


def test_the_user_of_the_servers_is_created_with_the_groups_of_the_gpu(converged: Node) -> None:
    calls = converged.root / "users"
    tool = converged.root / "useradd"
    tool.write_text(f"#!/bin/sh\necho $* >>{calls}\n")
    tool.chmod(0o755)
    absent = Account("dgxspark", -1, ("video", "render"), False, str(tool), str(tool))
    converged.account = absent
    checked, _complaint = converged.run(False, user="dgxspark")
    assert having(checked, "drift") >= {"launchers_user"}
    assert not calls.exists()
    converged.run(True, user="dgxspark")
    (call,) = calls.read_text().splitlines()
    assert call.startswith("--system --user-group --groups video,render ")
    assert call.endswith("--shell /usr/sbin/nologin dgxspark")
    assert "--gid dgxspark" in " ".join(replace(absent, own_group=True).creation)
    calls.unlink()
    converged.account = replace(absent, uid=999, missing=("render",))
    converged.run(True, user="dgxspark")
    assert calls.read_text() == "--append --groups render dgxspark\n"


@pytest.mark.parametrize(
    ("account", "status"),
    [
        (Account("root", 0), "ok"),
        (Account("alice", 1000, ("video",)), "ok"),
        (Account("alice", -1), "blocked"),
        (Account("dgxspark", 999), "ok"),
        (Account("dgxspark", -1, useradd="/sbin/useradd", is_root=False), "blocked"),
        (Account("dgxspark", -1), "blocked"),
    ],
)
def test_other_users_are_neither_created_nor_changed(account: Account, status: str) -> None:
    found, actions = judge_user(account)
    assert (found.status, actions) == (status, ())


def test_the_user_is_read_from_the_node() -> None:
    assert launcher_account.Account.read("root").uid == 0
    assert launcher_account.Account.read("nobody-here").uid == -1


def test_units_are_enabled_and_not_started(converged: Node) -> None:
    converged.repaired("units_enabled", enabled=["dgxspark-ray-head", "dgxspark-vllm@tiny"])
    enabled = "enable dgxspark-ray-head.service dgxspark-vllm@tiny.service"
    assert converged.calls("enable") == [enabled]
    assert converged.calls("start") == []


def test_files_of_others_are_left_alone_and_the_rest_is_written(node: Node) -> None:
    (node.root / "bin" / "dgxspark").mkdir(parents=True)
    foreign = node.root / "units" / "dgxspark-ray-head.service"
    foreign.parent.mkdir()
    foreign.write_text("[Service]\nExecStart=/theirs\n")
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"launcher_dgxspark", "unit_dgxspark_ray_head"}
    assert having(result, "fixed") == FILES - {"launcher_dgxspark", "unit_dgxspark_ray_head"}
    assert foreign.read_text() == "[Service]\nExecStart=/theirs\n"
    assert "does not belong" in complaint


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nkill -ABRT $$\n"])
def test_without_a_systemd_what_it_knows_is_not_assessed(node: Node, text: str) -> None:
    node.systemctl.write_text(text)
    result, _complaint = node.run(False, enabled=["dgxspark-ray-head"])
    assert having(result, "skipped") == {"units_loaded", "units_enabled"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"folder": "bin"}, "folder: expected an absolute path"),
        ({"folder": "/opt/../etc"}, "folder: expected an absolute path"),
        ({"workloads": "/etc/x y"}, "workloads: expected an absolute path"),
        ({"paths_file": "/etc/$(id)"}, "paths_file: expected an absolute path"),
        ({"user": "alice\nExecStart=/bin/sh"}, "user: expected the name"),
        ({"ray_head_address": "spark1.local"}, "ray_head_address: "),
        ({"ray_head_address": "192.0.2.1"}, "both or neither"),
        ({"writable": ["/ai\nUser=root"]}, "writable: expected"),
        ({"ray_token_file": "/a b"}, "ray_token_file: expected"),
        ({"starts": 0}, "starts: expected more than 0"),
        ({"limits": {"MEMLOCK": "1\nUser=root"}}, "limits: expected"),
        ({"limits": {"memlock": 1}}, "limits: expected"),
        ({"enabled": ["sshd"]}, "enabled: expected"),
        ({"enabled": ["dgxspark-vllm@../x"]}, "enabled: expected"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    node: Node, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        node.wanted(**parameters)
