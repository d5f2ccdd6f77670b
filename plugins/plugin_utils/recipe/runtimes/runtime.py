# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of a runtime: the server program (`Engine`) and how its ranks run (`Runtime`).

A new runtime is a file beside this one with an `Engine`, and its line in `registry.ENGINES`.
"""

from __future__ import annotations

import dataclasses
import functools
import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.flags import Grammar
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import (
    CommandError,
    Server,
    split_server,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import Degrees
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Node,
    Rank,
    Recipe,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import Value

Flag = tuple[str, ...]
Values = t.Mapping[str, Value]

# A GB10's memory is the node's: what the server takes, the system lacks.
GB10_SHARE = {"gpu_memory_utilization": 0.8}


class Ports(t.NamedTuple):
    """Where ranks meet. master: on the head. rpc: of llama.cpp's workers, on each of them."""

    master: int = 25000
    rpc: int = 50052


class LaunchSettings(t.Protocol):
    """The settings of a launch plan that runtimes read; units as in `plan.Settings`."""

    @property
    def master_port(self) -> int: ...
    @property
    def ray_port(self) -> int: ...
    @property
    def ray_object_store_bytes(self) -> int: ...
    @property
    def ray_wait_seconds(self) -> int: ...
    @property
    def ray_first(self) -> int: ...


class MemoryTraits(t.NamedTuple):
    """How a server uses memory, and its flags for that; sizes in GiB, lengths in tokens.

    context: the longest sequence; context_setting: the recipe's word for it. context_by_name: a
    context that is not a number (`auto`) leaves the choice to the server.
    pool: bytes of the cache; pool_env: the variable that sets its GiB.
    cache_types: type of the cached values; two flags where keys and values have their own.
    gguf: weights and cache have the types of GGUF. fp8_cache: an 8-bit cache is possible.
    share: the flag and the default of the part of the memory that the server may take, None where
    it takes what it needs; share_gib: the same in GB; share_setting: the recipe's word for it.
    share_beside: the share is for weights and cache alone, overheads come on top.
    chunk: tokens that are computed at once. overhead: beside weights and cache; None: by parts.
    splits_layers: over all nodes, whatever the degrees say. limited: by the recipe's `memory`,
    which is all that is known of it.
    """

    context: Flag
    context_setting: str
    chunk: int
    context_by_name: bool = False
    pool: Flag = ()
    pool_env: str = ""
    cache_types: tuple[Flag, ...] = (("--kv-cache-dtype",),)
    gguf: bool = False
    fp8_cache: bool = True
    share: tuple[Flag, float] | None = None
    share_gib: Flag = ()
    share_setting: str = "gpu_memory_utilization"
    share_beside: bool = False
    overhead: float | None = None
    splits_layers: bool = False
    limited: bool = False


class Runtime:
    """How the ranks of an engine run on the nodes of a launch.

    name: `runtime` of the plan. compiles: whether the server compiles what a cache may hold.
    ray: whether the ranks are started by Ray. own_program: whether the container runs the program
    of its image, with the words of the rank, and publishes its port; otherwise bash runs a script.
    """

    compiles = True
    ray = False
    own_program = False

    def __init__(self, name: str) -> None:
        self.name = name

    def completed(self, server: Server) -> Server:
        """The server's command with what this runtime needs on every rank."""
        return server

    def rank(self, index: int, nodes: t.Sequence[Node], server: Server, ports: Ports) -> Rank:
        """One rank; nodes: those of all ranks, in order."""
        return rank_of(index, nodes, server)

    def rpc_port(self, ports: Ports, ranks: int) -> int | None:
        """The port of the workers' RPC servers; None where there are none."""
        return None

    def ports(self, settings: LaunchSettings, ranks: int) -> list[tuple[str, int]]:
        """Names and numbers of the head's ports at which the ranks meet."""
        return []

    def environment(self, settings: LaunchSettings) -> dict[str, str]:
        """Variables of all containers, which the inventory and the recipe may replace."""
        return {}

    def script(
        self,
        rank: Rank,
        resolved: ResolvedRecipe,
        settings: LaunchSettings,
        detected: t.Collection[str],
    ) -> tuple[str, str | None]:
        """The script of a rank, and its argument $1, if it has one.

        detected: variables whose value differs between the nodes.
        """
        return rank.text, None


@dataclasses.dataclass(frozen=True, eq=False)
class Engine:
    """A server program.

    name: in plans and estimates; label: for people. recipe_names: words for it in a recipe's
    `runtime`. runtimes: how its ranks may run. example: how a command begins, for messages.
    loopback: whether the server listens on 127.0.0.1 alone unless a flag says otherwise.
    flags: a value's key -> its flag. switched_off: keys of switches that are on by default.
    on_off: keys of flags that take on or off.
    Each `Flag` lists the spellings of one flag, empty where the server has none.
    rank_flags: one value per rank, set by the launch. secret_flags: flag -> what to do instead.
    elsewhere_flags: with them the server does not answer at http://<address>:<port>/.
    default_image: for recipes without a container; "" where there is none.
    revision: of the served model; draft_revision: of the one that drafts for it.
    share: of the memory, 0 to 1. platform: values that suit a GB10 where the recipe has none.
    known_values: flag -> the values that it is known to take, and the flag that adds more.
    grammar: how the server reads its words; None where that is not known.
    further_values: keys of values that count without a placeholder.
    only_version: the `recipe_version` that has no other engine. implied: whether other fields than
    `runtime` name it. any_image: whether it is whatever the image runs: on one node, of a kind that
    the recipe names, with a model only if it names one, without mods and hooks.
    """

    name: str
    label: str
    recipe_names: tuple[str, ...]
    runtimes: tuple[Runtime, ...]
    example: str
    default_port: int
    loopback: bool
    tensor: Flag
    pipeline: Flag
    data: Flag
    served_name: Flag
    port: Flag
    host: Flag
    rank_flags: tuple[str, ...]
    secret_flags: t.Mapping[str, str]
    elsewhere_flags: tuple[str, ...]
    share: Flag
    platform: t.Mapping[str, t.Any]
    flags: t.Mapping[str, str]
    memory: MemoryTraits
    default_image: str = ""
    revision: Flag = ()
    draft_revision: Flag = ()
    switched_off: tuple[str, ...] = ()
    on_off: tuple[str, ...] = ()
    known_values: t.Mapping[str, tuple[frozenset[str], str]] = dataclasses.field(
        default_factory=dict
    )
    grammar: Grammar | None = None
    further_values: tuple[str, ...] = ()
    only_version: str = ""
    implied: bool = False
    any_image: bool = False

    def is_server(self, words: t.Sequence[str]) -> bool:
        """Whether these words start the server."""
        raise NotImplementedError

    def arguments(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        """The words that the server parses, and how many of them may belong to no flag."""
        return words[1:], 0

    def implied_by(self, recipe: Recipe) -> bool:
        """Whether the recipe means this engine without naming its runtime."""
        return not recipe.runtime and _starts(self, recipe.command)

    def image_advice(self, recipe: Recipe, image: str, chosen: bool) -> str:
        """How to build an image without a registry; "" where this engine does not know.

        chosen: whether it is the recipe's engine.
        """
        return ""

    def split(self, command: str) -> Server:
        """Split a command before its server. Raises CommandError."""
        return split_server(command, self.is_server, self.example)

    def start(self, values: Values) -> str:
        """The words, with placeholders, that start the server on the model."""
        return f"{self.example} {{model}}"

    def name_of(self, server: Server, values: Values) -> str:
        """The name under which it serves."""
        return server.flag(self.served_name) or values["model"].text

    def port_of(self, server: Server, values: Values) -> int:
        """The port at which clients reach it."""
        return int(server.flag(self.port) or self.default_port)

    def mixed(self, server: Server, flag: str) -> str:
        """Why a flag of one rank contradicts the command; "" where it does not."""
        return ""

    def shares_data_ranks(self, server: Server) -> bool:
        """Whether data parallel replicas share the ranks of tensor parallelism."""
        return False

    def runtime_of(
        self, recipe: Recipe, values: Values, server: Server, ranks: int
    ) -> tuple[Runtime, Server, list[Issue]]:
        """How that many ranks run, the command for it, and what is wrong with the choice."""
        return self.runtimes[0], server, []

    def with_degrees(self, server: Server, spread: Degrees) -> Server:
        """The command with the degrees that it lacks."""
        for flags, number in ((self.tensor, spread.tensor), (self.pipeline, spread.pipeline)):
            if flags and (number or 1) > 1 and server.flag(flags) is None:
                server = server.with_flags([flags[-1], str(number)])
        return server

    def command(self, values: Values) -> str:
        """The command, with placeholders, of a recipe that has none.

        Every value with a flag is in it, except the runtime's own; true is the bare flag, false
        leaves it out, or is --no-... for a switch that is on by default.
        """
        words = [self.start(values)]
        for key, value in values.items():
            flag = self.flag_for(key)
            if flag and value.value is not None and value.text and _is_given(key, value):
                words += self._flag(flag, key, value)
        return " \\\n  ".join(words)

    def _flag(self, flag: str, key: str, value: Value) -> list[str]:
        if not isinstance(value.value, bool):
            return [f"{flag} {{{key}}}"]
        if key in self.on_off:
            return [f"{flag} {'on' if value.value else 'off'}"]
        if value.value:
            return [flag]
        return [f"--no-{flag[2:]}"] if key.replace("-", "_") in self.switched_off else []

    @property
    def runtime_values(self) -> dict[str, t.Any]:
        """Values of placeholders without any other value: the server's own defaults."""
        return {
            "port": self.default_port,
            "host": "0.0.0.0",
            "pipeline_parallel": 1,
            "data_parallel": 1,
        }

    @property
    def flag_of(self) -> dict[str, Flag]:
        """Values of a recipe that are also flags of this server."""
        flags = {
            "tensor_parallel": self.tensor,
            "pipeline_parallel": self.pipeline,
            "data_parallel": self.data,
            "port": self.port,
            "served_model_name": self.served_name,
        }
        return {key: names for key, names in flags.items() if names}

    def flag_for(self, key: str) -> str | None:
        """The flag of a value; its key may have dashes too."""
        return self.flags.get(key) or self.flags.get(key.replace("-", "_"))


def _is_given(key: str, value: Value) -> bool:
    """Whether the value is given, so that it becomes a flag of a command made of values."""
    if value.source == "recipe":
        return key == "model_revision"
    return value.source not in ("runtime", "topology")


# A refusal is an exception, which the cache of split_server does not hold.
@functools.lru_cache(maxsize=32)
def _starts(engine: Engine, command: str) -> bool:
    """Whether the command, with its placeholders, ends in this engine's server."""
    try:
        engine.split(command)
    except CommandError:
        return False
    return True


def rank_of(
    index: int, nodes: t.Sequence[Node], server: Server, flags: t.Sequence[str] = ()
) -> Rank:
    """A rank that runs the server, with further flags."""
    server = server.with_flags(flags) if flags else server
    return Rank(index, role_of(index), nodes[index], server.script(), server.words)


def role_of(index: int) -> t.Literal["head", "worker"]:
    return "worker" if index else "head"


def rank_count(index: int, nodes: t.Sequence[Node]) -> list[str]:
    """The flags by which vLLM and SGLang know how many ranks there are, and which one this is."""
    return ["--nnodes", str(len(nodes)), "--node-rank", str(index)]


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def await_port(place: str, who: str, seconds: int) -> str:
    """Shell text that waits until a port is open. place: ADDRESS/PORT, as /dev/tcp has it."""
    probe = shlex.quote(f": < /dev/tcp/{place}")
    return f"""\
until timeout 2 bash -c {probe} 2> /dev/null; do
  if ((SECONDS >= {seconds})); then
    echo "dgxspark: {who} did not answer within {seconds} s" >&2
    exit 1
  fi
  sleep 1
done
"""


def behind_python_module(words: t.Sequence[str], module: str) -> int:
    """How many words are `python... -m module`, which may be unbuffered (-u); 0 if they are not."""
    start = 2 if list(words[1:2]) == ["-u"] else 1
    if program_of(words).startswith("python") and list(words[start : start + 2]) == ["-m", module]:
        return start + 2
    return 0


def program_of(words: t.Sequence[str]) -> str:
    """The name of the program without its folder; "" without words."""
    return words[0].rpartition("/")[2] if words else ""
