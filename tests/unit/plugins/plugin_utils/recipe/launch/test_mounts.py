# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: which paths of a node become mounts of a container, whatever field they are in."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import Place
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Mod,
    Node,
    Recipe,
    RecipeError,
    ResolvedRecipe,
    Volume,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
    needs,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

RecipeOf = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]
NODE = Node("spark1", "192.0.2.1")
HOME = "/home/alice"

FORBIDDEN = [
    *("/", "//", "/etc", "//etc", "/etc/", "/etc/shadow", "/ai/models/../../etc", "/etc/../root"),
    *("/root", "/root/.ssh", "/home", "/home/alice", f"{HOME}/.ssh", "/home/alice/.bashrc"),
    *("/proc", "/proc/1/environ", "/sys", "/dev", "/dev/shm", "/boot", "/run", "/run/user"),
    *("/var", "/var/run/docker.sock", "//var/run/docker.sock", "/run/docker.sock"),
    *("/var/lib", "/var/lib/docker", "/var/lib/containerd", "/var/lib/dgxspark", "/var/spool"),
    *("/tmp", "/tmp/x", "/var/tmp", "/ai/models/agent.sock", "/ai/models/.ssh/id"),
    *("/ai/models/x\ny", "/ai/models/x\x1b[2J", "/ai/models/a,readonly=false"),
]
# What only a recipe has to keep away from; an operator may have a cache there.
FORBIDDEN_TO_RECIPES = [
    *("/ai", "/ai/model", "/ai/modelsx", "/srv", "/mnt", "/snap", "/usr/local/bin", "/opt/x"),
    *("/var/log", "/var/mail", "/var/cache", "/var/backups", "/var/lib/tailscale", "/Etc"),
    *("relative/x", "~/x"),
]


def volume(path: str, mode: str = "ro") -> dict[str, t.Any]:
    return {"volumes": [{"source": path, "target": "/data", "read_only": mode == "ro"}]}


# Each key of a recipe that may become a mount, as the fields for a path.
FIELDS: dict[str, t.Callable[[str], dict[str, t.Any]]] = {
    "model": lambda path: {"model": path},
    "model in defaults": lambda path: {"defaults": {"model": path}},
    "draft_model": lambda path: {"draft_model": path},
    "speculative config": lambda path: {
        "defaults": {"draft": {"model": path, "num_speculative_tokens": 3}},
        "command": "vllm serve {model} --speculative-config {draft}",
    },
    "draft of llama.cpp": lambda path: {
        "runtime": "llama-cpp",
        "defaults": {"draft": path},
        "command": "llama-server -hf {model} -md {draft}",
    },
    "volume": volume,
    "writable volume": lambda path: volume(path, "rw"),
}


def planned(
    folder: pathlib.Path, fields: t.Mapping[str, t.Any], trusted: bool, **settings: t.Any
) -> dict[str, t.Any]:
    """The plan of a recipe with these fields, of a registry."""
    data = {"model": "org/m", "runtime": "vllm", "container": "org/i:1"}
    data = {**data, "command": "vllm serve {model}", **fields}
    (folder / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    place = Place(str(folder), "arena", trusted=trusted, root=str(folder))
    resolved = resolve(load("@arena/mine", [place]), {}, [NODE])
    return build_plan(resolved, Settings(**settings))


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("path", [*FORBIDDEN, *FORBIDDEN_TO_RECIPES])
def test_no_field_of_a_recipe_mounts_a_forbidden_path(
    tmp_path: pathlib.Path, path: str, field: str, trusted: bool
) -> None:
    try:
        plan = planned(tmp_path, FIELDS[field](path), trusted)
    except RecipeError:
        return
    # A name that is no path is looked up by the server, and a default with blanks is several words.
    assert path[0] != "/" or path.split() != [path]
    (rank,) = plan["ranks"]
    sources = {mount["source"] for mount in rank["mounts"] if mount["type"] == "bind"}
    assert sources - {"/ai/models/x"} == {"/ai/cache/huggingface"}


@pytest.mark.parametrize("setting", ["hf_home", "runtime_cache"])
@pytest.mark.parametrize("path", sorted({*FORBIDDEN} - {"/home/alice/.bashrc"}))
def test_no_cache_is_a_folder_of_the_system(
    tmp_path: pathlib.Path, path: str, setting: str
) -> None:
    with pytest.raises(RecipeError, match=f"dgxspark_{setting}"):
        planned(tmp_path, {}, True, **{setting: path})


@pytest.mark.parametrize("path", ["/usr/local/bin", "/opt", "/var/log", "/usr"])
def test_what_is_compiled_is_not_written_into_the_system(tmp_path: pathlib.Path, path: str) -> None:
    with pytest.raises(RecipeError, match="would be writable"):
        planned(tmp_path, {}, True, runtime_cache=path)


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("hf_home", "/root/.cache/huggingface"),
        ("hf_home", "/home/alice/.cache/huggingface"),
        ("hf_home", "/mnt/disk/hf/"),
        ("runtime_cache", "/opt/cache"),
        ("runtime_cache", "/var/lib/cache"),
        ("runtime_cache", "/ai/cache/runtime"),
    ],
)
def test_a_cache_may_be_any_other_folder(tmp_path: pathlib.Path, setting: str, path: str) -> None:
    plan = planned(tmp_path, {}, True, **{setting: path})
    assert path.rstrip("/") in {mount["source"] for mount in plan["ranks"][0]["mounts"]}


@pytest.mark.parametrize("field", [field for field in FIELDS if field != "writable volume"])
@pytest.mark.parametrize("path", ["/ai/models/tune", "//ai/models//tune/", "/ai/models"])
def test_what_is_below_the_model_directories_is_mounted(
    tmp_path: pathlib.Path, path: str, field: str
) -> None:
    plan = planned(tmp_path, FIELDS[field](path), True)
    mounts = plan["ranks"][0]["mounts"]
    (mount,) = [one for one in mounts if one["source"].startswith("/ai/models")]
    assert mount["source"] in ("/ai/models/tune", "/ai/models")
    assert mount["target"] == ("/data" if "volume" in field else mount["source"])
    assert (mount["type"], mount["read_only"]) == ("bind", True)
    command = plan["docker_commands"][0]["command"]
    assert f"type=bind,source={mount['source']},target={mount['target']},readonly " in command


def test_a_model_of_the_cache_needs_no_mount_of_its_own(tmp_path: pathlib.Path) -> None:
    path = "/ai/cache/huggingface/hub/models--org--m/snapshots/0"
    plan = planned(tmp_path, {"model": path}, True)
    sources = [mount["source"] for mount in plan["ranks"][0]["mounts"]]
    assert sources == ["/ai/cache/huggingface", "dgxspark-cache"]


@pytest.mark.parametrize("field", FIELDS)
def test_an_untrusted_recipe_gets_models_of_the_cache_only(
    tmp_path: pathlib.Path, field: str
) -> None:
    """Also not what a trusted one may have."""
    with pytest.raises(RecipeError) as refused:
        planned(tmp_path, FIELDS[field]("/ai/models/tune"), False)
    assert {issue.code for issue in refused.value.issues} == {"untrusted"}


def test_an_operator_may_give_an_untrusted_recipe_a_model_of_the_node(
    tmp_path: pathlib.Path,
) -> None:
    text = "model: org/m\nruntime: vllm\ncontainer: org/i:1\ncommand: vllm serve {model}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    recipe = load("@a/mine", [Place(str(tmp_path), "a", trusted=False, root=str(tmp_path))])
    resolved = resolve(recipe, {"model": "/ai/models/tune"}, [NODE])
    sources = [one["source"] for one in build_plan(resolved, Settings())["ranks"][0]["mounts"]]
    assert "/ai/models/tune" in sources
    with pytest.raises(RecipeError, match="power over the node"):
        build_plan(resolve(recipe, {"model": "/etc"}, [NODE]), Settings())


@pytest.fixture
def resolved_of(recipe_of: RecipeOf, nodes: Nodes) -> t.Callable[..., ResolvedRecipe]:
    def build(**changes: t.Any) -> ResolvedRecipe:
        return dataclasses.replace(resolve(recipe_of(), {}, nodes(1)), **changes)

    return build


@pytest.mark.parametrize(
    ("source", "read_only", "why"),
    [
        ("/", True, "power over the node"),
        ("/etc", True, "power over the node"),
        ("/etc/ssl", True, "power over the node"),
        ("/var", True, "power over the node"),
        ("/var/run/docker.sock", True, "power over the node"),
        ("/run", True, "power over the node"),
        ("/proc", True, "power over the node"),
        ("/tmp", False, "power over the node"),
        ("/var/lib/docker/volumes", True, "power over the node"),
        ("/home", True, "complete home"),
        ("/home/alice", True, "complete home"),
        ("/srv/alice/.ssh", True, "credentials"),
        ("/srv/agent.sock", True, "socket"),
        ("/usr/local/bin", False, "would be writable"),
        ("/ai", False, "would be writable"),
        ("/ai/models", False, "would be writable"),
        ("/ai/cache/huggingface/hub", False, "would be writable"),
        ("/srv/templates", True, "none of the folders that a recipe may use"),
    ],
)
def test_a_refused_volume_is_mounted_if_it_is_allowed_by_name(
    resolved_of: t.Any, source: str, read_only: bool, why: str
) -> None:
    resolved = resolved_of(volumes=(Volume(source, "/data", read_only),))
    with pytest.raises(RecipeError, match=why) as refused:
        build_plan(resolved, Settings())
    assert f"dgxspark_volumes_allow: [{source}]" in str(refused.value)
    plan = build_plan(resolved, Settings(volumes_allow=[source]))
    assert plan["ranks"][0]["mounts"][-1]["source"] == source


@pytest.mark.parametrize(
    ("allowed", "source", "read_only", "ok"),
    [
        ("/srv", "/srv/templates", True, True),
        ("/srv/", "/srv/out", False, True),
        ("//srv", "/srv/out", False, True),
        ("/srv", "/srvx", True, False),
        ("/srv", "/srv/alice/.ssh", True, False),
        ("/srv", "/srv/agent.sock", True, False),
        ("/home/alice", "/home/alice/models", True, True),
        ("/home/alice", f"{HOME}/.ssh", True, False),
        ("/home", "/home/alice", True, False),
        ("/var", "/var/lib/docker", True, False),
        ("/", "/etc", True, False),
        ("/etc/vllm", "/etc/vllm/a.json", True, True),
        ("/opt/out", "/opt/out/a", False, True),
        ("/opt", "/opt/bin", False, True),
        ("", "/srv", True, False),
        ("srv", "/srv", True, False),
    ],
)
def test_an_allowed_folder_opens_what_is_below_it_but_no_credentials(
    resolved_of: t.Any, allowed: str, source: str, read_only: bool, ok: bool
) -> None:
    resolved = resolved_of(volumes=(Volume(source, "/data", read_only),))
    settings = Settings(volumes_allow=[allowed])
    if ok:
        assert build_plan(resolved, settings)["ranks"][0]["mounts"][-1]["source"] == source
    else:
        with pytest.raises(RecipeError):
            build_plan(resolved, settings)


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/dev", "/dev/shm", "/etc", "/etc/ssl", "/proc/sys", "/sys", "/opt", "/run"),
        *("/opt/dgxspark", "/opt/dgxspark/mods", "/opt/dgxspark/mods/x", "/run/dgxspark"),
        *("/run/dgxspark/ray-token", "/tmp/dgxspark-mods/0", "/ai/cache/huggingface"),
        *("/var/cache/dgxspark", "/x,y", "/x\ny"),
    ],
)
def test_a_target_that_is_taken_is_refused_whatever_is_allowed(
    resolved_of: t.Any, target: str
) -> None:
    resolved = resolved_of(volumes=(Volume("/srv/a", target),))
    with pytest.raises(RecipeError):
        build_plan(resolved, Settings(volumes_allow=["/srv/a", "/"]))


def test_a_volume_that_is_the_cache_says_that_it_is_not_needed(
    resolved_of: t.Any, recipe_of: RecipeOf
) -> None:
    source = "/home/alice/.cache/huggingface"
    with pytest.raises(RecipeError, match="mounted already, at /ai/cache/huggingface"):
        build_plan(resolved_of(volumes=(Volume(source, "/root/hf"),)), Settings())
    (issue,) = validate(recipe_of(volumes=["~/.cache/huggingface:/root/.cache/huggingface"]))
    assert (issue.code, "mounted anyway" in issue.message) == ("volumes-invalid", True)


def test_each_node_is_asked_about_all_that_is_mounted(
    resolved_of: t.Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "mod").mkdir()
    (tmp_path / "mod" / "run.sh").touch()
    resolved = resolved_of(
        model="/ai/models/m",
        models=("/ai/models/m", "/ai/models/draft"),
        mods=(Mod("mod", str(tmp_path / "mod")),),
        volumes=(Volume("/srv/a", "/a", read_only=False), Volume("/ai/models/x", "/x")),
    )
    settings = Settings(volumes_allow=["/srv/a"], runtime_cache="/ai/cache/own")
    plan = build_plan(resolved, settings)
    sources = [mount["source"] for mount in plan["mounts"]]
    assert sources == [mount["source"] for mount in plan["ranks"][0]["mounts"]]
    asked = {mount["source"]: mount for mount in plan["mounts"]}
    assert asked["/srv/a"] == {
        "source": "/srv/a",
        "within": ["/ai/models", "/ai/cache/huggingface", "/srv/a"],
        "named": True,
        "read_only": False,
        "folder": False,
        "needed": True,
    }
    assert [source for source, mount in asked.items() if mount["needed"]] == [
        *("/ai/cache/own", "/srv/a", "/ai/models/x"),
    ]
    assert needs(resolved, settings)["mounts"] == plan["mounts"]


def test_no_node_looks_at_what_may_not_be_mounted(resolved_of: t.Any) -> None:
    with pytest.raises(RecipeError, match="power over the node"):
        needs(resolved_of(models=("/etc",)), Settings())
