# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import csv
import dataclasses
import json
import pathlib
import shlex
import subprocess
import textwrap
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
    docker_options,
    secret_values,
    slug,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes import ray_wait

ROOT = pathlib.Path(__file__).parents[6]
GOLDEN = ROOT / "tests/unit/fixtures/recipes/lab-tiny.plan.json"

Nodes = t.Callable[[int], list[Node]]
RecipeOf = t.Callable[..., Recipe]


def plan_of(
    recipe: Recipe,
    nodes: list[Node],
    settings: Settings | None = None,
    overrides: dict[str, t.Any] | None = None,
    inventory_env: dict[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    resolved = resolve(recipe, overrides, nodes, Variables(inventory_env or {}))
    return build_plan(resolved, settings or Settings())


def lab_tiny(nodes: list[Node], **changes: t.Any) -> dict[str, t.Any]:
    return plan_of(load("lab-tiny", [str(ROOT / "tests/lab/recipes")]), nodes, **changes)


def test_the_plan_of_lab_tiny_is_the_recorded_one(nodes: Nodes) -> None:
    plan = copy.deepcopy(lab_tiny(nodes(2)))
    assert plan["hash"] == plan["ranks"][0]["labels"]["dgxspark.suite/plan-hash"]
    plan["hash"] = "<hash>"
    for rank in plan["ranks"]:
        rank["labels"]["dgxspark.suite/plan-hash"] = "<hash>"
        rank["labels"]["dgxspark.suite/recipe-path"] = "<path>"
    assert plan["ranks"][0]["argv"][3] == pathlib.Path(ray_wait.__file__).read_text("utf-8")
    plan["ranks"][0]["argv"][3] = "<ray_wait.py>"
    plan["recipe_path"] = "<path>"
    del plan["docker_commands"]
    assert plan == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_a_plan_is_plain_data_and_the_same_each_time(nodes: Nodes) -> None:
    plan = lab_tiny(nodes(2))
    assert json.loads(json.dumps(plan)) == plan
    assert json.dumps(plan) == json.dumps(lab_tiny(nodes(2)))


@pytest.mark.parametrize("kind", ["embeddings", ["embeddings", "rerank"]])
def test_the_kind_is_in_the_plan_and_its_labels_and_not_in_the_hash(
    nodes: Nodes, recipe_of: RecipeOf, kind: t.Any
) -> None:
    without = plan_of(recipe_of(), nodes(1))
    plan = plan_of(recipe_of(kind=kind), nodes(1))
    words = [kind] if isinstance(kind, str) else kind
    assert (without["kind"], plan["kind"]) == ([], words)
    assert plan["hash"] == without["hash"]
    label = "dgxspark.suite/kind"
    assert label not in without["ranks"][0]["labels"]
    assert plan["ranks"][0]["labels"][label] == ",".join(words)


EFFECTIVE: dict[str, dict[str, t.Any]] = {
    "an override": {"overrides": {"max_model_len": 128}},
    "hf_home": {"settings": Settings(hf_home="/other")},
    "gpus": {"settings": Settings(gpus="")},
    "shm_size": {"settings": Settings(shm_size="2g")},
    "ipc_mode": {"settings": Settings(ipc_mode="host")},
    "ulimits": {"settings": Settings(ulimits=())},
    "devices": {"settings": Settings(devices=("/dev/infiniband",))},
    "env": {"inventory_env": {"A": "1"}},
    "ray_port": {"settings": Settings(ray_port=6379)},
    "ray_object_store_bytes": {"settings": Settings(ray_object_store_bytes=10**8)},
    "ray_wait_seconds": {"settings": Settings(ray_wait_seconds=5)},
    "ray_auth": {"settings": Settings(ray_auth=False)},
    "security_opts": {"settings": Settings(security_opts=())},
    "pids_limit": {"settings": Settings(pids_limit=0)},
}


@pytest.mark.parametrize("changes", EFFECTIVE.values(), ids=EFFECTIVE)
def test_the_hash_changes_with_everything_effective(
    nodes: Nodes, changes: dict[str, t.Any]
) -> None:
    assert lab_tiny(nodes(2))["hash"] != lab_tiny(nodes(2), **changes)["hash"]


@pytest.mark.parametrize("field", ["name", "address", "fabric_address", "fabric_interface"])
def test_the_hash_changes_with_every_field_of_a_node(nodes: Nodes, field: str) -> None:
    first, second = nodes(2)
    moved = dataclasses.replace(first, **{field: "203.0.113.9"})
    assert lab_tiny([first, second])["hash"] != lab_tiny([moved, second])["hash"]


UNCHANGED: dict[str, dict[str, t.Any]] = {
    "an override that says what is so already": {"overrides": {"port": "8000"}},
    "a setting of another runtime": {"settings": Settings(master_port=1234)},
}


@pytest.mark.parametrize("changes", UNCHANGED.values(), ids=UNCHANGED)
def test_the_hash_stays_where_nothing_effective_changes(
    nodes: Nodes, changes: dict[str, t.Any]
) -> None:
    assert lab_tiny(nodes(2))["hash"] == lab_tiny(nodes(2), **changes)["hash"]


def test_text_about_a_recipe_does_not_change_the_hash(recipe_of: RecipeOf, nodes: Nodes) -> None:
    plain = plan_of(recipe_of(), nodes(1))
    described = plan_of(recipe_of(metadata={"description": "x"}, notes="y"), nodes(1))
    assert plain["hash"] == described["hash"]


def test_the_docker_command_says_all_that_the_plan_says(nodes: Nodes) -> None:
    settings = Settings(devices=("/dev/infiniband",))
    plan = lab_tiny(nodes(2), settings=settings, inventory_env={"A": 'it\'s $(x); "x"'})
    for rank, shown in zip(plan["ranks"], plan["docker_commands"]):
        assert (shown["node"], shown["rank"]) == (rank["node"], rank["rank"])
        docker, _image, _argv = shown["command"].partition(f"  {plan['image']} ")
        words = shlex.split(docker.replace(" \\\n", ""))
        image = len(words)
        assert words[:2] == ["docker", "run"]
        options = list(zip(words[3:image:2], words[4:image:2]))
        assert words[2] == "--detach"
        assert dict(options) == {
            **dict(options),
            "--name": rank["name"],
            "--network": "host",
            "--ipc": "private",
            "--shm-size": "16g",
            "--restart": "no",
            "--oom-score-adj": "500",
            "--gpus": "all",
            "--device": "/dev/infiniband",
            "--pull": "never",
            "--entrypoint": "bash",
        }
        pairs = {name: [value for key, value in options if key == name] for name, _v in options}
        assert pairs["--env"] == [f"{key}={value}" for key, value in rank["env"].items()]
        assert pairs["--label"] == [f"{key}={value}" for key, value in rank["labels"].items()]
        assert pairs["--ulimit"] == ["memlock=-1:-1", "stack=67108864:67108864"]
        assert pairs["--mount"] == [
            "type=bind,source=/ai/cache/huggingface,target=/ai/cache/huggingface,readonly",
            "type=volume,source=dgxspark-cache,target=/var/cache/dgxspark",
        ]


def test_a_pasted_docker_command_hands_docker_exactly_the_plans_words(
    tmp_path: pathlib.Path, nodes: Nodes
) -> None:
    stub = tmp_path / "docker"
    stub.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n", encoding="utf-8")
    stub.chmod(0o755)
    plan = lab_tiny(nodes(2))
    for rank, shown in zip(plan["ranks"], plan["docker_commands"]):
        seen = subprocess.run(
            # As the screen shows it, indented.
            ["bash", "-c", textwrap.indent(shown["command"], "        ")],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.split("\0")[:-1]
        assert seen == ["run", *shown["words"]]
        assert seen[seen.index(plan["image"]) + 1 :] == rank["argv"]


def test_a_path_with_a_comma_is_one_mount() -> None:
    rank = {
        "name": "a",
        "network_mode": "host",
        "ipc_mode": "private",
        "shm_size": "1g",
        "restart_policy": "no",
        "oom_score_adj": 0,
        "gpus": "",
        "devices": [],
        "env": {},
        "security_opts": [],
        "pids_limit": 0,
        "ulimits": [],
        "labels": {},
        "entrypoint": ["b"],
        "mounts": [
            {"type": "bind", "source": '/a,b"c', "target": "/a,b", "read_only": True},
        ],
    }
    (mount,) = [option[1] for option in docker_options(rank, []) if option[0] == "--mount"]
    fields = next(csv.reader([mount]))
    assert fields == ["type=bind", 'source=/a,b"c', "target=/a,b", "readonly"]


def test_all_scripts_are_valid_bash(nodes: Nodes) -> None:
    for rank in lab_tiny(nodes(2))["ranks"]:
        subprocess.run(["bash", "-n", "-c", rank["argv"][1]], check=True)


@pytest.fixture
def fake_ray(tmp_path: pathlib.Path) -> t.Callable[..., subprocess.CompletedProcess[str]]:
    """Run a rank's container command with programs that only write down how they were called."""
    for name, body in {
        "ray": 'echo "ray $*" >> "$LOG"; exit "${RAY_EXIT:-0}"',
        "python3": 'echo "python3 $1 (${#2}) ${*:3}" >> "$LOG"; exit "${WAIT_EXIT:-0}"',
        "vllm": 'echo "vllm $* pid $$" >> "$LOG"; cat "$XDG_CONFIG_HOME/vllm/"*.json >> "$LOG"',
    }.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def run(rank: dict[str, t.Any], **env: str) -> subprocess.CompletedProcess[str]:
        log = tmp_path / "log"
        log.write_text("", encoding="utf-8")
        with subprocess.Popen(
            [*rank["entrypoint"], *rank["argv"]],
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "LOG": str(log),
                "XDG_CONFIG_HOME": str(tmp_path / "config"),
                **env,
            },
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            stderr = process.communicate(timeout=30)[1]
            text = log.read_text("utf-8").replace(f"pid {process.pid}", "as process 1")
        return subprocess.CompletedProcess([], process.returncode, text, stderr)

    return run


def test_the_head_starts_ray_waits_for_all_and_becomes_the_server(
    nodes: Nodes, fake_ray: t.Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (head, _worker) = lab_tiny(nodes(2))["ranks"]
    done = fake_ray(head)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ray start --head --port 46379 --include-dashboard=false --node-ip-address 198.51.100.1"
        " --num-gpus 1 --object-store-memory 1073741824 --disable-usage-stats",
        f"python3 -c ({len(head['argv'][3])}) 300 198.51.100.1 198.51.100.2",
        f"{shlex.join(head['server_argv'])} as process 1",
        '["GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "VLLM_HOST_IP"]',
    ]


@pytest.mark.parametrize("fault", ["RAY_EXIT", "WAIT_EXIT"])
def test_the_head_ends_where_ray_fails(
    nodes: Nodes, fake_ray: t.Callable[..., subprocess.CompletedProcess[str]], fault: str
) -> None:
    done = fake_ray(lab_tiny(nodes(2))["ranks"][0], **{fault: "3"})
    assert done.returncode == 1
    assert "vllm" not in done.stdout


@pytest.mark.parametrize("rank", [0, 1])
def test_a_user_who_cannot_read_the_token_starts_no_ray(
    nodes: Nodes,
    fake_ray: t.Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: pathlib.Path,
    rank: int,
) -> None:
    """Without its file Ray 2.52 ends with a message about its own settings."""
    plan = with_facts(nodes(2), {"spark1": RAY})
    done = fake_ray(plan["ranks"][rank], RAY_AUTH_TOKEN_PATH=str(tmp_path / "nothing"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot read Ray's token" in done.stderr


def test_a_worker_says_when_the_head_does_not_answer(
    nodes: Nodes, fake_ray: t.Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    here = [
        dataclasses.replace(node, fabric_address=f"127.0.0.{i}")
        for i, node in enumerate(nodes(2), 1)
    ]
    # Port 1 of the loopback: nothing listens there.
    plan = lab_tiny(here, settings=Settings(ray_port=1, ray_wait_seconds=0))
    done = fake_ray(plan["ranks"][1])
    assert done.returncode == 1
    assert "the Ray head 127.0.0.1:1 did not answer within 0 s" in done.stderr
    assert done.stdout == ""


def test_solo_runs_the_server_as_process_1_without_cluster_variables(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    plan = plan_of(recipe_of(), nodes(1))
    (rank,) = plan["ranks"]
    assert [*rank["entrypoint"], *rank["argv"]] == ["bash", "-c", "exec vllm serve org/model"]
    assert plan["env"]["per_node"] == {"spark1": {}}
    assert rank["env"] == {
        "HF_HOME": "/ai/cache/huggingface",
        "HF_HUB_OFFLINE": "1",
        "HF_MODULES_CACHE": "/tmp/hf_modules",
        "VLLM_NO_USAGE_STATS": "1",
        **RUNTIME_CACHE,
    }


RUNTIME_CACHE = {
    "FLASHINFER_WORKSPACE_BASE": "/var/cache/dgxspark",
    "TORCHINDUCTOR_CACHE_DIR": "/var/cache/dgxspark/torchinductor",
    "TRITON_CACHE_DIR": "/var/cache/dgxspark/triton",
    "VLLM_CACHE_ROOT": "/var/cache/dgxspark/vllm",
    "XDG_CACHE_HOME": "/var/cache/dgxspark",
}


@pytest.mark.parametrize(
    ("setting", "kind"), [("dgxspark-cache", "volume"), ("/ai/cache/runtime", "bind"), ("", "")]
)
def test_what_servers_compile_outlives_their_containers(
    nodes: Nodes, recipe_of: RecipeOf, setting: str, kind: str
) -> None:
    plan = plan_of(recipe_of(), nodes(1), Settings(runtime_cache=setting))
    (rank,) = plan["ranks"]
    kept = [one for one in rank["mounts"] if not one["read_only"]]
    assert [(one["type"], one["source"], one["target"]) for one in kept] == (
        [(kind, setting, "/var/cache/dgxspark")] if kind else []
    )
    assert {name: rank["env"].get(name) for name in RUNTIME_CACHE} == (
        RUNTIME_CACHE if kind else dict.fromkeys(RUNTIME_CACHE)
    )
    said = f"--mount type={kind},source={setting},target=/var/cache/dgxspark \\"
    assert (said in plan["docker_commands"][0]["command"]) == bool(kind)


def test_a_recipes_own_cache_wins(nodes: Nodes, recipe_of: RecipeOf) -> None:
    plan = plan_of(recipe_of(env={"VLLM_CACHE_ROOT": "/mine"}), nodes(1))
    assert plan["ranks"][0]["env"]["VLLM_CACHE_ROOT"] == "/mine"


@pytest.mark.parametrize("setting", ["a", "a,b", "-x", "with space", "a\n"])
def test_a_runtime_cache_is_a_volume_or_a_path(
    nodes: Nodes, recipe_of: RecipeOf, setting: str
) -> None:
    with pytest.raises(RecipeError, match="dgxspark_runtime_cache"):
        plan_of(recipe_of(), nodes(1), Settings(runtime_cache=setting))


def test_env_precedence_is_ours_then_inventory_then_recipe(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    recipe = recipe_of(
        min_nodes=2, env={"A": "recipe", "HF_HUB_OFFLINE": "0", "NCCL_SOCKET_IFNAME": "eth7"}
    )
    inventory = {"A": "inventory", "B": 2, "VLLM_NO_USAGE_STATS": "1"}
    plan = plan_of(recipe, nodes(2), inventory_env=inventory)
    for rank in plan["ranks"]:
        assert rank["env"]["A"] == "recipe"
        assert rank["env"]["B"] == "2"
        assert rank["env"]["NCCL_SOCKET_IFNAME"] == "eth7"
    assert plan["env"]["shared"]["NCCL_SOCKET_IFNAME"] == "eth7"
    assert "NCCL_SOCKET_IFNAME" not in plan["env"]["per_node"]["spark1"]
    assert plan["warnings"][:2] == [
        "the recipe's env sets HF_HUB_OFFLINE=0 over 1",
        "the recipe's env sets NCCL_SOCKET_IFNAME=eth7 over the value detected on each node",
    ]


def test_secrets_are_named_in_the_plan_and_nowhere_shown(recipe_of: RecipeOf, nodes: Nodes) -> None:
    recipe = recipe_of(env={"HF_TOKEN": "${MY_TOKEN}", "X_API_KEY": "hush-recipe"})
    inventory = {"DB_PASSWORD": "hush-inventory", "OTHER": "$MY_TOKEN", "KEY": "hush-inventory"}
    environ = {"MY_TOKEN": "hush-controller"}
    resolved = resolve(recipe, {}, nodes(1), Variables(inventory, ["MY_TOKEN"], environ))
    plan = build_plan(resolved, Settings())
    assert plan["secret_env"] == ["DB_PASSWORD", "HF_TOKEN", "KEY", "OTHER", "X_API_KEY"]
    assert "hush" not in json.dumps(plan)
    assert "--env HF_TOKEN \\\n" in plan["docker_commands"][0]["command"]
    assert secret_values(resolved, environ, Settings()) == {
        "DB_PASSWORD": "hush-inventory",
        "HF_TOKEN": "hush-controller",
        "KEY": "hush-inventory",
        "OTHER": "hush-controller",
        "X_API_KEY": "hush-recipe",
    }


def test_a_secret_replaces_what_is_detected_on_the_node(recipe_of: RecipeOf, nodes: Nodes) -> None:
    recipe = recipe_of(min_nodes=2, env={"NCCL_SOCKET_IFNAME": "${MINE}"})
    resolved = resolve(recipe, {}, nodes(2), Variables({}, ["MINE"], {"MINE": "x"}))
    plan = build_plan(resolved, Settings())
    assert plan["secret_env"] == ["NCCL_SOCKET_IFNAME"]
    assert all("NCCL_SOCKET_IFNAME" not in rank["env"] for rank in plan["ranks"])


@pytest.mark.parametrize(
    ("model", "hf_home", "path"),
    [
        ("org/model", "/ai/a,b", "/ai/a,b"),
        ("/ai/models/x,y", "/ai/hf", "/ai/models/x,y"),
        ('/ai/models/x"y', "/ai/hf", '/ai/models/x"y'),
        ("/ai/models/x\n", "/ai/hf\ny", "/ai/hf\ny"),
    ],
)
def test_a_path_that_docker_would_read_as_two_is_refused(
    recipe_of: RecipeOf, nodes: Nodes, model: str, hf_home: str, path: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_of(recipe_of(model=model), nodes(1), Settings(hf_home=hf_home))
    assert repr(path) in str(caught.value)


def test_llama_cpp_waits_for_its_workers_and_reads_no_file_by_mapping(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    recipe = recipe_of(runtime="llama-cpp", command="llama-server -hf {model}", min_nodes=2)
    head, worker = plan_of(recipe, nodes(2))["ranks"]
    script = head["argv"][1]
    assert "< /dev/tcp/198.51.100.2/50052" in script
    assert script.index("/dev/tcp/") < script.index("exec llama-server")
    assert "/dev/tcp/" not in worker["argv"][1]
    assert (head["env"]["LLAMA_ARG_MMAP"], head["env"]["LLAMA_ARG_OFFLINE"]) == ("0", "1")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"server": 8000}),
        ({"min_nodes": 2}, {"server": 8000, "ray": 46379, "survive": 25010}),
        (
            {"min_nodes": 2, "runtime": "vllm-distributed"},
            {"server": 8000, "master": 25000, "survive": 25010},
        ),
    ],
)
def test_ports_are_what_the_head_listens_on(
    recipe_of: RecipeOf, nodes: Nodes, fields: dict[str, t.Any], expected: dict[str, int]
) -> None:
    assert plan_of(recipe_of(**fields), nodes(2))["ports"] == expected


def test_a_model_folder_outside_the_cache_is_mounted_too(recipe_of: RecipeOf, nodes: Nodes) -> None:
    def sources(model: str) -> list[str]:
        (rank,) = plan_of(recipe_of(model=model), nodes(1), Settings(runtime_cache=""))["ranks"]
        assert all(mount["read_only"] for mount in rank["mounts"])
        return [mount["source"] for mount in rank["mounts"]]

    cache = "/ai/cache/huggingface"
    assert sources("/ai/models/mine") == [cache, "/ai/models/mine"]
    assert sources(f"{cache}/hub/x") == [cache]


def test_models_are_named_as_the_nodes_have_them(recipe_of: RecipeOf, nodes: Nodes) -> None:
    def models(model: str, command: str = "vllm serve {model}", **more: t.Any) -> list[t.Any]:
        recipe = recipe_of(model=model, command=command, runtime=None, **more)
        return list(plan_of(recipe, nodes(1))["models"])

    assert models("org/one", "vllm serve {model} --revision v2") == [
        {"name": "org/one", "quant": "", "revision": "v2"}
    ]
    draft = {"draft_model": "org/draft"}
    assert [one["name"] for one in models("org/one", **draft)] == ["org/one", "org/draft"]
    (gguf,) = models("org/one-GGUF:Q4_K_M", "llama-server -hf {model}", max_nodes=1)
    assert (gguf["name"], gguf["quant"]) == ("org/one-GGUF", "Q4_K_M")
    assert models("/ai/models/tune")[0]["name"] == "/ai/models/tune"
    # Where a volume has it, and not where the container sees it.
    volumes = {"volumes": ["/ai/models/mine:/models"]}
    assert models("/models/tune", **volumes)[0]["name"] == "/ai/models/mine/tune"
    # Nobody here can tell whether such a place has it.
    assert models("s3://bucket/model") == []


def test_a_model_within_a_volume_is_mounted_once(recipe_of: RecipeOf, nodes: Nodes) -> None:
    recipe = recipe_of(model="/models/tune", volumes=["/ai/models:/models"])
    (rank,) = plan_of(recipe, nodes(1))["ranks"]
    assert "/models/tune" not in [mount["target"] for mount in rank["mounts"]]


@pytest.mark.parametrize(("gpus", "expected"), [("all", ["all"]), ("1", ["1"]), ("", [])])
def test_gpus_as_docker_wants_them(
    recipe_of: RecipeOf, nodes: Nodes, gpus: str, expected: list[str]
) -> None:
    plan = plan_of(recipe_of(), nodes(1), Settings(gpus=gpus))
    words = plan["docker_commands"][0]["words"]
    assert [words[at + 1] for at, word in enumerate(words) if word == "--gpus"] == expected
    assert ("--gpus" in plan["docker_commands"][0]["command"]) is bool(gpus)


class Refusal(t.NamedTuple):
    expected: str
    nodes: list[Node]
    settings: Settings = Settings()


ONE = Node("spark1", "192.0.2.1", "198.51.100.1", "enp1s0f0np0")
TWO = Node("spark2", "192.0.2.2", "198.51.100.2", "enp1s0f0np0")

REFUSALS = {
    "a name for an address": Refusal(
        "address is 'spark2.local', expected an IP address",
        [ONE, dataclasses.replace(TWO, address="spark2.local")],
    ),
    "an unknown interface": Refusal(
        "node spark2: no interface is known to carry 198.51.100.2",
        [ONE, dataclasses.replace(TWO, fabric_interface=None)],
    ),
    "half a fabric": Refusal(
        "missing on spark2", [ONE, dataclasses.replace(TWO, fabric_address=None)]
    ),
    "one node twice": Refusal("each rank needs its own node", [ONE, ONE]),
    "a relative cache": Refusal(
        "dgxspark_hf_home is 'hf', expected an absolute path", [ONE, TWO], Settings(hf_home="hf")
    ),
    "a tiny object store": Refusal(
        "dgxspark_ray_object_store_bytes is 5", [ONE, TWO], Settings(ray_object_store_bytes=5)
    ),
    "a port twice": Refusal(
        "dgxspark_ray_port and the recipe's port are both 8000", [ONE, TWO], Settings(ray_port=8000)
    ),
    "no port": Refusal("dgxspark_ray_port is 0", [ONE, TWO], Settings(ray_port=0)),
    "some gpus": Refusal("dgxspark_gpus is 'some'", [ONE, TWO], Settings(gpus="some")),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_an_impossible_plan_is_refused_with_the_reason(case: Refusal) -> None:
    with pytest.raises(RecipeError) as caught:
        lab_tiny(case.nodes, settings=case.settings)
    assert case.expected in str(caught.value)


def test_without_a_fabric_the_ranks_talk_over_the_management_network(nodes: Nodes) -> None:
    plain = [Node(node.name, node.address, None, "eth0") for node in nodes(2)]
    plan = lab_tiny(plain)
    assert [rank["env"]["VLLM_HOST_IP"] for rank in plan["ranks"]] == ["192.0.2.1", "192.0.2.2"]


def test_nccl_is_told_each_nodes_own_devices_where_they_are_known(nodes: Nodes) -> None:
    one, two = nodes(2)
    plan = lab_tiny([dataclasses.replace(one, hcas=("rocep1s0f0", "roceP2p1s0f0")), two])
    assert plan["env"]["per_node"]["spark1"]["NCCL_IB_HCA"] == "rocep1s0f0,roceP2p1s0f0"
    assert "NCCL_IB_HCA" not in plan["env"]["per_node"]["spark2"]
    # Ray is not to carry the head's over.
    assert '"NCCL_IB_HCA"' in plan["ranks"][0]["argv"][1]
    assert "NCCL_IB_HCA" not in lab_tiny(nodes(2))["ranks"][0]["argv"][1]


def connected(nodes: list[Node], topology: str) -> list[Node]:
    hcas = ("rocep1s0f0", "roceP2p1s0f0")
    return [dataclasses.replace(node, hcas=hcas, topology=topology) for node in nodes]


@pytest.mark.parametrize(
    ("topology", "count", "ring"),
    [
        ("ring", 2, True),
        ("pair", 2, False),
        ("switch", 2, False),
        ("", 2, False),
        ("ring", 1, False),
    ],
)
def test_a_ring_gets_the_settings_of_a_ring(
    nodes: Nodes, recipe_of: RecipeOf, topology: str, count: int, ring: bool
) -> None:
    chosen = connected(nodes(count), topology)
    plan = lab_tiny(chosen) if count > 1 else plan_of(recipe_of(), chosen)
    shared = plan["env"]["shared"]
    assert ("NCCL_IB_SUBNET_AWARE_ROUTING" in shared) is ring
    assert (shared.get("NCCL_NET_PLUGIN") == "none") is ring
    assert any("NCCL_IB_MERGE_NICS" in text for text in plan["warnings"]) is ring
    assert "NCCL_IB_MERGE_NICS" not in shared


def test_what_a_ring_leaves_open_is_decided_by_the_inventory(nodes: Nodes) -> None:
    ring = connected(nodes(2), "ring")
    plan = lab_tiny(ring, inventory_env={"NCCL_IB_MERGE_NICS": "0", "NCCL_NET_PLUGIN": "none"})
    assert plan["env"]["shared"]["NCCL_IB_MERGE_NICS"] == "0"
    assert not [text for text in plan["warnings"] if "NCCL" in text]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"NCCL_IB_GID_INDEX": "3"}, "NCCL_IB_GID_INDEX=3 holds for every device"),
        ({"UCX_NET_DEVICES": "mlx5_0:1"}, "names none of its links: spark1 has rocep1s0f0"),
        ({"UCX_NET_DEVICES": "rocep1s0f0:1,mlx5_1:1"}, ""),
        ({"UCX_NET_DEVICES": "all"}, ""),
        ({"MN_IF_NAME": "eth0"}, "MN_IF_NAME=eth0 names none of its links"),
        ({"OMPI_MCA_btl_tcp_if_include": "enp1s0f1np0,enp1s0f2np0"}, ""),
    ],
)
def test_a_given_environment_is_compared_with_the_nodes(
    nodes: Nodes, recipe_of: RecipeOf, variables: dict[str, str], message: str
) -> None:
    (name,) = variables
    texts = lab_tiny(connected(nodes(2), "pair"), inventory_env=variables)["warnings"]
    assert [message in text for text in texts if name in text] == ([True] if message else [])
    # One node has no links.
    alone = plan_of(recipe_of(), connected(nodes(1), "pair"), inventory_env=variables)
    assert not [text for text in alone["warnings"] if name in text]


def test_an_ipv6_address_is_put_into_brackets(recipe_of: RecipeOf) -> None:
    plan = plan_of(recipe_of(), [Node("spark1", "2001:db8::1")])
    assert plan["url"] == "http://[2001:db8::1]:8000"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen3.5 397B (2x)", "qwen3.5-397b-2x"),
        ("../../etc", "etc"),
        ("ünï", "n"),
        ("---", "recipe"),
        ("a" * 99, "a" * 40),
    ],
)
def test_slugs_are_names_that_docker_takes(name: str, expected: str) -> None:
    assert slug(name) == expected


PIN = "/usr/local/cuda-13.0/bin/ptxas"
LENT = {"assembles": True, "pins": {"TRITON_PTXAS_PATH": PIN}, "message": "Triton fails; lent"}
FAILS = {"assembles": False, "pins": {}, "message": "Triton fails", "way_out": "Upgrade it."}


def with_facts(nodes: list[Node], facts: dict[str, t.Any], **settings: t.Any) -> dict[str, t.Any]:
    resolved = resolve(load("lab-tiny", [str(ROOT / "tests/lab/recipes")]), None, nodes)
    return build_plan(resolved, Settings(**settings), facts)


def test_a_pin_is_mounted_set_hashed_and_told_on_its_node_alone(nodes: Nodes) -> None:
    plan = with_facts(nodes(2), {"spark2": LENT})
    head, worker = plan["ranks"]
    assert "TRITON_PTXAS_PATH" not in head["env"]
    assert worker["env"]["TRITON_PTXAS_PATH"] == PIN
    mount = {"type": "bind", "source": PIN, "target": PIN, "read_only": True}
    assert (mount in head["mounts"], mount in worker["mounts"]) == (False, True)
    kept = json.loads(worker["labels"]["dgxspark.suite/image-facts"])
    assert with_facts(nodes(2), {"spark2": kept})["hash"] == plan["hash"]
    assert "spark2: Triton fails; lent" in plan["warnings"]
    assert plan["hash"] != lab_tiny(nodes(2))["hash"]
    command = plan["docker_commands"][1]["command"]
    assert f"--mount type=bind,source={PIN},target={PIN},readonly" in command
    assert f"--env TRITON_PTXAS_PATH={PIN}" in command


def test_ray_does_not_carry_the_heads_pin_to_a_node_with_another_toolkit(nodes: Nodes) -> None:
    plan = with_facts(nodes(2), {"spark2": LENT})
    assert "TRITON_PTXAS_PATH" in plan["ranks"][0]["argv"][1]


def test_nodes_that_say_the_same_are_told_once(nodes: Nodes) -> None:
    plan = with_facts(nodes(2), {"spark1": LENT, "spark2": LENT})
    assert "spark1, spark2: Triton fails; lent" in plan["warnings"]


def test_an_image_that_nothing_helps_is_refused_with_its_way_out_where_there_are_gpus(
    nodes: Nodes,
) -> None:
    with pytest.raises(RecipeError, match=r"spark2: Triton fails\. Upgrade it\. Or, for a model"):
        with_facts(nodes(2), {"spark2": FAILS})
    assert "spark2: Triton fails" in with_facts(nodes(2), {"spark2": FAILS}, gpus="")["warnings"]


def test_what_is_known_of_an_image_that_works_changes_nothing(nodes: Nodes) -> None:
    works = {"assembles": True, "pins": {}, "message": ""}
    assert with_facts(nodes(2), {"spark1": works, "spark2": {}}) == lab_tiny(nodes(2))


RAY = {"assembles": True, "pins": {}, "message": "", "ray": "2.60.0"}


def test_ray_asks_for_a_token_that_is_nowhere_but_in_a_file(nodes: Nodes) -> None:
    plan = with_facts(nodes(2), {"spark1": RAY, "spark2": RAY})
    assert (plan["ray_auth"], plan["refusals"]) == ("token", [])
    assert plan["ray_token"] == "/var/lib/dgxspark/ray/token"
    for rank in plan["ranks"]:
        assert rank["env"]["RAY_AUTH_MODE"] == "token"
        mount = rank["mounts"][-1]
        assert (mount["source"], mount["read_only"]) == (plan["ray_token"], True)
        assert rank["env"]["RAY_AUTH_TOKEN_PATH"] == mount["target"]
        kept = json.loads(rank["labels"]["dgxspark.suite/image-facts"])
        again = with_facts(nodes(2), {"spark1": kept, "spark2": kept})
        assert again["hash"] == plan["hash"]
    assert plan["warnings"] == with_facts(nodes(2), {}, ray_auth=False)["warnings"][:-1]


@pytest.mark.parametrize("facts", [{"spark1": RAY}, {"spark2": RAY}, {"spark1": RAY, "spark2": {}}])
def test_one_node_that_knows_the_image_is_enough(nodes: Nodes, facts: dict[str, t.Any]) -> None:
    """All nodes get the image of the first that has it, before anything is stopped."""
    assert with_facts(nodes(2), facts)["ray_auth"] == "token"


def test_the_first_node_with_the_image_decides(nodes: Nodes) -> None:
    other = {**RAY, "ray": "2.51.1"}
    assert with_facts(nodes(2), {"spark1": RAY, "spark2": other})["ray_auth"] == "token"
    assert with_facts(nodes(2), {"spark1": other, "spark2": RAY})["ray_auth"] == "unsupported"


@pytest.mark.parametrize(
    "version",
    ["2.51.1", "1.99", "2", "", "3.0.0.dev0", "2.60.0 x", "2.٦٠", "9" * 5000, "v2.60", "\x1b2.60"],
)
def test_a_ray_that_cannot_ask_for_a_token_is_refused_with_the_way_out(
    nodes: Nodes, version: str
) -> None:
    plan = with_facts(nodes(2), {"spark1": {**RAY, "ray": version}})
    assert (plan["ray_auth"], plan["ray_token"]) == ("unsupported", "")
    (refusal,) = plan["refusals"]
    assert "46379 of spark1" in refusal
    assert "-e dgxspark_ray_auth=false" in refusal
    assert "\x1b" not in refusal
    assert "RAY_AUTH_MODE" not in plan["ranks"][0]["env"]


@pytest.mark.parametrize("version", ["2.52.0", "2.53", "2.60.0+nv1", "3.0.0", "2.52.0rc1"])
def test_a_ray_that_can_ask_for_a_token_does(nodes: Nodes, version: str) -> None:
    assert with_facts(nodes(2), {"spark1": {**RAY, "ray": version}})["ray_auth"] == "token"


@pytest.mark.parametrize("facts", [{}, {"spark1": {}}, {"spark1": {"assembles": None}}])
def test_what_is_not_known_of_ray_is_refused_until_it_is(
    nodes: Nodes, facts: dict[str, t.Any]
) -> None:
    plan = with_facts(nodes(2), facts)
    assert (plan["ray_auth"], plan["ray_token"], len(plan["refusals"])) == ("unknown", "", 1)


def test_without_a_token_only_where_the_inventory_says_so(nodes: Nodes) -> None:
    old = {**RAY, "ray": "2.40.0"}
    plan = with_facts(nodes(2), {"spark1": old, "spark2": old}, ray_auth=False)
    assert (plan["ray_auth"], plan["ray_token"], plan["refusals"]) == ("off", "", [])
    # From 2.61 on Ray would ask for one that it does not have.
    assert plan["ranks"][1]["env"]["RAY_AUTH_MODE"] == "disabled"
    assert "46379 of spark1" in plan["warnings"][-1]
    assert plan["hash"] == with_facts(nodes(2), {}, ray_auth=False)["hash"]


def test_one_node_has_no_ray(recipe_of: RecipeOf, nodes: Nodes) -> None:
    resolved = resolve(recipe_of(), None, nodes(1))
    plan = build_plan(resolved, Settings(), {"spark1": {**RAY, "ray": "2.40.0"}})
    assert (plan["ray_auth"], plan["ray_token"], plan["refusals"]) == ("", "", [])


@pytest.mark.parametrize("name", ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
@pytest.mark.parametrize("auth", [True, False])
def test_no_env_decides_about_the_token(
    recipe_of: RecipeOf, nodes: Nodes, name: str, auth: bool
) -> None:
    settings = Settings(ray_auth=auth)
    for recipe, inventory in (({"env": {name: "disabled"}}, {}), ({}, {name: "disabled"})):
        with pytest.raises(RecipeError, match=f"env sets {name}, which dgxspark_ray_auth decides"):
            plan_of(recipe_of(min_nodes=2, **recipe), nodes(2), settings, inventory_env=inventory)
    assert plan_of(recipe_of(env={name: "x"}), nodes(1))["ray_auth"] == ""


@pytest.mark.parametrize("target", ["/run/dgxspark/ray-token", "/run/dgxspark/", "//run"])
def test_no_volume_hides_the_token(recipe_of: RecipeOf, nodes: Nodes, target: str) -> None:
    settings = Settings(volumes_allow=("/srv/x",))
    recipe = recipe_of(min_nodes=2, volumes=[f"/srv/x:{target}"])
    with pytest.raises(RecipeError, match="would hide Ray's token"):
        plan_of(recipe, nodes(2), settings)


def test_without_a_preflight_only_the_version_of_ray_counts(nodes: Nodes) -> None:
    facts = {"spark1": {**FAILS, "ray": "2.60.0"}, "spark2": {**LENT, "ray": "2.60.0"}}
    plan = with_facts(nodes(2), facts, image_preflight=False)
    assert plan["ray_auth"] == "token"
    assert plan["hash"] == with_facts(nodes(2), {"spark1": RAY, "spark2": RAY})["hash"]


def test_containers_gain_no_privileges_and_have_a_limit_of_processes(nodes: Nodes) -> None:
    plan = lab_tiny(nodes(2))
    command = plan["docker_commands"][1]["command"]
    assert "--security-opt no-new-privileges" in command
    assert "--pids-limit 16384" in command
    without = lab_tiny(nodes(2), settings=Settings(security_opts=(), pids_limit=0))
    assert "--security-opt" not in without["docker_commands"][0]["command"]
    assert "--pids-limit" not in without["docker_commands"][0]["command"]


@pytest.mark.parametrize(
    "settings",
    [Settings(pids_limit=-1), Settings(security_opts=("a\nb",)), Settings(security_opts=("",))],
)
def test_impossible_limits_are_refused(nodes: Nodes, settings: Settings) -> None:
    with pytest.raises(RecipeError, match=r"dgxspark_(pids_limit|security_opts)"):
        lab_tiny(nodes(2), settings=settings)
