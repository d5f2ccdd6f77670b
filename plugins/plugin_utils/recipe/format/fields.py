# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fields and runtimes the format has, and what this version does with each."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import KINDS

Use = t.Literal["used", "ignored", "refused"]


class Field(t.NamedTuple):
    """A top-level field.

    schema: its value as JSON Schema. The loader checks the type by it, and the checks the rest, so
    that a recipe is valid for both or for neither. what: one line for people; for a field that is
    not `used`, what its author expects to happen. use: `ignored` ones are not applied, and the
    model is served without them; without a `refused` one something else would be served.
    """

    schema: dict[str, t.Any]
    what: str
    use: Use = "used"


# Null means that the field is not there, in every field that may be absent.
TEXT = {"type": ["string", "null"]}
NEEDED = {"type": "string", "pattern": r"\S"}
# No flag of the server, and without control characters.
MODEL_LENGTH = 1024
_MODEL = r"[^\s\x00-\x1f\x7f-][^\x00-\x1f\x7f]*"
# Descriptive text, which YAML may take for a number.
PLAIN = {"type": ["string", "number", "boolean", "null"]}
# Real files write numbers of nodes as text too.
NODES = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": r"^\s*\+?(?=[0-9]{1,9}\s*$)0*[1-9][0-9]*\s*$"},
        {"type": "null"},
    ]
}
FLAG = {"type": ["boolean", "null"]}
MAP = {"type": ["object", "null"]}
ANY: dict[str, t.Any] = {}
WORDS = {"type": ["array", "string", "null"], "items": {"type": "string"}}
_COMMAND = {"type": "string", "pattern": r"\S"}
HOOK = {
    "anyOf": [
        _COMMAND,
        {
            "type": "object",
            "required": ["command"],
            "properties": {
                "command": _COMMAND,
                "timeout": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
            "additionalProperties": False,
        },
    ]
}
HOOKS = {"anyOf": [HOOK, {"type": "null"}, {"type": "array", "items": HOOK}]}
# An absolute path without .. in it; where a colon separates it from what follows, without one too.
_PATH = r"/(?!\.\.(?:/|$))(?:[^/]|/(?!\.\.(?:/|$)))*"
_PART = r"/(?!\.\.(?:[/:]|$))(?:[^:/]|/(?!\.\.(?:[/:]|$)))*"
_MAPPED = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_PATH}$"},
    "additionalProperties": {"type": "string", "pattern": f"^{_PART}(:(ro|rw)?)?$"},
}
_VOLUME = {
    "anyOf": [
        {"type": "string", "pattern": f"^{_PART}:{_PART}(:(ro|rw)?)?$"},
        {
            "type": "object",
            "required": ["source", "target"],
            "properties": {
                "source": {"type": "string", "pattern": f"^{_PATH}$"},
                "target": {"type": "string", "pattern": f"^{_PATH}$"},
                "read_only": FLAG,
            },
        },
        {**_MAPPED, "minProperties": 1},
    ]
}
_SET = {"type": "object", "minProperties": 1}
# A number with its unit, each binary as `docker run --memory` has it: 512m, 4g, 4GiB, 1.5 GiB.
MEMORY = r"^\s*[0-9]{1,6}(\.[0-9]{1,3})?\s*[mMgG]([iI]?[bB])?\s*$"
# What a person has to accept before it is fetched, by a name that can be typed.
_LICENCE = {
    "type": "object",
    "required": ["name", "url"],
    "properties": {
        "name": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$"},
        "url": {"type": "string", "pattern": r"^https://[!-~]+$"},
        "why": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}
# A folder beside the recipe, and a name of a Python distribution.
_FOLDER = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*"
_DISTRIBUTION = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_PAGE_SIZE = {"type": "integer", "minimum": 4096, "maximum": 1048576}
CONDITIONAL = {
    "type": "object",
    "required": ["when"],
    "properties": {
        "when": {**_SET, "properties": {"config": {"type": "object"}}},
        "defaults": MAP,
        "env": MAP,
        "container": TEXT,
    },
    "additionalProperties": False,
    "anyOf": [
        {"required": ["defaults"], "properties": {"defaults": _SET}},
        {"required": ["env"], "properties": {"env": _SET}},
        {"required": ["container"], "properties": {"container": NEEDED}},
    ],
}
MODES = ("auto", "solo", "cluster")
BUILDERS = ("eugr", "docker-pull")
EXECUTORS = ("docker",)
IMAGE = r"[A-Za-z0-9][A-Za-z0-9._/:@-]*"
ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# A file in the same folder, or @registry/folder/name: nothing that climbs or is hidden.
INCLUDE = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*|@[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]*)+"


def one_of(words: t.Iterable[str]) -> dict[str, t.Any]:
    """One of these words, or none."""
    return {"enum": [*words, "", None]}


def in_any_case(words: t.Sequence[str]) -> dict[str, t.Any]:
    """One of these words, in small or capital letters, or none."""
    letters = [
        "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in word)
        for word in words
    ]
    anyhow = {"type": "string", "pattern": rf"^\s*({'|'.join(letters)})?\s*$"}
    return {"anyOf": [{"enum": list(words)}, anyhow, {"type": "null"}]}


def described(*names: str) -> dict[str, t.Any]:
    """Properties that may have any value."""
    return {name: {} for name in names}


FIELDS: dict[str, Field] = {
    "model": Field(
        {"type": "string", "pattern": rf"^\s*{_MODEL}\s*$", "maxLength": MODEL_LENGTH},
        "Hugging Face id, repo:quant for GGUF, or the path of a folder",
    ),
    "model_revision": Field(PLAIN, "Commit or tag of the model; the placeholder {model_revision}"),
    "draft_model": Field(
        {**TEXT, "pattern": rf"^\s*({_MODEL})?\s*$", "maxLength": MODEL_LENGTH},
        "Model that drafts tokens; the placeholder {draft_model}",
    ),
    "runtime": Field(
        TEXT, "vllm, vllm-ray, vllm-distributed, eugr-vllm, sglang, llama-cpp or container"
    ),
    "runtime_version": Field(PLAIN, "Version that the recipe was made with"),
    "container": Field(
        {**TEXT, "pattern": rf"^\s*({IMAGE})?\s*$"},
        "Image with its tag; absent: that of the runtime, where it has one",
    ),
    "kind": Field(
        {"anyOf": [one_of(KINDS), {"type": "array", "items": {"enum": [*KINDS]}}]},
        f"What is served, one or several of {', '.join(KINDS)}; where absent, the server is asked",
    ),
    "command": Field(
        TEXT,
        "Shell text with {placeholders}; its last statement is the server. With runtime: container "
        "words for the image's entrypoint, the image's own where absent",
    ),
    "entrypoint": Field(
        WORDS, "Program in place of the image's entrypoint, with runtime: container"
    ),
    "container_port": Field(
        {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
        "Port on which the program listens in the container, with runtime: container; absent: port",
    ),
    "memory": Field(
        {**TEXT, "pattern": MEMORY},
        "Memory limit of the container and claim of the service, as 4GiB, with runtime: container",
    ),
    "gpu": Field(FLAG, "false: the container gets no GPU"),
    "state": Field(
        {
            "type": ["object", "null"],
            "propertyNames": {"pattern": r"^[a-z0-9][a-z0-9_]{0,30}$"},
            "additionalProperties": {"type": "string", "pattern": f"^{_PATH}$"},
        },
        "Folders of the container that outlive it, as name: /path; volumes of the node's Docker",
    ),
    "health": Field(
        {**TEXT, "pattern": r"^/[!-~]*$"}, "Path of the light probe, in place of that of the kind"
    ),
    "deep": Field(
        {
            **MAP,
            "properties": {
                "first_seconds": {"type": ["integer", "null"], "minimum": 1, "maximum": 86400},
                "voice": {"type": ["string", "null"], "pattern": r"^[!-~]{1,100}$"},
            },
            "additionalProperties": False,
        },
        "Of the deep probe: first_seconds for the first answer after a start, voice for speech",
    ),
    "needs": Field(
        {
            **MAP,
            "properties": {
                "page_size": {
                    "anyOf": [
                        _PAGE_SIZE,
                        {"type": "array", "items": _PAGE_SIZE},
                        {"type": "null"},
                    ]
                }
            },
            "additionalProperties": False,
        },
        "What a node has to have: page_size of its kernel in bytes, one or several",
    ),
    "overlay": Field(
        {**TEXT, "pattern": f"^({_FOLDER})?$"},
        "Folder beside the recipe with what is added to the image: requirements.txt, wheels/, "
        "files/, run.sh",
    ),
    "build": Field(
        {
            **MAP,
            "required": ["folder", "base"],
            "properties": {
                "folder": {"type": "string", "pattern": f"^{_FOLDER}$"},
                "base": {"type": "string", "pattern": rf"^\s*{IMAGE}\s*$"},
            },
            "additionalProperties": False,
        },
        "In place of container: the image is built on the nodes from base, an image, and folder, "
        "as of overlay",
    ),
    "forbid": Field(
        {"type": ["array", "null"], "items": {"type": "string", "pattern": _DISTRIBUTION}},
        "Python distributions that must not be in the image",
    ),
    "accept_licences": Field(
        {"type": ["array", "null"], "items": _LICENCE},
        "Licences that a person accepts before the launch, each {name, url, why}",
    ),
    "defaults": Field(MAP, "Values of the placeholders; each may be overridden"),
    "env": Field(
        {
            "type": ["object", "null"],
            "propertyNames": {"pattern": f"^{ENV_NAME}$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        "Variables of the containers; a value that is just ${NAME} is a variable of the controller",
    ),
    "overrides": Field(
        {"type": ["array", "null"], "items": CONDITIONAL},
        "Values for a number of nodes, a runtime, hardware or a setting",
    ),
    "include": Field(
        {"type": "string", "pattern": f"^(?:{INCLUDE})$"},
        "Recipe that this one changes: a file beside it, or @registry/name",
    ),
    "mode": Field(in_any_case(MODES), "One node, several, or either"),
    "min_nodes": Field(NODES, "Fewest nodes"),
    "max_nodes": Field(NODES, "Most nodes; null for no limit"),
    "solo_only": Field(FLAG, "One node"),
    "cluster_only": Field(FLAG, "At least two nodes"),
    "mods": Field(WORDS, "Folders with a run.sh that changes the image before the start"),
    "build_args": Field(WORDS, "Arguments with which the image was built"),
    "builder": Field(one_of(BUILDERS), "How the image is built: eugr, or docker-pull if it is not"),
    "builder_config": Field(MAP, "settings of the image build", "ignored"),
    "pre_exec": Field(HOOKS, "Commands in each container before the server"),
    "post_exec": Field(HOOKS, "Commands in the head's container after the server answers"),
    "post_commands": Field(HOOKS, "commands on the controller after the start", "ignored"),
    "stop_after_post": Field(FLAG, "an end after these commands", "ignored"),
    "volumes": Field(
        {"anyOf": [_VOLUME, _MAPPED, {"type": "array", "items": _VOLUME}, {"type": "null"}]},
        "Folders of the nodes that containers see, as source:target, writable with :rw",
    ),
    "containers": Field(
        {"type": ["array", "null"], "maxItems": 0}, "one image per host", "refused"
    ),
    "executor": Field(one_of(EXECUTORS), "Where containers are started: docker"),
    "executor_config": Field(
        MAP, "Settings of the container: user, shm_size, cap_add, ulimit, volumes"
    ),
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
            **MAP,
            "properties": described(
                *("name", "description", "maintainer", "licence", "notes"),
                *("model_params", "model_dtype", "kv_dtype", "quantization"),
                *("num_layers", "num_kv_heads", "head_dim", "model_vram", "kv_vram_per_token"),
            ),
        },
        "For people, and for the memory estimate",
    ),
    "name": Field(PLAIN, "Name for people; what is typed is the file's stem"),
    "description": Field(PLAIN, "One line for people"),
    "maintainer": Field(PLAIN, "Contact"),
    "benchmark": Field(ANY, "A benchmark's profile; no effect on a launch"),
    "runtime_config": Field(
        {**MAP, "properties": {"mods": WORDS, "build_args": WORDS}},
        "mods and build_args may stand here too",
    ),
    "recipe_version": Field(PLAIN, '"2", or "1" for eugr recipes'),
    "sparkrun_version": Field(PLAIN, "Version of the format, for sparkrun"),
    "min_sparkrun_version": Field(PLAIN, "Oldest sparkrun that reads the file"),
}

KNOWN_FIELDS = frozenset(FIELDS)
