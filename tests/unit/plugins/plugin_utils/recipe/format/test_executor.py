# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.executor import (
    executor_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
    docker_options,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

Make = t.Callable[..., Recipe]


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({"ulimit": ["memlock=-1:-1", "nofile:1024"]}, ("memlock:-1:-1", "nofile:1024:1024")),
        ({"ulimit": {"memlock": "unlimited", "nofile": 9}}, ("memlock:-1:-1", "nofile:9:9")),
        ({"ulimits": {"stack": {"soft": 1, "hard": 2}}}, ("stack:1:2",)),
        ({"ulimit": "memlock=-1"}, ("memlock:-1:-1",)),
    ],
)
def test_limits_have_one_form(recipe_of: Make, given: dict[str, t.Any], limits: t.Any) -> None:
    assert executor_of(recipe_of(executor_config=given)).ulimits == limits


def test_every_rank_gets_the_settings(
    recipe_of: Make, nodes: t.Callable[[int], list[Node]]
) -> None:
    recipe = recipe_of(
        min_nodes=2,
        executor_config={
            "user": "1000:1000",
            "shm_size": "64gb",
            "cap_add": ["CAP_IPC_LOCK", "sys_nice"],
            "ulimit": ["nofile=9:9"],
            "volumes": ["/ai/models/data:/data"],
        },
    )
    settings = Settings(ulimits=("memlock:-1:-1", "nofile:1:1"))
    plan = build_plan(resolve(recipe, {}, nodes(2)), settings)
    for rank in plan["ranks"]:
        assert (rank["user"], rank["shm_size"]) == ("1000:1000", "64gb")
        assert rank["cap_add"] == ["IPC_LOCK", "SYS_NICE"]
        assert rank["ulimits"] == ["memlock:-1:-1", "nofile:9:9"]
        assert "/data" in [mount["target"] for mount in rank["mounts"]]
        options = docker_options(rank, ())
        assert ["--user", "1000:1000"] in options
        assert ["--cap-add", "SYS_NICE"] in options
        assert ["--ulimit", "nofile=9:9"] in options


def test_without_them_a_plan_is_what_it_was(
    recipe_of: Make, nodes: t.Callable[[int], list[Node]]
) -> None:
    with_none = build_plan(resolve(recipe_of(), {}, nodes(1)), Settings())
    with_empty = build_plan(resolve(recipe_of(executor_config={}), {}, nodes(1)), Settings())
    assert with_none["hash"] == with_empty["hash"]
    assert not {"user", "cap_add"} & set(with_none["ranks"][0])


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"user": "root"}, True),
        ({"cap_add": ["SYS_NICE"]}, True),
        ({"volumes": ["/srv/a:/a"]}, True),
        ({"shm_size": "1g", "ulimit": ["memlock=-1"]}, False),
    ],
)
def test_a_registry_that_is_not_trusted_gets_no_user_capability_or_volume(
    recipe_of: Make, given: dict[str, t.Any], refused: bool
) -> None:
    recipe = dataclasses.replace(recipe_of(executor_config=given), trusted=False)
    codes = [issue.code for issue in validate(recipe)]
    assert codes == (["untrusted"] if refused else [])
