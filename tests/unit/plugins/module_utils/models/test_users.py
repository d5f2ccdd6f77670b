# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.models.users import (
    Process,
    Users,
    processes,
)

PATHS = ["/ai/hub/models--org--name", "/ai/models/it's mine"]


@pytest.mark.parametrize(
    ("argv", "uses"),
    [
        (["vllm", "serve", "org/name"], True),
        (["python3", "-m", "vllm.entrypoints.openai.api_server", "--model=org/name"], True),
        (["llama-server", "-hf", "org/name:Q4_K_M"], True),
        (["llama-server", "-m", "/ai/hub/models--org--name/snapshots/a/b.gguf"], True),
        (["vllm", "serve", "/ai/models/it's mine"], True),
        (["vllm", "serve", "org/name-2"], False),
        (["vllm", "serve", "org/other", "--served-model-name", "name"], False),
        (["vllm", "serve", "/ai/models/it's mine too"], False),
        # That of a person who is about to delete it.
        (["somebody", "-e", "model=org/name"], False),
    ],
)
def test_a_process_that_names_a_model_uses_it(argv: list[str], uses: bool) -> None:
    found = Users([Process(1, "x", argv)]).of("org/name", PATHS)
    assert bool(found) == uses


@pytest.mark.parametrize(
    ("argv", "serves"),
    [
        (["/usr/bin/python3", "/usr/local/bin/vllm", "serve", "a/b"], True),
        (["python3", "-m", "sglang.launch_server", "--model-path", "a/b"], True),
        (["/opt/llama-server", "-m", "x"], True),
        (["less", "/ai/models/x/config.json"], False),
        (["tail", "-f", "-n", "5", "/var/log/vllm"], False),
    ],
)
def test_a_server_is_distinguished_from_other_programs(argv: list[str], serves: bool) -> None:
    assert Process(1, "x", argv).serves == serves


def test_real_processes_are_listed_without_this_one() -> None:
    name = f"org/name-{os.getpid()}"  # another test process may run the same test
    with subprocess.Popen([sys.executable, "-c", "input()", name], stdin=-1) as other:
        try:
            (found,) = Users(processes()).of(name, [])
            assert found.pid == other.pid
            assert os.getpid() not in {one.pid for one in processes()}
        finally:
            other.terminate()


def test_processes_of_ansible_are_left_out_and_malformed_entries_ignored(tmp_path: Path) -> None:
    for pid, argv in (
        (7, b"python3\0/x/ansible-playbook\0org/name\0"),
        (8, b""),
        (9, b"a\0\xff\0"),
    ):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(argv)
        (tmp_path / str(pid) / "comm").write_text("x\n")
    (tmp_path / "10").mkdir()
    (tmp_path / "self").mkdir()
    assert [one.pid for one in processes(str(tmp_path))] == [9]
