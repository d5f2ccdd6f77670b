# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a recipe's variables, and of secrets that are written into it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import ENV_NAME
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)

# Names of variables whose values are secrets: HF_TOKEN, SECRETKEY, OPENAI_KEY_ID, HF_TOKEN_2.
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(?:API|SECRET|ACCESS|PRIVATE)KEY|"
    r"(?:^|_)(?:KEY|PASS|PAT|AUTH|AUTHORIZATION|COOKIE)|_PWD)(?:_(?:ID|[0-9]{1,9}))?$",
    re.I,
)
ENV_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")

# Another program's references, which would reach the server as they stand.
_FOREIGN_REFERENCE = re.compile(r"\{(?:config|launch)\.\w+\}")
# What well-known services' keys look like: Hugging Face, OpenAI, GitHub, NVIDIA, AWS, Slack, PEM.
_SECRET_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|"
    r"\bgithub_pat_[A-Za-z0-9_]{20,}|\bnvapi-[A-Za-z0-9_-]{16,}|\bAKIA[0-9A-Z]{16}\b|"
    r"\bxox[abp]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


# A user or a password in an address, and what a header of a request has.
_SECRET_PART = re.compile(r"://[^/\s?#@]*@|\bBearer\s+\S|\bBasic\s+[A-Za-z0-9+/=]{8}", re.I)


def is_secret(name: str, value: t.Any, named: t.Collection[str] = ()) -> bool:
    """Whether plans and output may have the variable's name only.

    By its name, by what its value looks like, or because the inventory has it in named.
    """
    text = env_text(value)
    return (
        name in named
        or _SECRET_NAME.search(name) is not None
        or _SECRET_VALUE.search(text) is not None
        or _SECRET_PART.search(text) is not None
    )


# Code, message and fix of a value that is no reference alone. No message shows the text: it may be
# a password with a $ in it.
ENV_PARTIAL = (
    "env-partial",
    "the value mixes a variable of the controller ($...) with text",
    "Make ${NAME} the complete value, and export NAME with that text",
)


def env_text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def env_issues(recipe: Recipe) -> t.Iterator[Issue]:
    """Names and values of `env` that containers cannot get, or not as meant."""
    for name, value in recipe.env.items():
        field = f"env.{name}"
        if not re.fullmatch(ENV_NAME, name):
            yield recipe.issue(
                "env-invalid",
                "error",
                field,
                f"{name!r} is not a name of a variable",
                "Use letters, digits and _",
            )
        elif value is None or isinstance(value, (list, dict)):
            yield recipe.issue(
                "env-invalid",
                "error",
                field,
                f"expected text, found {value!r:.40}",
                'Write the value in quotes ("" for empty), or remove the line',
            )
        elif "\0" in str(value):
            yield recipe.issue(
                "env-invalid", "error", field, "the value contains a NUL character", "Remove it"
            )
        elif _FOREIGN_REFERENCE.search(str(value)):
            yield recipe.issue(
                "env-invalid",
                "error",
                field,
                "{config...} and {launch...} are not filled in",
                "Write the value itself",
            )
        elif ENV_REFERENCE.search(str(value)) and not ENV_REFERENCE.fullmatch(str(value)):
            code, message, fix = ENV_PARTIAL
            yield recipe.issue(code, "error", field, message, fix)
        elif not isinstance(value, str):
            # YAML's true is text to a container; which text is the author's to say.
            found = f"found {value!r}; passed on as {env_text(value)!r}"
            yield recipe.issue(
                "env-not-text",
                "warning" if isinstance(value, bool) else "suggestion",
                field,
                "expected text" if is_secret(name, value) else f"expected text, {found}",
                "Write the value in quotes",
            )


def typed_secret_issues(recipe: Recipe, typed: t.Mapping[str, t.Any]) -> t.Iterator[Issue]:
    """Secrets among variables that are typed for a launch, which plans record. typed: by name."""
    for name, value in typed.items():
        text = str(value)
        if text and not ENV_REFERENCE.fullmatch(text) and is_secret(name, text):
            yield recipe.issue(
                "secret-in-override",
                "error",
                f"env.{name}",
                "an override is part of the plan, which shows it",
                f"Export it, allow it with dgxspark_env_allow: [{name}], and write "
                f"env.{name}='${{{name}}}'",
            )


def secret_issues(recipe: Recipe) -> t.Iterator[Issue]:
    """Secrets in the file, by the name of a variable or by what they look like."""
    reported = set()
    for name, value in recipe.env.items():
        written = isinstance(value, str) and value and not ENV_REFERENCE.search(value)
        if written and is_secret(name, value):
            reported.add(f"env.{name}")
            yield recipe.issue(
                "secret-in-recipe",
                "warning",
                f"env.{name}",
                "a secret is written into the recipe",
                f'Write "${{{name}}}" and allow that variable in the inventory',
            )
    for field, text in _texts(recipe.data, ""):
        match = _SECRET_VALUE.search(text)
        if match and field not in reported:
            yield recipe.issue(
                "secret-in-recipe",
                "warning",
                field,
                "what looks like a secret key is written into the recipe",
                "Replace it at its issuer, since it has been in a file; write a variable of env as "
                '"${NAME}" and allow that variable in the inventory',
                near=match.group(0),
            )


def _texts(value: t.Any, field: str) -> t.Iterator[tuple[str, str]]:
    """Every text below a value, with its dotted field."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, field)
