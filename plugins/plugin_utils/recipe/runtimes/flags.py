# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags that several servers have, by the keys of a recipe's values."""

from __future__ import annotations

import typing as t

COMMON = (
    "port",
    "host",
    "served_model_name",
    "dtype",
    "quantization",
    "trust_remote_code",
    "kv_cache_dtype",
    "load_format",
    "attention_backend",
    "reasoning_parser",
    "tool_call_parser",
    "chat_template",
    "api_key",
)


def named(keys: t.Iterable[str]) -> dict[str, str]:
    """Key -> the flag of the same name, with - for _."""
    return {key: "--" + key.replace("_", "-") for key in keys}
