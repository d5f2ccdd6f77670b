# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fields and runtimes the format has, and what this version does with each."""

from __future__ import annotations

import typing as t

Use = t.Literal["used", "ignored", "refused"]


class Field(t.NamedTuple):
    """A top-level field.

    schema: its type as JSON Schema. what: one line for people; for a field that is not `used`, what
    its author expects to happen. use: `ignored` ones are not applied, and the model is served
    without them; without a `refused` one something else would be served.
    """

    schema: dict[str, t.Any]
    what: str
    use: Use = "used"


TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 1}
# Real files write numbers of nodes as text too.
NODES = {"anyOf": [NUMBER, {"type": "string", "pattern": "^[1-9][0-9]*$"}]}
FLAG = {"type": "boolean"}
MAP = {"type": ["object", "null"]}
ANY: dict[str, t.Any] = {}
WORDS = {"type": ["array", "null"], "items": TEXT}
HOOK = {
    "anyOf": [
        TEXT,
        {
            "type": "object",
            "required": ["command"],
            "properties": {"command": TEXT, "timeout": {"type": "number", "exclusiveMinimum": 0}},
            "additionalProperties": False,
        },
    ]
}
HOOKS = {"anyOf": [HOOK, {"type": "null"}, {"type": "array", "items": HOOK}]}
VERSION = {"anyOf": [{"type": "string"}, {"type": "integer"}]}

FIELDS: dict[str, Field] = {
    "model": Field(TEXT, "Hugging Face id, repo:quant for GGUF, or the path of a folder"),
    "model_revision": Field(TEXT, "Commit or tag of the model; the placeholder {model_revision}"),
    "draft_model": Field(TEXT, "Model that drafts tokens; the placeholder {draft_model}"),
    "runtime": Field(TEXT, "vllm, vllm-ray, vllm-distributed, eugr-vllm, sglang or llama-cpp"),
    "runtime_version": Field(VERSION, "Version that the recipe was made with"),
    "container": Field(TEXT, "Image with its tag"),
    "command": Field(TEXT, "Shell text with {placeholders}; its last statement is the server"),
    "defaults": Field(MAP, "Values of the placeholders; each may be overridden"),
    "env": Field(
        {
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        "Variables of the containers; ${NAME} as a whole is a variable of the controller",
    ),
    "overrides": Field(
        {"type": ["array", "null"], "items": {"type": "object", "required": ["when"]}},
        "Values for a number of nodes, a runtime, hardware or a setting",
    ),
    "include": Field(TEXT, "Recipe that this one changes: a file beside it, or @registry/name"),
    "mode": Field({"enum": ["auto", "solo", "cluster"]}, "One node, several, or either"),
    "min_nodes": Field(NODES, "Fewest nodes"),
    "max_nodes": Field({"anyOf": [NODES, {"type": "null"}]}, "Most nodes; null for no limit"),
    "solo_only": Field(FLAG, "One node"),
    "cluster_only": Field(FLAG, "At least two nodes"),
    "mods": Field(WORDS, "Folders with a run.sh that changes the image before the start"),
    "build_args": Field(WORDS, "Arguments with which the image was built"),
    "builder": Field(TEXT, "Who builds the image: eugr, or docker-pull for nobody"),
    "builder_config": Field(MAP, "settings of the image build", "ignored"),
    "pre_exec": Field(HOOKS, "Commands in each container before the server"),
    "post_exec": Field(HOOKS, "Commands in the head's container after the server answers"),
    "post_commands": Field(HOOKS, "commands on the controller after the start", "ignored"),
    "stop_after_post": Field(FLAG, "an end after these commands", "ignored"),
    "volumes": Field(
        {
            "anyOf": [
                {"type": "array", "items": {"type": ["string", "object"]}},
                {"type": ["object", "null"], "additionalProperties": TEXT},
            ]
        },
        "Folders of the nodes that containers see, as source:target, writable with :rw",
    ),
    "containers": Field({"type": ["array", "null"]}, "one image per host", "refused"),
    "executor": Field(TEXT, "Where containers are started: docker"),
    "executor_config": Field(MAP, "settings of the container", "ignored"),
    "distribution_config": Field(MAP, "how models and images are copied", "ignored"),
    "readiness": Field(ANY, "how readiness is probed", "ignored"),
    "layout": Field(ANY, "placement", "ignored"),
    "scheduler": Field(ANY, "placement", "ignored"),
    "cluster_config": Field(ANY, "placement", "ignored"),
    "runtime_cache": Field(ANY, "caches", "ignored"),
    "capabilities": Field(ANY, "capabilities", "ignored"),
    "unsupported_capabilities": Field(ANY, "capabilities", "ignored"),
    "metadata": Field(
        {
            "type": ["object", "null"],
            "properties": {
                "name": TEXT,
                "description": TEXT,
                "maintainer": TEXT,
                "model_params": {"type": ["string", "number"]},
                "model_dtype": TEXT,
                "kv_dtype": TEXT,
                "quantization": TEXT,
                "num_layers": NUMBER,
                "num_kv_heads": NUMBER,
                "head_dim": NUMBER,
                "model_vram": {"type": "number", "exclusiveMinimum": 0},
                "kv_vram_per_token": {"type": "number", "exclusiveMinimum": 0},
            },
        },
        "For people, and for the memory estimate",
    ),
    "name": Field(TEXT, "Name for people; what is typed is the file's stem"),
    "description": Field(TEXT, "One line for people"),
    "maintainer": Field(TEXT, "Whom to ask"),
    "benchmark": Field(ANY, "A benchmark's profile; no effect on a launch"),
    "runtime_config": Field(MAP, "mods and build_args may stand here too"),
    "recipe_version": Field(VERSION, '"2", or "1" for eugr recipes'),
    "sparkrun_version": Field(VERSION, "Version of the format, for sparkrun"),
    "min_sparkrun_version": Field(VERSION, "Oldest sparkrun that reads the file"),
}

KNOWN_FIELDS = frozenset(FIELDS)
