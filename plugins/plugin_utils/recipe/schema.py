# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe format as JSON Schema, for editors."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import (
    FIELDS,
    in_any_case,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    ENGINES,
    NAMES,
)

_ANY_IMAGE = tuple(name for engine in ENGINES if engine.any_image for name in engine.recipe_names)
_USES = {
    "used": "",
    "ignored": "Not applied: ",
    "refused": "Not supported: ",
}


def schema() -> dict[str, t.Any]:
    """What a recipe looks like; what it means, `validate` says."""
    properties = {
        name: {**field.schema, "description": f"{_USES[field.use]}{field.what}"}
        for name, field in FIELDS.items()
    }
    properties["runtime"].update(in_any_case(NAMES))
    any_image = {
        "runtime": {**in_any_case(_ANY_IMAGE), "not": {"enum": ["", None]}},
        "kind": {"not": {"enum": ["", None, []]}},
    }
    built = {"build": {"type": "object"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe",
        "description": "A recipe in the sparkrun format, as dgxspark.suite reads it",
        "type": "object",
        "properties": properties,
        "anyOf": [
            {"required": ["model"]},
            {"required": ["include"]},
            {"required": ["runtime", "container", "kind"], "properties": any_image},
            {"required": ["model", "build"], "properties": built},
            {"required": ["runtime", "build", "kind"], "properties": {**any_image, **built}},
        ],
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2) + "\n"
