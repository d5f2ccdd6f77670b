# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables are secrets, and that nothing shows their values."""

from __future__ import annotations

import json
import subprocess
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.env_checks import (
    is_secret,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
    secret_values,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)

RecipeOf = t.Callable[..., Recipe]
NODE = Node("spark1", "192.0.2.1")

SECRETS = {
    "HF_TOKEN": "hush",
    "HF_TOKEN_2": "hush",
    "HFTOKEN": "hush",
    "OPENAI_KEY_ID": "hush",
    "SECRETKEY": "hush",
    "MY_PASSPHRASE": "hush",
    "DB_PASS": "hush",
    "DB_PWD": "hush",
    "AUTH": "hush",
    "PROXY_AUTHORIZATION": "hush",
    "session_cookie": "hush",
    "HTTPS_PROXY": "http://alice:hush@proxy:3128",
    "INDEX": "https://hush@pypi.example/simple",
    "DATABASE_URL": "postgres://u:hush@h/x",
    "HEADER": "Authorization: Bearer hush",
    "HEADER_TWO": "Basic aHVzaDpodXNo-hush",
    "MINE": "x sk-hush0123456789abcdef",
}
PLAIN = {
    "MONKEY": "chimp",
    "TOKENIZERS_PARALLELISM": "true",
    "MAX_TOKENS": "100",
    "COMPASS": "north",
    "PWD": "/workspace",
    "HTTP_PROXY": "http://proxy:3128",
    "VLLM_ATTENTION_BACKEND": "FLASHINFER",
    "NOTE": "alice@host.example, a basic idea of tokens",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}


@pytest.mark.parametrize(("name", "value"), SECRETS.items())
def test_a_secret_is_known_by_its_name_or_its_value(name: str, value: str) -> None:
    assert is_secret(name, value)


@pytest.mark.parametrize(("name", "value"), PLAIN.items())
def test_other_variables_are_shown(name: str, value: str) -> None:
    assert not is_secret(name, value)
    assert is_secret(name, value, [name])


@pytest.mark.parametrize("where", ["recipe", "inventory"])
def test_no_secret_is_in_a_plan_or_a_message(recipe_of: RecipeOf, where: str) -> None:
    """Also not where it replaces a variable of the collection's own."""
    secrets = {**SECRETS, "ODD": "hush", "HF_HOME": "https://hush@host.example/x"}
    recipe = recipe_of(env={**secrets, **PLAIN} if where == "recipe" else {})
    shared = {} if where == "recipe" else {**secrets, **PLAIN}
    resolved = resolve(recipe, {}, [NODE], Variables(shared))
    settings = Settings(env_secret=["ODD"])
    plan = build_plan(resolved, settings)
    assert plan["secret_env"] == sorted(secrets)
    assert "hush" not in json.dumps(plan)
    assert any("HF_HOME" in warning for warning in plan["warnings"])
    assert secret_values(resolved, {}, settings) == secrets
    assert {name: plan["env"]["shared"][name] for name in PLAIN} == PLAIN
    assert "hush" not in " ".join(str(issue) for issue in validate(recipe))


def test_a_password_of_digits_is_in_no_message(recipe_of: RecipeOf) -> None:
    issues = validate(recipe_of(env={"DB_PASSWORD": 73571234, "COUNT": 73579876}))
    text = " ".join(map(str, issues))
    assert "env.DB_PASSWORD" in text
    assert "73571234" not in text
    assert "73579876" in text


@pytest.mark.parametrize(
    "value", ["x\ny", "it's\n'two'\n", "\x1b[2Jx", "a\\\nb", "\tä\u2028ö\r\n", "\x01f0", "$(id)\n"]
)
def test_a_value_with_a_line_end_survives_a_pasted_command(recipe_of: RecipeOf, value: str) -> None:
    """No line of the command ends inside quotes, and no control character is in it."""
    resolved = resolve(recipe_of(env={"ODD": value}), {}, [NODE])
    command = build_plan(resolved, Settings())["docker_commands"][0]["command"]
    assert all(char.isprintable() or char == "\n" for char in command)
    indented = command.replace("\n", "\n    ")
    done = subprocess.run(
        ["bash", "-c", f"docker() {{ printf '%s\\0' \"$@\"; }}\n{indented}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert f"ODD={value}" in done.stdout.decode("utf-8").split("\0")
