# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with a fake Docker client whose image is a Python with a fake Triton."""

from __future__ import annotations

import json
import shlex
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import image_facts
from ansible_collections.dgxspark.suite.plugins.modules import image_preflight

ID = "sha256:" + "4467" * 16

# Compiles for the GB10 only with the variable that a Triton of its series reads.
TRITON = """
import os, sys, types
__version__ = "@VERSION@"
pinned = os.environ.get("@VARIABLE@", "")
path = pinned or os.path.join(os.path.dirname(__file__), "ptxas")

def compile(source, target):
    if not pinned and not @OWN@:
        raise RuntimeError("ptxas fatal: Value 'sm_121a' is not defined for option 'gpu-name'")
    return types.SimpleNamespace(asm={"cubin": b"1"})

def module(name, **names):
    sys.modules["triton." + name] = types.SimpleNamespace(**names)

jit = lambda function: function
module("language")
module("compiler", ASTSource=lambda fn, signature: fn)
module("backends")
module("backends.compiler", GPUTarget=lambda *target: target)
module("backends.nvidia")
module("backends.nvidia.compiler", get_ptxas=lambda: types.SimpleNamespace(path=path))
"""

PTXAS = r"""#!/bin/sh
case "$1" in
    --version) echo 'Cuda compilation tools, release 13.0, V13.0.88' ;;
    *) printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\276\0' > "$4" ;;
esac
"""


class Node:
    """A node with one toolkit and one image."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        self.calls = root / "calls"
        self.ptxas = self._program(root / "cuda" / "ptxas", PTXAS)

    @staticmethod
    def _program(path: Path, text: str) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def image(
        self, version: str = "", variable: str = "TRITON_PTXAS_PATH", own: bool = False
    ) -> None:
        site = self.root / "site"
        run = 'PYTHONPATH=%s exec %s "$@"' % (shlex.quote(str(site)), sys.executable)
        if version:
            package = site / "triton"
            package.mkdir(parents=True)
            text = TRITON.replace("@VERSION@", version).replace("@VARIABLE@", variable)
            (package / "__init__.py").write_text(text.replace("@OWN@", str(own)))
            self._program(package / "ptxas", PTXAS)
            metadata = site / ("triton-%s.dist-info" % version)
            metadata.mkdir()
            (metadata / "METADATA").write_text("Name: triton\nVersion: %s\n" % version)
        self.engine(run)

    def engine(self, run: str) -> None:
        text = """#!/bin/sh
echo "$*" >> %s
case "$1" in
    image)
        for last; do :; done
        [ "$last" = serving:1 ] || { echo "No such image: $last" >&2; exit 1; }
        echo %s ;;
    run)
        while [ "$1" != --entrypoint ]; do shift; done
        shift 3
        %s ;;
esac
"""
        self._program(self.root / "docker", text % (self.calls, ID, run))

    def ask(self, image: str = "serving:1", check: bool = False) -> dict[str, t.Any]:
        arguments = {
            "image": image,
            "docker_bin": str(self.root / "docker"),
            "paths_file": str(self.root / "paths.env"),
            "state_dir": str(self.root / "state"),
            "_ansible_check_mode": check,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            image_preflight.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))

    @property
    def containers(self) -> int:
        return sum(line.startswith("run ") for line in self.calls.read_text().splitlines())


@pytest.fixture
def node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Node:
    made = Node(tmp_path, capsys)
    monkeypatch.setattr(image_facts, "cuda_ptxas", lambda: [made.ptxas])
    return made


def test_an_image_whose_triton_works_is_asked_once(node: Node) -> None:
    node.image("3.9.0", own=True)
    first = node.ask()
    assert first["image_facts"]["assembles"] is True
    assert first["image_facts"]["triton"] == "3.9.0"
    assert (first["image_facts"]["pins"], first["image_facts"]["message"]) == ({}, "")
    assert first["changed"] is False
    assert node.ask()["image_facts"] == first["image_facts"]
    assert node.containers == 1


@pytest.mark.parametrize("variable", ["TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH"])
def test_the_pin_is_the_variable_that_works(node: Node, variable: str) -> None:
    node.image("3.5.1", variable)
    facts = node.ask()["image_facts"]
    assert facts["pins"] == {variable: node.ptxas}
    assert facts["assembles"] is True
    assert "Triton 3.5.1 of serving:1 does not compile for sm_121" in facts["message"]
    assert f"{variable}={node.ptxas}" in facts["message"]


def test_an_image_that_does_not_work_has_a_way_out_and_is_asked_again(node: Node) -> None:
    node.image("3.5.1", "NO_SUCH_VARIABLE")
    facts = node.ask()["image_facts"]
    assert facts["assembles"] is False
    assert "Upgrade Triton to 3.6 or later" in facts["way_out"]
    node.ask()
    assert node.containers == 2


def test_an_image_without_triton_is_no_error(node: Node) -> None:
    node.image()
    facts = node.ask()["image_facts"]
    assert facts["assembles"] is None
    assert facts["python"]
    assert (facts["triton"], facts["pins"]) == ("", {})


def test_an_image_without_python_is_no_error_either(node: Node) -> None:
    node.engine('echo "docker: exec: python3: executable file not found" >&2; exit 127')
    facts = node.ask()["image_facts"]
    assert (facts["assembles"], facts["python"], facts["image_id"]) == (None, "", ID)
    node.ask()
    assert node.containers == 1


def test_an_engine_that_fails_is_reported_and_nothing_is_recorded(node: Node) -> None:
    node.engine('echo "docker: no space left on device" >&2; exit 125')
    result = node.ask()
    assert result["failed"] is True
    assert "no space left on device" in result["msg"]
    assert not (node.root / "state").exists()


def test_check_mode_asks_and_writes_nothing(node: Node) -> None:
    node.image("3.9.0", own=True)
    assert node.ask(check=True)["image_facts"]["assembles"] is True
    assert not (node.root / "state").exists()


def test_after_a_toolkit_is_replaced_the_image_is_asked_again(node: Node) -> None:
    node.image("3.5.1")
    node.ask()
    Path(node.ptxas).write_text(PTXAS + "# newer\n")
    node.ask()
    assert node.containers == 2


def test_a_broken_record_is_replaced(node: Node) -> None:
    node.image("3.9.0", own=True)
    node.ask()
    (record,) = (node.root / "state" / "images").glob("*.json")
    record.write_text("{ half")
    assert node.ask()["image_facts"]["assembles"] is True
    assert json.loads(record.read_text())["facts"]["image_id"] == ID


def test_a_missing_image_fails_a_run_and_not_a_check(node: Node) -> None:
    node.image()
    assert (
        "it is asked as soon as it is" in node.ask("gone:1", check=True)["image_facts"]["message"]
    )
    result = node.ask("gone:1")
    assert result["failed"] is True
    assert "gone:1 is not on this node" in result["msg"]
