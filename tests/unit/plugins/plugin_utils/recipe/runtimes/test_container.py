# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes that run any image by its own program."""

from __future__ import annotations

import json
import shlex
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    memory_bytes,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Service,
    Settings,
    build_plan,
    needs,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.listing import (
    details,
    details_lines,
)

Make = t.Callable[..., Recipe]
FIELDS = {
    "model": None,
    "runtime": "container",
    "command": None,
    "kind": "vector_store",
    "container": "org/store:1",
    "container_port": 6333,
    "memory": "4GiB",
}
NODE = [Node("spark1", "192.0.2.1", "198.51.100.1", "eth1")]


@pytest.fixture
def store(recipe_of: Make) -> Make:
    def build(**fields: t.Any) -> Recipe:
        return recipe_of(**{**FIELDS, **fields})

    return build


def plan_of(recipe: Recipe, overrides: t.Any = None, **changes: t.Any) -> dict[str, t.Any]:
    resolved = resolve(recipe, overrides or {}, NODE, Variables())
    return build_plan(resolved, Settings(**changes), {}, Service("vectors", 1))


def words_of(recipe: Recipe, overrides: t.Any = None, **changes: t.Any) -> list[str]:
    (command,) = plan_of(recipe, overrides, **changes)["docker_commands"]
    one_line = command["command"].replace("\\\n", "")
    assert shlex.split(one_line)[2:] == command["words"]
    return t.cast("list[str]", command["words"])


def after(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_an_image_runs_its_own_program(store: Make) -> None:
    recipe = store(gpu=False)
    assert validate(recipe) == []
    words = words_of(recipe)
    assert words[-1] == "org/store:1"
    assert "--entrypoint" not in words
    assert "--gpus" not in words
    assert after(words, "--publish") == ["192.0.2.1:6333:6333"]
    assert after(words, "--network") == ["bridge"]
    assert after(words, "--memory") == after(words, "--memory-swap") == [str(4 << 30)]
    assert after(words, "--env") == ["HF_HUB_OFFLINE=1"]
    assert after(words, "--mount") == []


def test_the_plan_of_a_container_is_that_of_a_service(store: Make) -> None:
    plan = plan_of(store(health="/up", deep={"first_seconds": 900}, needs={"page_size": 4096}))
    assert (plan["mode"], plan["runtime"], plan["port"]) == ("solo", "container", 6333)
    assert (plan["url"], plan["ports"]) == ("http://192.0.2.1:6333", {"server": 6333})
    assert (plan["claim"], plan["kind"]) == ("gib:4.00", ["vector_store"])
    assert plan["probe"] == {"light": "/up", "first_seconds": 900}
    assert plan["needs"] == {"page_size": [4096]}
    (rank,) = plan["ranks"]
    assert rank["name"] == "dgxspark-vectors-0"
    labels = {key.rpartition("/")[2]: value for key, value in rank["labels"].items()}
    assert json.loads(labels["probe"]) == plan["probe"]
    assert labels["claim"] == "gib:4.00"
    assert (labels["plan-hash"], labels["ranks"]) == (plan["hash"], "1")
    assert json.loads(json.dumps(plan)) == plan


def test_words_go_to_the_entrypoint(store: Make) -> None:
    recipe = store(
        command='--port {container_port} --name "{who} x" A=1 \\\n  --last',
        entrypoint=["python3", "-m", "server"],
        defaults={"who": "it's $HOME; rm"},
    )
    words = words_of(recipe)
    assert after(words, "--entrypoint") == ["python3"]
    start = words.index("org/store:1") + 1
    assert words[start:] == [
        *("-m", "server", "--port", "6333", "--name", "it's $HOME; rm x", "A=1", "--last")
    ]
    assert plan_of(recipe)["ranks"][0]["server_argv"] == words[start + 2 :]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0{}"), min_size=1, max_size=30),
    place=st.sampled_from(["{x}", '"{x}"', "'{x}'", "--a={x}"]),
)
def test_a_value_is_one_word_whatever_is_in_it(store: Make, text: str, place: str) -> None:
    recipe = store(command=f"--before {place} --after", defaults={"x": "none"})
    argv = resolve(recipe, {"x": text}, NODE).ranks[0].argv
    value = f"--a={text}" if place.startswith("--a") else text
    assert argv == ("--before", value, "--after")


@pytest.mark.parametrize(
    "command", ["a; b", "a && b", "a | b", "a > f", "a $HOME", 'a "$(id)"', "a `id`", 'a "', "(a)"]
)
def test_what_only_a_shell_reads_is_refused(store: Make, command: str) -> None:
    (issue,) = validate(store(command=command))
    assert (issue.code, issue.severity) == ("command-shape", "error")
    assert "entrypoint" in issue.fix


def test_the_port_of_the_node_is_not_that_of_the_container(store: Make) -> None:
    for overrides, recipe in (
        ({"port": 9000}, store()),
        ({}, store(defaults={"port": 9000})),
    ):
        plan = plan_of(recipe, overrides)
        assert plan["url"] == "http://192.0.2.1:9000"
        assert plan["ranks"][0]["publish"] == ["192.0.2.1:9000:6333"]
    both = store(container_port=None, command="--port {port}", defaults={"port": 7000})
    rank = plan_of(both, {"port": 9000})["ranks"][0]
    assert (rank["publish"], rank["argv"]) == (["192.0.2.1:9000:9000"], ["--port", "9000"])


def test_an_ipv6_address_is_published(store: Make) -> None:
    resolved = resolve(store(), {}, [Node("spark1", "2001:db8::1")])
    (rank,) = build_plan(resolved, Settings())["ranks"]
    assert rank["publish"] == ["[2001:db8::1]:6333:6333"]


def test_memory_may_be_changed_for_a_launch(store: Make) -> None:
    assert plan_of(store(), {"memory": "6g"})["claim"] == "gib:6.00"
    assert validate(store(), {"memory": "much"})[0].code == "memory-invalid"
    (issue,) = validate(store(memory=None))
    assert (issue.code, issue.severity) == ("missing-memory", "warning")
    plan = plan_of(store(memory=None))
    assert (plan["claim"], "--memory" in plan["docker_commands"][0]["words"]) == ("", False)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4g", 4 << 30), ("4GiB", 4 << 30), (" 512 mb", 512 << 20), ("1.5G", 3 << 29)],
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert memory_bytes(text) == size


def test_what_outlives_a_container_belongs_to_the_service(store: Make) -> None:
    words = words_of(store(state={"storage": "/qdrant/storage"}))
    assert after(words, "--mount") == [
        "type=volume,source=dgxspark-vectors-storage,target=/qdrant/storage"
    ]
    for target in ("/", "/etc/x", "/proc", "/run/dgxspark/x", "/a,b"):
        with pytest.raises(RecipeError, match="state"):
            plan_of(store(state={"x": target}))


def test_volumes_pass_the_same_gate_as_those_of_models(store: Make) -> None:
    assert "type=bind,source=/ai/models/x,target=/x,readonly" in words_of(
        store(volumes=["/ai/models/x:/x"])
    )
    with pytest.raises(RecipeError, match="dgxspark_volumes_allow"):
        plan_of(store(volumes=["/srv/x:/x"]))


def test_a_model_comes_from_the_cache_of_the_nodes(store: Make) -> None:
    recipe = store(model="org/m", command="--model {model}", kind="embeddings")
    plan = plan_of(recipe)
    assert plan["models"] == [{"name": "org/m", "quant": "", "revision": ""}]
    assert plan["served_model_name"] == "org/m"
    (rank,) = plan["ranks"]
    assert [mount["source"] for mount in rank["mounts"]] == ["/ai/cache/huggingface"]
    assert rank["env"]["HUGGINGFACE_HUB_CACHE"] == "/ai/cache/huggingface/hub"
    assert needs(resolve(recipe, {}, NODE), Settings())["models"] == plan["models"]


def test_a_secret_is_in_no_plan(store: Make) -> None:
    recipe = store(env={"HF_TOKEN": "${HF_TOKEN}", "A": "1"})
    resolved = resolve(recipe, {}, NODE, Variables({}, ["HF_TOKEN"], {"HF_TOKEN": "hush"}))
    plan = build_plan(resolved, Settings())
    assert plan["secret_env"] == ["HF_TOKEN"]
    assert "hush" not in json.dumps(plan)
    assert after(plan["docker_commands"][0]["words"], "--env") == [
        "A=1",
        "HF_HUB_OFFLINE=1",
        "HF_TOKEN",
    ]


TERMS = [{"name": "org/gated", "url": "https://example.org/terms", "why": "gated"}]


def test_a_licence_is_accepted_before_anything_is_fetched(store: Make) -> None:
    resolved = resolve(store(accept_licences=TERMS), {}, NODE)
    with pytest.raises(RecipeError) as refusal:
        needs(resolved, Settings())
    for part in ("org/gated", "https://example.org/terms", "gated", "-e accept_licence=org/gated"):
        assert part in str(refusal.value)
    assert needs(resolved, Settings(accept_licences=["org/gated"]))["recipe"] == "sample"
    # What runs is compared with its recipe by people who have accepted nothing.
    assert build_plan(resolved, Settings())["recipe"] == "sample"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": None}, "missing-kind"),
        ({"container_port": None}, "missing-port"),
        ({"container": None}, "missing-container"),
        ({"pre_exec": ["echo a"]}, "unsupported-field"),
        ({"post_exec": ["echo a"]}, "unsupported-field"),
        ({"min_nodes": 2}, "mode-conflict"),
        ({"mode": "cluster"}, "mode-conflict"),
        ({"defaults": {"tensor_parallel": 2}}, "parallel-invalid"),
        ({"defaults": {"port": 70000}}, "port-invalid"),
        ({"kind": "vectors"}, "kind-invalid"),
    ],
)
def test_what_a_container_cannot_have(store: Make, fields: dict[str, t.Any], code: str) -> None:
    recipe = store(**fields)
    issues = [issue for issue in validate(recipe) if issue.severity == "error"]
    assert code in [issue.code for issue in issues]
    with pytest.raises(RecipeError):
        resolve(recipe, {}, NODE)


@pytest.mark.parametrize("field", ["entrypoint", "container_port", "memory"])
def test_its_fields_have_no_effect_on_a_server_for_models(recipe_of: Make, field: str) -> None:
    value = {"entrypoint": "sh", "container_port": 80, "memory": "1g"}[field]
    (issue,) = validate(recipe_of(**{field: value}))
    assert (issue.code, issue.field, issue.severity) == ("ignored-field", field, "warning")


def test_a_container_is_shown(store: Make) -> None:
    recipe = store(
        accept_licences=TERMS, metadata={"licence": "MIT", "notes": "never run on a GB10"}
    )
    shown = details(recipe, Context())
    assert (shown["errors"], shown["mode"], shown["max_nodes"]) == (0, "solo", 1)
    assert shown["memory"]["need_gib"] == 4
    text = "\n".join(details_lines(shown))
    for part in ("the image's own", "MIT", "never run on a GB10", "org/gated", "port 6333"):
        assert part in text
