# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers refuse is refused, and what they take is taken, by the words of the command."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import flags
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import ENGINES

Make = t.Callable[..., Recipe]
SERVERS = {
    "vllm": "vllm serve {model}",
    "sglang": "python3 -m sglang.launch_server --model-path {model}",
    "llama-cpp": "llama-server -hf {model}",
}


def found(make: Make, runtime: str, text: str, **fields: t.Any) -> list[tuple[str, str]]:
    """Severity and code of what is wrong with a server's flags."""
    model = "org/model-GGUF:Q4_K_M" if runtime == "llama-cpp" else "org/model"
    command = f"{SERVERS[runtime]} {text}"
    recipe = make(runtime=runtime, **{"model": model, "command": command, **fields})
    return [(issue.severity, issue.code) for issue in validate(recipe)]


@pytest.mark.parametrize(
    ("runtime", "text"),
    [
        ("vllm", "--max-model-len 131072 --max_num_seqs=4 --gpu-memory-utilization .85"),
        ("vllm", "--max-model-len auto --max-num-batched-tokens 8k --kv-cache-memory-bytes 25G"),
        ("vllm", "--max-model-len -1 --seed -7 -O3 -tp 1 -qfp8 -q=fp8"),
        ("vllm", "--served-model-name a b --enable-lora --no-enable-prefix-caching"),
        ("vllm", "--hf-overrides.rope_scaling.factor 4.0 --hf-overrides org.module.function"),
        ("vllm", "--enforce-eager --disable-log-requests"),
        ("vllm", "--max-num-seqs $(nproc --all) --max-logprobs ${LOGPROBS:-20}"),
        ("vllm", "--generation-config '' --limit-mm-per-prompt '{\"image\": 2}'"),
        ("vllm", "--chat-template '\u2013 it\u2019s a template \u201cquoted\u201d'"),
        ("vllm", "--kv-transfer-config '{\"cpu_bytes_to_use\": 80m}'"),
        ("vllm", "--reasoning-parser-plug /x.py"),
        ("sglang", "--context-length 128Ki --cuda-graph-bs-decode 1 2 4 --tp 1 --log-requests"),
        ("sglang", "--mem-fraction-static 0.8 --trust-remote-code"),
        ("llama-cpp", "-ngl -1 -c 4096 --no-webui --temp 0.6 -fa on --chat-template-kwargs {}"),
        ("llama-cpp", "-ngl all --tensor-split 1,1 --ctx_size 0"),
    ],
)
def test_what_the_server_takes_is_no_issue(recipe_of: Make, runtime: str, text: str) -> None:
    assert found(recipe_of, runtime, text) == []


@pytest.mark.parametrize(
    ("runtime", "text", "code"),
    [
        ("vllm", "--max-modle-len 4096", "unknown-flag"),
        ("vllm", "--max-model-len 131,072", "number-invalid"),
        ("vllm", "--max-model-len -4096", "number-invalid"),
        ("vllm", "--max-num-batched-tokens 8.5K", "number-invalid"),
        ("vllm", "--max-num-seqs 0", "number-invalid"),
        ("vllm", "--max-num-seqs four", "number-invalid"),
        ("vllm", "--gpu-memory-utilization 90%", "number-invalid"),
        ("vllm", "--gpu-memory-utilization=0,9", "number-invalid"),
        ("vllm", "--max-num-seqs", "flag-value"),
        ("vllm", "--max-num-seqs --enforce-eager", "flag-value"),
        ("vllm", "--enforce-eager=true", "flag-value"),
        ("vllm", "--enforce-eager true", "extra-word"),
        ("vllm", "org/another-model", "extra-word"),
        ("vllm", "\u2013\u2013max-num-seqs 4", "typographic"),
        ("vllm", "--max-num-seqs\u00a04", "typographic"),
        ("vllm", "--served-model-name \u201cchat\u201d", "typographic"),
        ("vllm", "--enable-auto-tool-choice", "flag-needs"),
        ("vllm", "-max-num-seqs 4", "unknown-flag"),
        ("vllm", "-- max-num-seqs 4", "extra-word"),
        ("vllm", "-O3 -n2x", "number-invalid"),
        ("sglang", "--context-length 128K", "number-invalid"),
        ("sglang", "--context-length -2", "number-invalid"),
        ("sglang", "--preferred-sampling-params {temperature:1}", "json-invalid"),
        ("sglang", "org/another-model", "extra-word"),
        ("llama-cpp", "--ctx-size=4096", "flag-value"),
        ("llama-cpp", "--ctx-size 131,072", "number-invalid"),
        ("llama-cpp", "--temp 0,6", "number-invalid"),
        ("llama-cpp", "stray", "extra-word"),
    ],
)
def test_what_every_build_refuses_is_an_error(
    recipe_of: Make, runtime: str, text: str, code: str
) -> None:
    assert found(recipe_of, runtime, text) == [("error", code)]


@pytest.mark.parametrize(
    ("runtime", "text", "code"),
    [
        ("vllm", "--gpu-memory-utilization-gb 100", "unknown-flag"),
        ("vllm", "--kv-cache-dtype fq8", "unknown-name"),
        ("vllm", "--tool-call-parser qwen4_coder", "unknown-name"),
        ("vllm", "--config /conf/serve.yaml", "config-file"),
        ("sglang", "--cuda-graph-max-bs 4", "unknown-flag"),
        ("sglang", "--quantization nvfp5", "unknown-name"),
        ("llama-cpp", "--no-mmap", "unknown-flag"),
    ],
)
def test_what_another_build_may_take_is_a_warning(
    recipe_of: Make, runtime: str, text: str, code: str
) -> None:
    assert found(recipe_of, runtime, text) == [("warning", code)]


@pytest.mark.parametrize(
    ("text", "defaults"),
    [
        ('--speculative-config {"method":"mtp","num_speculative_tokens":1}', {}),
        ('--speculative-config \'{"method":"mtp","num_speculative_tokens":2\'', {}),
        ("--hf-overrides \"{'rope_scaling':{'factor':4.0}}\"", {}),
        ("--speculative-config '{config}'", {"config": '\'{"method":"mtp"}\''}),
        (
            '--speculative-config \'{{"method":"mtp"}}\' --compilation-config \'{"a":{"b":true}}\'',
            {},
        ),
        ("--compilation-config '{\"level\": 3,}'", {}),
        ("--limit-mm-per-prompt image=2", {}),
    ],
    ids=["unquoted", "open", "python", "quoted-twice", "escapes", "comma", "words"],
)
def test_json_that_does_not_parse_is_an_error_that_names_the_flag_and_what_is_left(
    recipe_of: Make, text: str, defaults: dict[str, str]
) -> None:
    recipe = recipe_of(command=f"vllm serve {{model}} {text}", defaults=defaults)
    (issue,) = validate(recipe)
    assert (issue.severity, issue.code) == ("error", "json-invalid")
    assert "-config" in issue.message or "-overrides" in issue.message or "limit" in issue.message


def test_a_recipe_without_a_command_is_read_the_same_way(recipe_of: Make) -> None:
    defaults = {
        "speculative_config": "{method: mtp, num_speculative_tokens: 1}",
        "max_num_seqs": "1,024",
        "gpu_memory_utilization": "90%",
    }
    issues = validate(recipe_of(command=None, defaults=defaults))
    assert {(issue.code, issue.field) for issue in issues} == {
        ("number-invalid", "defaults.gpu_memory_utilization"),
        ("number-invalid", "defaults.max_num_seqs"),
        ("json-invalid", "defaults.speculative_config"),
    }
    fixes = {issue.field: issue.fix for issue in issues}
    assert fixes["defaults.gpu_memory_utilization"] == "Write 0.9"
    assert fixes["defaults.max_num_seqs"] == "Write 1024"


def test_an_override_is_read_as_a_default_is(recipe_of: Make) -> None:
    recipe = recipe_of(
        command="vllm serve {model} --max-model-len {max_model_len}",
        defaults={"max_model_len": 4096},
    )
    (issue,) = validate(recipe, {"max_model_len": "131,072"})
    assert (issue.code, issue.fix) == ("number-invalid", "Write 131072")


def test_a_recipe_that_changes_its_image_may_have_flags_that_are_not_known(recipe_of: Make) -> None:
    wrong = "--max-modle-len 4096"
    assert found(recipe_of, "vllm", wrong, pre_exec="./patch.sh") == [
        ("suggestion", "unknown-flag")
    ]


@pytest.mark.parametrize(
    ("model", "codes"),
    [
        ("org/model-GGUF:Q4_K_M", []),
        ("org/model-GGUF:UD-Q4_K_XL", []),
        ("org/model-GGUF:iq4_nl", []),
        ("org/model-GGUF", ["quantisation-missing"]),
        ("org/model-GGUF:Q4_K_N", ["quantisation-unknown"]),
        ("org/model-GGUF:latest", ["quantisation-unknown"]),
    ],
)
def test_a_gguf_repository_has_a_quantisation_that_exists(
    recipe_of: Make, model: str, codes: list[str]
) -> None:
    assert [code for _severity, code in found(recipe_of, "llama-cpp", "", model=model)] == codes


@pytest.mark.parametrize(
    ("name", "known", "slip"),
    [
        ("--max-modle-len", "--max-model-len", True),
        ("--tensor-parralel-size", "--tensor-parallel-size", True),
        ("--fp8-gemm-backend", "--fp4-gemm-backend", False),
        ("--disable-log-requests", "--enable-log-requests", False),
        ("--gpu-memory-utilization-gb", "--gpu-memory-utilization", False),
        ("--tp-size", "--pp-size", False),
    ],
)
def test_a_slip_is_a_letter_or_two_of_one_word(name: str, known: str, slip: bool) -> None:
    assert flags.is_slip(name, known) is slip


@pytest.mark.parametrize(
    "engine", [engine for engine in ENGINES if engine.grammar], ids=lambda engine: engine.name
)
def test_a_table_has_the_flags_that_a_launch_adds(engine: t.Any) -> None:
    known = engine.grammar.flags()
    added = [*engine.rank_flags, *engine.host, *engine.port, *engine.served_name]
    assert [flag for flag in added if flag not in known] == []
    kinds = {flag.kind for flag in known.values()}
    assert kinds <= {
        "switch",
        "text",
        "int",
        "float",
        "human",
        "human-auto",
        "json",
        "json-or-text",
    }


@pytest.mark.parametrize(
    "engine", [engine for engine in ENGINES if engine.grammar], ids=lambda engine: engine.name
)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_words_are_read(engine: t.Any, data: st.DataObject) -> None:
    known = sorted(engine.grammar.flags())
    value = st.sampled_from(["", "-", "--", "-1", "1e5", "{", "{}", "auto", "\u2013x", "\u00bb"])
    word = st.one_of(st.sampled_from(known), value, st.text(max_size=8))
    parts = st.lists(st.one_of(word, st.tuples(word, word).map("=".join)), max_size=8)
    words = tuple(data.draw(parts))
    given_flags, problems = flags.read(words, 1, engine.grammar, True)
    assert all(problem.message and problem.fix for problem in problems)
    assert len(given_flags) <= len(words)
