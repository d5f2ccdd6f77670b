# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where control finds the SSH servers of nodes."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.filter.control_nodes import control_nodes


def test_an_address_is_that_of_the_inventory_or_unknown() -> None:
    variables = {
        "spark1": {"ansible_host": "192.0.2.11", "ansible_user": "alice"},
        "spark2": {"ansible_host": "spark2.example.com", "ansible_port": "2222"},
        "spark3": {"ansible_host": "spark3", "dgxspark_address": "192.0.2.13"},
        "other": {"ansible_host": "192.0.2.99"},
    }
    assert control_nodes(["spark1", "spark2", "spark3"], variables) == [
        {"name": "spark1", "address": "192.0.2.11", "port": 22, "user": "alice"},
        {"name": "spark2", "address": "", "port": 2222, "user": ""},
        {"name": "spark3", "address": "192.0.2.13", "port": 22, "user": ""},
    ]
