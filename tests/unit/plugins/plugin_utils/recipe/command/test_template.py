# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import (
    Renderer,
    TemplateError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    Value,
    chain,
    coerce,
    parse_overrides,
    text_of,
)


def render(
    command: str, defaults: dict[str, t.Any], overrides: dict[str, t.Any] | None = None
) -> str:
    values = chain(overrides or {}, defaults, {"model": "org/model"})
    return Renderer(values, defaults).command(command)


class Case(t.NamedTuple):
    command: str
    defaults: dict[str, t.Any]
    expected: str


CASES = {
    "the document's example": Case(
        "vllm serve {model} --port {port} --served-model-name {name}",
        {"port": 9000, "name": "my-model"},
        "vllm serve org/model --port 9000 --served-model-name my-model",
    ),
    "nested": Case(
        "x --url {base_url}",
        {"base_url": "http://localhost:{port}", "port": 8000},
        "x --url http://localhost:8000",
    ),
    "nested twice": Case("x {a}", {"a": "{b}", "b": "{c}", "c": 1}, "x 1"),
    "JSON is no placeholder": Case(
        """x --c '{"method":"mtp","n":2}' """, {}, """x --c '{"method":"mtp","n":2}'"""
    ),
    "a placeholder within JSON": Case(
        """x --c '{"method":"mtp","n":{n}}'""", {"n": 3}, """x --c '{"method":"mtp","n":3}'"""
    ),
    "escaped braces": Case(
        """x --c '{{"method":"mtp","n":{n}}}' --d {{}}""",
        {"n": 3},
        """x --c '{"method":"mtp","n":3}' --d {}""",
    ),
    "JSON default within quotes": Case(
        "x --c '{config}'",
        {"config": '{"a": [1, 2], "b": {}}'},
        """x --c '{"a": [1, 2], "b": {}}'""",
    ),
    "JSON default without quotes": Case(
        "x --c {config}", {"config": '{"a": "b c"}'}, """x --c '{"a": "b c"}'"""
    ),
    "a map": Case("x --c {config}", {"config": {"a": [1, True]}}, """x --c '{"a":[1,true]}'"""),
    "a list is several words": Case("x --s {sizes}", {"sizes": [1, "2 3"]}, "x --s 1 '2 3'"),
    "a default of several words": Case("x --s {sizes}", {"sizes": "1 2 4"}, "x --s 1 2 4"),
    "a quoted word in a default": Case("x {extra}", {"extra": "--a 'b c'"}, "x --a 'b c'"),
    "placeholders within several words": Case(
        "x {extra}", {"extra": "--a {v} --b={v}", "v": "1"}, "x --a 1 --b=1"
    ),
    "an empty default is no word": Case("x {extra} --a", {"extra": ""}, "x  --a"),
    "booleans as JSON writes them": Case("x --a {flag}", {"flag": True}, "x --a true"),
    "shell variables stay": Case("x ${port} $port {port}", {"port": 1}, "x ${port} $port 1"),
    "brace expansion stays": Case("x {a,b} {} {1}", {}, "x {a,b} {} {1}"),
    "dashed and spaced names": Case("x { max-num-seqs }", {"max-num-seqs": 4}, "x 4"),
    "defaults win over model": Case("x {model}", {"model": "other/one"}, "x other/one"),
    "comments are left out": Case("x 1 # not {this}", {}, "x 1"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_substitution(case: Case) -> None:
    assert render(case.command, case.defaults) == case.expected


@pytest.mark.parametrize(
    ("command", "defaults", "code", "expected"),
    [
        ("x {prot}", {"port": 1}, "unresolved-placeholder", "Did you mean {port}?"),
        ("x {nope}", {"port": 1}, "unresolved-placeholder", "Known names: model, port"),
        ("x {a}", {"a": "http://{prot}", "port": 1}, "unresolved-placeholder", "{a} refers to"),
        ("x {a}", {"a": None}, "unresolved-placeholder", "{a} is null"),
        ("x {a}", {"a": "y{a}"}, "placeholder-cycle", "a -> a"),
        ("x {c}", {"a": "{b}", "b": "{a}", "c": "{a}"}, "placeholder-cycle", "a -> b -> a"),
        ("x '{c}'", {"a": "{b}", "b": "-{a}", "c": "{a}"}, "placeholder-cycle", "a -> b -> a"),
    ],
)
def test_what_cannot_be_filled_in_is_an_error_that_names_it(
    command: str, defaults: dict[str, t.Any], code: str, expected: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        render(command, defaults)
    problems = caught.value.problems
    assert [problem.code for problem in problems] == [code]
    assert expected in f"{problems[0].message} {problems[0].fix}"


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(TemplateError) as caught:
        render("x {a} {b} {a}", {})
    assert [problem.name for problem in caught.value.problems] == ["a", "b"]


def test_a_cycle_that_the_command_does_not_use_does_no_harm() -> None:
    assert render("x {p}", {"p": 1, "a": "{b}", "b": "{a}"}) == "x 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("Yes", True),
        ("no", False),
        ("9000", 9000),
        ("-1", -1),
        ("0.8", 0.8),
        ("1e5", 100000.0),
        ("8e", "8e"),
        ("0x10", "0x10"),
        ("nan", "nan"),
        ("1.2.3", "1.2.3"),
        ("", ""),
    ],
)
def test_overrides_are_coerced(text: str, expected: object) -> None:
    result = coerce(text)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize("typed", ["1e5", "007", "0.80", "True", "yes"])
def test_an_override_is_written_as_it_was_typed(typed: str) -> None:
    assert render("x --a {a}", {"a": 1}, {"a": typed}) == f"x --a {typed}"


def test_an_override_splits_into_words_only_where_its_default_does() -> None:
    assert render("x {s}", {"s": "1 2"}, {"s": "4 8"}) == "x 4 8"
    assert render("x {s}", {"s": "one"}, {"s": "4 8"}) == "x '4 8'"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ({"port": 9000}, {"port": 9000}),
        ("port=9000 name='a b' json={\"x\":1}", {"port": "9000", "name": "a b", "json": "{x:1}"}),
        (["port=9000", "url=http://h/?a=b"], {"port": "9000", "url": "http://h/?a=b"}),
    ],
)
def test_overrides_can_be_given_in_three_forms(given: object, expected: dict[str, t.Any]) -> None:
    assert parse_overrides(given) == expected


@pytest.mark.parametrize("given", ["port", ["=1"], 5, "a='b"])
def test_overrides_of_no_known_form_are_refused_with_an_example(given: object) -> None:
    with pytest.raises(Exception, match="Write overrides as"):
        parse_overrides(given)


def test_numbers_are_written_as_yaml_reads_them() -> None:
    assert [text_of(value) for value in (1, 0.8, False, "x")] == ["1", "0.8", "false", "x"]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("vllm serve {model --port 1", True),
        ("vllm serve {model} --max-model-len {size", True),
        ("vllm serve {model} --served-model-name '{size'", True),
        ("awk '{print $1}' f; vllm serve {model }", False),
        ("f() {model x; }; vllm serve {model} {a,b} {size,x}", True),
        ("vllm serve ${model} --x {size,b}", False),
    ],
)
def test_a_placeholder_that_is_never_closed_is_an_error(command: str, found: bool) -> None:
    values = {name: Value(name, name, "default") for name in ("model", "size")}
    try:
        Renderer(values, {}).command(command)
        codes = []
    except TemplateError as exc:
        codes = [problem.code for problem in exc.problems]
    assert codes == (["open-placeholder"] if found else [])
