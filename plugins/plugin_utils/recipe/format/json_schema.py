# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of JSON Schema by which the loader checks types; editors check the rest as well.

It knows `type`, `enum`, `anyOf`, `pattern`, `minimum`, `maximum`, `items`, `properties`,
`required`, `propertyNames` and `additionalProperties`. No library is needed for that, and none for
JSON Schema comes with Ansible.
"""

from __future__ import annotations

import datetime
import re
import typing as t

Schema = t.Mapping[str, t.Any]

_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a map",
    "array": "a list",
}


def kinds(schema: Schema) -> frozenset[str]:
    """The JSON types that a schema takes; empty where it takes all."""
    if "anyOf" in schema:
        parts = [kinds(part) for part in schema["anyOf"]]
        return frozenset().union(*parts) if all(parts) else frozenset()
    if "enum" in schema:
        return frozenset(kind_of(value) for value in schema["enum"])
    wanted = schema.get("type", ())
    return frozenset([wanted] if isinstance(wanted, str) else wanted)


def kind_of(value: t.Any) -> str:
    """The JSON type of a YAML value; a date is text. A float without a fraction is an integer."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    if isinstance(value, (str, bytes, datetime.date)):
        return "string"
    return "object" if isinstance(value, dict) else "array"


def is_of_kind(value: t.Any, schema: Schema) -> bool:
    """Whether the schema takes values of this type."""
    wanted, kind = kinds(schema), kind_of(value)
    return not wanted or kind in wanted or (kind == "integer" and "number" in wanted)


def conforms(value: t.Any, schema: Schema | bool) -> bool:
    """Whether the value is as the schema has it, as far as the keywords above say."""
    if isinstance(schema, bool):
        return schema
    if "anyOf" in schema:
        return any(conforms(value, part) for part in schema["anyOf"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    if not is_of_kind(value, schema):
        return False
    if isinstance(value, str) and "pattern" in schema:
        return re.search(schema["pattern"], value) is not None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list) and "items" in schema:
        return all(conforms(item, schema["items"]) for item in value)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        names = schema.get("propertyNames", {})
        return all(key in value for key in schema.get("required", ())) and all(
            conforms(key, names) and conforms(item, properties.get(key, others))
            for key, item in value.items()
        )
    return True


def in_words(schema: Schema) -> str:
    """What the schema takes, for people: `text or a list`."""
    names = [name for kind, name in _NAMES.items() if kind in kinds(schema)]
    return " or ".join(names) or "any value"
