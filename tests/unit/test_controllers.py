# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controllers without /proc, without cron.d, and in ansible-runner."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
ENVIRONMENT = {**os.environ, "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
NODE = {
    "ansible_connection": "local",
    "ansible_become": False,
    "dgxspark_kernel_sysctls": {"net.ipv4.tcp_keepalive_time": 601},  # nobody has that
}
ROLE = ROOT / "roles/audit_timer"
LOCK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - dgxspark.suite.cluster_lock:
        state_dir: "{{ folder }}/state"
        bound: true
        reason: a test
      register: taken
    - dgxspark.suite.cluster_lock:
        state_dir: "{{ folder }}/state"
      register: second
      failed_when: second is not failed
    - dgxspark.suite.cluster_lock:
        state_dir: "{{ folder }}/state"
        state: released
        token: "{{ taken.token }}"
"""


def ran(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def without_proc() -> list[str]:
    """The beginning of a command that has an empty /proc, as on a Mac."""
    hide = 'mount -t tmpfs -o ro none /proc && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hide, "sh"]
    if not shutil.which("unshare") or ran([*command, "true"]).returncode:
        pytest.skip("only root can hide /proc")
    assert ran([*command, "test", "-e", "/proc/self"]).returncode
    return command


def test_recipes_are_listed_without_proc(without_proc: list[str]) -> None:
    done = ran([*without_proc, str(PLAYBOOK), "dgxspark.suite.recipes", "-e", "validate=all"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lock_is_taken_and_respected_without_proc(
    without_proc: list[str], tmp_path: Path
) -> None:
    play = tmp_path / "play.yml"
    play.write_text(LOCK, encoding="utf-8")
    done = ran([*without_proc, str(PLAYBOOK), "-e", f"folder={tmp_path}", str(play)])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_audit_timer_refuses_a_machine_without_systemd_and_cron_d(tmp_path: Path) -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("this machine has systemd")
    play = ["dgxspark.suite.audit_timer", "-i", "localhost,", "-e", "ansible_become=false"]
    play += ["-c", "local", "-e", f"audit_timer_cron_folder={tmp_path}/none"]
    play += ["-e", f"audit_timer_programs={tmp_path}/programs", "-e", "dgxspark_hosts=mine"]
    done = ran([str(PLAYBOOK), *play], ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    (task,) = (
        task["hosts"]["localhost"]
        for one in json.loads(done.stdout)["plays"]
        for task in one["tasks"]
        if task["hosts"]["localhost"].get("failed")
    )
    assert ": 17 * * * * ANSIBLE_CALLBACKS_ENABLED=" in task["msg"]
    assert f" {PLAYBOOK} -i " in task["msg"]
    assert task["msg"].endswith(
        """ -e '{"dgxspark_hosts": "mine"}' dgxspark.suite.audit\nnext: crontab -e"""
    )
    assert not (tmp_path / "programs").exists()


def test_the_configuration_of_the_audit_timer_has_the_nodes(tmp_path: Path) -> None:
    files = [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")]
    template = {"src": str(ROLE / "templates/audit.json.j2"), "dest": str(tmp_path / "audit.json")}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": files,
        "tasks": [{"ansible.builtin.template": template}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    given = {
        "dgxspark_audit_timer_inventory": "/i",
        "dgxspark_audit_timer_options": ["--tags=fast"],
        "audit_timer_chosen": ["-e", "dgxspark_hosts=mine"],
    }
    words = [str(PLAYBOOK), str(tmp_path / "play.yml"), "-c", "local", "-e", json.dumps(given)]
    done = ran(words)
    assert done.returncode == 0, done.stdout + done.stderr
    config = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert config["options"] == ["--tags=fast", "-e", "dgxspark_hosts=mine"]


def artifacts(
    tmp_path: Path, playbook: str, options: str = "", failed: int = 0, **others: Any
) -> dict[str, Any]:
    """What ansible-runner, and AWX with it, keeps of a run; others are nodes besides spark1."""
    runner = shutil.which("ansible-runner", path=f"{PLAYBOOK.parent}:{os.environ['PATH']}")
    if not runner:
        pytest.skip("ansible-runner is not installed")
    for name, text in {
        "inventory/hosts.json": json.dumps({"spark_heads": {"hosts": {"spark1": NODE, **others}}}),
        "env/envvars": json.dumps(
            {
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "PATH": f"{PLAYBOOK.parent}:/usr/bin:/bin",
            }
        ),
        "project/ansible.cfg": "[defaults]\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [runner, "run", str(tmp_path), "-p", playbook, "--ident", "job", "--quiet"]
    done = ran([*command, *(["--cmdline", options] if options else [])])
    folder = tmp_path / "artifacts" / "job"
    assert done.returncode == failed, done.stderr + (folder / "stdout").read_text()
    events = [json.loads(path.read_text()) for path in (folder / "job_events").glob("*.json")]
    (stats,) = (one["event_data"] for one in events if one["event"] == "playbook_on_stats")
    found: dict[str, Any] = stats.get("artifact_data", {})
    return found


def test_recipes_run_in_ansible_runner(tmp_path: Path) -> None:
    assert artifacts(tmp_path, "dgxspark.suite.recipes") == {}


@pytest.mark.parametrize(
    ("playbook", "options"),
    [("dgxspark.suite.site", "--check --tags kernel"), ("dgxspark.suite.audit", "--tags kernel")],
)
def test_the_drift_report_is_an_artifact(tmp_path: Path, playbook: str, options: str) -> None:
    report = artifacts(tmp_path, playbook, options)["dgxspark_report"]
    assert report["nodes"].keys() == {"spark1"}
    node = report["nodes"]["spark1"]
    assert node["in_order"] is False
    assert len(node["wrong"]) == sum(
        count for status, count in node["checks"].items() if status in ("drift", "blocked")
    )
    assert {"kernel"} == {one["spec"] for one in node["wrong"]}


def test_a_node_that_is_lost_is_in_the_artifact(tmp_path: Path) -> None:
    # Nothing listens there.
    lost = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    found = artifacts(tmp_path, "dgxspark.suite.audit", "--tags kernel", failed=4, spark2=lost)
    nodes = found["dgxspark_report"]["nodes"]
    assert nodes.keys() == {"spark1", "spark2"}
    assert nodes["spark2"]["in_order"] is False
    assert [one["check"] for one in nodes["spark2"]["wrong"]] == ["audit_answer"]


def test_the_plan_of_a_launch_is_an_artifact_without_templates(tmp_path: Path) -> None:
    plan = {
        "recipe": "{{ lookup('pipe', 'id') }}",
        "nodes": ["spark1"],
        **dict.fromkeys(("model", "served_model_name", "runtime", "image", "head", "url"), "x"),
        "warnings": ["{% raw %}"],
        "refusals": [],
        "overrides": {"api_key": "hidden"},
        "docker_commands": ["hidden"],
    }
    tasks = yaml.safe_load((ROOT / "roles/launch/tasks/plan.yml").read_text(encoding="utf-8"))
    (stats,) = (task for task in tasks if "ansible.builtin.set_stats" in task)
    play = {
        "hosts": "spark_heads",
        "gather_facts": False,
        "tasks": [
            # As a recipe's text comes: not as a template.
            {
                "name": "Read the plan",
                "ansible.builtin.set_fact": {
                    "launch_plan": "{{ lookup('ansible.builtin.file', '%s/plan') | from_json }}"
                    % tmp_path
                },
            },
            stats,
        ],
    }
    (tmp_path / "project").mkdir()
    (tmp_path / "project/play.json").write_text(json.dumps([play]), encoding="utf-8")
    (tmp_path / "plan").write_text(json.dumps(plan), encoding="utf-8")
    found = artifacts(tmp_path, "play.json")["dgxspark_plan"]
    assert found["recipe"] == "{ { lookup('pipe', 'id') }}"
    assert found["warnings"] == ["{ % raw %}"]
    assert "hidden" not in json.dumps(found)
