# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose port it is that Docker publishes."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers, sockets
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import running

BINDING = {"HostIp": "192.0.2.1", "HostPort": "6333"}


def inspected(ports: Any) -> containers.Container:
    """As `docker inspect` describes a container; ports: its NetworkSettings.Ports."""
    entry = {
        "Name": "/dgxspark-vectors-0",
        "Id": "c0ffee",
        "Image": "sha256:1",
        "Config": {"Image": "org/store:1", "Labels": None},
        "State": {"Status": "running", "ExitCode": 0},
        "NetworkSettings": {"Ports": ports},
    }
    return containers.parse_inspect(json.dumps([entry]))[0]


@pytest.mark.parametrize(
    ("ports", "published"),
    [
        ({"6333/tcp": [BINDING, {**BINDING, "HostIp": "::"}], "6334/tcp": None}, (6333,)),
        ({"6333/tcp": [{"HostPort": "x"}]}, ()),
        ({}, ()),
        (None, ()),
    ],
)
def test_published_ports_of_a_container(ports: Any, published: tuple[int, ...]) -> None:
    assert inspected(ports).published == published


@pytest.mark.parametrize(
    ("listener", "container"),
    [
        (sockets.Listener(6333, 7, "docker-proxy"), "c0ffee"),
        (sockets.Listener(6334, 7, "docker-proxy"), None),
        # Another process on the same port of another address.
        (sockets.Listener(6333, 8, "qdrant"), None),
    ],
)
def test_a_published_port_is_that_of_its_container(
    monkeypatch: pytest.MonkeyPatch, listener: sockets.Listener, container: str | None
) -> None:
    monkeypatch.setattr(running.sockets, "listeners", lambda: [listener])
    found = running.running([inspected({"6333/tcp": [BINDING]})], [])
    assert [entry["container"] for entry in found["listening"]] == [container]
    assert found["page_size"] == os.sysconf("SC_PAGE_SIZE")
