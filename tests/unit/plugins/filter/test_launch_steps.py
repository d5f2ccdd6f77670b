# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter as playbooks reach it: by its full name, in a template."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from ansible_collections.dgxspark.suite.plugins.filter import launch_steps as plugin

ROOT = Path(__file__).parents[4]


def test_a_template_gets_the_documented_steps(tmp_path: Path) -> None:
    plan = json.loads((ROOT / "tests/unit/fixtures/recipes/lab-tiny.plan.json").read_text("utf-8"))
    fresh = {"containers": [], "listening": [], "image_id": "sha256:4467"}
    observed = {"spark1": fresh, "spark2": {**fresh, "image_id": None}}
    (tmp_path / "vars.json").write_text(json.dumps({"plan": plan, "observed": observed}))
    (tmp_path / "ansible.cfg").touch()
    content = "{{ plan | dgxspark.suite.launch_steps(observed) | to_json }}"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")),
            *("localhost", "-e", "@vars.json", "-m", "ansible.builtin.copy"),
            *("-a", json.dumps({"content": content, "dest": str(tmp_path / "steps.json")})),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads((tmp_path / "steps.json").read_text("utf-8"))
    assert set(steps) == set(yaml.safe_load(plugin.RETURN)["_value"]["contains"])
    assert {node: rank["name"] for node, rank in steps["start"].items()} == {
        "spark1": "dgxspark-main-0",
        "spark2": "dgxspark-main-1",
    }


def test_a_refusal_cannot_control_a_terminal() -> None:
    plan = json.loads((ROOT / "tests/unit/fixtures/recipes/lab-tiny.plan.json").read_text("utf-8"))
    listener = {"port": plan["ports"]["server"], "pid": 5, "process": "\x1b[2J", "container": None}
    quiet = {"containers": [], "listening": [], "image_id": None}
    observed = {"spark1": {**quiet, "listening": [listener]}, "spark2": quiet}
    steps = plugin.FilterModule().filters()["launch_steps"]
    assert callable(steps)
    refusal = steps(plan, observed)["refusals"][0]["why"]
    assert "\\x1b[2J (pid 5)" in refusal
    assert refusal.isprintable()
