# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime `container`: any image as a service on one node, by its own program."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import (
    CommandError,
    Server,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Rank,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import (
    Engine,
    MemoryTraits,
    Ports,
    Runtime,
    Values,
    role_of,
)

# What only a shell gives a meaning to; no shell reads the words.
_SHELLS = re.compile(r"[;&|<>()`]|\$[A-Za-z_{(]")


def _bare(char: str, context: shell.ShellContext) -> str:
    """The character where a shell would give it a meaning; x where it is quoted."""
    if context is shell.ShellContext.DOUBLE:
        return "x" if char in ";&|<>()" else char
    return char if context is shell.ShellContext.PLAIN else "x"


class _Container(Runtime):
    compiles = False
    own_program = True

    def rank(self, index: int, nodes: t.Sequence[Node], server: Server, ports: Ports) -> Rank:
        return Rank(index, role_of(index), nodes[index], shlex.join(server.words), server.words)


class _ContainerEngine(Engine):
    def is_server(self, words: t.Sequence[str]) -> bool:
        return True

    def implied_by(self, recipe: Recipe) -> bool:
        return False

    def split(self, command: str) -> Server:
        open_quote = shell.unclosed(f": {command}")
        if open_quote and open_quote.what.endswith("quotes"):
            raise CommandError(f"{open_quote.what} are opened and never closed")
        found = _SHELLS.search("".join(map(_bare, command, shell.contexts(command))))
        if found:
            raise CommandError(
                f"no shell reads it, and {found.group(0)!r} means something to a shell only"
            )
        # With a word in front, so that NAME=VALUE is no assignment.
        return Server("", command, tuple(shell.words(f": {command}")[1:]))

    def command(self, values: Values) -> str:
        return ""

    def name_of(self, server: Server, values: Values) -> str:
        return values["served_model_name"].text

    def port_of(self, server: Server, values: Values) -> int:
        return int(values["port"].text)


CONTAINER = _ContainerEngine(
    name="container",
    label="The image's program",
    recipe_names=("container",),
    runtimes=(_Container("container"),),
    example="--port {container_port}",
    any_image=True,
    default_port=8000,
    loopback=False,
    tensor=(),
    pipeline=(),
    data=(),
    served_name=(),
    port=(),
    host=(),
    rank_flags=(),
    secret_flags={},
    elsewhere_flags=(),
    share=(),
    platform={},
    flags={},
    further_values=("port", "container_port", "memory", "served_model_name"),
    memory=MemoryTraits(
        context=(),
        context_setting="",
        chunk=0,
        fp8_cache=False,
        splits_layers=True,
        limited=True,
    ),
)
