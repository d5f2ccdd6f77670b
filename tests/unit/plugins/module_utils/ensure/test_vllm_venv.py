# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual environment, made and repaired by the real pip from wheels made here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import vllm_venv
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.vllm_venv import (
    Clear,
    Wanted,
    compare,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.distributions import (
    Distribution,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.requirements import Pin

PINS = "alpha==1.0\nvllm==0.32.0\n"


def wheel(folder: Path, name: str, version: str) -> None:
    """A package with one module, and a program of its name."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\ndef main():\n    print(VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("wheelhouse")
    for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0"), ("vllm", "0.32.0")):
        wheel(folder, name, version)
    return folder


class Node:
    """The folder with the environment and everything else of a node."""

    def __init__(self, root: Path, wheelhouse: Path) -> None:
        self.root, self.wheelhouse = root, wheelhouse
        self.venv = root / "tools" / "env"

    @property
    def site(self) -> Path:
        return next(self.venv.glob("lib/python3*/site-packages"))

    def ours(self) -> list[str]:
        return sorted(path.name for path in self.venv.parent.iterdir())

    def wanted(self, **parameters: Any) -> Wanted:
        return Wanted(
            **{
                "path": str(self.venv),
                "python": os.path.realpath(sys.executable),
                "requirements": PINS,
                "wheelhouse": str(self.wheelhouse),
                "installer": "pip",
                "exact": False,
                "free_gib": 0.01,
                "log_file": str(self.root / "log" / "venv.log"),
                "paths_file": str(self.root / "etc" / "paths.env"),
                "timeout": 120,
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


def finding(result: dict[str, Any], check: str) -> dict[str, Any]:
    return next(entry for entry in result["findings"] if entry["check"] == check)


@pytest.fixture
def node(tmp_path: Path, wheelhouse: Path) -> Node:
    return Node(tmp_path, wheelhouse)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> tuple[Node, Path]:
    """A node with an environment, which pip takes seconds for, and a copy of all that is there."""
    node = Node(tmp_path_factory.mktemp("node"), wheelhouse)
    assert node.run(True)[1] == ""
    kept = tmp_path_factory.mktemp("kept") / "node"
    shutil.copytree(node.root, kept, symlinks=True)
    return node, kept


@pytest.fixture
def converged(made: tuple[Node, Path]) -> Node:
    """The same at the same place, as programs of an environment name their interpreter."""
    node, kept = made
    shutil.rmtree(node.root)
    shutil.copytree(kept, node.root, symlinks=True)
    return node


PROGRAMS = ("vllm_bin", "py_bin", "pip_bin")


def test_a_node_without_one_gets_an_environment_that_works(node: Node) -> None:
    result = node.repaired("venv_python", "venv_packages", *PROGRAMS)
    assert subprocess.check_output([node.venv / "bin" / "vllm"], text=True) == "0.32.0\n"
    named = EnvFile.read(str(node.root / "etc" / "paths.env")).values()
    assert named["VLLM_BIN"] == str(node.venv / "bin" / "vllm")
    assert result["paths"] == named
    assert result["packages"]["alpha"] == "1.0"
    assert result["parity"] == {f"packages of {node.venv}": result["fingerprint"]}
    assert node.venv.is_symlink()
    assert len(node.ours()) == 2
    assert "pip install" in (node.root / "log" / "venv.log").read_text()


def test_packages_are_repaired_in_place(converged: Node) -> None:
    pip = [converged.venv / "bin" / "pip", "-q", "--disable-pip-version-check"]
    offline = ["--no-index", "--find-links", converged.wheelhouse]
    place = converged.venv.resolve()
    subprocess.check_call([*pip, "install", *offline, "alpha==2.0", "beta"])
    result, _complaint = converged.run(False)
    assert "alpha is 2.0" in finding(result, "venv_packages")["actual"]
    done = converged.repaired("venv_packages")
    assert done["diff"]["before"] == "alpha==2.0\n"
    assert done["diff"]["after"] == "alpha==1.0\n"
    # What is not named stays, unless exactness is asked for.
    assert (converged.site / "beta.py").exists()
    done = converged.repaired("venv_packages", exact=True)
    assert done["diff"]["before"] == "beta==1.0\n"
    assert not (converged.site / "beta.py").exists()
    (converged.site / "vllm.py").unlink()
    result, _complaint = converged.run(False)
    assert finding(result, "venv_packages")["actual"] == "vllm is damaged (vllm.py)"
    converged.repaired("venv_packages")
    assert converged.venv.resolve() == place


def test_an_environment_whose_python_is_gone_is_replaced_and_kept_once(converged: Node) -> None:
    first = converged.venv.resolve()
    for expected in (first, None):
        old = converged.venv.resolve()
        (old / "bin" / "python").unlink()
        converged.repaired("venv_python", "venv_packages")
        assert converged.venv.resolve() != old
        assert (old.exists(), first.exists()) == (True, expected is not None)
    assert subprocess.check_output([converged.venv / "bin" / "vllm"], text=True) == "0.32.0\n"


def test_a_folder_changes_places_with_the_new_one(node: Node) -> None:
    node.venv.mkdir(parents=True)
    (node.venv / "pyvenv.cfg").write_text("")
    (node.venv / "mine").write_text("")
    node.repaired("venv_python", "venv_packages", *PROGRAMS)
    kept = [name for name in node.ours() if name.endswith(".previous")]
    assert len(kept) == 1
    assert (node.venv.parent / kept[0] / "mine").exists()


def test_a_package_that_cannot_be_had_leaves_everything_as_it_was(converged: Node) -> None:
    before = converged.ours()
    result, complaint = converged.run(True, requirements=PINS + "gamma==1.0\n")
    assert having(result, "blocked") == {"venv_packages"}
    assert "gamma" in complaint
    assert "venv.log" in complaint
    (converged.venv / "bin" / "python").unlink()
    result, _complaint = converged.run(True, requirements=PINS + "gamma==1.0\n")
    assert having(result, "blocked") == {"venv_python", "venv_packages"}
    assert converged.ours() == before


def test_what_a_killed_run_has_left_is_recognised_and_removed(converged: Node) -> None:
    abandoned = converged.venv.parent / ".env.0a1b2c3d.7"
    shutil.copytree(converged.site, abandoned)
    (abandoned / ".dgxspark-building").write_text("")
    foreign = converged.venv.parent / ".env-next.0a1b2c3d.7"
    foreign.mkdir()
    (foreign / ".dgxspark-building").write_text("")
    (converged.site / "~lpha").mkdir()
    result, _complaint = converged.run(False)
    assert finding(result, "venv_leftovers")["actual"].count(", ") == 1
    converged.repaired("venv_leftovers")
    assert (abandoned.exists(), foreign.exists()) == (False, True)


def test_no_room_is_told_before_anything_is_done(node: Node) -> None:
    result, complaint = node.run(True, free_gib=1e9)
    assert having(result, "blocked") >= {"venv_python", "venv_packages"}
    assert "free_gib" in complaint
    assert not node.venv.parent.exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"requirements": ""}, "no packages are configured"),
        ({"requirements": "alpha>=1\n"}, "line 1: expected an exact pin"),
        ({"python": "/nowhere/python3"}, "/nowhere/python3 does not exist"),
        ({"installer": "uv"}, "uv is not installed"),
    ],
)
def test_what_cannot_be_made_says_why(
    node: Node, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(vllm_venv, "find_tool", lambda _name: "")
    result, complaint = node.run(True, **parameters)
    assert "venv_python" in having(result, "blocked")
    assert message in complaint
    assert result["changed"] is False


def test_without_requirements_an_environment_is_looked_at_and_left(converged: Node) -> None:
    result, complaint = converged.run(True, requirements="")
    assert (result["changed"], complaint) == (False, "")
    assert having(result, "skipped") == {"venv_packages"}


def test_something_else_in_its_place_is_left_alone(node: Node) -> None:
    node.venv.parent.mkdir()
    node.venv.write_text("mine")
    result, complaint = node.run(True)
    assert "venv_python" in having(result, "blocked")
    assert "move it away" in complaint
    assert node.venv.read_text() == "mine"


def test_a_lost_line_of_the_paths_file_is_written_again(converged: Node) -> None:
    path = converged.root / "etc" / "paths.env"
    path.write_text(path.read_text().replace("VLLM_BIN", "# VLLM_BIN"))
    converged.repaired("vllm_bin")


def test_comparing_is_pure() -> None:
    pins = [Pin(name, "1.0", f"{name}==1.0") for name in ("a", "b", "c", "d")]
    entries = [
        Distribution("a", "1.0"),
        Distribution("b", "2.0"),
        Distribution("c", "1.0", "c.py"),
        Distribution("e", "1.0"),
        Distribution("e", "2.0"),
        Distribution("pip", "26.0"),
    ]
    difference = compare(entries, pins, exact=True)
    assert difference.describe() == (
        "d is missing; b is 2.0; c is damaged (c.py); e 1.0 is not pinned; e 2.0 is not pinned;"
        " e is installed twice"
    )
    assert [pin.name for pin in difference.install] == ["b", "c", "d"]
    assert not compare(entries[:1], pins[:1], exact=True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"path": "env"}, "path: expected an absolute path"),
        ({"path": "/env"}, "path: expected a folder below another one"),
        ({"path": "/opt/.."}, "path: expected a folder below another one"),
        ({"wheelhouse": "wheels"}, "wheelhouse: expected an absolute path"),
        ({"timeout": 0}, "timeout: expected more"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    node: Node, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        node.wanted(**parameters)


def test_remains_in_a_users_folder_are_removed_as_that_user(tree: Any) -> None:
    site = tree.folder("site-packages", tree.user)
    tree.folder("site-packages/~theirs", tree.user)
    (tree.folder("outside") / "file").touch()
    tree.link("elsewhere", tree.top / "outside", tree.user)
    Clear("remains", (str(site / "~theirs"),), ("venv_leftovers",)).apply()
    assert os.listdir(site) == []
    (tree.folder("site-packages/~roots") / "file").touch()
    before = tree.state()
    with pytest.raises(OSError, match="denied"):
        Clear("remains", (str(site / "~roots"),), ("venv_leftovers",)).apply()
    with pytest.raises(Blocked):
        Clear("remains", (str(tree.top / "elsewhere/file"),), ("venv_leftovers",)).apply()
    assert tree.state() == before
