# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collection whose playbooks do what a test says on this machine, and control with it.

The playbooks have the names of the real ones; ansible-runner and ansible-playbook are real.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from dgxspark_control import files
from dgxspark_control.app import Control, create_app
from dgxspark_control.config import Config

FILES = Path(__file__).resolve().parents[3] / "roles" / "control" / "files"
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "control"
HOST = "127.0.0.1:9999"
TOKEN = "correct-horse-battery-staple"
PLAN = "7d3d01ab23cd" + "0" * 52
CONFIRM = "lab-tiny@7d3d01ab23cd"

Tasks = list[dict[str, Any]]
Map = dict[str, Any]

# As cluster_lock answers: `held.json` beside the collection says who holds the lock.
LOCK = """
import json, os
from ansible.module_utils.basic import AnsibleModule
def main():
    spec = {name: {"type": "str", "default": ""} for name in ("state", "token", "owner", "reason")}
    spec["token"]["no_log"] = False
    spec |= {"seconds": {"type": "int", "default": 0}, "force": {"type": "bool", "default": False}}
    module = AnsibleModule(spec | {"file": {"type": "path"}}, supports_check_mode=True)
    given, path = module.params, module.params["file"]
    lock = json.load(open(path)) if os.path.exists(path) else {}
    token = lock.pop("token", "")
    others = lock and token != given["token"]
    if given["state"] == "released":
        if others or module.check_mode:
            module.exit_json(changed=False, lock=lock, taken_from="")
        if lock:
            os.unlink(path)
        module.exit_json(changed=bool(lock), lock={}, taken_from="")
    if others and not given["force"]:
        message = "The cluster is locked by %s (%s)" % (lock["owner"], lock["reason"])
        module.fail_json(msg=message, lock=lock, by_run=False, blocker={"holder": {}})
    new = {"owner": given["owner"], "reason": given["reason"], "since": "2026-11-27T20:00:00Z",
           "expires": "2999-11-27T20:00:00Z", "run_since": None}
    token = given["token"] or "feedfacefeedfacefeedfacefeedface"
    if not module.check_mode:
        with open(path, "w") as stream:
            json.dump({**new, "token": token}, stream)
    module.exit_json(changed=True, lock=new, token=token, taken_from=lock.get("owner", ""))
main()
"""


def debug(*lines: str) -> Map:
    return {"name": "Show it", "ansible.builtin.debug": {"msg": list(lines)}}


def wait_for(path: Path) -> Map:
    module = {"path": str(path), "sleep": 1, "timeout": 60}
    return {"name": "Follow the swap until its end", "ansible.builtin.wait_for": module}


def fail(text: str) -> Map:
    return {"name": "Fail with the text", "ansible.builtin.fail": {"msg": text}}


class Lab:
    """A state folder, a collection and the settings of control in a folder of a test."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.suite = folder / "collections" / "ansible_collections" / "dgxspark" / "suite"
        (self.suite / "playbooks").mkdir(parents=True)
        (self.suite / "plugins" / "modules").mkdir(parents=True)
        (self.suite / "galaxy.yml").write_text("namespace: dgxspark\nname: suite\nversion: 0.0.1\n")
        (self.suite / "plugins" / "modules" / "cluster_lock.py").write_text(LOCK)
        inventory = {"all": {"hosts": {"localhost": {"ansible_connection": "local"}}}}
        inventory["all"]["vars"] = {"ansible_python_interpreter": sys.executable}
        (folder / "inventory.json").write_text(json.dumps(inventory))
        self.held = folder / "held.json"
        self.playbook("lock", [self._lock()])
        self.playbook("launch", [debug("{{ recipe }} is launched")])
        self.settings: Map = {
            "bind": "127.0.0.1",
            "state": str(folder / "state"),
            "page": str(folder / "page"),
            "inventory": [str(folder / "inventory.json")],
            "ansible_playbook": str(Path(sys.executable).with_name("ansible-playbook")),
            "collections": str(folder / "collections"),
            "poll": 3600,
            "facts": 3600,
            "menu": 3600,
            "deep": 0,
            **settings,
        }

    def _lock(self) -> Map:
        words = {
            "state": "{{ 'released' if release | default(false) else 'held' }}",
            "token": "{{ lock_token | default('') }}",
            "owner": "{{ dgxspark_owner | default('control') }}",
            "reason": "{{ reason | default('') }}",
            "seconds": "{{ reserve | default(0) }}",
            "force": "{{ force | default(false) }}",
            "file": str(self.held),
        }
        return {"name": "Take or release the cluster lock", "dgxspark.suite.cluster_lock": words}

    def playbook(self, name: str, tasks: Tasks) -> None:
        play = [{"name": "Test", "hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        (self.suite / "playbooks" / f"{name}.yml").write_text(json.dumps(play))

    def hold(self, owner: str = "Alice", token: str = "feedfacefeedfacefeedfacefeedface") -> None:
        lock = {
            "owner": owner,
            "reason": "benchmarks",
            "since": "2026-11-27T20:00:00Z",
            "expires": "2999-11-27T20:00:00Z",
            "token": token,
        }
        self.held.write_text(json.dumps(lock))

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def config(self) -> Config:
        return Config.model_validate(self.settings)

    def know(self, **reports: Any) -> None:
        """Store reports as if plays had made them just now."""
        facts = self.state / "facts"
        for folder in (facts, facts / "models", facts / "drift"):
            folder.mkdir(parents=True, exist_ok=True)
        known = {
            "status": STATUS,
            "health": HEALTH,
            "schedule": [],
            "recipes": RECIPES,
            "models": MODELS,
            **reports,
        }
        for name, report in known.items():
            inside = facts / name if name in ("models", "drift") else facts
            files.replace(inside / f"{name}.json", json.dumps(report).encode())

    @asynccontextmanager
    async def control(self) -> AsyncIterator[tuple[httpx.AsyncClient, Control]]:
        """The application in this process."""
        app = create_app(self.config())
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://{HOST}", timeout=60
            ) as client:
                yield client, app.state.control

    @contextmanager
    def process(self, port: int) -> Iterator[subprocess.Popen[bytes]]:
        """The application as a process of its own, which answers when this begins."""
        config = self.folder / "control.json"
        config.write_text(json.dumps({**self.settings, "port": port}))
        paths = [str(FILES), *(path for path in sys.path if path.endswith("site-packages"))]
        with (self.folder / "control.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dgxspark_control", str(config)],
                env={**os.environ, "PYTHONPATH": ":".join(paths)},
                stdout=log,
                stderr=log,
            )
        try:
            until(lambda: answers(port) or process.poll() is not None)
            yield process
        finally:
            process.terminate()
            process.wait(20)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it has not come true")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


async def ended(client: httpx.AsyncClient, name: str) -> Map:
    """The job once it has ended."""
    while True:
        job: Map = (await client.get(f"/api/jobs/{name}")).json()
        if job["state"] != "running":
            return job
        await asyncio.sleep(0.1)


def sse(text: str) -> list[tuple[int, str, Map]]:
    """id, name and data of each event of a stream."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line[1:])
        if "event" in fields:
            found.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
    return found


def subject(what: str, name: str, **more: Any) -> Map:
    row = {
        "subject": f"{what}/{name}",
        "what": what,
        "name": name,
        "state": "up",
        "detail": "",
        "node": "spark1",
        "url": "",
        "model": "",
        "kind": [],
        "phase": "",
        "seconds": None,
        "deep": False,
        "watched": False,
    }
    return {**row, **more}


UNIT = {
    "state": "active",
    "enabled": True,
    "restarts": 0,
    "down": None,
    "status_text": "runs, with 1 ranks in all",
}
WORKLOAD = {
    "service": "main",
    "slot": 0,
    "recipe": "lab-tiny",
    "recipe_path": "/recipes/lab-tiny.yaml",
    "overrides": {},
    "plan_hash": PLAN,
    "served_model_name": "tiny",
    "url": "http://192.0.2.11:8000",
    "head": "spark1",
    "container": "dgxspark-main-0",
    "kind": [],
    "probe": {},
    "endpoint": "http://192.0.2.11:8000/v1",
    "nodes": ["spark1"],
    "image_facts": {},
    "source": "containers",
    "state": "running",
    "ranks": [
        {
            "rank": 0,
            "node": "spark1",
            "container": "dgxspark-main-0",
            "status": "running",
            "started": "2026-11-22T03:18:32.7Z",
            "unit": UNIT,
        }
    ],
    "ray": [],
}
STATUS: Map = {
    "workloads": [WORKLOAD],
    "answers": {},
    "drift": {PLAN: "matches its recipe"},
    "nodes": {"spark1": 1 << 30},
    "memory": {"spark1": 2 << 30},
    "units": {"spark1": []},
    "unknown": [],
    "containers_unknown": {},
    "lock": {},
    "swap": {},
    "swaps": [],
    "history": {"main": []},
}
HEALTH: Map = {
    "at": 1795822439,
    "deep": False,
    "subjects": [
        subject("node", "spark1"),
        subject("service", "main", url="", model="tiny", kind=["chat"]),
        subject("service", "search", kind=["http"], watched=True),
        subject("service", "speech", state="off", detail="declared, and no node has it"),
    ],
    "containers": {"spark1": []},
    "outages": {},
}
RECIPES: list[Map] = [
    {
        "name": "lab-tiny",
        "path": "/recipes/lab-tiny.yaml",
        "title": "",
        "description": "",
        "model": "org/tiny",
        "runtime": "vllm",
        "mode": "solo",
        "nodes": "1",
        "errors": 0,
        "on_disk": None,
        "memory": 1.5,
        "fits": "fits",
        "confidence": "high",
    },
    {"name": "lab-other", "path": "/recipes/lab-other.yaml", "model": "", "errors": 0},
    {"name": "broken", "path": "/recipes/broken.yaml", "model": "", "errors": 1, "error": "no"},
]
MODELS: Map = {
    "version": 1,
    "generated": "",
    "nodes": ["spark1"],
    "unknown": {},
    "ignored": {},
    "models": [
        {
            "name": "org/tiny",
            "nodes": ["spark1"],
            "recipes": ["lab-tiny"],
            "serving": [{"node": "spark1", "recipe": "lab-tiny", "process": ""}],
        },
        {"name": "org/new", "nodes": ["spark1"], "recipes": [], "serving": [], "needs_setup": True},
        {"name": "org/half", "nodes": [], "recipes": [], "serving": [], "needs_setup": False},
    ],
}
