# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with a fake Docker client whose images are names and whose Python is this one."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.host import interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import overlay, overlay_inside
from ansible_collections.dgxspark.suite.plugins.modules import image_overlay, overlay_info

BASE = "sha256:" + "ba5e" * 16
BUILT = "sha256:" + "4467" * 16
NAME = "dgxspark-overlay/hear:1"
CONFIG = {"Entrypoint": ["/start"], "Cmd": ["serve"], "User": "app", "Labels": None}

# `image inspect` of the base and of what was committed; everything else is recorded.
CLIENT = """#!/bin/sh
echo "$*" >> {root}/calls
for last; do :; done
case "$1" in
    image)
        case "$last" in
            asr:1|{base}) id={base} config='{config}' ;;
            *) [ -e {root}/built ] || {{ echo "No such image: $last" >&2; exit 1; }}
               id={built} config=$(cat {root}/built) ;;
        esac
        case "$4" in *Config*) echo "$config" ;; *) echo $id ;; esac ;;
    run) [ ! -e {root}/none ] || exit 127; exec {python} -B - ;;
    exec) exec {python} -B - ;;
    commit)
        [ ! -e {root}/full ] || {{ echo "no space left on device" >&2; exit 1; }}
        for word; do
            case "$word" in
                *overlay-hash=*)
                    printf '{{"Labels": {{"%s": "%s"}}}}' {label} "${{word##*=}}" > {root}/built ;;
            esac
        done ;;
    ps) echo c1 ;;
    inspect) cat {root}/containers ;;
    diff) cat {root}/diff ;;
    *) ;;
esac
"""


class Node:
    """A node with the base. reply: what the Python of the image answers, by step."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        self.folder = root / "overlay"
        self.folder.mkdir()
        (self.folder / overlay.REQUIREMENTS).write_text("diarize\n")
        self.docker = root / "docker"
        python = root / "python"
        python.write_text(f"#!/bin/sh\ncat > /dev/null\ncat {root}/reply\n")
        text = CLIENT.format(
            root=root,
            base=BASE,
            built=BUILT,
            config=json.dumps(CONFIG),
            python=python,
            label=overlay.HASH_LABEL,
        )
        self.docker.write_text(text)
        for program in (self.docker, python):
            program.chmod(0o755)

    def replies(self, **answer: t.Any) -> None:
        framed = json.dumps({"base": {"torch": "2.9.0"}, "error": "", **answer})
        (self.root / "reply").write_text(f"pip talks\n<<<dgxspark {framed} dgxspark>>>\n")

    def run(self, check: bool = False, **more: t.Any) -> dict[str, t.Any]:
        arguments = {
            "name": NAME,
            "base": "asr:1",
            "folder": str(self.folder),
            "digest": "d1",
            "docker_bin": str(self.docker),
            "_ansible_check_mode": check,
            **more,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            image_overlay.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))

    def info(self) -> dict[str, t.Any]:
        arguments = {"docker_bin": str(self.docker)}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            overlay_info.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))

    def calls(self, verb: str) -> list[str]:
        lines = (self.root / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(f"{verb} ")]


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def test_it_is_judged_then_built_and_the_second_run_changes_nothing(node: Node) -> None:
    node.replies(
        installs=[["diarize", "1.0"]], held=True, after={"torch": "2.9.0", "diarize": "1.0"}
    )
    done = node.run()
    assert (done["changed"], done["image_id"]) == (True, BUILT)
    assert done["added"] == {"diarize": "1.0"}
    assert done["diff"]["after"] == "diarize==1.0\n"
    judge, build = node.calls("run")
    assert "dgxspark-overlay-judge-d1" in judge
    assert "dgxspark-overlay-build-d1" in build
    assert f"--entrypoint python3 {BASE}" in build
    assert "--network none" not in build
    (commit,) = node.calls("commit")
    assert '--change ENTRYPOINT ["/start"] --change CMD ["serve"]' in commit
    assert "--change USER app" in commit
    assert f"overlay-hash={overlay.overlay_hash('d1', BASE)}" in commit
    assert commit.endswith(NAME)
    again = node.run()
    assert (again["changed"], again["why"]) == (False, "")
    assert len(node.calls("run")) == 2
    other = node.run(digest="d2")
    assert (other["changed"], other["why"]) == (True, "the overlay or its base has changed")


@pytest.mark.parametrize("check", [False, True])
def test_what_moves_a_package_of_the_image_is_refused_before_anything_is_installed(
    node: Node, check: bool
) -> None:
    node.replies(installs=[["torch", "2.10.0"]], held=False)
    done = node.run(check)
    assert done["failed"]
    assert "it replaces torch 2.9.0 of the image by 2.10.0" in done["msg"]
    assert len(node.calls("run")) == 1
    assert node.calls("commit") == []


def test_what_the_recipe_forbids_is_refused(node: Node) -> None:
    node.replies(installs=[["cuda-python", "12.9.0"]], held=True)
    done = node.run(forbid=["cuda-python"])
    assert "it brings cuda-python 12.9.0, which the recipe forbids" in done["msg"]


def test_check_mode_judges_and_builds_nothing(node: Node) -> None:
    node.replies(installs=[["diarize", "1.0"]], held=True)
    done = node.run(check=True)
    assert (done["changed"], done["image_id"], done["added"]) == (True, "", {"diarize": "1.0"})
    assert node.calls("commit") == []
    done = node.run(check=True, folder=str(node.root / "absent"))
    assert (done["changed"], done["added"]) == (True, {})


def test_what_moved_all_the_same_is_not_committed(node: Node) -> None:
    node.replies(installs=[], held=True, after={"torch": "2.10.0"})
    done = node.run()
    assert "torch 2.9.0 of the image became 2.10.0" in done["msg"]
    assert node.calls("commit") == []
    assert len(node.calls("rm")) == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [("none", "the image has no python3"), ("full", "no space left on device")],
)
def test_a_fault_is_reported_and_leaves_nothing(node: Node, fault: str, said: str) -> None:
    node.replies(installs=[], held=True, after={"torch": "2.9.0"})
    (node.root / fault).touch()
    done = node.run()
    assert said in done["msg"]
    assert "what runs stays as it is" in done["msg"]
    # Each of the two containers is removed before and after its work.
    assert len(node.calls("rm")) == {"none": 2, "full": 4}[fault]


@pytest.mark.parametrize(
    "answer", [{"installs": 5}, {"installs": [["a"]]}, {"base": [], "installs": []}]
)
def test_an_answer_of_another_form_is_refused(node: Node, answer: dict[str, t.Any]) -> None:
    node.replies(held=True, **answer)
    assert node.run()["failed"]


def test_files_alone_need_no_python_of_the_image(node: Node) -> None:
    (node.folder / overlay.REQUIREMENTS).unlink()
    (node.folder / overlay.FILES).mkdir()
    done = node.run()
    assert (done["changed"], done["added"]) == (True, {})
    assert node.calls("run") == []
    (copied,) = node.calls("cp")
    assert copied.endswith("dgxspark-overlay-build-d1:/")


def test_wheels_need_no_network(node: Node) -> None:
    (node.folder / overlay.WHEELS).mkdir()
    node.replies(installs=[], held=True, after={"torch": "2.9.0"})
    node.run()
    assert all("--network none" in call for call in node.calls("run"))


def test_a_missing_base_is_named(node: Node) -> None:
    done = node.run(base="absent:1")
    assert "its base image is not on this node" in done["msg"]


def test_what_was_changed_by_hand_is_reported(node: Node) -> None:
    labels = {"dgxspark.suite/owner": "dgxspark.suite", overlay.FORBID_LABEL: "torch"}
    entry = {
        "Name": "/dgxspark-hear-0",
        "Id": "c1",
        "Image": BUILT,
        "Config": {"Image": NAME, "Labels": labels},
        "State": {"Status": "running", "ExitCode": 0},
    }
    (node.root / "containers").write_text(json.dumps([entry]))
    (node.root / "diff").write_text("A /usr/lib/python3/dist-packages/x-1.dist-info\n")
    node.replies()
    assert node.info()["overlays"] == {
        "dgxspark-hear-0": {
            "changed": ["x-1"],
            "forbidden": ["the container has torch 2.9.0, which the recipe forbids"],
            "problem": "",
        }
    }
    (node.root / "reply").write_text("no answer\n")
    assert "distributions are not known" in node.info()["overlays"]["dgxspark-hear-0"]["problem"]


def test_the_code_that_is_sent_runs_by_itself() -> None:
    sources = interpreter.sources_of(interpreter.imports_of(overlay_inside.__name__))
    answer, result = interpreter.ask(
        [sys.executable, "-I"], sources, {"step": overlay_inside.LIST}, 60
    )
    assert answer is not None, result.stderr
    assert "pytest" in overlay.listing_of(answer["base"])
