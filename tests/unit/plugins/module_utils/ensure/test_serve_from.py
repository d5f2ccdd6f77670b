# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specs of a virtual environment do not apply where models are served from containers."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.all_specs import SPECS
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge

VENV = {"venv": "/no/such/venv"}
IMAGE = {"image": "example/vllm:1", "docker_bin": "/no/such/docker", "optional": True}


def statuses(name: str, act: bool, **options: t.Any) -> dict[str, str]:
    spec = SPECS[name]
    validated = ArgumentSpecValidator(**spec.arguments).validate(options)
    assert not validated.error_messages, validated.error_messages
    observe, plan, _store = spec.functions(validated.validated_parameters, Exemptions(), act)
    result, _failed = converge(observe, plan, act)
    return {finding["check"]: finding["status"] for finding in result["findings"]}


@pytest.mark.parametrize("act", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [("vllm_venv", {}), ("launchers", {}), ("ptxas", VENV), ("vllm_runtime", VENV)],
)
def test_with_containers_alone_it_is_skipped_and_nothing_is_done(
    name: str, options: dict[str, t.Any], act: bool
) -> None:
    assert statuses(name, act, serve_from="containers", **options) == {name: "skipped"}


@pytest.mark.parametrize("serve_from", ["venv", "both"])
@pytest.mark.parametrize("name", ["ptxas", "vllm_runtime"])
def test_with_an_environment_it_is_inspected(name: str, serve_from: str) -> None:
    assert "blocked" in statuses(name, False, serve_from=serve_from, **VENV).values()


@pytest.mark.parametrize("name", ["ptxas", "vllm_runtime"])
def test_an_image_is_inspected_whatever_else_serves(name: str) -> None:
    found = statuses(name, False, serve_from="containers", **IMAGE)
    assert name not in found
    assert len(found) > 1


@pytest.mark.parametrize("name", ["vllm_venv", "launchers", "ptxas", "vllm_runtime"])
def test_another_word_is_an_error_that_lists_the_choices(name: str) -> None:
    spec = SPECS[name]
    options = {"serve_from": "container", **({} if name in ("vllm_venv", "launchers") else VENV)}
    (said,) = ArgumentSpecValidator(**spec.arguments).validate(options).error_messages
    assert "containers, venv, both" in said
