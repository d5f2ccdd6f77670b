# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts, run by a real shell on a node that is a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launcher_texts import (
    scripts,
    units,
)

# Says what it was started as: its words, one a line, and the pins.
ECHO = """#!/bin/sh
for word; do printf '<%s>\\n' "$word"; done
echo "pins ${TRITON_PTXAS_PATH-none} ${TRITON_PTXAS_BLACKWELL_PATH-none}"
"""


class Node:
    def __init__(self, root: Path) -> None:
        self.root = root
        texts = scripts(
            str(root / "bin"), str(root / "paths.env"), str(root / "work"), str(root / "ray.env")
        )
        for name, text in texts.items():
            self.program(f"bin/{name}", text)
        (root / "work").mkdir()
        self.vllm = self.program("venv/vllm", ECHO)
        self.ray = self.program("venv/ray", ECHO)
        self.write("paths.env", f"VLLM_BIN={self.vllm}\nexport RAY_BIN='{self.ray}'\n")
        self.write("work/tiny.env", "MODEL=org/tiny\nPORT=8000\n")
        self.write("ray.env", "RAY_HEAD_ADDRESS=192.0.2.1\nRAY_NODE_ADDRESS=192.0.2.2\n")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, path: str, text: str) -> str:
        file = self.write(path, text)
        file.chmod(0o755)
        return str(file)

    def run(self, name: str, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.root / "bin" / name, *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_vllm_is_started_by_its_absolute_path_with_the_words_of_its_file(node: Node) -> None:
    node.write(
        "work/tiny.env",
        "# a comment\nMODEL=org/tiny\nHOST=192.0.2.1\nPORT=8001\nHF_TOKEN=x\n"
        'ARG=--chat-template\nARG=/a path/with $(touch no) `id` "quotes"\nARG=last',
    )
    code, said = node.run("dgxspark-vllm", "tiny")
    assert code == 0
    assert said == (
        "<serve>\n<org/tiny>\n<--host>\n<192.0.2.1>\n<--port>\n<8001>\n<--chat-template>\n"
        '</a path/with $(touch no) `id` "quotes">\n<last>\npins none none\n'
    )


def test_pins_reach_the_server_and_a_dead_one_ends_it(node: Node) -> None:
    paths = node.root / "paths.env"
    paths.write_text(paths.read_text() + f"TRITON_PTXAS_PATH={node.vllm}\n")
    assert f"pins {node.vllm} none" in node.run("dgxspark-vllm", "tiny")[1]
    paths.write_text(paths.read_text() + "TRITON_PTXAS_BLACKWELL_PATH=/gone/ptxas\n")
    code, said = node.run("dgxspark-vllm", "tiny")
    assert code == 78
    assert (
        "TRITON_PTXAS_BLACKWELL_PATH is not executable: /gone/ptxas; run ansible-playbook" in said
    )


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ("VLLM_BIN=/gone/vllm\n", "VLLM_BIN is not executable: /gone/vllm; "),
        ("VLLM_BIN=/tmp\n", "VLLM_BIN is not executable: /tmp; "),
        ("VLLM_BIN=/etc/passwd\n", "VLLM_BIN is not executable: /etc/passwd; "),
        ("VLLM_BIN=vllm\n", "VLLM_BIN is not an absolute path: vllm; "),
        ("", "VLLM_BIN is not set in "),
        ("VLLM_BIN=$(touch {root}/pwned)\n", "VLLM_BIN is not an absolute path: $(touch "),
        ("VLLM_BIN=/x;touch {root}/pwned\n", "VLLM_BIN is not executable: /x;touch "),
    ],
)
def test_a_binary_that_cannot_be_used_is_named_with_what_brings_it(
    node: Node, paths: str, message: str
) -> None:
    node.write("paths.env", paths.replace("{root}", str(node.root)))
    code, said = node.run("dgxspark-vllm", "tiny")
    assert (code, said.startswith(f"dgxspark-vllm: {message}")) == (78, True)
    assert said.endswith("; run ansible-playbook dgxspark.suite.site --tags vllm_venv\n")
    assert not (node.root / "pwned").exists()


def test_the_last_assignment_counts_and_quotes_are_not_part_of_it(node: Node) -> None:
    node.write("paths.env", f'VLLM_BIN=/old\n#VLLM_BIN=/no\nexport VLLM_BIN="{node.vllm}"\n')
    assert node.run("dgxspark-vllm", "tiny")[0] == 0


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "x/y", "$(id)", "gone"])
def test_a_name_is_no_path_and_no_program(node: Node, name: str) -> None:
    assert node.run("dgxspark-vllm", name)[0] == 78
    assert node.run("dgxspark", "serve", name)[0] == 78


def test_rays_head_and_worker_know_their_addresses(node: Node) -> None:
    text = "RAY_HEAD_ADDRESS=192.0.2.1\nRAY_NODE_ADDRESS=192.0.2.2\nRAY_OBJECT_STORE_BYTES=9\n"
    node.write("ray.env", text)
    words = node.run("dgxspark-ray-head")[1].replace("\n", " ")
    assert words.startswith(
        "<start> <--block> <--disable-usage-stats> <--node-ip-address> <192.0.2.2>"
    )
    assert "<--object-store-memory> <9> <--head> <--port> <6379>" in words
    assert "<--dashboard-host> <127.0.0.1>" in words
    assert "<--address> <192.0.2.1:6379>" in node.run("dgxspark-ray-worker")[1].replace("\n", " ")
    node.write("ray.env", "RAY_HEAD_ADDRESS=192.0.2.1\n")
    assert "RAY_NODE_ADDRESS is not set" in node.run("dgxspark-ray-head")[1]


TOKEN = """RAY_HEAD_ADDRESS=192.0.2.1
RAY_NODE_ADDRESS=192.0.2.1
RAY_AUTH_MODE=token
RAY_AUTH_TOKEN_PATH={token}
"""
RAY = """#!/bin/sh
[ "$1" != --version ] || { echo 'ray, version {version}'; exit; }
echo "$1 $RAY_AUTH_MODE $RAY_AUTH_TOKEN_PATH"
"""


@pytest.mark.parametrize("script", ["dgxspark-ray-head", "dgxspark-ray-worker"])
@pytest.mark.parametrize(
    ("version", "starts"),
    [
        *(("2.52.0", True), ("2.60.0", True), ("3.0.0.dev0", True), ("2.9.0", False)),
        *(("2.51.9", False), ("1.99", False), ("", False), ("odd", False), ("2", False)),
        ("$(id)", False),
    ],
)
def test_ray_starts_only_if_it_can_require_the_token(
    node: Node, script: str, version: str, starts: bool
) -> None:
    token = node.write("ray-token", "abc")
    node.write("ray.env", TOKEN.format(token=token))
    node.write("venv/ray", RAY.replace("{version}", version))
    code, said = node.run(script)
    if starts:
        assert (code, said) == (0, f"start token {token}\n")
    else:
        assert code == 78
        assert "install Ray 2.52" in said


@pytest.mark.parametrize("text", [None, ""])
def test_ray_does_not_start_without_its_token(node: Node, text: str | None) -> None:
    node.write("ray.env", TOKEN.format(token=node.root / "ray-token"))
    if text is not None:
        node.write("ray-token", text)
    code, said = node.run("dgxspark-ray-head")
    assert (code, "ray-token cannot be read" in said) == (78, True)


@pytest.mark.parametrize("words", [(), ("help",), ("--help",)])
def test_the_command_explains_itself(node: Node, words: tuple[str, ...]) -> None:
    code, said = node.run("dgxspark", *words)
    assert code == 0
    for verb in ("serve NAME", "stop NAME", "restart NAME", "status [NAME]", "logs NAME"):
        assert f"dgxspark {verb}" in said


def test_the_command_names_what_it_does_not_know(node: Node) -> None:
    code, said = node.run("dgxspark", "start", "tiny")
    assert (code, "start" in said) == (78, True)
    code, said = node.run("dgxspark", "stop", "tyni")
    assert (code, "known: tiny" in said) == (78, True)
    assert "needs one name" in node.run("dgxspark", "serve")[1]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say(node: Node) -> None:
    files = sorted((node.root / "bin").iterdir())
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_units_bound_how_often_they_start() -> None:
    found = units(
        "/opt/bin", "/etc/work", "/etc/ray.env", "alice", 3, 3600, {"MEMLOCK": "infinity"}
    )
    assert sorted(found) == [
        "dgxspark-ray-head.service",
        "dgxspark-ray-worker.service",
        "dgxspark-vllm@.service",
    ]
    for text in found.values():
        for line in ("StartLimitBurst=3", "StartLimitIntervalSec=3600", "Restart=on-failure"):
            assert f"\n{line}\n" in text
        assert "\nUser=alice\n" in text
        assert "\nLimitMEMLOCK=infinity\n" in text
    assert "\nExecStart=/opt/bin/dgxspark-vllm %i\n" in found["dgxspark-vllm@.service"]
    files = "\nEnvironmentFile=-/etc/ray.env\nEnvironmentFile=-/etc/work/%i.env\n"
    assert files in found["dgxspark-vllm@.service"]


@pytest.mark.skipif(not shutil.which("systemctl"), reason="no systemd here")
def test_the_status_is_json_for_programs(node: Node) -> None:
    code, said = node.run("dgxspark", "status", "--json")
    if code:
        pytest.skip(f"no systemd answers here: {said}")
    assert [load["name"] for load in json.loads(said)] == ["tiny", "ray-head", "ray-worker"]
