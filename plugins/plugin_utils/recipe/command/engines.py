# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers that recipes start: how each is recognised, and its names for the same flags."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import vllm
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe


class Engine(t.NamedTuple):
    """One server program.

    Each tuple of flags lists the spellings of one flag, empty where the server has none.
    rank_flags: one value per rank, set by the resolver. secret_flags: flag -> what to do instead.
    loopback: whether the server listens on 127.0.0.1 alone unless it is told otherwise.
    example: the start of a command, for messages. share: of the memory, 0 to 1.
    platform: values that suit a GB10 where the recipe says nothing.
    """

    name: str
    example: str
    default_port: int
    loopback: bool
    is_server: t.Callable[[t.Sequence[str]], bool]
    tensor: tuple[str, ...]
    pipeline: tuple[str, ...]
    data: tuple[str, ...]
    served_name: tuple[str, ...]
    port: tuple[str, ...]
    host: tuple[str, ...]
    rank_flags: tuple[str, ...]
    secret_flags: t.Mapping[str, str]
    elsewhere_flags: tuple[str, ...]
    share: tuple[str, ...]
    platform: t.Mapping[str, t.Any]

    @property
    def runtime_values(self) -> dict[str, t.Any]:
        """What placeholders stand for where nobody says: what the server does by itself."""
        return {
            "port": self.default_port,
            "host": "0.0.0.0",
            "pipeline_parallel": 1,
            "data_parallel": 1,
        }

    @property
    def flag_of(self) -> dict[str, tuple[str, ...]]:
        """Values of a recipe that are also flags of this server."""
        flags = {
            "tensor_parallel": self.tensor,
            "pipeline_parallel": self.pipeline,
            "data_parallel": self.data,
            "port": self.port,
            "served_model_name": self.served_name,
        }
        return {key: names for key, names in flags.items() if names}


def _is_sglang(words: t.Sequence[str]) -> bool:
    program = words[0].rpartition("/")[2] if words else ""
    if program == "sglang":
        return list(words[1:2]) == ["serve"]
    return program.startswith("python") and list(words[1:3]) == ["-m", "sglang.launch_server"]


def _is_llama_cpp(words: t.Sequence[str]) -> bool:
    return bool(words) and words[0].rpartition("/")[2] == "llama-server"


# A GB10's memory is the whole node's: what the server takes, the system lacks.
_SHARE = {"gpu_memory_utilization": 0.8}

VLLM = Engine(
    name="vllm",
    example="vllm serve",
    default_port=vllm.DEFAULT_PORT,
    loopback=False,
    is_server=vllm.is_server,
    tensor=vllm.TENSOR,
    pipeline=vllm.PIPELINE,
    data=vllm.DATA,
    served_name=vllm.SERVED_NAME,
    port=vllm.PORT,
    host=vllm.HOST,
    rank_flags=vllm.RANK_FLAGS,
    secret_flags={
        flag: f'Use env: {variable}: "${{{variable}}}"'
        for flag, variable in vllm.SECRET_FLAGS.items()
    },
    elsewhere_flags=vllm.ELSEWHERE_FLAGS,
    share=("--gpu-memory-utilization",),
    platform=_SHARE,
)

# python3 -m sglang.launch_server --help
SGLANG = Engine(
    name="sglang",
    example="python3 -m sglang.launch_server",
    default_port=30000,
    loopback=True,
    is_server=_is_sglang,
    tensor=("--tp", "--tp-size", "--tensor-parallel-size"),
    pipeline=("--pp", "--pp-size", "--pipeline-parallel-size"),
    data=("--dp", "--dp-size", "--data-parallel-size"),
    served_name=("--served-model-name",),
    port=("--port",),
    host=("--host",),
    rank_flags=("--nnodes", "--node-rank", "--dist-init-addr", "--nccl-init-addr"),
    secret_flags={
        "--api-key": "Remove it; a proxy in front of the server can ask for a key",
        "--admin-api-key": "Remove it; a proxy in front of the server can ask for a key",
    },
    elsewhere_flags=("--ssl-keyfile", "--ssl-certfile"),
    share=("--mem-fraction-static",),
    platform=_SHARE,
)

# llama-server --help
LLAMA_CPP = Engine(
    name="llama-cpp",
    example="llama-server",
    default_port=8080,
    loopback=True,
    is_server=_is_llama_cpp,
    tensor=(),
    pipeline=(),
    data=(),
    served_name=("-a", "--alias"),
    port=("--port",),
    host=("--host",),
    rank_flags=("--rpc",),
    secret_flags={
        "--api-key": 'Use env: LLAMA_API_KEY: "${LLAMA_API_KEY}"',
        "--hf-token": 'Use env: HF_TOKEN: "${HF_TOKEN}"',
        "-hft": 'Use env: HF_TOKEN: "${HF_TOKEN}"',
    },
    elsewhere_flags=("--ssl-key-file", "--ssl-cert-file", "--api-prefix"),
    share=(),
    platform={},
)

_BY_RUNTIME = {
    "vllm": VLLM,
    "vllm-ray": VLLM,
    "vllm-distributed": VLLM,
    "eugr-vllm": VLLM,
    "sglang": SGLANG,
    "llama-cpp": LLAMA_CPP,
}


def runtime_of(recipe: Recipe) -> str:
    """The runtime that the recipe names or means.

    Without one, a recipe of version 1, with mods or with arguments of an image build is eugr's; any
    other is of the server that its command starts, else of vLLM.
    """
    eugr = recipe.recipe_version == "1" or bool(recipe.mods or recipe.build_args)
    if recipe.runtime:
        # A recipe of version 1 has no other runtime than eugr's vLLM.
        return (
            "eugr-vllm"
            if recipe.recipe_version == "1" and recipe.runtime == "vllm"
            else (recipe.runtime)
        )
    return _other_server(recipe.command) or ("eugr-vllm" if eugr else "vllm")


# A refusal is an exception, which split's own cache forgets; all fields of a recipe ask.
@functools.lru_cache(maxsize=256)
def _other_server(command: str) -> str:
    """The engine, other than vLLM, whose server the command starts; empty if none."""
    for engine in (SGLANG, LLAMA_CPP):
        try:
            split(engine, command)
        except vllm.CommandError:
            continue
        return engine.name
    return ""


def engine_of(recipe: Recipe) -> Engine | None:
    """The engine of the recipe's runtime; None for a runtime that is not supported."""
    return _BY_RUNTIME.get(runtime_of(recipe))


def split(engine: Engine, command: str) -> vllm.Server:
    """Split a command before its server. Raises vllm.CommandError."""
    return vllm.split_server(command, engine.is_server, engine.example)
