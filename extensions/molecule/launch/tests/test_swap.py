# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swaps over two nodes, and what befalls their nodes and their controllers meanwhile.

Whatever it is: one plan serves on both nodes with its units, nothing of the other is left, and
units of two plans never exist at the same time. The servers start in some seconds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from lab import (
    NODES,
    ROOT,
    answers,
    begun,
    on_node,
    playbook,
    recipes_on,
    run,
    wait_for,
)

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
QUICK = ROOT / "extensions" / "molecule" / "launch" / "quick"
PAIR = ("-e", f"recipe={QUICK / 'lab-quick-2.yaml'}")
# Two plans of one recipe.
PLANS = {"a": ("-e", "dgxspark_shm_size=1g"), "b": ("-e", "dgxspark_shm_size=2g")}
MODEL = "lab-quick-2"
PLACE = "/var/lib/dgxspark/services/main"
# Kills of a controller, drawn over the swap, by this seed.
KILLS = int(os.environ.get("LAB_SWAP_KILLS", "20"))
SEED = os.environ.get("LAB_SWAP_SEED", "dgxspark")
# Seconds on two busy cores, with the limits of a swap whose controller has not said go.
PATIENCE = 480


def shell(node: str, script: str) -> str:
    """The output of a script on a node; empty where the node does not answer."""
    return run("docker", "exec", node, "sh", "-c", script).stdout


def progress(node: str = HEAD) -> dict[str, Any]:
    with suppress(ValueError):
        return dict(json.loads(shell(node, "cat /run/dgxspark/swaps/main.json")))
    return {}


def at(*steps: str) -> Callable[[], bool]:
    return lambda: progress().get("step", "").startswith(steps)


def plans() -> set[str]:
    """The plans that have units, and those of the containers that run."""
    script = "grep -hs ^Plan= /etc/systemd/system/dgxspark-main-*.service"
    lines = [line for node in NODES for line in shell(node, script).splitlines()]
    # What docker exec says of a node that is away is none.
    return {line for line in lines if line.startswith("Plan=")}


def ids() -> dict[str, str]:
    """Node -> the containers that run."""
    return {node: shell(node, "docker ps --no-trunc --format '{{.ID}}'") for node in NODES}


def left(node: str) -> list[str]:
    """What a swap that has ended may not leave."""
    script = f"""
        [ ! -e {PLACE}/swap ] || echo "the swap: $(ls {PLACE}/swap/state)"
        docker ps --all --format '{{{{.Names}}}} {{{{.State}}}}' |
            grep -v '^dgxspark-main-. running$'
        ls -d /etc/systemd/system/dgxspark-main-*.service.* /var/lib/dgxspark/*.next \
            /var/lib/dgxspark/*.previous 2>/dev/null
        systemctl is-enabled --quiet dgxspark-swap@main && echo the guard
        systemctl is-active --quiet dgxspark-main-?.service || echo no unit
        true
    """
    return shell(node, script).splitlines()


def settled() -> bool:
    nothing_left = not any(left(node) for node in NODES)
    return nothing_left and len(plans()) == 1 and answers(MODEL, 20)


def await_settled() -> None:
    try:
        wait_for(settled, PATIENCE)
    except AssertionError:
        for node in NODES:
            print(node, left(node), progress(node))
            print(shell(node, "journalctl -u dgxspark-swap@main -o cat | tail -30"))
            print(shell(node, "systemctl status 'dgxspark-main-*' | head -40"))
        raise


def lines() -> list[dict[str, Any]]:
    """The history of the service on the head."""
    text = shell(HEAD, f"cat {PLACE}/history.jsonl")
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def watched() -> Iterator[list[set[str]]]:
    """The plans that have units, about every second."""
    seen: list[set[str]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.7):
            seen.append(plans())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
    assert max(map(len, seen)) <= 1, seen


def launching(plan: str, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return begun("launch", *PAIR, *PLANS[plan], *arguments)


def kill(controller: subprocess.Popen[str]) -> None:
    """And reap it: a process that nobody has reaped still counts."""
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()


def served_plan() -> str:
    """Which of the two plans is served."""
    size = shell(HEAD, "docker inspect --format '{{.HostConfig.ShmSize}}' dgxspark-main-0").strip()
    return "a" if size == str(1 << 30) else "b"


def other() -> str:
    return "b" if served_plan() == "a" else "a"


@pytest.fixture(scope="module", autouse=True)
def model() -> Iterator[None]:
    # A run that was killed may have left its lock, or a swap.
    status, said = playbook("launch", *PAIR, *PLANS["a"], "-e", "force=true")
    assert status == 0, said
    yield
    status, said = playbook("stop", "-e", "force=true", "-e", "confirm=all")
    assert status == 0, said


@pytest.fixture(autouse=True)
def calm() -> None:
    """Each test begins with one served plan whose units have not been started often."""
    for node in NODES:
        on_node(node, "rm -f /var/lib/dgxspark/dgxspark-main-?.service.json")
    if not settled():
        status, said = playbook("launch", *PAIR, *PLANS["a"], "-e", "force=true")
        assert status == 0, said
    await_settled()


def test_a_killed_controller_leaves_the_swap_to_the_nodes() -> None:
    """Twenty moments of it, and nothing typed afterwards."""
    draw = random.Random(SEED)
    outcomes = []
    for _kill in range(KILLS):
        before, count = served_plan(), len(lines())
        with watched(), launching(other()) as controller:
            wait_for(lambda: "swap" in shell(WORKER, f"ls {PLACE}"), 60)
            moment = draw.uniform(0, 14)
            time.sleep(moment)
            kill(controller)
            killed = time.monotonic()
            await_settled()
        took = time.monotonic() - killed
        after = served_plan()
        outcomes.append((round(moment, 1), before != after, round(took)))
        assert len(lines()) - count <= 1, outcomes
        assert not shell(HEAD, "cat /var/lib/dgxspark/lock.json") or before == after, outcomes
    print(outcomes)
    assert any(swapped for _moment, swapped, _took in outcomes)


def test_a_frozen_controller_undoes_nothing_when_it_wakes_up() -> None:
    first, second = other(), served_plan()
    with watched(), launching(first) as controller:
        wait_for(at("waits until", "starts"), 60)
        os.killpg(controller.pid, signal.SIGSTOP)
        arguments = (*PLANS[second], "-e", "dgxspark_shm_size=3g", "-e", "force=true")
        status, said = playbook("launch", *PAIR, *arguments)
        assert status == 0, said
        running = ids()
        os.killpg(controller.pid, signal.SIGCONT)
        said, _nothing = controller.communicate(timeout=120)
        time.sleep(5)
        assert ids() == running
    await_settled()


def test_a_second_launch_is_refused_or_waits() -> None:
    with watched(), launching(other()) as controller:
        wait_for(at("waits until", "starts"), 60)
        kill(controller)
        # The dead controller's lock is taken over; its swap is not.
        status, said = playbook("launch", *PAIR, "-e", "dgxspark_shm_size=3g")
        if status:
            assert "has not ended" in said
            assert "lock_wait=SECONDS" in said
        waiting = ("-e", "dgxspark_shm_size=3g", "-e", "lock_wait=300")
        status, said = playbook("launch", *PAIR, *waiting)
        assert status == 0, said
    await_settled()


@contextmanager
def nobody_starts(node: str) -> Iterator[None]:
    """The permit to start is somebody else's: a swap waits, however slow this machine is."""
    script = "echo $$ >/run/holder; exec flock /run/dgxspark/starts/lock sleep 600"
    holder = subprocess.Popen(["docker", "exec", node, "sh", "-c", script])
    try:
        yield
    finally:
        # The sleep is a child of flock, and has the lock as well.
        on_node(node, "pkill -P $(cat /run/holder); rm /run/holder")
        holder.wait()


def test_status_shows_an_open_swap() -> None:
    with watched(), nobody_starts(HEAD), launching(other()):
        wait_for(at("waits to start"), 120)
        status, said = playbook("status")
        assert status == 0, said
        assert f"Swap of service main to {MODEL} by" in said
        status, said = playbook("stop")
        assert status != 0
    await_settled()


STEPS = ("stops the old plan", "waits until the new plan answers", "makes the new plan permanent")


def reboot(*nodes: str) -> None:
    assert run("docker", "restart", "-t", "5", *nodes).returncode == 0


def kill_guard(*nodes: str) -> None:
    for node in nodes:
        shell(node, "systemctl kill --signal=KILL dgxspark-swap@main")


def restart_docker(*nodes: str) -> None:
    for node in nodes:
        shell(node, "systemctl restart docker")


def cut_off(*nodes: str) -> None:
    """For longer than the silence that guards allow each other."""
    script = "ip link set eth1 down; sleep 45; ip link set eth1 up"
    parts = [subprocess.Popen(["docker", "exec", node, "sh", "-c", script]) for node in nodes]
    assert [part.wait() for part in parts] == [0] * len(nodes)


FAULTS = (
    *(
        (fault, nodes)
        for fault in (reboot, restart_docker)
        for nodes in ((HEAD,), (WORKER,), NODES)
    ),
    *((kill_guard, (node,)) for node in NODES),
    (cut_off, (WORKER,)),
)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("fault", "nodes"), FAULTS, ids=[f"{f.__name__} {' '.join(n)}" for f, n in FAULTS]
)
def test_a_fault_of_the_nodes(
    fault: Callable[..., None], nodes: tuple[str, ...], step: str
) -> None:
    with watched(), launching(other()) as controller:
        wait_for(at(step), 60)
        kill(controller)
        fault(*nodes)
        await_settled()


def test_a_retained_container_that_is_removed_is_missed_only_by_a_rollback() -> None:
    new = other()
    with watched(), launching(new) as controller:
        wait_for(at("waits until"), 60)
        shell(WORKER, "docker rm dgxspark-main-1.previous")
        said, _nothing = controller.communicate(timeout=120)
    assert controller.returncode == 0, said
    await_settled()
    assert served_plan() == new


@pytest.mark.parametrize("how", ["exits", "never answers"])
def test_a_new_plan_that_does_not_serve_is_undone(how: str) -> None:
    before = served_plan()
    wrong = {
        "exits": ("-e", "overrides=dtype=no-such-dtype"),
        "never answers": ("-e", "dgxspark_ready_timeout=2"),
    }[how]
    with watched():
        status, said = playbook("launch", *PAIR, *PLANS[other()], *wrong)
    assert status != 0
    assert f"{MODEL}, which was served before, answers again" in said
    await_settled()
    assert served_plan() == before


def test_force_before_and_after_the_decision() -> None:
    for step in ("waits until", "makes the new plan permanent"):
        with watched(), launching(other()) as controller:
            wait_for(at(step), 60)
            kill(controller)
            status, said = playbook("launch", *PAIR, *PLANS["a"], "-e", "force=true")
            assert status == 0, said
        await_settled()
        assert served_plan() == "a"


def test_without_its_decider_the_other_node_is_launched_on() -> None:
    """By the word of a person; and the decider that comes back after all is no obstacle."""
    alone = ("-e", f"recipe={QUICK / 'lab-quick.yaml'}", "--limit", f"!{HEAD}")
    with launching(other()) as controller:
        wait_for(at("waits until"), 60)
        kill(controller)
        assert run("docker", "stop", "-t", "5", HEAD).returncode == 0
    try:
        status, said = playbook("launch", *alone, "-e", "force=true", "-e", f"without={HEAD}")
        assert status == 0, said
        assert recipes_on(WORKER) == {"lab-quick"}
        assert not any(left(WORKER))
    finally:
        assert run("docker", "start", HEAD).returncode == 0
        wait_for(lambda: "active" in shell(HEAD, "systemctl is-active docker"), 60)
    status, said = playbook("launch", *PAIR, *PLANS["a"], "-e", "force=true")
    assert status == 0, said
    await_settled()


@contextmanager
def small_disk(node: str, image: Path) -> Iterator[None]:
    """What this collection has on a node is on an ext4 of 24 MiB. Nodes may not mount devices."""
    image.touch()
    os.truncate(image, 24 << 20)
    made = run("mkfs.ext4", "-q", str(image))
    loop = run("losetup", "--find", "--show", str(image)).stdout.strip()
    if made.returncode or not loop:
        pytest.skip("this machine makes no ext4 in a file")
    number = os.stat(loop).st_rdev
    process = run("docker", "inspect", "--format", "{{.State.Pid}}", node).stdout.strip()

    def inside(script: str) -> None:
        done = run("nsenter", "--target", process, "--mount", "--pid", "sh", "-ec", script)
        assert done.returncode == 0, done.stderr

    try:
        inside(f"""
            mknod /dev/small b {os.major(number)} {os.minor(number)}
            mount -t ext4 /dev/small /mnt
            cp -a /var/lib/dgxspark/. /mnt/
            umount /mnt
            mount -t ext4 /dev/small /var/lib/dgxspark
        """)
        yield
        inside("""
            rm -f /var/lib/dgxspark/full
            mount -t tmpfs none /mnt
            cp -a /var/lib/dgxspark/. /mnt/
            umount -l /var/lib/dgxspark
            rm -rf /var/lib/dgxspark/*
            cp -a /mnt/. /var/lib/dgxspark/
            umount /mnt
        """)
    finally:
        inside("umount -l /var/lib/dgxspark 2>/dev/null || true; rm -f /dev/small")
        run("losetup", "--detach", loop)


def test_on_a_full_disk_a_swap_ends(tmp_path: Path) -> None:
    """State, attempts and decisions are renames, on a file system of their own that is full."""
    fill = "dd if=/dev/zero of=/var/lib/dgxspark/full bs=4k status=none 2>/dev/null || true"
    disks = small_disk(HEAD, tmp_path / HEAD), small_disk(WORKER, tmp_path / WORKER)
    with disks[0], disks[1], watched(), launching(other()) as controller:
        wait_for(lambda: progress(HEAD).get("state") == "go", 60)
        for node in NODES:
            on_node(node, fill)
        said, _nothing = controller.communicate(timeout=300)
        assert progress()["state"] == "ended", said
    await_settled()


def test_a_link_without_its_unit_does_no_harm_at_a_boot() -> None:
    link = "/etc/systemd/system/multi-user.target.wants/dgxspark-none-0.service"
    on_node(WORKER, f"ln -s /etc/systemd/system/dgxspark-none-0.service {link}")
    try:
        reboot(WORKER)
        wait_for(lambda: "active" in shell(WORKER, "systemctl is-active multi-user.target"), 60)
        await_settled()
        assert "dgxspark" not in shell(WORKER, "systemctl list-units --failed --no-legend")
    finally:
        on_node(WORKER, f"rm -f {link}")
