# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""control.yml in check mode on this machine, and the addresses on which control listens."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import bindable
import pytest
from dgxspark_control import config

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))
BINDABLE = ROOT / "roles" / "control" / "files" / "bindable.py"
SYSTEMD = {"control_systemd": {"stat": {"exists": True}}}
ALICE = {"ansible_host": "192.0.2.11", "ansible_user": "alice"}


def ran(folder: Path, node: dict[str, Any] | None = None, **variables: Any) -> tuple[int, str]:
    """Status and output of control.yml in check mode, as an unprivileged person may run it."""
    inventory = {
        "spark_heads": {"hosts": {"spark1": node or ALICE}},
        "spark_workers": {"hosts": {}},
        "all": {"vars": {"ansible_python_interpreter": sys.executable}},
    }
    path = folder / "inventory.json"
    path.write_text(json.dumps(inventory), encoding="utf-8")
    # They go before the vars of the role and what its tasks register.
    places = {
        "control_root": str(folder / "opt"),
        "control_state": str(folder / "state"),
        "control_config": str(folder / "etc" / "control.json"),
        "control_key": str(folder / "etc" / "control_key"),
        "control_unit": str(folder / "dgxspark-control.service"),
    }
    extra = {
        "ansible_become": False,
        "dgxspark_control_python": sys.executable,
        **places,
        **variables,
    }
    done = subprocess.run(
        [
            *(PROGRAM, "-i", str(path), str(ROOT / "playbooks/control.yml"), "--check", "--diff"),
            *("-e", json.dumps(extra)),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_check_mode_shows_the_settings_and_the_unit_and_writes_nothing(tmp_path: Path) -> None:
    node = {**ALICE, "dgxspark_recipe_paths": ["{{ inventory_dir }}/recipes"]}
    status, said = ran(
        tmp_path, node, **SYSTEMD, dgxspark_control_token="0" * 64, dgxspark_hosts="spark1"
    )
    assert status == 0, said
    settings = json.loads(
        "\n".join(
            re.findall(r"^\+([ {}].*)$", said.split("Write its settings")[1], re.M)
        ).partition("\n}")[0]
        + "}"
    )
    assert settings["token_sha256"] == "0" * 64
    assert settings["nodes"] == [
        {"name": "spark1", "address": "192.0.2.11", "port": 22, "user": "alice"}
    ]
    assert settings["inventory"] == [str(tmp_path / "inventory.json")]
    own = str(tmp_path / "state" / "recipes")
    assert settings["variables"] == {
        "dgxspark_hosts": "spark1",
        "dgxspark_recipe_dir": own,
        "dgxspark_recipe_paths": [own, str(tmp_path / "recipes")],
    }
    assert settings["endpoints"] == "/run/dgxspark-control/endpoints.json"
    config.parse(json.dumps(settings))
    for line in ("User=dgxspark-control", "KillMode=process", "ProtectHome=tmpfs"):
        assert f"+{line}\n" in said
    assert "PRIVATE KEY" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["inventory.json"]


@pytest.mark.parametrize(
    ("node", "variables", "expected"),
    [
        (ALICE, {}, "make control"),
        (ALICE, {**SYSTEMD, "dgxspark_control_bind": "0.0.0.0"}, "listens on every address"),
        (ALICE, {**SYSTEMD, "dgxspark_control_token": "secret"}, "64 hexadecimal digits"),
        (ALICE, {**SYSTEMD, "dgxspark_control_python": "/nonexistent"}, "Python 3.11 or newer"),
        (ALICE, {**SYSTEMD, "dgxspark_control_inventory": ["/nonexistent"]}, "/nonexistent"),
        ({**ALICE, "ansible_connection": "local"}, SYSTEMD, "has ansible_connection: local"),
        ({"ansible_host": "192.0.2.11"}, SYSTEMD, "spark1 has no ansible_user"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_installed(
    tmp_path: Path, node: dict[str, Any], variables: dict[str, Any], expected: str
) -> None:
    if not variables:
        variables = {"control_systemd": {"stat": {"exists": False}}}
    status, said = ran(tmp_path, node, **variables)
    assert status == 2, said
    # The message is wrapped at the width of the terminal.
    assert expected in " ".join(said.split()), said
    assert "secret" not in said or "64" in said
    assert "Install the list of its packages" not in said


def test_root_writes_nothing_below_a_folder_of_the_user_of_control() -> None:
    """A link that the user put there would lead root elsewhere."""
    named = {
        path.name: re.findall(r"control_(?:home|state|recipes)\b", path.read_text("utf-8"))
        for path in (ROOT / "roles" / "control" / "tasks").iterdir()
    }
    # The home of the user; what a job is found by, and what is removed with all it has.
    assert named.pop("install.yml") == ["control_home"]
    assert named.pop("remove.yml") == ["control_state"] * 2
    assert not any(named.values()), named


def problem(address: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", str(BINDABLE), address], capture_output=True, text=True, check=False
    )
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr.strip()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_a_private_address_of_this_machine_can_be_listened_on(address: str) -> None:
    assert problem(address) == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("0.0.0.0", "every address"),
        ("::", "every address"),
        ("8.8.8.8", "no private address"),
        ("224.0.0.1", "no private address"),
        ("169.254.1.1", "no private address"),
        ("100.128.0.1", "no private address"),
        ("100.64.255.1", "this machine does not have it"),
        ("10.255.255.254", "this machine does not have it"),
        ("spark1.local", "no IP address"),
        ("127.0.0.1 ", "no IP address"),
        ("", "no IP address"),
    ],
)
def test_other_addresses_are_refused(address: str, expected: str) -> None:
    assert expected in problem(address)


def test_the_program_refuses_what_the_role_refuses() -> None:
    """What is private is decided in both, before and after there is a program."""
    for address in (
        "127.0.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "192.168.1.1",
        "8.8.8.8",
        "0.0.0.0",
        "::",
    ):
        text = json.dumps(
            {
                "bind": address,
                "state": "/s",
                "inventory": ["/i"],
                "ansible_playbook": "/a",
                "collections": "/c",
            }
        )
        try:
            config.parse(text)
            accepted = True
        except config.ConfigError:
            accepted = False
        refused = bindable.problem_of(address)
        assert accepted == (not refused or "does not have it" in refused), address


def test_the_address_has_to_be_one_of_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # A port that is taken is no matter of the address.
        assert problem("127.0.0.1") == ""
