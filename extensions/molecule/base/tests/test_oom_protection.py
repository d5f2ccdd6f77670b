# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory really runs out: the workload dies, the node stays in reach."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from lab import INVENTORY, module, on_node, run, site

NODE = "spark1"
HOG = "held = []\nwhile True: held.append(bytearray(16 << 20))"
# Goes below the threshold, whatever others take and let go meanwhile, and deeper only slowly; gives
# up after 40 s or 12 GiB. argv: the threshold in MiB.
HUNGRY = """
import sys, time
held, end = [], time.monotonic() + 40
while time.monotonic() < end and len(held) < 384:
    with open('/proc/meminfo') as lines:
        free = next(int(line.split()[1]) for line in lines if line.startswith('MemAvailable:'))
    time.sleep(0.02 if free // 1024 > int(sys.argv[1]) else 0.25)
    held.append(bytearray(b'x') * (32 << 20))
print('survived, with', len(held) * 32, 'MiB held and', free // 1024, 'available')
"""


def answers() -> bool:
    """Whether sshd lets us in, and the engine answers."""
    done = run("ansible", *INVENTORY, NODE, "-m", "ansible.builtin.ping")
    return done.returncode == 0 and on_node(NODE, "docker info --format '{{.ID}}'") != ""


def available_mib() -> int:
    return int(on_node(NODE, "awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo"))


def test_a_container_that_exhausts_its_memory_dies_alone() -> None:
    name = "dgxspark-test-hog"
    limits = "--memory 256m --memory-swap 256m"
    said = on_node(
        NODE,
        f"docker run --name {name} {limits} dgxspark-lab/triton:3.5.1 python3 -c '{HOG}' || true;"
        f" docker inspect --format '{{{{.State.OOMKilled}}}}' {name}; docker rm {name}",
    )
    assert said.splitlines()[0] == "true"
    assert answers()


@pytest.fixture
def low_threshold() -> Iterator[int]:
    """earlyoom of the role, set to act 1500 MiB below what is available now; in MiB.

    What else runs on this machine meanwhile takes and frees memory, too.
    """
    term = available_mib() - 1500
    module(NODE, "ensure_oom_protection", {"term_mib": term, "kill_mib": term // 2})
    yield term
    assert site(NODE, "oom_protection").having("blocked") == set()


def test_the_watcher_ends_the_workload_and_the_node_stays_in_reach(low_threshold: int) -> None:
    # Beside it something larger that is none: the name decides, not the size alone.
    said = on_node(
        NODE,
        "cp -L /usr/bin/python3 /tmp/ray::hog; cp -L /usr/bin/python3 /tmp/other;"
        " /tmp/other -c 'held = bytearray(b\"x\") * (64 << 20); import time; time.sleep(50)' &"
        f' other=$!; /tmp/ray::hog -c "{HUNGRY}" {low_threshold} || echo ended $?;'
        " kill -0 $other && echo other lives; kill $other; rm /tmp/ray::hog /tmp/other",
    )
    assert said.splitlines() == ["ended 143", "other lives"]
    assert answers()
    log = on_node(NODE, "journalctl --unit earlyoom --output cat --since -2min")
    assert re.search("sending SIGTERM to process .*ray::hog", log)


def test_what_systemd_runs_is_what_was_written() -> None:
    said = on_node(NODE, "tr '\\0' '\\n' </proc/$(pidof earlyoom)/cmdline").splitlines()
    assert said[said.index("-s") + 1] == "100,100"
    assert said[said.index("--avoid") + 1].endswith("|NetworkManager)$")


def test_the_page_cache_is_released_before_each_start_of_a_model_server() -> None:
    template = "/run/systemd/system/dgxspark-vllm@.service"
    asked = "journalctl --unit dgxspark-release-page-cache --output cat | grep --count ^Finished"
    # Only the drop-in is looked at; where the launchers are there, /etc has another.
    on_node(NODE, f"printf '[Service]\nExecStart=/bin/true\n' >{template}")
    on_node(
        NODE, "mkdir -p /run/aside; mv /etc/systemd/system/dgxspark-vllm@.service /run/aside/ || :"
    )
    on_node(NODE, "systemctl daemon-reload")
    try:
        before = int(on_node(NODE, f"{asked} || :"))
        on_node(NODE, "systemctl start dgxspark-vllm@x; systemctl start dgxspark-vllm@x")
        assert int(on_node(NODE, asked)) == before + 2
    finally:
        on_node(NODE, f"rm {template}; mv /run/aside/* /etc/systemd/system/ || :")
        on_node(NODE, "systemctl daemon-reload")
