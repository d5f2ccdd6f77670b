# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a recipe's fields, other than the command and the variables."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import KINDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import (
    BUILDERS,
    EXECUTORS,
    FIELDS,
    IMAGE,
    KNOWN_FIELDS,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import (
    untrusted_mods,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Mod,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    LATER_NAMES,
    NAMES,
    engine_of,
    engine_of_version,
    image_advice,
    runtime_name,
)

_TRUST = "Read it, then set trusted: true for that registry in dgxspark_recipe_registries"
# Data types of weights and of the KV cache that recipes name in their metadata.
_DTYPE = re.compile(
    r"fp32|float32|fp16|float16|half|bf16|bfloat16|fp8\w*|mxfp[48]|nvfp4\w*|fp4|"
    r"int[48]|awq[48]?|gptq|w4a16\w*|i?q\d\w*|ud-q\d\w*|tq\d_0|exl[23](:[\d.]+)?",
    re.I,
)
# 30B, 1.7B, 0.2M, 7_000, 1e9
_PARAMETERS = re.compile(r"[0-9][0-9_]*(\.[0-9]+)?(e[0-9]+)?\s*[TBMK]?", re.I)


def field_issues(recipe: Recipe, image: str) -> t.Iterator[Issue]:
    """Fields that are missing, unknown, or not applied. image: the container that counts."""
    engine = engine_of(recipe)
    if not recipe.model and not (engine and engine.any_image):
        yield recipe.issue(
            "missing-model",
            "error",
            "model",
            "no model is named",
            "Add model: <organisation>/<name>, or the absolute path of a model folder",
        )
    yield from _image(recipe, image)
    for field in recipe.data:
        known = FIELDS.get(field)
        if known and known.use == "refused" and recipe.data[field]:
            yield recipe.issue(
                "unsupported-field",
                "error",
                field,
                f"not supported yet ({known.what}), and without it something else would be served",
                "Use a recipe without it",
            )
        elif known and known.use == "ignored" and recipe.data[field]:
            yield recipe.issue(
                "ignored-field",
                "warning",
                field,
                f"not applied ({known.what})",
                "No change is needed if the recipe serves without it",
            )
        elif not known:
            near = nearest(field, KNOWN_FIELDS, cutoff=0.8)
            yield recipe.issue(
                "unknown-field",
                "warning" if near else "suggestion",
                field,
                "not a field of the format; copied to runtime_config, without effect",
                f"Did you mean {near[0]}?" if near else "Put notes under metadata",
            )
    yield from _runtime(recipe)
    yield from _kind(recipe)
    yield from _metadata(recipe)


def extra_issues(recipe: Recipe, mods: t.Sequence[Mod]) -> t.Iterator[Issue]:
    """Code and folders that the recipe brings besides its server. mods: with their folders."""
    for field, there in (
        ("mods", bool(untrusted_mods(recipe, mods))),
        ("build" if recipe.built else "overlay", bool(recipe.overlay) and not recipe.trusted),
        ("pre_exec", bool(recipe.pre_exec) and not recipe.trusted),
        ("volumes", bool(recipe.volumes) and not recipe.trusted),
    ):
        if there:
            yield recipe.issue(
                "untrusted",
                "error",
                field,
                "it comes from a registry that is not trusted, and without it something "
                "else would be served",
                _TRUST,
            )
    if recipe.post_exec and not recipe.trusted:
        yield recipe.issue(
            "untrusted",
            "warning",
            "post_exec",
            "it comes from a registry that is not trusted, and is left out",
            _TRUST,
        )
    if recipe.builder and recipe.builder not in BUILDERS:
        yield recipe.issue(
            "unsupported-field",
            "error",
            "builder",
            f"the builder {recipe.builder} is not supported",
            "Build the image, name it as container, and remove the builder",
        )
    if recipe.executor and recipe.executor not in EXECUTORS:
        yield recipe.issue(
            "unsupported-field",
            "error",
            "executor",
            f"{recipe.executor} is not supported; containers are started with docker",
            "Use a recipe for docker",
        )


def _kind(recipe: Recipe) -> t.Iterator[Issue]:
    for word in recipe.kind:
        if word not in KINDS:
            near = nearest(word, KINDS)
            yield recipe.issue(
                "kind-invalid",
                "error",
                "kind",
                f"{word!r:.60} is not a kind of service",
                f"Did you mean {near[0]}?" if near else f"Use one or several of {', '.join(KINDS)}",
            )


def _image(recipe: Recipe, image: str) -> t.Iterator[Issue]:
    if not image:
        yield recipe.issue(
            "missing-container",
            "error",
            "container",
            "no image is named",
            "Add container: <image>:<tag>",
        )
        return
    if not re.fullmatch(IMAGE, image):
        yield recipe.issue(
            "container-invalid",
            "error",
            "container",
            f"{image!r} is not an image reference",
            "Write it as <image>:<tag>, without spaces",
        )
        return
    engine = engine_of(recipe)
    if not recipe.container and engine and image == engine.default_image:
        yield recipe.issue(
            "missing-container",
            "suggestion",
            "container",
            f"no image is named; {image} is taken",
            f"Add container: {image}",
        )
    name, _at, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    moves = not digest and tag in ("", "latest")
    # What is meant is clear, and most public recipes have one of these: no reason to fail strict.
    if "/" not in name:
        again = ", and another one after each build" if moves else ""
        yield recipe.issue(
            "local-image",
            "suggestion",
            "container",
            f"{image} is on no registry: it is the tag of an image that is built locally{again}",
            f"{image_advice(recipe, image)}, or name another: overrides container=<image>:<tag>",
        )
    elif moves:
        yield recipe.issue(
            "unpinned-image",
            "suggestion",
            "container",
            f"{image} is another image whenever its owner builds one",
            "Name a tag that stays, or the digest: <image>@sha256:...",
        )


def _runtime(recipe: Recipe) -> t.Iterator[Issue]:
    if recipe.recipe_version not in ("1", "2"):
        yield recipe.issue(
            "unknown-version",
            "warning",
            "recipe_version",
            f"{recipe.recipe_version!r} is unknown and read as version 2",
            'Write recipe_version: "2"',
        )
    runtime, engine = runtime_name(recipe), engine_of(recipe)
    only = engine_of_version(recipe.recipe_version)
    if only and engine and engine is not only:
        yield recipe.issue(
            "runtime-conflict",
            "warning",
            "runtime",
            f"recipe_version {recipe.recipe_version} is for {only.recipe_names[0]}, but the "
            f"runtime is {runtime}, which counts",
            'Write recipe_version: "2"',
        )
    if not recipe.runtime and engine is not None and not engine.implied:
        yield recipe.issue(
            "missing-runtime",
            "suggestion",
            "runtime",
            f"no runtime is named; {runtime} is assumed",
            f"Add runtime: {runtime}",
        )
    elif runtime in LATER_NAMES:
        yield recipe.issue(
            "unsupported-runtime",
            "error",
            "runtime",
            f"{runtime} is not supported yet",
            f"Use a recipe for one of {', '.join(NAMES)}",
        )
    elif engine is None:
        near = nearest(runtime.lower(), [*NAMES, *LATER_NAMES])
        yield recipe.issue(
            "unknown-runtime",
            "error",
            "runtime",
            f"{runtime!r} is no runtime of the format",
            f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(NAMES)}",
        )


def _metadata(recipe: Recipe) -> t.Iterator[Issue]:
    """Figures that the memory estimate reads."""
    parameters = recipe.metadata.get("model_params")
    if parameters is not None and not _PARAMETERS.fullmatch(str(parameters)):
        yield recipe.issue(
            "metadata-invalid",
            "warning",
            "metadata.model_params",
            f"{parameters!r:.40} is not a number of parameters",
            "Write it as 30B or 1.7B",
        )
    for field in ("model_dtype", "kv_dtype"):
        dtype = recipe.metadata.get(field)
        if dtype is not None and not _DTYPE.fullmatch(str(dtype)):
            yield recipe.issue(
                "metadata-invalid",
                "warning",
                f"metadata.{field}",
                f"{dtype!r:.40} is not a known data type",
                "Write it as bf16, fp8, nvfp4, int4, q4_k_m or the like",
            )
