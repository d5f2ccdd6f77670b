# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""launch.yml, status.yml, logs.yml and stop.yml as users run them.

The fixture of a test launches what it needs, unless that runs already, as it does in the order of
this file. Real vLLM serves where the engine matters, elsewhere the server of quick/.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lab import NODES, ROOT, address, begun, complete, module, on_node, playbook, wait_for

QUICK = ROOT / "extensions" / "molecule" / "launch" / "quick"
PS = "docker ps --all --format '{{.Names}} {{.State}} {{.Label \"dgxspark.suite/recipe\"}}'"
SOLO, PAIR = str(QUICK / "lab-quick.yaml"), str(QUICK / "lab-quick-2.yaml")


def containers(host: Any) -> dict[str, dict[str, Any]]:
    ids = host.check_output("docker ps --all --quiet").split()
    entries = json.loads(host.check_output("docker inspect " + " ".join(ids))) if ids else []
    return {entry["Name"].lstrip("/"): entry for entry in entries}


def base64(text: str) -> str:
    """The text as one word for a shell."""
    return b64encode(text.encode()).decode()


def journal() -> dict[str, Any]:
    """The journal of the last swap on the head."""
    return dict(json.loads(on_node("spark1", "cat /var/lib/dgxspark/swap.json")))


def progress() -> dict[str, Any]:
    """How far the swap is, or the last one was, as everybody may read it on the head."""
    return dict(json.loads(on_node("spark1", "cat /run/dgxspark/swaps/main.json")))


def listed(node: str) -> set[str]:
    """The containers of a node: name, state and recipe of each."""
    return set(on_node(node, PS).splitlines())


def running(recipe: str) -> bool:
    """Whether each node has its running rank of the recipe, whatever else it has."""
    return all(
        f"dgxspark-main-{rank} running {recipe}" in listed(node) for rank, node in enumerate(NODES)
    )


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A receiver of webhooks on this machine: its URL and what it has received."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        server.server_close()


def only(recipe: str, ranks: int) -> bool:
    """Whether a recipe runs on the first nodes, and nothing else is on any node."""
    return all(
        listed(node) == ({f"dgxspark-main-{rank} running {recipe}"} if rank < ranks else set())
        for rank, node in enumerate(NODES)
    )


def serve(recipe: str, ranks: int) -> None:
    """Have this recipe served, which needs so many nodes."""
    if not only(Path(recipe).stem, ranks):
        status, said = playbook("launch", "-e", f"recipe={recipe}")
        assert status == 0, said


@pytest.fixture
def tiny() -> None:
    """Real vLLM over both nodes, through Ray."""
    serve("lab-tiny", 2)


@pytest.fixture
def solo() -> None:
    """The quick server on the first node."""
    serve(SOLO, 1)


@pytest.fixture
def pair() -> None:
    """The quick server over both nodes."""
    serve(PAIR, 2)


@pytest.fixture
def nothing() -> None:
    """No container on any node."""
    if any(on_node(node, PS) for node in NODES):
        status, said = playbook("stop")
        assert status == 0, said


@pytest.mark.usefixtures("tiny")
def test_the_model_answers_on_the_management_address() -> None:
    assert isinstance(complete("lab-tiny"), str)


@pytest.mark.usefixtures("tiny")
def test_ray_has_both_nodes_and_both_serve(nodes: dict[str, Any]) -> None:
    status = nodes["spark1"].check_output("docker exec dgxspark-main-0 ray status")
    assert "2.0/2.0 GPU" in status
    for rank, name in enumerate(NODES):
        processes = nodes[name].check_output(f"docker top dgxspark-main-{rank}")
        assert "ray::RayWorkerProc" in processes, name


@pytest.mark.usefixtures("tiny")
def test_the_server_is_the_first_process_of_the_heads_container(nodes: dict[str, Any]) -> None:
    head = containers(nodes["spark1"])["dgxspark-main-0"]
    command = nodes["spark1"].check_output(f"tr '\\0' ' ' </proc/{head['State']['Pid']}/cmdline")
    assert "vllm serve" in command


@pytest.mark.usefixtures("tiny")
def test_ranks_meet_on_the_fabric(nodes: dict[str, Any]) -> None:
    for rank, name in enumerate(NODES):
        environment = containers(nodes[name])[f"dgxspark-main-{rank}"]["Config"]["Env"]
        assert "GLOO_SOCKET_IFNAME=eth1" in environment
        fabric = nodes[name].interface("eth1").addresses
        assert any(f"VLLM_HOST_IP={own}" in environment for own in fabric)


@pytest.mark.usefixtures("tiny")
def test_all_ranks_carry_one_plan(nodes: dict[str, Any]) -> None:
    hashes = {
        containers(nodes[name])[f"dgxspark-main-{rank}"]["Config"]["Labels"][
            "dgxspark.suite/plan-hash"
        ]
        for rank, name in enumerate(NODES)
    }
    assert len(hashes) == 1


def test_check_mode_prints_the_docker_commands_and_starts_nothing(nodes: dict[str, Any]) -> None:
    before = {name: containers(nodes[name]).keys() for name in NODES}
    status, said = playbook("launch", "-e", "recipe=lab-tiny-solo", "--check")
    assert status == 0, said
    assert "docker run" in said
    assert "--name dgxspark-main-0" in said
    assert {name: containers(nodes[name]).keys() for name in NODES} == before


@pytest.mark.usefixtures("tiny")
def test_check_mode_works_on_nodes_without_the_image(tmp_path: Path) -> None:
    recipe = (ROOT / "tests/lab/recipes/lab-tiny-solo.yaml").read_text(encoding="utf-8")
    elsewhere = tmp_path / "elsewhere.yaml"
    elsewhere.write_text(recipe.replace("dgxspark-lab/vllm:cpu", "registry.invalid/vllm:1"))
    status, said = playbook("launch", "-e", f"recipe={elsewhere}", "--check")
    assert status == 0, said
    assert "registry.invalid/vllm:1" in said
    status, said = playbook("launch", "-e", f"recipe={elsewhere}")
    assert status != 0
    assert "registry.invalid" in said
    assert isinstance(complete("lab-tiny"), str)


def test_an_unknown_recipe_suggests_similar_names() -> None:
    status, said = playbook("launch", "-e", "recipe=lab-tinny")
    assert status != 0
    assert "'lab-tinny' not found" in said
    assert "Did you mean lab-tiny" in said


@pytest.mark.usefixtures("tiny")
def test_a_model_that_one_node_lacks_is_copied_to_it() -> None:
    """While it is served, so that the launch starts nothing."""
    model = "/ai/cache/huggingface/hub/models--dgxspark--tiny-qwen3"
    listed = on_node(NODES[0], f"cd {model} && find . | sort")
    on_node(NODES[1], f"rm -rf {model}")
    status, said = playbook("launch", "-e", "recipe=lab-tiny")
    assert status == 0, said
    assert f"6 files, 654.24 KB from {NODES[0]}" in said
    assert "(it ran already)" in said
    assert on_node(NODES[1], f"cd {model} && find . | sort") == listed


@pytest.mark.usefixtures("tiny")
def test_a_missing_model_is_refused_with_the_download_command() -> None:
    status, said = playbook("launch", "-e", "recipe=lab-tiny", "-e", "overrides=model=lab/nowhere")
    assert status != 0
    assert f"{' and '.join(NODES)}: " in said
    assert "dgxspark.suite.model_download -e model=lab/nowhere" in said
    assert isinstance(complete("lab-tiny"), str)


@pytest.mark.usefixtures("tiny")
def test_a_taken_port_is_refused_and_the_running_model_stays(nodes: dict[str, Any]) -> None:
    # A process may have any name, one that clears a terminal, too.
    program = (
        "import ctypes, socket, time\n"
        "ctypes.CDLL(None).prctl(15, b'\\x1b[2J\\x1b]0;x\\x07')\n"
        "listening = socket.create_server(('127.0.0.1', 9000))\n"
        "time.sleep(600)\n"
    )
    nodes["spark1"].check_output(f"echo {base64(program)} | base64 -d >/run/taken.py")
    nodes["spark1"].check_output("systemd-run --unit=taken --collect python3 /run/taken.py")
    try:
        status, said = playbook("launch", "-e", "recipe=lab-tiny-solo", "-e", "overrides=port=9000")
    finally:
        nodes["spark1"].check_output("systemctl stop taken; rm /run/taken.py")
    assert status != 0
    assert "port 9000 (server) is taken by \\x1b[2J\\x1b]0;x\\x07" in said
    assert "\x1b[2J" not in said
    assert isinstance(complete("lab-tiny"), str)


STRANGER = """
import os, socket, sys
to = (sys.argv[1], 25010)
said = b'{"say": "give up"}', b'{"rank": 1, "version": true}'
for line in (b"[" * 60000, *said, os.urandom(60000)):
    try:
        with socket.create_connection(to, 5) as line_to:
            line_to.sendall(line + b"\\n")
            line_to.settimeout(1)
            line_to.recv(4096)
    except OSError:
        pass
held = []
try:
    for _number in range(100):
        held.append(socket.create_connection(to, 1))
        held[-1].sendall(b'{"say": "give up"}\\n')
except OSError:
    pass
"""


@pytest.mark.usefixtures("tiny")
def test_strangers_at_the_supervisor_change_nothing(nodes: dict[str, Any]) -> None:
    head = address(NODES[0], "dgxspark_fabric_address")
    ids = {node: on_node(node, "docker ps --quiet --no-trunc") for node in NODES}
    for node in NODES:
        run = "setpriv --reuid=nobody --regid=nogroup --clear-groups python3 -"
        on_node(node, f"echo {base64(STRANGER)} | base64 -d | {run} {head}")
    time.sleep(2)
    for rank, node in enumerate(NODES):
        unit = f"dgxspark-main-{rank}.service"
        assert on_node(node, f"systemctl is-active {unit}") == "active\n"
        assert on_node(node, "docker ps --quiet --no-trunc") == ids[node]
        secret = f"/var/lib/dgxspark/{unit}.secret"
        assert on_node(node, f"stat -c '%U %a' {secret}") == "root 600\n"
    assert isinstance(complete("lab-tiny"), str)


@pytest.mark.usefixtures("tiny")
def test_a_foreign_container_of_the_same_name_is_left_alone(nodes: dict[str, Any]) -> None:
    create = "docker create --name dgxspark-other-0 dgxspark-lab/vllm:cpu true"
    nodes["spark1"].check_output(create)
    try:
        status, said = playbook("launch", "-e", "recipe=lab-tiny-solo", "-e", "service=other")
        assert status != 0
        assert "was not started by this collection" in said
        assert "dgxspark-other-0" in containers(nodes["spark1"])
        assert isinstance(complete("lab-tiny"), str)
    finally:
        nodes["spark1"].check_output("docker rm dgxspark-other-0")


@pytest.mark.usefixtures("tiny")
def test_another_recipe_replaces_it_on_all_nodes() -> None:
    status, said = playbook("launch", "-e", f"recipe={SOLO}")
    assert status == 0, said
    assert isinstance(complete("lab-quick"), str)
    assert only("lab-quick", 1)


@pytest.mark.usefixtures("solo")
def test_a_server_that_exits_is_rolled_back() -> None:
    with receiver() as (url, received):
        webhooks = {"dgxspark_webhook_urls": [url], "dgxspark_webhook_secret": "lab"}
        wrong = ("-e", f"recipe={PAIR}", "-e", "overrides=dtype=no-such-dtype")
        status, said = playbook("launch", *wrong, "-e", json.dumps(webhooks))
    assert status != 0
    assert "is undefined" not in said
    ((headers, body),) = received
    signed = headers["X-Dgxspark-Timestamp"].encode() + b"." + body
    proof = "sha256=" + hmac.new(b"lab", signed, hashlib.sha256).hexdigest()
    assert headers["X-Dgxspark-Signature"] == proof
    document = json.loads(body)
    assert (document["event"], document["swap"]["recipe"]) == ("swap_rolled_back", "lab-quick-2")
    assert "The last lines of rank 0 on spark1:" in said
    assert "The last lines of rank 1 on spark2:" in said
    assert "has ended" in said
    assert "no-such-dtype" in said
    assert "lab-quick, which was served before, answers again" in said
    assert isinstance(complete("lab-quick"), str)
    assert only("lab-quick", 1)
    assert journal()["result"] == "rolled_back"


@pytest.mark.usefixtures("solo")
def test_a_reserved_cluster_is_refused_without_its_token() -> None:
    reserved = {"owner": "Alice", "reason": "benchmarks", "seconds": 600}
    token = module("spark1", "cluster_lock", reserved)["token"]
    try:
        status, said = playbook("launch", "-e", "recipe=lab-tiny")
        assert status != 0
        assert "The cluster is locked by Alice (benchmarks) until 20" in said
        status, said = playbook("stop")
        assert status != 0
        assert "locked by Alice" in said
        within = ("-e", f"recipe={SOLO}", "-e", f"lock_token={token}")
        status, said = playbook("launch", *within)
        assert status == 0, said
        status, said = playbook("status")
        assert "Locked by Alice (benchmarks)" in said
    finally:
        module("spark1", "cluster_lock", {"state": "released", "token": token})
    status, said = playbook("launch", "-e", f"recipe={SOLO}")
    assert status == 0, said


@pytest.mark.usefixtures("solo")
def test_status_reports_answers_and_differences_from_the_recipe(tmp_path: Path) -> None:
    status, said = playbook("status", "-e", f"dgxspark_json={tmp_path / 'status.json'}")
    assert status == 0, said
    report = json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))
    (workload,) = report["workloads"]
    assert (workload["recipe"], workload["state"]) == ("lab-quick", "running")
    assert report["drift"] == {workload["plan_hash"]: "matches its recipe"}
    assert report["answers"]["main"]["phase"] == "serving"
    _status, said = playbook("status", "-e", "dgxspark_shm_size=1g")
    assert "differs from its recipe" in said


@pytest.mark.usefixtures("solo")
def test_a_worker_that_dies_while_the_model_loads_ends_the_launch_at_once(
    nodes: dict[str, Any],
) -> None:
    with begun("launch", "-e", f"recipe={PAIR}") as controller:
        wait_for(lambda: progress()["step"] == "waits until the new plan answers")
        nodes["spark2"].check_output("docker kill dgxspark-main-1")
        killed = time.monotonic()
        wait_for(lambda: progress()["state"] != "go")
        assert time.monotonic() - killed < 60, "the head would have given up after minutes"
        said, _nothing = controller.communicate()
    assert controller.returncode != 0
    assert "Container dgxspark-main-1 has ended" in said
    assert "lab-quick, which was served before, answers again" in " ".join(said.split())
    assert isinstance(complete("lab-quick"), str)
    assert only("lab-quick", 1)


@pytest.mark.usefixtures("solo")
def test_a_launch_whose_controller_was_killed_is_finished_by_the_nodes() -> None:
    with begun("launch", "-e", f"recipe={PAIR}") as controller:
        wait_for(lambda: running("lab-quick-2"))
        os.killpg(controller.pid, signal.SIGKILL)
    assert "dgxspark-main-0.previous exited lab-quick" in listed("spark1")
    wait_for(lambda: progress()["state"] == "ended")
    assert isinstance(complete("lab-quick-2"), str)
    assert only("lab-quick-2", 2)
    assert journal()["result"] == "complete"
    status, said = playbook("launch", "-e", f"recipe={PAIR}")
    assert status == 0, said
    assert "it ran already" in said


@pytest.mark.usefixtures("pair")
def test_logs_name_the_rank_of_each_line() -> None:
    status, said = playbook("logs", "-e", "recipe=lab-quick-2")
    assert status == 0, said
    assert "[rank 0]" in said
    assert "[rank 1]" in said


@pytest.mark.usefixtures("pair")
def test_a_user_without_docker_has_a_status_from_the_units_and_no_logs() -> None:
    held = {"owner": "Alice", "reason": "benchmarks", "seconds": 600}
    token = module("spark1", "cluster_lock", held)["token"]
    user = ("-b", "--become-user", "nobody")
    try:
        status, said = playbook("status", *user)
    finally:
        module("spark1", "cluster_lock", {"state": "released", "token": token})
    assert status == 0, said
    assert "lab-quick-2" in said
    assert "answers, a completion was answered in" in said
    assert "its unit runs, with 2 ranks in all" in said
    assert "nobody may not use Docker. Run with -b, or" in said
    assert "Locked by Alice (benchmarks)" in said
    assert token not in said
    status, said = playbook("logs", *user)
    assert status != 0
    assert "No logs: nobody may not use Docker. Run with -b, or" in said


@pytest.mark.usefixtures("pair")
def test_stop_by_the_name_under_which_it_is_served(nodes: dict[str, Any]) -> None:
    status, said = playbook("stop", "-e", "recipe=lab-quick-2")
    assert status == 0, said
    for name in NODES:
        assert not containers(nodes[name])


@pytest.mark.usefixtures("nothing")
def test_stop_by_an_unknown_name_lists_what_is_served() -> None:
    status, said = playbook("stop", "-e", "recipe=lab-tiny")
    assert status != 0
    assert "Nothing runs that was launched from lab-tiny" in said


@pytest.mark.usefixtures("nothing")
def test_stop_removes_only_containers_of_this_collection(nodes: dict[str, Any]) -> None:
    head = nodes["spark1"]
    head.check_output("docker create --name foreign dgxspark-lab/vllm:cpu true")
    ours = "docker create --name dgxspark-left-0 --label dgxspark.suite/owner=dgxspark.suite"
    head.check_output(f"{ours} --label dgxspark.suite/recipe=left dgxspark-lab/vllm:cpu true")
    try:
        checked, said = playbook("stop", "--check")
        assert checked == 0, said
        assert set(containers(head)) == {"foreign", "dgxspark-left-0"}
        status, said = playbook("stop", "-e", "recipe=somewhere/left.yaml")
        assert status == 0, said
        assert set(containers(head)) == {"foreign"}
    finally:
        head.check_output("docker rm foreign")


@pytest.mark.long
def test_vllm_serves_over_two_nodes_without_ray() -> None:
    status, said = playbook("launch", "-e", "recipe=lab-tiny-2")
    assert status == 0, said
    assert isinstance(complete("lab-tiny-2"), str)
    assert only("lab-tiny-2", 2)
