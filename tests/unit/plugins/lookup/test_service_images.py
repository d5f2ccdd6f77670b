# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that a node serves from, from the services that the inventory declares."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

IMAGE = "scitrera/dgx-spark-vllm:0.16.0-t5"
ROOT = pathlib.Path(__file__).resolve().parents[4]


def images(services: t.Any, node: str = "spark1", **more: t.Any) -> list[str]:
    given = {"dgxspark_services": services, **more}
    shown = "msg={{ query('dgxspark.suite.service_images', '%s') | to_json }}" % node
    done = subprocess.run(
        [
            str(pathlib.Path(sys.executable).with_name("ansible")),
            *("localhost", "-i", "localhost,", "-c", "local", "-e", json.dumps(given)),
            *("-m", "ansible.builtin.debug", "-a", shown),
        ],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout[done.stdout.index("{") :])
    found = json.loads(result["msg"]) if isinstance(result["msg"], str) else result["msg"]
    assert all(target["optional"] for target in found)
    return [target["image"] for target in found]


def test_each_image_of_a_node_once() -> None:
    services = [
        {"name": "main", "recipe": "qwen3-1.7b"},
        {"name": "again", "recipe": "qwen3-1.7b", "nodes": ["spark1"]},
        {"name": "elsewhere", "recipe": "qwen3-8b-sglang", "nodes": "spark2"},
        {"name": "watched", "url": "http://192.0.2.1"},
    ]
    assert images(services) == [IMAGE]
    assert len(images(services, "spark2")) == 2


@pytest.mark.parametrize(
    "services", [[], "chat", None, [1], [{"name": "a", "recipe": "no-such-recipe"}]]
)
def test_what_cannot_be_read_is_left_to_services_yml(services: t.Any) -> None:
    assert images(services) == []


def test_none_where_models_are_served_from_an_environment() -> None:
    services = [{"name": "main", "recipe": "qwen3-1.7b"}]
    assert images(services, dgxspark_serve_from="both") == [IMAGE]
    assert images(services, dgxspark_serve_from="venv") == []
