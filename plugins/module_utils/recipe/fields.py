# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fields and runtimes the format has, and what this version does with each."""

from __future__ import annotations

# Understood, or descriptive: no effect on the launch is lost.
_USED = (
    "model",
    "runtime",
    "container",
    "command",
    "defaults",
    "env",
    "metadata",
    "runtime_config",
    "recipe_version",
    "mode",
    "min_nodes",
    "max_nodes",
    "solo_only",
    "cluster_only",
    "model_revision",
    "name",
    "description",
    "maintainer",
    "runtime_version",
    "sparkrun_version",
    "min_sparkrun_version",
    "benchmark",
)

# Not applied yet, and the launch would be another one without them: refused.
REFUSED_FIELDS = {
    "include": "files that are merged in",
    "overrides": "conditional overrides",
    "containers": "one image per host",
    "mods": "changes to the image before the start",
    "build_args": "an image that is built first",
    "builder": "an image that is built first",
    "pre_exec": "commands before the start",
    "volumes": "extra mounts",
}

# Not applied yet; the model is served without them.
IGNORED_FIELDS = {
    "executor_config": "settings of the container",
    "builder_config": "settings of the image build",
    "distribution_config": "how models and images are copied",
    "post_exec": "commands after the start",
    "post_commands": "commands after the start",
    "stop_after_post": "commands after the start",
    "executor": "where containers are started",
    "readiness": "how readiness is probed",
    "layout": "placement",
    "scheduler": "placement",
    "cluster_config": "placement",
    "runtime_cache": "caches",
    "capabilities": "capabilities",
    "unsupported_capabilities": "capabilities",
}

KNOWN_FIELDS = frozenset([*_USED, *REFUSED_FIELDS, *IGNORED_FIELDS])

RUNTIMES = ("vllm", "vllm-ray", "vllm-distributed", "sglang", "llama-cpp")
# Runtimes of the format that this version refuses by name.
LATER_RUNTIMES = (
    "eugr-vllm",
    "trtllm",
    "atlas",
    "modular-max",
    "tokenary",
)
