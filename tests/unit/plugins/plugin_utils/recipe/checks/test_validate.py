# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import topology
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe


class Case(t.NamedTuple):
    """fields: over the minimal recipe, None removes. expected: (code, severity, field) of each."""

    fields: dict[str, t.Any]
    expected: list[tuple[str, str, str]]
    text: str = ""
    overrides: dict[str, t.Any] = {}


def tp(
    command: str = "vllm serve {model} -tp {tensor_parallel}", **fields: t.Any
) -> dict[str, t.Any]:
    return {"command": command, **fields}


CASES = {
    "nothing wrong": Case({}, []),
    "no model": Case({"model": None}, [("missing-model", "error", "model")]),
    "no container": Case(
        {"container": None},
        [("missing-container", "suggestion", "container")],
        "no image is named; scitrera/dgx-spark-vllm:0.16.0-t5 is taken",
    ),
    "no container, with mods of others": Case(
        {"container": None, "runtime": "eugr-vllm"}, [("missing-container", "error", "container")]
    ),
    "container with an option": Case(
        {"container": "-v /:/host image"}, [("container-invalid", "error", "container")]
    ),
    "no command": Case({"command": None}, []),
    "command of the wrong type is not also missing": Case(
        {"command": ["vllm"]}, [("wrong-type", "error", "command")]
    ),
    "no runtime": Case({"runtime": None}, [("missing-runtime", "suggestion", "runtime")]),
    "trtllm": Case(
        {"runtime": "trtllm", "command": "trtllm-serve"},
        [("unsupported-runtime", "error", "runtime")],
        "trtllm is not supported yet",
    ),
    "atlas": Case({"runtime": "atlas"}, [("unsupported-runtime", "error", "runtime")]),
    "eugr-vllm": Case({"runtime": "eugr-vllm"}, []),
    "a typo in the runtime": Case(
        {"runtime": "vlllm"}, [("unknown-runtime", "error", "runtime")], "Did you mean vllm?"
    ),
    "version 1": Case({"recipe_version": "1", "runtime": None}, []),
    "version 1 for another runtime": Case(
        {"recipe_version": 1, "runtime": "vllm-ray"}, [("runtime-conflict", "warning", "runtime")]
    ),
    "version 2 as a number": Case({"recipe_version": 2}, []),
    "version 7": Case({"recipe_version": "7"}, [("unknown-version", "warning", "recipe_version")]),
    "a mod that is nowhere": Case(
        {"mods": ["mods/x"]}, [("mod-not-found", "error", "mods")], "dgxspark_mod_paths"
    ),
    "a kind": Case({"kind": "embeddings"}, []),
    "kinds": Case({"kind": ["embeddings", "rerank"]}, []),
    "a typo in a kind": Case(
        {"kind": ["rerank", "embedding"]},
        [("kind-invalid", "error", "kind")],
        "Did you mean embeddings?",
    ),
    "no mods": Case({"mods": []}, []),
    "executor_config": Case({"executor_config": {"user": "root"}}, []),
    "settings that a launch decides": Case(
        {"executor_config": {"auto_remove": True, "gpus": "all", "shm_size": "64gb"}},
        [("ignored-field", "suggestion", "executor_config")],
        "auto_remove, gpus",
    ),
    "settings that are not applied": Case(
        {"executor_config": {"entrypoint": "bash"}},
        [("ignored-field", "warning", "executor_config")],
    ),
    "a privileged container": Case(
        {"executor_config": {"privileged": True}},
        [("unsupported-field", "error", "executor_config.privileged")],
        "can change everything on its node",
    ),
    "an unprivileged container": Case({"executor_config": {"privileged": False}}, []),
    "settings that are none": Case(
        {
            "executor_config": {
                "user": "$(id -u)",
                "shm_size": "much",
                "cap_add": ["SYS_ADMIN", "SYS_NICE"],
                "ulimit": ["memlock=lots"],
                "volumes": ["relative:/x"],
            }
        },
        [
            ("executor-invalid", "error", "executor_config.user"),
            ("executor-invalid", "error", "executor_config.shm_size"),
            ("executor-invalid", "error", "executor_config.cap_add"),
            ("executor-invalid", "error", "executor_config.ulimit"),
            ("executor-invalid", "error", "executor_config.volumes"),
        ],
    ),
    "an unknown key": Case({"notes": "x"}, [("unknown-field", "suggestion", "notes")]),
    "a typo in a key": Case(
        {"min_node": 2}, [("unknown-field", "warning", "min_node")], "Did you mean min_nodes?"
    ),
    "descriptive keys": Case({"name": "n", "description": "d", "maintainer": "Alice"}, []),
    "an unresolved placeholder": Case(
        {"command": "vllm serve {model} --port {prot}", "defaults": {"port": 1}},
        [("unresolved-placeholder", "error", "command")],
        "{port}",
    ),
    "a cycle": Case(
        {"command": "vllm serve {a}", "defaults": {"a": "{b}", "b": "{a}"}},
        [("placeholder-cycle", "error", "command")],
        "a -> b -> a",
    ),
    "a pipe": Case(
        {"command": "vllm serve {model} | tee log"}, [("command-shape", "error", "command")], "pipe"
    ),
    "the background": Case(
        {"command": "vllm serve {model} &"}, [("command-shape", "error", "command")], "background"
    ),
    "another program": Case(
        {"command": "bash -c 'vllm serve {model}'"},
        [("command-shape", "error", "command")],
        "must start the server",
    ),
    "a subshell": Case(
        {"command": "(cd /x && vllm serve {model})"}, [("command-shape", "error", "command")]
    ),
    "an open quote": Case(
        {"command": "vllm serve {model} --x 'y"},
        [("command-shape", "error", "command")],
        "never closed",
    ),
    "a rank flag": Case(
        {"command": "vllm serve {model} --nnodes 2"},
        [("rank-flag", "error", "command")],
        "--nnodes",
    ),
    "a key on the command line": Case(
        {"command": "vllm serve {model} --api_key=x"},
        [("secret-in-command", "error", "command")],
        "VLLM_API_KEY",
    ),
    "a token on the command line": Case(
        {"command": "vllm serve {model} --hf-token x"},
        [("secret-in-command", "error", "command")],
        'HF_TOKEN: "${HF_TOKEN}"',
    ),
    "tls": Case(
        {"command": "vllm serve {model} --ssl-keyfile k --ssl_certfile=c"},
        [("unsupported-flag", "error", "command"), ("unsupported-flag", "error", "command")],
        "with --ssl-certfile the server does not answer",
    ),
    "another path": Case(
        {"command": "vllm serve {model} --root-path /x"},
        [("unsupported-flag", "error", "command")],
        "--root-path",
    ),
    "a socket": Case(
        {"command": "vllm serve {model} --uds /x"},
        [("unsupported-flag", "error", "command")],
        "--uds",
    ),
    "no port": Case(
        {"command": "vllm serve {model} --port {port}", "defaults": {"port": "http"}},
        [("port-invalid", "error", "defaults.port")],
    ),
    "no port, and none in the command": Case(
        {}, [("port-invalid", "error", "defaults.port")], "'abc'", {"port": "abc"}
    ),
    "an empty port": Case({}, [("port-invalid", "error", "defaults.port")], "''", {"port": ""}),
    "port 0": Case({}, [("port-invalid", "error", "defaults.port")], "'0'", {"port": 0}),
    "port 99999": Case(
        {"defaults": {"port": 99999}}, [("port-invalid", "error", "defaults.port")], "'99999'"
    ),
    "a digit that is no number": Case(
        {}, [("port-invalid", "error", "defaults.port")], "'²'", {"port": "²"}
    ),
    "a port of null": Case({"defaults": {"port": None}}, []),
    "tensor_parallel of words": Case(
        tp(defaults={"tensor_parallel": "auto"}),
        [("parallel-invalid", "error", "defaults.tensor_parallel")],
    ),
    "more ranks than max_nodes": Case(
        tp(defaults={"tensor_parallel": 2}, solo_only=True),
        [("parallel-nodes", "error", "defaults.tensor_parallel")],
        "allows at most 1",
    ),
    "fewer ranks than min_nodes": Case(
        tp(defaults={"tensor_parallel": 2}, min_nodes=4),
        [("parallel-nodes", "error", "defaults.tensor_parallel")],
        "needs at least 4",
    ),
    "ranks written into the command": Case(
        tp("vllm serve {model} --tensor_parallel_size=4", max_nodes=2),
        [("parallel-nodes", "error", "defaults.tensor_parallel")],
    ),
    "data parallelism": Case(
        {"defaults": {"data_parallel": 2}},
        [("unsupported-field", "error", "defaults.data_parallel")],
    ),
    "an override that the command does not use": Case(
        {
            "command": "vllm serve {model} --max-model-len {max_model_len}",
            "defaults": {"max_model_len": 1},
        },
        [("override-without-effect", "error", "command")],
        "Did you mean max_model_len?",
        {"max_model_lne": 2},
    ),
    "an override that the command's own flag hides": Case(
        {"command": "vllm serve {model} --port 8000"},
        [("override-without-effect", "error", "command")],
        "cannot replace 8000",
        {"port": 9000},
    ),
    "an override that the launch itself uses": Case({}, [], "", {"port": 9000}),
    "a local build tag": Case(
        {"container": "vllm-node-mxfp4", "build_args": ["--exp-mxfp4"], "runtime": None},
        [("local-image", "suggestion", "container")],
        "./build-and-copy.sh -t vllm-node-mxfp4 --exp-mxfp4",
    ),
    "a local build tag, and another image named": Case(
        {"container": "vllm-node"}, [], "", {"container": "org/image:2"}
    ),
    "an image of today": Case(
        {"container": "org/image:latest"}, [("unpinned-image", "suggestion", "container")]
    ),
    "an image without a tag": Case(
        {"container": "host.example:5000/org/image"},
        [("unpinned-image", "suggestion", "container")],
    ),
    "an image by its digest": Case({"container": "org/image@sha256:" + "0" * 64}, []),
    "Ray's flag with native ones": Case(
        {"command": "vllm serve {model} --distributed-executor-backend ray --nnodes 2"},
        [("backend-mixed", "error", "command")],
        "Ray, which the command asks for, has no --nnodes",
    ),
    "replicas that do not fit": Case(
        {"defaults": {"data_parallel": 2, "tensor_parallel": 2}, "max_nodes": 2},
        [
            ("parallel-nodes", "error", "defaults.tensor_parallel"),
            ("unsupported-field", "error", "defaults.data_parallel"),
        ],
        "data_parallel 2 uses 4 nodes",
    ),
    "gigabytes for a share": Case(
        {
            "command": "vllm serve {model} --gpu-memory-utilization {gpu_memory_utilization}",
            "defaults": {"gpu_memory_utilization": 108},
        },
        [("utilization-over-one", "error", "defaults.gpu_memory_utilization")],
        "about 0.84",
    ),
    "a default that the command contradicts": Case(
        {
            "command": "vllm serve {model} --max-model-len 4096",
            "defaults": {"max_model_len": 8192},
        },
        [("flag-conflict", "warning", "defaults.max_model_len")],
        "--max-model-len 4096, which counts, but defaults say 8192",
    ),
    "a default that the command says too": Case(
        {
            "command": "vllm serve {model} --gpu-memory-utilization=0.80",
            "defaults": {"gpu_memory_utilization": 0.8},
        },
        [],
    ),
    "one flag twice": Case(
        {"command": "vllm serve {model} --max-model-len 1 --max_model_len=2"},
        [("flag-conflict", "warning", "command")],
    ),
    "a switch on and off": Case(
        {
            "command": "vllm serve {model} --enable-prefix-caching --no-enable-prefix-caching",
        },
        [("flag-conflict", "warning", "command")],
    ),
    "a default without effect": Case(
        {"defaults": {"max_model_len": 1}},
        [("unused-default", "warning", "defaults.max_model_len")],
    ),
    "a parser with a typo": Case(
        {"command": "vllm serve {model} --tool-call-parser hermse"},
        [("unknown-name", "warning", "command")],
        "Did you mean hermes?",
    ),
    "a parser of a plugin": Case(
        {"command": "vllm serve {model} --tool-call-parser mine --tool-parser-plugin /x.py"}, []
    ),
    "a backend that vLLM has": Case({"command": "vllm serve {model} --moe-backend=deep-gemm"}, []),
    "a key in the command": Case(
        {"command": "export X=sk-abcdefghijklmnop1234\nvllm serve {model}"},
        [("secret-in-recipe", "warning", "command")],
    ),
    "a key among the notes": Case(
        {"metadata": {"description": "token hf_abcdefghijklmnopqrst"}},
        [("secret-in-recipe", "warning", "metadata.description")],
    ),
    "metadata that is no figure": Case(
        {"metadata": {"model_params": "8x7B", "model_dtype": "nvpf4", "kv_dtype": "fp8"}},
        [
            ("metadata-invalid", "warning", "metadata.model_params"),
            ("metadata-invalid", "warning", "metadata.model_dtype"),
        ],
    ),
    "one image per host": Case(
        {"containers": [{"image": "a", "host": "b"}]},
        [("unsupported-field", "error", "containers")],
    ),
    "another builder": Case(
        {"builder": "uv-venv"}, [("unsupported-field", "error", "builder")], "uv-venv"
    ),
    "another executor": Case({"executor": "k8s"}, [("unsupported-field", "error", "executor")]),
    "commands on the controller": Case(
        {"post_commands": ["rm -rf /"]}, [("ignored-field", "warning", "post_commands")]
    ),
    "a placeholder in a hook": Case(
        {"pre_exec": ["echo {nope}"]}, [("unresolved-placeholder", "error", "pre_exec")]
    ),
    "a hook that is none": Case(
        {"pre_exec": [{"run": "x"}]}, [("pre-exec-invalid", "error", "pre_exec")]
    ),
    "a copy of the controller's files": Case(
        {"pre_exec": [{"copy": "/etc/passwd"}]},
        [("pre-exec-invalid", "error", "pre_exec")],
        "copying",
    ),
    "a volume that climbs": Case(
        {"volumes": ["/a/../etc:/etc"]}, [("volumes-invalid", "error", "volumes")]
    ),
    "a volume that is relative": Case(
        {"volumes": ["a:/b"]}, [("volumes-invalid", "error", "volumes")]
    ),
    "mods of the wrong type": Case({"mods": [{"a": 1}]}, [("wrong-type", "error", "mods")]),
    "a mod that climbs": Case({"mods": ["mods/../../x"]}, [("mod-invalid", "error", "mods")]),
    "another program's reference": Case(
        {"env": {"A": "{config.port}"}}, [("env-invalid", "error", "env.A")]
    ),
    "an env name that is none": Case({"env": {"A-B": "1"}}, [("env-invalid", "error", "env.A-B")]),
    "an env null": Case({"env": {"A": None}}, [("env-invalid", "error", "env.A")]),
    "an env list": Case({"env": {"A": ["x"]}}, [("env-invalid", "error", "env.A")]),
    "an env number": Case({"env": {"A": 1}}, [("env-not-text", "suggestion", "env.A")], "'1'"),
    "an env boolean": Case({"env": {"A": True}}, [("env-not-text", "warning", "env.A")], "'true'"),
    "a secret in the file": Case(
        {"env": {"HF_TOKEN": "hf_x"}}, [("secret-in-recipe", "warning", "env.HF_TOKEN")]
    ),
    "a key in the file": Case(
        {"env": {"ENCRYPTION_KEY": "x"}},
        [("secret-in-recipe", "warning", "env.ENCRYPTION_KEY")],
    ),
    "KEY alone": Case({"env": {"KEY": "x"}}, [("secret-in-recipe", "warning", "env.KEY")]),
    "a name that only ends like a key": Case({"env": {"MONKEY": "x"}}, []),
    "a secret by reference": Case({"env": {"HF_TOKEN": "${HF_TOKEN}"}}, []),
    "a name that only looks secret": Case({"env": {"TOKENIZERS_PARALLELISM": "false"}}, []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_validation(recipe_of: t.Callable[..., Recipe], case: Case) -> None:
    issues = validate(recipe_of(**case.fields), case.overrides)
    assert [(issue.code, issue.severity, issue.field) for issue in issues] == case.expected
    assert case.text in "".join(map(str, issues))
    assert all(issue.fix for issue in issues)


def test_an_issue_names_the_line(recipe_text: t.Callable[[str], Recipe]) -> None:
    recipe = recipe_text(
        """\
        model: org/model
        runtime: trtllm
        container: org/image:1
        env:
          A: 1
        command: vllm serve {model}
        """
    )
    assert [(issue.field, issue.line) for issue in validate(recipe)] == [
        ("runtime", 2),
        ("env.A", 5),
    ]


def test_an_issue_in_a_block_of_text_names_its_own_line(
    recipe_text: t.Callable[[str], Recipe],
) -> None:
    recipe = recipe_text(
        """\
        model: org/model
        runtime: vllm
        container: org/image:1
        command: |
          vllm serve {model} \\
            --port {prot} \\
            --node-rank 1
        """
    )
    assert [(issue.code, issue.line) for issue in validate(recipe)] == [
        ("unresolved-placeholder", 6)
    ]
    assert [(issue.code, issue.line) for issue in validate(recipe, {"prot": 1})] == [
        ("rank-flag", 7)
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("auto", 1, None)),
        ({"mode": "solo"}, ("solo", 1, 1)),
        ({"mode": "cluster"}, ("cluster", 2, None)),
        ({"min_nodes": 2}, ("cluster", 2, None)),
        ({"max_nodes": 1}, ("solo", 1, 1)),
        ({"max_nodes": 4}, ("auto", 1, 4)),
        ({"solo_only": True}, ("solo", 1, 1)),
        ({"cluster_only": True}, ("cluster", 2, None)),
        ({"cluster_only": True, "min_nodes": 4}, ("cluster", 4, None)),
        ({"cluster_only": False, "solo_only": False}, ("auto", 1, None)),
    ],
)
def test_mode_inference(
    recipe_of: t.Callable[..., Recipe], fields: dict[str, t.Any], expected: tuple[t.Any, ...]
) -> None:
    recipe = recipe_of(**fields)
    assert tuple(topology(recipe)) == expected
    assert validate(recipe) == []


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        (
            {"mode": "solo", "min_nodes": 2},
            "mode-conflict",
            "mode: solo means one node, but min_nodes: 2",
        ),
        ({"mode": "cluster", "max_nodes": 1}, "mode-conflict", "max_nodes: 1"),
        ({"solo_only": True, "cluster_only": True}, "mode-conflict", "cluster_only: true"),
        ({"solo_only": True, "min_nodes": 2}, "mode-conflict", "solo_only: true"),
        ({"min_nodes": 4, "max_nodes": 2}, "nodes-invalid", "2 is less than min_nodes 4"),
        ({"min_nodes": 0}, "nodes-invalid", "0 is less than 1"),
        ({"max_nodes": 0}, "nodes-invalid", "0 is less than 1"),
        ({"mode": "both"}, "mode-invalid", "auto, solo, cluster"),
    ],
)
def test_contradictory_topology_is_an_error(
    recipe_of: t.Callable[..., Recipe], fields: dict[str, t.Any], code: str, text: str
) -> None:
    (issue,) = validate(recipe_of(**fields))
    assert (issue.code, issue.severity) == (code, "error")
    assert text in str(issue)
