# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.filter.link_address import link_address
from ansible_collections.dgxspark.suite.plugins.filter.model_source import model_source


def disk(revision: str = "a", **told: Any) -> dict[str, Any]:
    model = {"revision": revision, "complete": True, "downloading": False, "quants": [], "size": 5}
    return {"models": [{**model, **told}]}


Q4 = {"quants": [{"name": "Q4_K_M", "complete": True}], "complete": False}
EMPTY: dict[str, Any] = {"models": []}


@pytest.mark.parametrize(
    ("first", "second", "arguments", "source", "refusal"),
    [
        (disk(), EMPTY, {}, "s1", ""),
        (EMPTY, disk(), {}, "s2", ""),
        (disk(complete=False), disk(), {}, "s2", ""),
        (disk(), disk(), {}, "s1", ""),
        (disk(), disk("b"), {}, "", "s1 has a, s2 has b. Choose one: -e source=NODE"),
        (disk(), disk("b"), {"source": "s2"}, "s2", ""),
        (disk(), EMPTY, {"source": "s2"}, "", "s2 has no complete copy (complete on s1)"),
        (disk(complete=False), EMPTY, {}, "", "no node has a complete copy"),
        (disk(**Q4), EMPTY, {}, "", "no node has a complete copy"),
        (disk(**Q4), EMPTY, {"quant": "Q4_K_M"}, "s1", ""),
        (disk(), disk(complete=False, downloading=True), {}, "", "s2: it is being downloaded"),
        (disk(), {}, {}, "", "s2: it was not reached"),
        (disk("", size=5), disk("", size=6), {}, "", "s1 has 5 bytes, s2 has 6 bytes"),
    ],
)
def test_the_source(
    first: dict[str, Any],
    second: dict[str, Any],
    arguments: dict[str, str],
    source: str,
    refusal: str,
) -> None:
    chosen = model_source({"s1": first, "s2": second}, ["s1", "s2"], **arguments)
    assert chosen["source"] == source
    assert bool(chosen["refusals"]) == bool(refusal)
    assert refusal in "; ".join(chosen["refusals"])


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"dgxspark_fabric_address": "192.0.2.1", "ansible_host": "198.51.100.1"}, "192.0.2.1"),
        ({"dgxspark_fabric_address": "", "dgxspark_address": "192.0.2.2"}, "192.0.2.2"),
        ({"ansible_host": "2001:db8::1"}, "2001:db8::1"),
    ],
)
def test_the_address_between_nodes(variables: dict[str, str], address: str) -> None:
    assert link_address(variables) == address


@pytest.mark.parametrize("variables", [{}, {"ansible_host": "spark1.local"}])
def test_a_node_without_an_address_is_an_error(variables: dict[str, str]) -> None:
    with pytest.raises(AnsibleFilterError, match="dgxspark_fabric_address"):
        link_address(variables)
