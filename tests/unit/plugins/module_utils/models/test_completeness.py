# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a model complete, as a table of file names."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.models.completeness import (
    MISSING,
    Index,
    judge,
    parse_index,
    quant_name,
)

INDEX = "model.safetensors.index.json"
ONE = "model-00001-of-00002.safetensors"
TWO = "model-00002-of-00002.safetensors"
BOTH = Index([ONE, TWO], 30)


@pytest.mark.parametrize(
    ("files", "indexes", "format_", "problems"),
    [
        ({"config.json": 1, "model.safetensors": 9}, {}, "safetensors", []),
        ({INDEX: 1, ONE: 20, TWO: 11}, {INDEX: BOTH}, "safetensors", []),
        (
            {INDEX: 1, ONE: 20},
            {INDEX: BOTH},
            "safetensors",
            [f"1 of 2 shards are missing: {TWO}"],
        ),
        (
            {INDEX: 1, ONE: 20, TWO: 9},
            {INDEX: BOTH},
            "safetensors",
            [f"the shards of {INDEX} hold 29 bytes, fewer than its 30"],
        ),
        ({INDEX: 1, ONE: 20, TWO: MISSING}, {INDEX: BOTH}, "safetensors", [f"{TWO} is missing"]),
        # Without an index the numbers tell.
        ({ONE: 20}, {}, "safetensors", [f"1 of 2 shards are missing: {TWO}"]),
        ({ONE: 20, TWO: 20}, {}, "safetensors", []),
        ({INDEX: 1}, {INDEX: BOTH}, "safetensors", [f"2 of 2 shards are missing: {ONE}, {TWO}"]),
        ({INDEX: 1, ONE: 5}, {INDEX: "no JSON"}, "safetensors",
         [f"{INDEX} cannot be used: no JSON", f"1 of 2 shards are missing: {TWO}"]),
        ({"config.json": 1, "tokenizer.json": 2}, {}, "none", ["there are no weights"]),
        ({}, {}, "none", ["there are no weights"]),
        ({"config.json": MISSING, "model.safetensors": 3}, {}, "safetensors",
         ["config.json is missing"]),
        ({"model.safetensors": 0}, {}, "safetensors", ["model.safetensors is empty"]),
        ({"pytorch_model.bin": 9}, {}, "pytorch", []),
        ({"pytorch_model.bin": 9, "model.safetensors": 9}, {}, "safetensors", []),
        ({"training_args.bin": 9, "optimizer.pt": 9}, {}, "none", ["there are no weights"]),
        # A stranger's number makes no list of a billion names.
        ({"model-00001-of-99999.safetensors": 9}, {}, "safetensors", []),
        (
            {"text/" + INDEX: 1, "text/" + ONE: 9},
            {"text/" + INDEX: BOTH},
            "safetensors",
            [f"1 of 2 shards are missing: text/{TWO}"],
        ),
    ],
)  # fmt: skip
def test_a_model_is_complete_or_reports_what_is_missing(
    files: dict[str, int], indexes: dict[str, Index | str], format_: str, problems: list[str]
) -> None:
    verdict = judge(files, indexes)
    assert (verdict.format, list(verdict.problems)) == (format_, problems)


@pytest.mark.parametrize(
    ("files", "quants", "problems"),
    [
        ({"a-Q4_K_M.gguf": 9}, {"Q4_K_M": True}, []),
        ({"a-Q4_K_M.gguf": 9, "a-Q8_0.gguf": MISSING}, {"Q4_K_M": True, "Q8_0": False}, []),
        ({"a-Q8_0.gguf": MISSING}, {"Q8_0": False}, ["a-Q8_0.gguf is missing"]),
        (
            {"Q2_K/a-Q2_K-00001-of-00002.gguf": 9},
            {"Q2_K": False},
            ["Q2_K is incomplete"],
        ),
        (
            {f"UD-Q2_K_XL/a-UD-Q2_K_XL-0000{n}-of-00002.gguf": 9 for n in (1, 2)},
            {"UD-Q2_K_XL": True},
            [],
        ),
        ({"mmproj-F16.gguf": 9}, {}, ["no quantisation"]),
        ({"mmproj-F16.gguf": 9, "a-IQ4_XS.gguf": 9}, {"IQ4_XS": True}, []),
    ],
)
def test_one_complete_quantisation_is_enough(
    files: dict[str, int], quants: dict[str, bool], problems: list[str]
) -> None:
    verdict = judge(files, {})
    assert verdict.format == "gguf"
    assert {one.name: one.complete for one in verdict.quants} == quants
    assert list(verdict.problems) == problems


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Qwen3-30B-A3B-Q4_K_M.gguf", "Q4_K_M"),
        ("gemma-3.q8_0.gguf", "Q8_0"),
        ("BF16/model-00001-of-00003.gguf", "BF16"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("a-UD-IQ1_S-00001-of-00004.gguf", "UD-IQ1_S"),
        ("something.gguf", "something"),
    ],
)
def test_the_quantisation_is_read_from_the_name(path: str, name: str) -> None:
    assert quant_name(path) == name


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], {}, "x", 1, {"weight_map": []}, {"weight_map": {"a": 1}}),
        *({"weight_map": {"a": name}} for name in ("../b", "/b", "b/../c")),
    ],
)
def test_an_invalid_index(document: t.Any) -> None:
    with pytest.raises(ValueError, match="weight_map"):
        parse_index(document)


@pytest.mark.parametrize("total", [None, -1, "9", True, 1.5, []])
def test_an_unusable_total_of_an_index_is_ignored(total: t.Any) -> None:
    index = parse_index({"metadata": {"total_size": total}, "weight_map": {"a": "x", "b": "x"}})
    assert index == Index(["x"], 0)
