# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a model is, from its config.json and hf_quant_config.json."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import Revision, read_json
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.architecture import (
    ArchitectureError,
    ModelConfig,
    read_config,
)

CONFIG = "config.json"
QUANT_CONFIG = "hf_quant_config.json"

Documents = Mapping[str, Any]


def documents(revision: Revision) -> tuple[Documents, str]:
    """The two files by name, those that are there; and why one cannot be used, if so."""
    names = {one.path for one in revision.files if one.size > 0}
    found: dict[str, Any] = {}
    for name in (CONFIG, QUANT_CONFIG):
        if name in names:
            try:
                found[name] = read_json(os.path.join(revision.path, name))
            except ValueError as error:
                return {}, "%s: %s" % (name, error)
    return found, ""


def config_of(read: Documents) -> ModelConfig | None:
    """The shape by these files; None without a config. Raises ArchitectureError."""
    if CONFIG not in read:
        return None
    return read_config(read[CONFIG], read.get(QUANT_CONFIG), source=CONFIG)


def shape(read: Documents, names: Collection[str]) -> tuple[dict[str, Any] | None, str]:
    """A model in a few words, as model_info tells them; None, and why, where they cannot be told.

    names: the files of the model.
    """
    try:
        config = config_of(read)
    except ArchitectureError as error:
        return None, str(error)[:300]
    if config is None:
        return None, "" if any(name.endswith(".gguf") for name in names) else "no config.json"
    quant = config.quantisation
    return {
        "architecture": config.architecture,
        "model_type": config.model_type,
        "kind": config.kind,
        "dtype": config.dtype,
        "quantisation": [one for one in quant.schemes if one] if quant else [],
        "context": config.max_position,
        "moe": config.is_moe,
        "vision": config.vision,
    }, ""
