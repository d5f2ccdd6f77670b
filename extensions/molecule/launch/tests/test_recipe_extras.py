# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe with mods, hooks and volumes; its mod puts a quick server in place of vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import on_node, playbook

RECIPE = """\
model: dgxspark/tiny-qwen3
runtime: vllm
container: dgxspark-lab/vllm:cpu
max_nodes: 1
mods: [mods/quick, mods/note]
pre_exec: ["cat noted > /tmp/seen && cat /templates/one >> /tmp/seen"]
post_exec: {command: "echo after {port} >> /tmp/seen", timeout: 5}
volumes: ["/srv/templates:/templates", "/srv/out:/out:rw"]
defaults: {port: 8000, host: 0.0.0.0, served_model_name: lab-extras}
command: vllm serve {model} --served-model-name {served_model_name} --host {host} --port {port}
"""

QUICK = """\
#!/usr/bin/env python3
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply({"data": [{"id": "lab-extras"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({"choices": [{"index": 0, "text": "hello", "finish_reason": "length"}]})


ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""

# What a recipe mounts besides models has to be allowed.
ALLOWED = ("-e", json.dumps({"dgxspark_volumes_allow": ["/srv/templates", "/srv/out"]}))
NAME = "dgxspark-main-0"
pytestmark = pytest.mark.long


def mod(folder: Path, name: str, script: str, **files: str) -> None:
    place = folder / "mods" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.sh").write_text(f"#!/usr/bin/env bash\nset -e\n{script}\n", encoding="utf-8")
    for file, text in files.items():
        (place / file).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("recipes")
    playbook("stop")
    on_node("spark1", "rm -rf /srv/templates /srv/out")


@pytest.fixture
def recipe(folder: Path) -> Path:
    """The recipe and its mods, as if no test had changed them."""
    (folder / "lab-extras.yaml").write_text(RECIPE, encoding="utf-8")
    mod(folder, "quick", 'install -m 755 quick "$(command -v vllm)"', quick=QUICK)
    mod(folder, "note", 'cp text "$WORKSPACE_DIR/noted"', text="noted\n")
    return folder / "lab-extras.yaml"


@pytest.fixture(autouse=True)
def served(recipe: Path) -> None:
    """Launched only where it does not run."""
    on_node("spark1", "mkdir -p /srv/templates /srv/out; echo template > /srv/templates/one")
    if NAME not in on_node("spark1", "docker ps --format '{{.Names}}'").split():
        status, said = playbook("launch", "-e", f"recipe={recipe}", *ALLOWED)
        assert status == 0, said


def inside(script: str) -> str:
    return on_node("spark1", f"docker exec {NAME} sh -ec {json.dumps(script)}")


def test_all_of_it_is_applied_and_the_server_is_the_first_process() -> None:
    assert inside("sleep 3; cat /tmp/seen").split("\n") == ["noted", "template", "after 8000", ""]
    assert "vllm serve dgxspark/tiny-qwen3" in inside("tr '\\0' ' ' < /proc/1/cmdline")


def test_a_volume_is_read_only_unless_the_recipe_says_otherwise() -> None:
    assert inside("touch /templates/two 2> /dev/null || echo refused") == "refused\n"
    inside("touch /out/written")
    on_node("spark1", "test -e /srv/out/written")


def test_what_runs_is_as_its_recipe_and_a_changed_mod_is_not(recipe: Path) -> None:
    status, said = playbook("launch", "-e", f"recipe={recipe}", *ALLOWED)
    assert status == 0, said
    assert "it ran already" in said
    _status, said = playbook("status", *ALLOWED)
    assert "matches its recipe" in said
    mod(recipe.parent, "note", "true", text="other\n")
    _status, said = playbook("status", *ALLOWED)
    assert "differs from its recipe" in said


def test_a_mod_that_fails_fails_the_launch_by_name_and_what_was_served_is_back(
    recipe: Path,
) -> None:
    mod(recipe.parent, "note", "exit 7")
    status, said = playbook("launch", "-e", f"recipe={recipe}", *ALLOWED)
    assert status != 0
    assert "the mod note failed with 7" in said
    assert "lab-extras, which was served before, answers again" in said


def test_a_dangerous_volume_is_refused_and_the_plan_says_how_to_allow_it(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8").replace("/srv/templates", "/etc")
    recipe.write_text(text, encoding="utf-8")
    status, said = playbook("launch", "-e", f"recipe={recipe}", *ALLOWED, "--check")
    assert status != 0
    assert "dgxspark_volumes_allow: [/etc]" in said
    allowed = json.dumps({"dgxspark_volumes_allow": ["/etc", "/srv/out"]})
    status, said = playbook("launch", "-e", f"recipe={recipe}", "--check", "-e", allowed)
    assert status == 0, said
    assert "type=bind,source=/etc,target=/templates,readonly" in said


def test_a_link_of_another_user_is_refused_while_the_old_one_serves(recipe: Path) -> None:
    on_node("spark1", "mv /srv/templates /srv/mine; ln -s /etc /srv/templates")
    try:
        on_node("spark1", "chown -h nobody /srv/templates")
        text = recipe.read_text(encoding="utf-8").replace("port: 8000", "port: 8001")
        recipe.write_text(text, encoding="utf-8")
        status, said = playbook("launch", "-e", f"recipe={recipe}", *ALLOWED)
        assert status != 0
        assert "is not a link of root's" in said
        assert NAME in on_node("spark1", "docker ps --format '{{.Names}}'").split()
    finally:
        on_node("spark1", "rm /srv/templates; mv /srv/mine /srv/templates")


def test_stop_leaves_nothing_of_it() -> None:
    status, said = playbook("stop")
    assert status == 0, said
    assert on_node("spark1", "docker ps --all --quiet") == ""
