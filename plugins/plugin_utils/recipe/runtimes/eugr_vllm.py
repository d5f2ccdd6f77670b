# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime `eugr-vllm`: vLLM in the images of github.com/eugr/spark-vllm-docker, with mods."""

from __future__ import annotations

import dataclasses

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.vllm import (
    VLLM,
    VllmEngine,
)


class _EugrEngine(VllmEngine):
    def implied_by(self, recipe: Recipe) -> bool:
        # Recipes of version 1, with mods or with an image build are for this runtime.
        if recipe.recipe_version == self.only_version:
            return recipe.runtime in ("", VLLM.name)
        return not recipe.runtime and bool(recipe.mods or recipe.build_args)

    def image_advice(self, recipe: Recipe, image: str, chosen: bool) -> str:
        if not chosen and not image.startswith("vllm-node"):
            return ""
        arguments = " ".join(["-t", image, *recipe.build_args])
        return (
            "Build it in a clone of https://github.com/eugr/spark-vllm-docker with "
            f"./build-and-copy.sh {arguments}"
        )


EUGR_VLLM = _EugrEngine(
    **{
        **{field.name: getattr(VLLM, field.name) for field in dataclasses.fields(VLLM)},
        "recipe_names": ("eugr-vllm",),
        "only_version": "1",
        "implied": True,
        # What its mods change is not in the images of others.
        "default_image": "",
    }
)
