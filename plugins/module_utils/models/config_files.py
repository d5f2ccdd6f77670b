# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The files that describe a model: its config.json and hf_quant_config.json, unchanged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import Revision, read_json

CONFIG = "config.json"
QUANT_CONFIG = "hf_quant_config.json"


def documents(revision: Revision) -> tuple[Mapping[str, Any], str]:
    """The existing ones of the two files, by name; and why one cannot be used, if so."""
    names = {file.path for file in revision.files if file.size > 0}
    read: dict[str, Any] = {}
    for name in (CONFIG, QUANT_CONFIG):
        if name in names:
            try:
                read[name] = read_json(os.path.join(revision.path, name))
            except ValueError as error:
                return {}, "%s: %s" % (name, error)
    return read, ""
