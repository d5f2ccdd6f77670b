# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models that a recipe loads, and what they may be."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.rendering import (
    Rendering,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import (
    MODEL_LENGTH,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    TYPED,
    Value,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Engine

_DRAFT_FLAGS = (("--speculative-draft-model-path",), ("-md", "--model-draft", "-hfd"))
_REMOTE_CODE = "trust-remote-code"


def models_of(recipe: Recipe, values: t.Mapping[str, Value], server: Server) -> tuple[str, ...]:
    """The served model, and those that draft for it."""
    models = [values["model"].text, recipe.draft_model]
    drafted = _drafting(server).get("model")
    if isinstance(drafted, str):
        models.append(drafted)
    models += [server.flag(flags) or "" for flags in _DRAFT_FLAGS]
    return tuple(dict.fromkeys(model for model in models if model))


def revisions_of(model: str, server: Server, engine: Engine) -> dict[str, str]:
    """Commit, tag or branch of the served model and of the draft, where the command has one."""
    drafting = _drafting(server)
    drafts = [drafting.get("model"), *(server.flag(flags) for flags in _DRAFT_FLAGS)]
    revision = drafting.get("revision") or server.flag(engine.draft_revision)
    found = {draft: revision for draft in drafts if isinstance(draft, str) and draft}
    found[model] = server.flag(engine.revision)
    return {name: text for name, text in found.items() if isinstance(text, str) and text}


def with_revision(
    recipe: Recipe, values: t.Mapping[str, Value], server: Server, engine: Engine
) -> Server:
    """The server with the revision of the recipe's own model, which the command may lack."""
    revision = values.get("model_revision")
    if (
        revision is None
        or not revision.text
        or not engine.revision
        or values["model"].text != recipe.model
        or recipe.model not in server.words
        or recipe.model.startswith("/")
        or server.flag(engine.revision) is not None
    ):
        return server
    return server.with_flags([engine.revision[0], revision.text])


def _drafting(server: Server) -> dict[str, t.Any]:
    """vLLM's settings of a draft; empty where there are none."""
    try:
        config = foreign.json_of(server.flag(("--speculative-config",)) or "{}")
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def model_issues(rendering: Rendering) -> t.Iterator[Issue]:
    """Models that are none, and what a recipe of an untrusted registry may not have."""
    recipe, server = rendering.recipe, rendering.server
    models = [rendering.values["model"].text, recipe.draft_model]
    if server is not None:
        models += models_of(recipe, rendering.values, server)
    for model in dict.fromkeys(filter(None, models)):
        if model.startswith("-") or not model.isprintable() or len(model) > MODEL_LENGTH:
            yield recipe.issue(
                "model-invalid",
                "error",
                "draft_model" if model == recipe.draft_model else "model",
                f"{model!r:.80} is not the name of a model",
                "Write <organisation>/<name>, or the absolute path of a model folder",
            )
    if not recipe.trusted:
        yield from _untrusted(rendering, models)
    if recipe.model_revision and not rendering.engine.revision:
        yield recipe.issue(
            "ignored-field",
            "warning",
            "model_revision",
            f"not applied: {rendering.engine.label} takes no revision",
            "No change is needed if the nodes have that revision only",
        )


def _untrusted(rendering: Rendering, models: t.Iterable[str]) -> t.Iterator[Issue]:
    recipe, server = rendering.recipe, rendering.server
    typed = {value.text for value in rendering.values.values() if value.source in TYPED}
    for model in dict.fromkeys(models):
        if model.startswith("/") and model not in typed:
            yield recipe.issue(
                "untrusted",
                "error",
                "draft_model" if model == recipe.draft_model else "model",
                f"{model!r:.80} is a path of the nodes, and the recipe comes from a registry that "
                "is not trusted: its models come from the cache",
                "Name the model as <organisation>/<name>, or give the path yourself: overrides "
                "model=/path",
            )
    if server is not None and _runs_remote_code(server):
        yield recipe.issue(
            "remote-code",
            "warning",
            "command",
            "the server runs code of the model's repository (--trust-remote-code), and the recipe "
            "comes from a registry that is not trusted",
            "Read the Python files of that model before the launch",
        )


def _runs_remote_code(server: Server) -> bool:
    """Whether the command says so anywhere: as a flag, in JSON, or in a variable."""
    text = (server.before + server.text).replace("_", "-").lower()
    return _REMOTE_CODE in text.replace(f"--no-{_REMOTE_CODE}", "")
