# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that a person is told to type next."""

from __future__ import annotations

import os
import shlex

from ansible import constants as C

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
