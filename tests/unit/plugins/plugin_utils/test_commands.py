# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that a person is told to type next."""

from __future__ import annotations

import json
import os
import shlex

import pytest
from ansible import constants as C
from ansible.parsing.splitter import parse_kv

from ansible_collections.dgxspark.suite.plugins.plugin_utils import commands
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import playbook_command


def test_the_options_of_the_run_are_repeated() -> None:
    options = {
        "inventory": [os.path.join(os.getcwd(), "my nodes"), "198.51.100.1,"],
        "remote_user": "alice",
        "become_ask_pass": True,
    }
    line = playbook_command("launch", ["-e", "recipe=a b"], options)
    assert shlex.split(line) == [
        *["ansible-playbook", "-i", "my nodes", "-i", "198.51.100.1,", "-u", "alice", "-K"],
        *["dgxspark.suite.launch", "-e", "recipe=a b"],
    ]


def test_what_the_configuration_says_is_not_repeated() -> None:
    options = {"inventory": list(C.DEFAULT_HOST_LIST), "remote_user": C.DEFAULT_REMOTE_USER}
    assert playbook_command("site", (), options) == "ansible-playbook dgxspark.suite.site"
    assert playbook_command("site", (), {}) == "ansible-playbook dgxspark.suite.site"


@pytest.mark.parametrize("hosts", ["mine[0:1]", ["a", "b"]])
def test_the_nodes_of_the_run_are_repeated(monkeypatch: pytest.MonkeyPatch, hosts: object) -> None:
    monkeypatch.setattr(commands, "load_extra_vars", lambda _loader: {"dgxspark_hosts": hosts})
    line = playbook_command("site", ["--check"], {"extra_vars": ("given",)})
    *command, given, check = shlex.split(line)
    assert [*command, check] == ["ansible-playbook", "dgxspark.suite.site", "-e", "--check"]
    assert parse_kv(given).get("dgxspark_hosts", given) in (
        hosts,
        json.dumps({"dgxspark_hosts": hosts}),
    )
