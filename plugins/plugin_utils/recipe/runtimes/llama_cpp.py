# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime `llama-cpp`; its flags are those of `llama-server --help`."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.flags import Grammar
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import Degrees
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Rank,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes import llama_cpp_flags
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.flags import named
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import (
    Engine,
    LaunchSettings,
    MemoryTraits,
    Ports,
    Runtime,
    Values,
    await_port,
    endpoint,
    program_of,
    rank_of,
    role_of,
)

# Its name changed in 2026, and not every image has it.
_RPC_SERVER = """\
server=$(command -v ggml-rpc-server || command -v rpc-server) || {
  echo "dgxspark: the image has neither ggml-rpc-server nor rpc-server: over several nodes" \
    "llama.cpp needs an image that was built with GGML_RPC" >&2
  exit 1
}
"$server" "$@" &
child=$!
# As process 1 it would not hear that it has to end.
trap 'kill "$child"; wait "$child"; exit 143' TERM INT
wait "$child"
"""
_SPLIT_MODE = ("-sm", "--split-mode")

_FLAGS = (
    "port",
    "host",
    "ctx_size",
    "n_gpu_layers",
    "parallel",
    "threads",
    "threads_batch",
    "batch_size",
    "ubatch_size",
    "chat_template",
    "chat_template_file",
    "chat_template_kwargs",
    "reasoning_format",
    "reasoning_budget",
    "cache_type_k",
    "cache_type_v",
    "split_mode",
    "tensor_split",
    "main_gpu",
    "flash_attn",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "repeat_penalty",
    "seed",
    "mmproj",
    "model_draft",
    "draft_max",
    "draft_min",
    "api_key",
    "mmap",
    "mlock",
    "jinja",
    "webui",
    "cont_batching",
    "embedding",
    "reranking",
    "metrics",
    "props",
    "slots",
)


class _LlamaCpp(Runtime):
    # Its kernels are compiled with it.
    compiles = False

    def rank(self, index: int, nodes: t.Sequence[Node], server: Server, ports: Ports) -> Rank:
        if index:
            # Who reaches this port commands the node's memory: only the link between nodes may.
            words = ("--host", nodes[index].link_address, "--port", str(ports.rpc))
            text = f"set -- {shlex.join(words)}\n{_RPC_SERVER}"
            return Rank(index, role_of(index), nodes[index], text, words)
        workers = [endpoint(node.link_address, ports.rpc) for node in nodes[1:]]
        return rank_of(index, nodes, server, ["--rpc", ",".join(workers)] if workers else [])

    def rpc_port(self, ports: Ports, ranks: int) -> int | None:
        return ports.rpc if ranks > 1 else None

    def environment(self, settings: LaunchSettings) -> dict[str, str]:
        # Mapped files are slow to read where GPU and CPU share their memory. Each in two names, for
        # builds of before and after 2026, and no flags, which a build must know.
        return {
            "LLAMA_ARG_OFFLINE": "1",
            "LLAMA_OFFLINE": "1",
            "LLAMA_ARG_MMAP": "0",
            "LLAMA_ARG_LOAD_MODE": "none",
        }

    def script(
        self,
        rank: Rank,
        resolved: ResolvedRecipe,
        settings: LaunchSettings,
        detected: t.Collection[str],
    ) -> tuple[str, str | None]:
        # llama-server gives up at once on a worker that does not listen yet.
        places = [f"{other.node.link_address}/{resolved.rpc_port}" for other in resolved.ranks[1:]]
        waits = [
            await_port(
                place, f"llama.cpp's worker {place.replace('/', ':')}", settings.ray_wait_seconds
            )
            for place in places
        ]
        return "".join(waits if rank.role == "head" else []) + rank.text, None


class _LlamaCppEngine(Engine):
    def is_server(self, words: t.Sequence[str]) -> bool:
        return program_of(words) == self.example

    def start(self, values: Values) -> str:
        source = "-m" if values["model"].text.startswith("/") else "-hf"
        return f"{self.example} {source} {{model}}"

    def with_degrees(self, server: Server, spread: Degrees) -> Server:
        if spread.size == 1 or server.flag(_SPLIT_MODE) is not None:
            return server
        return server.with_flags([_SPLIT_MODE[-1], "row" if (spread.tensor or 1) > 1 else "layer"])


LLAMA_CPP = _LlamaCppEngine(
    name="llama-cpp",
    label="llama.cpp",
    recipe_names=("llama-cpp",),
    runtimes=(_LlamaCpp("llama-cpp"),),
    example="llama-server",
    default_port=8080,
    loopback=True,
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
    flags={
        **named(_FLAGS),
        "served_model_name": "--alias",
        "max_model_len": "--ctx-size",
        "temperature": "--temp",
    },
    switched_off=("mmap", "webui", "jinja", "cont_batching", "slots"),
    on_off=("flash_attn",),
    default_image="scitrera/dgx-spark-llama-cpp:b8094-cu131",
    grammar=Grammar(
        label="llama.cpp",
        version=llama_cpp_flags.VERSION,
        table=llama_cpp_flags.FLAGS,
        equals=False,
        abbreviated=False,
        dashes=True,
        gguf=("-hf", "-hfr", "--hf-repo"),
    ),
    memory=MemoryTraits(
        context=("-c", "--ctx-size"),
        context_setting="ctx_size",
        # It reads prompts 512 tokens at a time.
        chunk=512,
        cache_types=(("-ctk", "--cache-type-k"), ("-ctv", "--cache-type-v")),
        gguf=True,
        fp8_cache=False,
        overhead=1.0,
        splits_layers=True,
    ),
)
