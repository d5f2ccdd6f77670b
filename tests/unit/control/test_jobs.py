# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs with the real ansible-runner and ansible-playbook, on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import httpx2 as httpx
from control_fakes import (
    CONFIRM,
    Lab,
    debug,
    ended,
    fail,
    free_port,
    run,
    sse,
    until,
    wait_for,
)

SWAP = {"recipe": "lab-other", "confirm": CONFIRM}
TEMPLATE = "{{ 7*7 }} {% raw %} $(id) `id` '\" \\ -o ProxyCommand=x"


def lab_of(folder: Path, *tasks: dict, **settings: object) -> Lab:
    lab = Lab(folder, **settings)
    lab.know()
    if tasks:
        lab.playbook("launch", list(tasks))
    return lab


def test_a_launch_is_a_job_with_what_its_playbook_prints(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path, debug("{{ recipe }} on {{ service }}", "it answers"))
        async with lab.control() as (client, _control):
            answer = await client.post("/api/swap", json={**SWAP, "owner": "alice"})
            assert answer.status_code == 202, answer.text
            begun = answer.json()
            assert answer.headers["location"] == f"/api/jobs/{begun['id']}"
            assert begun["state"] == "running"
            job = await ended(client, begun["id"])
            assert (job["state"], job["code"], job["why"]) == ("succeeded", "", "")
            assert job["lines"] == ["lab-other on main", "it answers"]
            assert (job["kind"], job["service"], job["owner"]) == ("swap", "main", "alice")
            assert job["command"] == (
                f"ansible-playbook -i {tmp_path}/inventory.json dgxspark.suite.launch"
                " -e recipe=lab-other -e service=main -e dgxspark_owner=alice"
            )
            stream = await client.get(f"/api/jobs/{job['id']}/events")
            found = sse(stream.text)
            assert [name for _id, name, _data in found] == ["task", "lines", "end"]
            assert found[-1][2]["state"] == "succeeded"
            later = await client.get(
                f"/api/jobs/{job['id']}/events", headers={"last-event-id": str(found[0][0])}
            )
            assert sse(later.text) == found[1:]
            listed = (await client.get("/api/jobs")).json()["jobs"]
            assert [one["id"] for one in listed] == [job["id"]]
            assert listed[0]["lines"] == []

    run(test())


def test_a_text_of_a_request_is_no_template_and_no_word_of_a_shell(tmp_path: Path) -> None:
    async def test() -> None:
        touched = tmp_path / "touched"
        show = debug("{{ dgxspark_owner }}", "{{ overrides.text }}")
        argv = ["touch", f"{touched}/{{{{ overrides.name }}}}"]
        command = {"name": "Run it", "ansible.builtin.command": {"argv": argv}}
        touched.mkdir()
        lab = lab_of(tmp_path, show, command)
        async with lab.control() as (client, _control):
            body = {**SWAP, "owner": TEMPLATE, "overrides": {"text": TEMPLATE, "name": "{{ 7*7 }}"}}
            job = (await client.post("/api/swap", json=body)).json()
            job = await ended(client, job["id"])
        assert job["state"] == "succeeded", job
        assert job["lines"] == [TEMPLATE, TEMPLATE]
        assert os.listdir(touched) == ["{{ 7*7 }}"]

    run(test())


def test_a_job_leaves_no_secret_and_nothing_that_others_can_read(tmp_path: Path) -> None:
    async def test() -> None:
        secret = "feedfacefeedfacefeedfacefeedface"
        loud = {**debug("token: {{ lock_token }}"), "name": "Show {{ lock_token }}"}
        write = {"name": "Write it", "ansible.builtin.shell": f"echo x > {tmp_path}/written"}
        lab = lab_of(tmp_path, loud, write)
        lab.hold(token=secret)
        async with lab.control() as (client, _control):
            answer = await client.post("/api/swap", json={**SWAP, "token": secret})
            assert secret not in answer.text
            job = await ended(client, answer.json()["id"])
            assert job["state"] == "succeeded", job
            assert job["lines"] == ["token: ***"]
            texts = [json.dumps(job), (await client.get("/api/jobs")).text]
            texts.append((await client.get(f"/api/jobs/{job['id']}/events")).text)
        folder = lab.state / "jobs" / job["id"]
        assert not (folder / "env").exists()
        assert sorted(os.listdir(folder)) == ["events.jsonl", "job.json", "running"]
        texts += [(folder / name).read_text() for name in os.listdir(folder)]
        assert not any(secret in text for text in texts)
        assert not list((lab.state / "quiet").iterdir())
        for path in [folder, *folder.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert stat.S_IMODE((tmp_path / "written").stat().st_mode) == 0o600

    run(test())


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path, fail("no such image\nnext: ansible-playbook x"))
        async with lab.control() as (client, _control):
            job = (await client.post("/api/swap", json=SWAP)).json()
            job = await ended(client, job["id"])
            assert (job["state"], job["code"]) == ("failed", "error")
            assert job["why"] == "localhost: no such image"
            found = sse((await client.get(f"/api/jobs/{job['id']}/events")).text)
            assert found[-2][1:][0] == "failed"
            assert found[-2][2]["lines"] == ["no such image", "next: ansible-playbook x"]
            (lab.suite / "playbooks" / "launch.yml").write_text("- hosts: [")
            job = (await client.post("/api/swap", json=SWAP)).json()
            job = await ended(client, job["id"])
            assert (job["state"], job["code"]) == ("failed", "error")
            assert job["why"]

    run(test())


def test_a_held_lock_is_423_with_its_holder_and_no_token(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path)
        lab.hold("Alice", "0123456789abcdef0123456789abcdef")
        async with lab.control() as (client, control):
            answer = await client.post("/api/swap", json=SWAP)
            problem = answer.json()
            assert answer.status_code == 423
            assert answer.headers["content-type"] == "application/problem+json"
            assert (problem["code"], problem["owner"], problem["reason"]) == (
                *("locked", "Alice", "benchmarks"),
            )
            assert "0123456789abcdef" not in answer.text
            assert control.jobs.listed() == []
            forced = await client.post("/api/swap", json={**SWAP, "force": True})
            assert forced.status_code == 202
            assert (await ended(client, forced.json()["id"]))["state"] == "succeeded"
            lab.playbook("lock", [fail("spark1 is gone")])
            answer = await client.post("/api/swap", json=SWAP)
            assert (answer.status_code, answer.json()["code"]) == (503, "unreachable")
            assert "retry-after" in answer.headers

    run(test())


def test_the_cluster_is_reserved_extended_and_released(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path)
        async with lab.control() as (client, _control):
            owner = "{{ 7*7 }}"
            body = {"owner": owner, "reason": "benchmarks", "seconds": 600}
            answer = await client.post("/api/swap/lock", json=body)
            assert answer.status_code == 201, answer.text
            held = answer.json()
            assert (held["owner"], held["held"]) == (owner, True)
            again = await client.post("/api/swap/lock", json={**body, "token": held["token"]})
            assert again.status_code == 200
            assert (await client.post("/api/swap/lock", json=body)).status_code == 423
            answer = await client.delete("/api/swap/lock")
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_token")
            answer = await client.delete("/api/swap/lock", headers={"x-lock-token": "wrong"})
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_token")
            answer = await client.delete("/api/swap/lock", headers={"x-lock-token": held["token"]})
            assert (answer.status_code, answer.json()) == (200, {"taken_from": ""})
            assert not lab.held.exists()
            assert (await client.get("/api/jobs")).json() == {"jobs": []}
        assert held["token"] not in "".join(
            path.read_text(errors="replace") for path in lab.state.rglob("*") if path.is_file()
        )

    run(test())


def test_of_two_swaps_at_once_one_is_accepted(tmp_path: Path) -> None:
    async def test() -> None:
        go = tmp_path / "go"
        lab = lab_of(tmp_path, wait_for(go))
        async with lab.control() as (client, _control):
            both = [client.post("/api/swap", json=SWAP) for _turn in range(2)]
            answers = await asyncio.gather(*both)
            accepted = [one.json() for one in answers if one.status_code == 202]
            refused = [one.json() for one in answers if one.status_code == 409]
            assert (len(accepted), len(refused)) == (1, 1)
            assert (refused[0]["code"], refused[0]["job"]) == ("running", accepted[0]["id"])
            body = {"confirm": CONFIRM}
            stop = await client.post("/api/stop", json=body)
            assert (stop.status_code, stop.json()["code"]) == (409, "running")
            answer = await client.post(f"/api/jobs/{accepted[0]['id']}/cancel", json={})
            assert (answer.status_code, answer.json()["code"]) == (409, "not_cancellable")
            go.touch()
            assert (await ended(client, accepted[0]["id"]))["state"] == "succeeded"

    run(test())


def test_a_download_is_cancelled(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path)
        lab.playbook("model_download", [wait_for(tmp_path / "never")])
        async with lab.control() as (client, control):
            answer = await client.post("/api/models/download", json={"model": "org/new"})
            name = answer.json()["id"]
            again = await client.post("/api/models/download", json={"model": "org/new"})
            assert (again.status_code, again.json()["job"]) == (409, name)
            job = control.jobs.get(name)
            while not job.events:
                await asyncio.sleep(0.1)
            assert (await client.post(f"/api/jobs/{name}/cancel", json={})).status_code == 202
            job = await ended(client, name)
            assert (job["state"], job["code"]) == ("cancelled", "cancelled")
            answer = await client.post(f"/api/jobs/{name}/cancel", json={})
            assert answer.json()["code"] == "not_cancellable"

    run(test())


def test_old_jobs_are_removed(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path, keep_jobs=2)
        async with lab.control() as (client, _control):
            names = []
            for _turn in range(3):
                job = (await client.post("/api/swap", json={**SWAP, "force": True})).json()
                names.append((await ended(client, job["id"]))["id"])
            listed = (await client.get("/api/jobs")).json()["jobs"]
            assert [one["id"] for one in listed] == names[:0:-1]
            assert (await client.get(f"/api/jobs/{names[0]}")).status_code == 404
        assert sorted(os.listdir(lab.state / "jobs")) == names[1:]

    run(test())


def test_a_job_that_needs_more_room_than_there_is_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        lab = lab_of(tmp_path)
        async with lab.control() as (client, _control):
            os.rename(lab.state / "jobs", lab.state / "was")
            (lab.state / "jobs").write_text("")
            answer = await client.post("/api/swap", json={**SWAP, "force": True})
            assert (answer.status_code, answer.json()["code"]) == (507, "no_room")

    run(test())


def test_a_job_outlives_control_and_is_followed_from_its_first_event(tmp_path: Path) -> None:
    go, port = tmp_path / "go", free_port()
    lab = lab_of(tmp_path, debug("before"), wait_for(go), debug("after"))
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        with lab.process(port) as process:
            job = client.post("/api/swap", json={**SWAP, "force": True}).json()["id"]
            until(lambda: client.get(f"/api/jobs/{job}").json()["phases"] is not None)
            until(lambda: "before" in client.get(f"/api/jobs/{job}").json()["lines"])
            process.kill()
            process.wait(10)
        with lab.process(port) as process:
            shown = client.get(f"/api/jobs/{job}").json()
            assert shown["state"] == "running"
            answer = client.post("/api/swap", json=SWAP)
            assert (answer.status_code, answer.json()["job"]) == (409, job)
            with client.stream("GET", f"/api/jobs/{job}/events") as stream:
                go.touch()
                found = sse("".join(stream.iter_text()))
            lines = [data["lines"] for _id, name, data in found if name == "lines"]
            assert lines[0] == ["before"]
            assert lines[-1] == ["after"]
            assert found[-1][1] == "end"
            assert client.get(f"/api/jobs/{job}").json()["state"] == "succeeded"
            # SIGTERM: what runs goes on.
            go.unlink()
            second = client.post("/api/swap", json={**SWAP, "force": True}).json()["id"]
            until(lambda: client.get(f"/api/jobs/{second}").json()["task"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) is not None
            go.touch()
        with lab.process(port):
            until(lambda: client.get(f"/api/jobs/{second}").json()["state"] == "succeeded")
            assert client.get(f"/api/jobs/{job}").json()["lines"] == ["before", "after"]
            again = sse(client.get(f"/api/jobs/{job}/events").text)
            assert again == found


def test_a_job_whose_process_was_killed_is_lost(tmp_path: Path) -> None:
    port = free_port()
    lab = lab_of(tmp_path, debug("before"), wait_for(tmp_path / "never"))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        with lab.process(port):
            job = client.post("/api/swap", json={**SWAP, "force": True}).json()["id"]
            until(lambda: client.get(f"/api/jobs/{job}").json()["lines"])
        about = json.loads((lab.state / "jobs" / job / "job.json").read_text())
        os.killpg(about["pid"], signal.SIGKILL)
        with lab.process(port):
            shown = until(
                lambda: (one := client.get(f"/api/jobs/{job}").json())["state"] != "running" and one
            )
            assert (shown["state"], shown["code"]) == ("lost", "lost")
            assert shown["lines"] == ["before"]
    assert not (lab.state / "jobs" / job / "env").exists()


def test_a_state_folder_has_one_process(tmp_path: Path) -> None:
    lab = lab_of(tmp_path)
    with lab.process(free_port()) as first:
        other = free_port()
        with lab.process(other) as second:
            assert second.wait(20) != 0
        assert first.poll() is None
    assert "another process uses" in (tmp_path / "control.log").read_text()
