# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe format as JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import Place
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import FIELDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.schema import (
    schema,
    schema_text,
)

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/contracts/recipe.schema.json"
GOOD = {
    "model": "org/model",
    "container": "org/image:1",
    "command": "vllm serve {model}",
    "defaults": {"seed": 1},
}
NEEDED = ("model", "defaults")
RECIPES = sorted([*ROOT.glob("recipes/**/*.yaml"), *ROOT.glob("tests/lab/recipes/*.yaml")])


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]) == set(FIELDS)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_collection_fits_it(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema())


class Probes(NamedTuple):
    """Values of one field that are valid, and values that are not."""

    valid: Sequence[Any]
    invalid: Sequence[Any]


class _Absent:
    """For a field that is not there."""


TEXT = Probes(["x", "", None], [5, 2.5, True, ["x"], {"x": 1}])
PLAIN = Probes(["x", "", 5, 2.5, True, None], [["x"], {"x": 1}])
FLAG = Probes([True, False, None], ["true", "yes", 1, 1.5, [], {}])
MAP = Probes([{}, {"x": 1}, {"x": [None, 1.5]}, None], ["x", 5, 1.5, True, [], ["x"]])
ANY = Probes(["x", 5, 2.5, True, None, ["x"], {"x": 1}], [])
WORDS = Probes([[], ["a", "b"], "a", None], [[1], ["a", None], ["a", ["b"]], 5, True, {"a": "b"}])
HOOKS = Probes(
    [
        *("echo a", ["echo a", {"command": "echo b", "timeout": 5}], {"command": "a"}, [], None),
        *([{"command": "a", "timeout": 0.5}], {"command": "a", "timeout": None}),
    ],
    [
        *("", " ", 5, True, {}, [None], [5], [""], {"copy": "x"}, {"command": 5}),
        *({"command": "a", "timeout": "5"}, {"command": "a", "timeout": 0}),
        *({"command": "a", "timeout": True}, {"command": "a", "user": "root"}, {"timeout": 5}),
    ],
)
NODES = (
    [1, 2, 2.0, "2", " 2 ", "+2", "02", None],
    [0, -1, "0", "-2", 2.5, "2.0", "two", "", True, [], {}, [2]],
)
PROBES = {
    "model": Probes(
        ["org/m", "org/m:Q4", "/models/m", " org/m\n", "a b"],
        [
            *("", " ", None, 5, True, ["org/m"], {}),
            *("--trust-remote-code", " -x", "org/m\nx", "a\x1b[2J", "a" * 1025),
        ],
    ),
    "container": Probes(
        ["org/i:1", "i", "host:5000/i@sha256:0a", " org/i:1 ", "", None],
        [5, ["org/i:1"], {}, "org/i 1", "-x", "org/i:1;ls"],
    ),
    "runtime": Probes(
        ["vllm", "vllm-ray", "VLLM", "Eugr-vLLM", " vllm ", "", None],
        ["llama", "vllm ray", "trtllm", 5, True, ["vllm"], {}],
    ),
    "command": Probes(["vllm serve {model}", "", None], [5, True, ["vllm"], {"x": 1}]),
    "mode": Probes(
        ["auto", "solo", "cluster", "Cluster", "SOLO", " solo ", "", None],
        ["both", "1", 1, True, ["solo"], {}],
    ),
    "min_nodes": Probes(*NODES),
    "max_nodes": Probes(*NODES),
    "solo_only": FLAG,
    "cluster_only": FLAG,
    "stop_after_post": FLAG,
    "defaults": Probes([{}, {"seed": "1"}, {"seed": None}, None], ["x", 5, [], ["port"], True]),
    "env": Probes(
        [{}, {"A": "1"}, {"A": 1}, {"A": 1.5}, {"A": True}, {"A": ""}, {"_a1": "x"}, None],
        [{"A": None}, {"A": []}, {"A": {}}, {"A-B": "1"}, {"1A": "x"}, {"": "x"}, ["A=1"], "A", 5],
    ),
    "overrides": Probes(
        [
            *([], None, [{"when": {"nodes": 2}, "defaults": {"seed": 1}}]),
            *([{"when": {"config": {"seed": 1}}, "env": {"A": "1"}}],),
            *([{"when": {"tp": {"gte": 2}}, "container": "org/i:2", "env": {}}],),
        ],
        [
            *({"when": {"nodes": 2}, "defaults": {"seed": 1}}, "x", 5, ["x"], [None], [{}]),
            *([{"defaults": {"seed": 1}}], [{"when": {}, "defaults": {"seed": 1}}]),
            *([{"when": "x", "defaults": {"seed": 1}}], [{"when": {"nodes": 2}}]),
            *([{"when": {"nodes": 2}, "defaults": ["x"]}],),
            *([{"when": {"nodes": 2}, "env": {}}], [{"when": {"nodes": 2}, "container": ""}]),
            *([{"when": {"nodes": 2}, "container": 5}],),
            *([{"when": {"nodes": 2}, "defaults": {"seed": 1}, "command": "x"}],),
            *([{"when": {"config": "x"}, "defaults": {"seed": 1}}],),
        ],
    ),
    "include": Probes(
        ["base", "base.yaml", "@reg/base"],
        ["", None, 5, True, ["base"], {}, "../base", ".base", "a/b", "/base"],
    ),
    "kind": Probes(
        ["embeddings", ["embeddings", "rerank"], [], "", None],
        [
            "embedding",
            "Chat",
            5,
            True,
            {},
            {"chat": 1},
            ["embedding"],
            [1],
            [None],
            [""],
            [["chat"]],
        ],
    ),
    "entrypoint": WORDS,
    "container_port": Probes([1, 65535, None], [0, 65536, -1, "80", 1.5, True, [80], {}]),
    "memory": Probes(
        ["4g", "4GiB", " 512m ", "1.5 GB", "8G", None],
        ["", "4", "4t", "g", "-4g", "4 g g", 4, 1.5, True, ["4g"], {}],
    ),
    "gpu": FLAG,
    "state": Probes(
        [{}, {"data": "/qdrant/storage"}, {"a_1": "/x/"}, None],
        [
            *(
                {"data": "x"},
                {"data": "/a/../b"},
                {"data": 5},
                {"A": "/a"},
                {"": "/a"},
                {"a-b": "/a"},
            ),
            *({"data": None}, ["/a"], "/a", 5, True),
        ],
    ),
    "health": Probes(["/health", "/", "/a?b=1", None], ["", "health", "/a b", 5, True, [], {}]),
    "deep": Probes(
        [{}, {"first_seconds": 600}, {"voice": "af_heart"}, {"voice": None}, None],
        [
            *({"first_seconds": 0}, {"first_seconds": "600"}, {"first_seconds": 1.5}, {"x": 1}),
            *({"voice": "a b"}, {"voice": ""}, {"voice": 5}, {"first_seconds": True}, False, 5, []),
        ],
    ),
    "needs": Probes(
        [{}, {"page_size": 4096}, {"page_size": [4096, 65536]}, {"page_size": None}, None],
        [{"page_size": 1}, {"page_size": "4096"}, {"page_size": [1]}, {"cuda": 13}, 4096, [], True],
    ),
    "overlay": Probes(["", None], ["/a", "../a", "a/../b", ".a", "a/", "a b", 5, True, ["a"], {}]),
    "build": Probes(
        [None],
        [
            *({}, "a", 5, True, ["a"], {"folder": "a"}, {"base": "org/i:1"}),
            *({"folder": "../a", "base": "org/i:1"}, {"folder": "a", "base": "a b"}),
            *({"folder": "a", "base": "org/i:1", "tag": "x"}, {"folder": 5, "base": "org/i:1"}),
        ],
    ),
    "forbid": Probes(
        [[], None, ["cuda-python"], ["a", "B_c.d"]],
        ["cuda-python", [""], ["a b"], [5], [None], ["-a"], {}, 5, True],
    ),
    "accept_licences": Probes(
        [
            *([], None, [{"name": "a/b-1.0", "url": "https://a.example/x"}]),
            [{"name": "a", "url": "https://a.example", "why": "gated"}],
        ],
        [
            *(["a"], "a", {}, 5, [{"name": "a"}], [{"url": "https://a.example"}], [None]),
            *([{"name": "a b", "url": "https://a.example"}], [{"name": "a", "url": "http://a"}]),
            *([{"name": "a", "url": "https://a.example", "text": "x"}],),
        ],
    ),
    "mods": WORDS,
    "build_args": WORDS,
    "runtime_config": Probes(
        [{}, {"mods": ["a"]}, {"build_args": "a"}, {"x": 1}, {"mods": None}, None],
        ["x", 5, ["x"], {"mods": [1]}, {"build_args": 5}, {"mods": {"a": "b"}}],
    ),
    "builder": Probes(["eugr", "docker-pull", "", None], ["Eugr", "docker", 5, True, ["eugr"], {}]),
    "executor": Probes(["docker", "", None], ["podman", "Docker", 5, True, ["docker"], {}]),
    "containers": Probes([[], None], [["org/i:1"], [{"image": "x"}], "x", 5, {}, {"x": 1}]),
    "pre_exec": HOOKS,
    "post_exec": HOOKS,
    "post_commands": HOOKS,
    "volumes": Probes(
        [
            *("/a:/b", ["/a:/b:ro", "/a:/b:rw"], [], {}, None, {"/a": "/b", "/c": "/d:rw"}),
            *([{"/a": "/b"}], [{"source": "/a", "target": "/b", "read_only": False}], ["/a/:/b/"]),
            *({"/a:1": "/b"}, ["/a/..b:/c.."]),
        ],
        [
            *("/a", "a:/b", 5, True, [5], [None], [{}], ["/a:b"], ["/a:/b:x"], ["/a/../b:/c"]),
            *({"a": "/b"}, {"/a": "b"}, {"/a": "/b:x"}, [{"source": "/a", "target": "b"}]),
            *(["/a:/b/.."], {"/a": 5}, [{"source": "/a"}], ["/a:/b:rw:x"]),
        ],
    ),
    "metadata": Probes(
        [{}, {"num_layers": 32}, {"num_layers": "32"}, {"model_params": 1.5}, {"x": [None]}, None],
        ["x", 5, 1.5, True, [], ["x"]],
    ),
    "builder_config": MAP,
    "executor_config": MAP,
    "distribution_config": MAP,
    "draft_model": Probes(
        ["x", "", " ", None, "/models/m"],
        [5, 2.5, True, ["x"], {"x": 1}, "-x", "org/m\nx", "a" * 1025],
    ),
    **dict.fromkeys(("name", "description", "maintainer", "model_revision"), PLAIN),
    **dict.fromkeys(("runtime_version", "recipe_version"), PLAIN),
    **dict.fromkeys(("sparkrun_version", "min_sparkrun_version"), PLAIN),
    **dict.fromkeys(("readiness", "layout", "scheduler", "cluster_config", "runtime_cache"), ANY),
    **dict.fromkeys(("capabilities", "unsupported_capabilities", "benchmark"), ANY),
    "unknown_field": ANY,
}
CASES = [
    pytest.param(field, value, valid, id=f"{field}-{value!r:.40}")
    for field, probes in PROBES.items()
    for valid, values in ((True, probes.valid), (False, probes.invalid))
    for value in (*values, *((_Absent,) if valid and field not in NEEDED else ()))
]


def test_every_field_is_probed() -> None:
    assert set(PROBES) == {*FIELDS, "unknown_field"}
    assert len(CASES) > 300


@pytest.mark.parametrize(("field", "value", "valid"), CASES)
def test_schema_and_loader_agree(
    library: list[str | Place], field: str, value: Any, valid: bool
) -> None:
    data = {key: one for key, one in {**GOOD, field: value}.items() if one is not _Absent}
    fits = jsonschema.Draft202012Validator(schema()).is_valid(data)
    assert (fits, _launches(data, library)) == (valid, valid)


def _launches(data: dict[str, Any], library: list[str | Place]) -> bool:
    """Whether the recipe can be loaded and has no errors."""
    folder = Path(str(library[0]))
    path = folder / "probe.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    try:
        recipe = load(str(path), library)
    except RecipeError:
        return False
    return not errors(validate(recipe, mod_paths=[str(folder)]))


@pytest.fixture
def library(tmp_path: Path) -> list[str | Place]:
    """A folder with a recipe and mods to refer to, and a registry `reg` with the recipe."""
    for name in ("a", "b", "x"):
        (tmp_path / "mods" / name).mkdir(parents=True)
        (tmp_path / "mods" / name / "run.sh").touch()
    registry = tmp_path / "reg"
    registry.mkdir()
    for folder in (tmp_path, registry):
        (folder / "base.yaml").write_text(yaml.safe_dump(GOOD), encoding="utf-8")
    return [str(tmp_path), Place(str(registry), "reg")]
