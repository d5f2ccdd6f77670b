# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookups as a playbook meets them: real ansible-playbook, real inventory, no node."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[4]

INVENTORY = """\
spark_nodes:
  hosts:
    spark1: {ansible_host: 192.0.2.1, dgxspark_fabric_address: 198.51.100.1}
    spark2: {ansible_host: spark2.example, dgxspark_fabric_address: 198.51.100.2}
  vars:
    ansible_connection: local
    base: /ai
    lab_recipes: ROOT/tests/lab/recipes
    dgxspark_hf_home: "{{ base }}/hf"
    dgxspark_gpus: ""
    dgxspark_ulimits: []
    dgxspark_shm_size: 2g
    dgxspark_ray_port: "{{ 6000 + 379 }}"
    dgxspark_env: {LEVEL: 3, DB_PASSWORD: "{{ 'hu' ~ 'sh' }}", MINE: "${MY_TOKEN}"}
    dgxspark_env_allow: [MY_TOKEN]
    dgxspark_somebody_elses: "{{ not_known_yet }}"
    dgxspark_recipe_paths: ["{{ playbook_dir }}/recipes", "{{ lab_recipes }}"]
""".replace("ROOT", str(ROOT))

# Facts as the setup module leaves them, without a node to gather them from.
FACTS = {
    "spark1": {
        "default_ipv4": {"address": "192.0.2.1"},
        "fab0": {"device": "fab0", "ipv4": {"address": "198.51.100.1"}},
    },
    "spark2": {
        "default_ipv4": {"address": "192.0.2.2"},
        "mgmt": {"device": "mgmt", "ipv4": {"address": "192.0.2.2"}},
        "fab_1": {
            "device": "fab-1",
            "ipv4": {"address": "169.254.0.1"},
            "ipv4_secondaries": [{"address": "198.51.100.2"}],
        },
    },
}

RECIPE = """\
model: org/model
runtime: vllm
container: org/image:1
max_nodes: 1
env: {HF_TOKEN: "${MY_TOKEN}"}
defaults: {port: 8000, served_model_name: mine}
command: vllm serve {model} --port {port} --served-model-name {served_model_name}
"""


class Run(t.NamedTuple):
    """ok: whether the play went through. text: all output. value: what the expression gave."""

    ok: bool
    text: str
    value: t.Any


@pytest.fixture
def evaluate(tmp_path: pathlib.Path) -> t.Callable[..., Run]:
    """Evaluate an expression on spark1 in a play that knows FACTS."""

    def run(expression: str, facts: bool = True, **extra: t.Any) -> Run:
        out = tmp_path / "out.json"
        (tmp_path / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
        (tmp_path / "ansible.cfg").touch()
        (tmp_path / "recipes").mkdir(exist_ok=True)
        (tmp_path / "recipes/mine.yaml").write_text(RECIPE, encoding="utf-8")
        known = FACTS if facts else {}
        play = [
            # cacheable: as real facts, not as variables.
            {
                "hosts": host,
                "gather_facts": False,
                "tasks": [{"ansible.builtin.set_fact": {**values, "cacheable": True}}],
            }
            for host, values in known.items()
        ]
        play += [
            {
                "hosts": "spark1",
                "gather_facts": False,
                "tasks": [
                    {
                        "ansible.builtin.copy": {
                            "content": "{{ result | to_json }}",
                            "dest": str(out),
                            "mode": "0600",
                        },
                        "vars": {"result": expression},
                    }
                ],
            }
        ]
        (tmp_path / "play.json").write_text(json.dumps(play), encoding="utf-8")
        done = subprocess.run(
            [
                str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
                *("-i", "inventory.yml", "-e", json.dumps(extra), "play.json"),
            ],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "MY_TOKEN": "hush-token",
                "HF_TOKEN": "hush-too",
                "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
                "ANSIBLE_INJECT_FACT_VARS": "false",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_NOCOLOR": "true",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        value = json.loads(out.read_text("utf-8")) if out.exists() else None
        return Run(done.returncode == 0, done.stdout + done.stderr, value)

    return run


def test_a_plan_takes_nodes_settings_and_facts_from_the_inventory(
    evaluate: t.Callable[..., Run],
) -> None:
    done = evaluate(
        "{{ lookup('dgxspark.suite.launch_plan', recipe, nodes=groups['spark_nodes'],"
        " overrides=overrides) }}",
        recipe="lab-tiny",
        overrides={"max_model_len": 128},
    )
    assert done.ok, done.text
    plan = done.value
    assert plan["nodes"] == ["spark1", "spark2"]
    assert plan["url"] == "http://192.0.2.1:8000"
    assert plan["env"]["per_node"]["spark2"] == {
        "GLOO_SOCKET_IFNAME": "fab-1",
        "NCCL_SOCKET_IFNAME": "fab-1",
        "TP_SOCKET_IFNAME": "fab-1",
        "VLLM_HOST_IP": "198.51.100.2",
    }
    head = plan["ranks"][0]
    assert head["mounts"][0]["source"] == "/ai/hf"
    assert (head["gpus"], head["ulimits"], head["shm_size"]) == ("", [], "2g")
    assert head["env"]["LEVEL"] == "3"
    assert "--max-model-len 128" in head["argv"][1]
    assert "--port 6379 --include-dashboard" in head["argv"][1]
    assert plan["secret_env"] == ["DB_PASSWORD", "MINE"]
    assert "hush" not in done.text + json.dumps(plan)


def test_what_it_needs_is_a_part_of_the_plan_that_no_fact_is_needed_for(
    evaluate: t.Callable[..., Run],
) -> None:
    done = evaluate(
        "{{ [lookup('dgxspark.suite.launch_plan', 'mine', nodes=['spark1']),"
        " lookup('dgxspark.suite.launch_plan', 'mine', nodes=['of', 'nobody'], needs=true)] }}"
    )
    assert done.ok, done.text
    plan, needs = done.value
    assert needs == {key: plan[key] for key in ("recipe", "image", "overlay", "models", "mounts")}
    assert needs["models"] != []


def test_licences_are_accepted_in_the_inventory_and_for_one_run(
    evaluate: t.Callable[..., Run],
) -> None:
    recipe = "'whisperx-speakers', nodes=['spark1'], problem=true"
    ask = f"{{{{ lookup('dgxspark.suite.launch_plan', {recipe}) }}}}"
    known: dict[str, t.Any] = {"dgxspark_env_allow": ["MY_TOKEN", "HF_TOKEN"]}
    known["dgxspark_recipe_paths"] = [str(ROOT / "recipes")]
    names = ["speaker-diarization-community-1", "speaker-diarization-3.1", "segmentation-3.0"]
    community, diarization, segmentation = (f"pyannote/{name}" for name in names)
    one = {**known, "dgxspark_accept_licences": [community]}
    refused = evaluate(ask, facts=False, **one)
    assert f"-e accept_licence={diarization}" in refused.value
    assert f"-e accept_licence={community}" not in refused.value
    # As typed: names with commas between them.
    both = f"{diarization},{segmentation}"
    assert evaluate(ask, facts=False, **one, dgxspark_accept_licence=both).value == ""


def test_secrets_come_only_when_asked_for(evaluate: t.Callable[..., Run]) -> None:
    done = evaluate(
        "{{ [lookup('dgxspark.suite.launch_plan', 'mine', nodes=['spark1']),"
        " lookup('dgxspark.suite.launch_plan', 'mine', nodes=['spark1'], secret_values=true)] }}"
    )
    assert done.ok, done.text
    plan, secrets = done.value
    assert "hush" not in json.dumps(plan)
    assert secrets == {"DB_PASSWORD": "hush", "HF_TOKEN": "hush-token", "MINE": "hush-token"}


def test_overrides_may_be_text_and_braces_in_them_stay(evaluate: t.Callable[..., Run]) -> None:
    done = evaluate(
        "{{ lookup('dgxspark.suite.launch_plan', 'mine', nodes=['spark1'],"
        " overrides=\"port=9000 served_model_name='a; touch pwned'\") }}"
    )
    assert done.ok, done.text
    assert done.value["served_model_name"] == "a; touch pwned"
    assert done.value["ranks"][0]["server_argv"][-4:] == [
        *("--port", "9000"),
        *("--served-model-name", "a; touch pwned"),
    ]


def test_the_recipe_lookup_returns_fields_and_issues(evaluate: t.Callable[..., Run]) -> None:
    done = evaluate("{{ lookup('dgxspark.suite.recipe', 'mine', overrides='prot=1') }}")
    assert done.ok, done.text
    assert done.value["data"]["container"] == "org/image:1"
    assert (done.value["mode"], done.value["max_nodes"], done.value["errors"]) == ("solo", 1, 1)
    (issue,) = done.value["issues"]
    assert (issue["code"], issue["line"]) == ("override-without-effect", 7)


@pytest.mark.parametrize(
    ("expression", "facts", "expected"),
    [
        (
            "{{ lookup('dgxspark.suite.launch_plan', 'lab-tyni', nodes=['spark1']) }}",
            True,
            "recipe 'lab-tyni' not found",
        ),
        (
            "{{ lookup('dgxspark.suite.launch_plan', 'lab-tiny', nodes=['spark1']) }}",
            True,
            "needs 2 nodes (tensor_parallel 2 x pipeline_parallel 1), has 1: spark1",
        ),
        (
            "{{ lookup('dgxspark.suite.launch_plan', 'lab-tiny', nodes=['spark1', 'spark2']) }}",
            False,
            "node spark2: no IP address is known",
        ),
        (
            "{{ lookup('dgxspark.suite.launch_plan', 'mine', nodes=['spark1'], gpus='some') }}",
            True,
            "dgxspark_gpus is 'some'",
        ),
        (
            "{{ lookup('dgxspark.suite.launch_plan', 'mine', nodes=['spark1'],"
            " overrides='port=abc') }}",
            True,
            "'abc' is not a port",
        ),
        (
            "{{ lookup('dgxspark.suite.recipe', 'none', recipe_paths=[]) }}",
            True,
            f"recipe 'none' not found. Searched: {ROOT}/recipes.",
        ),
    ],
    ids=["unknown recipe", "too few nodes", "no facts", "bad setting", "bad port", "recipe lookup"],
)
def test_refusals_reach_the_user(
    evaluate: t.Callable[..., Run], expression: str, facts: bool, expected: str
) -> None:
    done = evaluate(expression, facts)
    assert not done.ok
    assert expected in done.text
    assert "Traceback" not in done.text
