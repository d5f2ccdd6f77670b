# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the recipe engine passes around: issues, recipes, nodes, resolved recipes.

docs/contracts/recipe.md describes the format and the rules.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown

Severity = t.Literal["error", "warning", "suggestion"]


@dataclasses.dataclass(frozen=True)
class Issue:
    """One finding about a recipe or about a launch.

    code: stable kebab-case id. field: dotted path in the recipe ("" = the complete file).
    line: 1-based line of that field in the file, when known.
    """

    code: str
    severity: Severity
    field: str
    message: str
    fix: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.field or "recipe"
        if self.line is not None:
            where = f"{where} (line {self.line})"
        return f"{where}: {self.message}. {self.fix} [{self.code}]"

    def to_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


class RecipeError(Exception):
    """A recipe that cannot be used; the text holds every reason, `issues` the same as data."""

    def __init__(self, headline: str, issues: t.Sequence[Issue] = ()) -> None:
        self.issues = tuple(issues)
        super().__init__(shown("\n".join([headline, *(f"  - {issue}" for issue in issues)])))


class RecipeNotFound(RecipeError):
    """No recipe of that name; the text names the places that were searched and similar names."""


class RecipeNotFetched(RecipeNotFound):
    """It is, or may be, in a registry that was not fetched."""


class RecipeAmbiguous(RecipeError):
    """Several files of that name within one search path; the text lists them."""


@dataclasses.dataclass(frozen=True)
class Hook:
    """A shell command of the recipe besides the server. timeout: seconds; None = no limit."""

    command: str
    timeout: float | None = None


@dataclasses.dataclass(frozen=True)
class Volume:
    """A folder of the node, by its absolute path, that containers see as `target`."""

    source: str
    target: str
    read_only: bool = True


@dataclasses.dataclass(frozen=True)
class Licence:
    """A licence that a person accepts by its name. url: its text. why: what it asks, for people."""

    name: str
    url: str
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Mod:
    """A change to the image before the start. folder: on the controller; its `run.sh` is run.

    trusted: whether the registry that it is from is.
    """

    name: str
    folder: str
    trusted: bool = True


class Shelf(t.NamedTuple):
    """A fetched registry, whose mods recipes may name. root: the folder of its files."""

    registry: str
    root: str
    trusted: bool


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe as its file says, core fields checked for type, nothing dropped.

    name: the file's stem. data: every key of the file, as it stood, and
    of the recipes it includes. lines: dotted field -> 1-based line. issues: what loading found;
    `validate` repeats them. runtime_config: the explicit map plus all unknown top-level keys.
    model_revision, draft_model, ...: "" where the file does not say.
    kind: what is served, of serving/kinds.py; empty where the server is asked.
    entrypoint, container_port, memory: of a container with the image's own program; (), None and ""
    where the file does not say. gpu: whether containers get one, if the inventory has it so.
    state: name -> folder of the container that outlives it. health: the path of the light probe, ""
    for that of the kind. deep: first_seconds and voice of the deep probe. needs: page_size, the
    sizes of a page in bytes that a node may have. overlay: the folder, beside the file, of what is
    added to the image; "" for none. built: whether `build` names it, with the image. forbid: names
    of Python distributions that must not be in the image.
    registry: name of the registry that it is from; "" for none. root: the registry's folder, or the
    file's. trusted: whether code that it brings besides the server may be run. shelves: the
    inventory's registries.
    """

    name: str
    path: str
    data: dict[str, t.Any]
    lines: dict[str, int]
    issues: tuple[Issue, ...]
    model: str
    runtime: str
    container: str
    command: str
    defaults: dict[str, t.Any]
    env: dict[str, t.Any]
    metadata: dict[str, t.Any]
    runtime_config: dict[str, t.Any]
    recipe_version: str
    mode: str
    min_nodes: int
    max_nodes: int | None
    solo_only: bool
    cluster_only: bool
    model_revision: str = ""
    draft_model: str = ""
    runtime_version: str = ""
    title: str = ""
    description: str = ""
    maintainer: str = ""
    kind: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    container_port: int | None = None
    memory: str = ""
    gpu: bool = True
    state: dict[str, str] = dataclasses.field(default_factory=dict)
    health: str = ""
    deep: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    needs: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    overlay: str = ""
    built: bool = False
    forbid: tuple[str, ...] = ()
    accept_licences: tuple[Licence, ...] = ()
    mods: tuple[str, ...] = ()
    build_args: tuple[str, ...] = ()
    builder: str = ""
    pre_exec: tuple[Hook, ...] = ()
    post_exec: tuple[Hook, ...] = ()
    post_commands: tuple[Hook, ...] = ()
    volumes: tuple[Volume, ...] = ()
    executor: str = ""
    executor_config: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    distribution_config: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    benchmark: t.Any = None
    overrides: tuple[t.Any, ...] = ()
    included: tuple[str, ...] = ()
    registry: str = ""
    root: str = ""
    trusted: bool = True
    shelves: tuple[Shelf, ...] = ()

    def issue(
        self,
        code: str,
        severity: Severity,
        field: str,
        message: str,
        fix: str,
        near: str = "",
    ) -> Issue:
        """An Issue that knows the line of its field (or of the nearest parent that has one).

        near: a part of the field's text; its own line is reported if the text is a block (`|`).
        """
        path = field
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        line = self.lines.get(path)
        block = self.lines.get(f"{path}|")
        text = self.data.get(path)
        if near and block is not None and isinstance(text, str) and near in text:
            line = block + text[: text.index(near)].count("\n")
        return Issue(code, severity, field, message, fix, line)


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine that may hold a rank.

    address: IP at which people and clients reach it (management network).
    fabric_address: IP of the link between the nodes; None where there is none.
    fabric_interface: the node's own name of the interface that carries `link_address`.
    hcas: the RoCE devices of the links between the nodes; empty if unknown.
    topology: how they are connected, "pair", "ring" or "switch"; empty if unknown.
    """

    name: str
    address: str
    fabric_address: str | None = None
    fabric_interface: str | None = None
    hcas: tuple[str, ...] = ()
    topology: str = ""

    @property
    def link_address(self) -> str:
        """The address at which the other ranks reach this node."""
        return self.fabric_address or self.address


@dataclasses.dataclass(frozen=True)
class Rank:
    """One engine process.

    text: the shell text that ends in `exec <server>`; "" on a Ray worker, which runs no server.
    argv: the words that the server receives.
    """

    rank: int
    role: t.Literal["head", "worker"]
    node: Node
    text: str
    argv: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe decided for given overrides and nodes: nothing is left open.

    recipe: with the values of its `overrides` that apply. runtime: vllm (solo) | vllm-ray |
    vllm-distributed (cluster) | sglang | llama-cpp | container.
    env, inventory_env: variable -> value; the recipe's env wins over the inventory's.
    secret_env: variable -> variable of the controller that holds its value.
    data_parallel: replicas, each of tensor_parallel x pipeline_parallel ranks.
    models: Hugging Face ids or paths that must be on the nodes, the served one first.
    revisions: model -> commit, tag or branch, for those that the command pins.
    values: what the placeholders stand for, as text. rpc_port: on the workers of llama.cpp.
    mods, pre_exec: in each container before the server. post_exec: in the head's, once it answers.
    entrypoint: in place of the image's; container_port: on which it listens; both only where the
    container runs the image's own program. memory_bytes: the limit of a container, None for none.
    """

    recipe: Recipe
    overrides: dict[str, t.Any]
    mode: t.Literal["solo", "cluster"]
    runtime: str
    model: str
    image: str
    served_model_name: str
    port: int
    tensor_parallel: int
    pipeline_parallel: int
    ranks: tuple[Rank, ...]
    env: dict[str, str]
    inventory_env: dict[str, str]
    secret_env: dict[str, str]
    warnings: tuple[Issue, ...]
    data_parallel: int = 1
    models: tuple[str, ...] = ()
    revisions: dict[str, str] = dataclasses.field(default_factory=dict)
    values: dict[str, str] = dataclasses.field(default_factory=dict)
    mods: tuple[Mod, ...] = ()
    pre_exec: tuple[Hook, ...] = ()
    post_exec: tuple[Hook, ...] = ()
    volumes: tuple[Volume, ...] = ()
    rpc_port: int | None = None
    entrypoint: tuple[str, ...] = ()
    container_port: int | None = None
    memory_bytes: int | None = None
