# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's shape in a few words, from the documents that model_info returns as `configs`."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.models.config_files import (
    CONFIG,
    QUANT_CONFIG,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ArchitectureError,
    ModelConfig,
    read_config,
)


def config_of(configs: t.Mapping[str, t.Any]) -> ModelConfig | None:
    """The model's configuration; None where there is no config.json. Raises ArchitectureError."""
    if CONFIG not in configs:
        return None
    return read_config(configs[CONFIG], configs.get(QUANT_CONFIG), source=CONFIG)


def shape(configs: t.Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    """Architecture, kind, data type, quantisation schemes, context in tokens; None if unknown."""
    try:
        config = config_of(configs)
    except ArchitectureError:
        return None
    if config is None:
        return None
    quant = config.quantisation
    return {
        "architecture": config.architecture,
        "model_type": config.model_type,
        "kind": config.kind,
        "dtype": config.dtype,
        "quantisation": [scheme for scheme in quant.schemes if scheme] if quant else [],
        "context": config.max_position,
        "moe": config.is_moe,
        "vision": config.vision,
    }
