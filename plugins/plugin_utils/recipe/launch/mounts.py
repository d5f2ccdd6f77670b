# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one gate for every path of a node that a container sees.

A path is allowed by its text here, and by where its links lead on the node: there
`module_utils/serving/mount_sources.py` checks what `on_nodes` returns, before anything is stopped.
"""

from __future__ import annotations

import collections
import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.mount_sources import (
    around,
    danger,
    within,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import (
    is_absolute,
    normal,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.mods_and_hooks import (
    MODS,
    RUN_AT,
    SEEN_AT,
    PlacedMod,
)

# Nothing of a node is put over these in a container: the system's, and this collection's own.
_SYSTEM_TARGETS = ("/dev", "/etc", "/proc", "/sys")
_OURS = (SEEN_AT, "/run/dgxspark")
# A folder of the operator's variables may be below these, but not these themselves.
_OPERATORS = ("/root", "/opt", "/var/lib")

Kind = t.Literal["cache", "runtime cache", "model", "mod", "volume", "state"]
_NAMES: dict[Kind, str] = {"cache": "dgxspark_hf_home", "runtime cache": "dgxspark_runtime_cache"}


@dataclasses.dataclass(frozen=True)
class Allowed:
    """What the inventory lets containers see.

    model_dirs: local model directories. hf_home: the Hugging Face cache. named: further sources;
    one that is named exactly is mounted whatever it is.
    """

    model_dirs: t.Sequence[str]
    hf_home: str
    named: t.Sequence[str]

    @classmethod
    def of(cls, model_dirs: t.Iterable[str], hf_home: str, named: t.Iterable[str]) -> Allowed:
        return cls(_paths(model_dirs), normal(hf_home), _paths(named))

    @property
    def roots(self) -> list[str]:
        return [*self.model_dirs, self.hf_home, *self.named]


@dataclasses.dataclass(frozen=True)
class Mount:
    """A path of the node that a container sees; for `volume` of Docker, its name."""

    kind: Kind
    source: str
    target: str
    read_only: bool = True
    docker_volume: bool = False

    @property
    def name(self) -> str:
        """For messages: the variable that has it, or the field."""
        return f"{_NAMES.get(self.kind, f'the {self.kind}')} {self.source}"

    def entry(self) -> dict[str, t.Any]:
        """As a rank of the plan has it."""
        return {
            "type": "volume" if self.docker_volume else "bind",
            "source": self.source,
            "target": self.target,
            "read_only": self.read_only,
        }


def mounts_of(
    resolved: ResolvedRecipe, allowed: Allowed, runtime_cache: str, cache_at: str
) -> list[Mount]:
    """The caches and the models. runtime_cache: "" for none; cache_at: where containers see it."""
    mounts = [Mount("cache", allowed.hf_home, allowed.hf_home)]
    for model in dict.fromkeys(normal(model) for model in resolved.models if model[:1] == "/"):
        if not within(model, (allowed.hf_home,)) and on_node(resolved, model) == model:
            mounts.append(Mount("model", model, model))
    if runtime_cache.startswith("/"):
        mounts.append(Mount("runtime cache", normal(runtime_cache), cache_at, read_only=False))
    elif runtime_cache:
        mounts.append(Mount("runtime cache", runtime_cache, cache_at, False, docker_volume=True))
    return mounts


def extra_mounts(resolved: ResolvedRecipe, mods: t.Iterable[PlacedMod]) -> list[Mount]:
    """The mods and volumes of a recipe; mods of the same content are one."""
    return [
        *dict.fromkeys(Mount("mod", mod.source, mod.target) for mod in mods),
        *(
            Mount("volume", volume.source, volume.target, volume.read_only)
            for volume in resolved.volumes
        ),
    ]


def state_mounts(state: t.Mapping[str, str], service: str) -> list[Mount]:
    """Volumes of Docker for what outlives a container; they belong to the service, not to a plan.

    state: name -> folder of the container.
    """
    return [
        Mount("state", f"dgxspark-{service}-{name}", target, False, docker_volume=True)
        for name, target in state.items()
    ]


def on_node(resolved: ResolvedRecipe, path: str) -> str:
    """Where on the node a path of the containers leads."""
    for volume in resolved.volumes:
        if within(path, (volume.target,)):
            return volume.source.rstrip("/") + path[len(volume.target.rstrip("/")) :]
    return path


def mount_problems(mounts: t.Sequence[Mount], allowed: Allowed) -> t.Iterator[str]:
    """Why some cannot be mounted, each with the way out."""
    for mount in mounts:
        if mount.kind == "state":
            if not _docker_takes(mount.target):
                yield f"the state is {_bad_path(mount.target)}"
            elif _is_taken(mount):
                yield f"{mount.name} cannot be mounted at {mount.target} of a container"
        if mount.docker_volume:
            continue
        wrong = [path for path in (mount.source, mount.target) if not _docker_takes(path)]
        if wrong:
            yield f"{_NAMES.get(mount.kind, f'the {mount.kind}')} is {_bad_path(wrong[0])}"
            continue
        why = _why_not(mount, allowed)
        if why:
            yield f"{mount.name} {why}. {_way_out(mount, allowed)}"
        if _is_taken(mount):
            yield f"{mount.name} cannot be mounted at {mount.target} of a container"
    for target, count in collections.Counter(mount.target for mount in mounts).items():
        if count > 1:
            yield f"{target} would be mounted twice. Change the volumes of the recipe"


def on_nodes(mounts: t.Iterable[Mount], allowed: Allowed) -> list[dict[str, t.Any]]:
    """What each node checks about the sources; see `mount_sources.sources`."""
    return [
        {
            "source": mount.source,
            "within": _roots(mount, allowed),
            "named": mount.source in allowed.named,
            "read_only": mount.read_only,
            "folder": mount.kind in ("cache", "runtime cache", "mod"),
            # Models and their cache are copied to a node that lacks them, and so are mods.
            "needed": mount.kind in ("runtime cache", "volume"),
        }
        for mount in mounts
        if not mount.docker_volume
    ]


def _paths(given: t.Iterable[str]) -> list[str]:
    return [normal(path) for path in given if path.startswith("/")]


def _roots(mount: Mount, allowed: Allowed) -> list[str]:
    """The folders within which the source has to be."""
    if mount.kind == "mod":
        return [MODS]
    return list(allowed.named) if mount.kind in _NAMES else allowed.roots


def _why_not(mount: Mount, allowed: Allowed) -> str:
    """Why the source is not to be mounted; empty if it may be."""
    if mount.source in allowed.named or mount.kind == "mod":
        return ""
    if mount.kind in _NAMES:
        return _why_not_operators(mount)
    why = danger(mount.source, allowed.roots, mount.read_only)
    if why:
        return why
    models = (allowed.hf_home, *allowed.model_dirs)
    if not mount.read_only and (within(mount.source, models) or around(mount.source, models)):
        return "has the models of all, and would be writable"
    if not within(mount.source, allowed.roots):
        return f"is in none of the folders that a recipe may use: {', '.join(allowed.roots)}"
    return ""


def _why_not_operators(mount: Mount) -> str:
    """The same for a folder that a variable of the inventory names."""
    folder = posixpath.dirname(mount.source)
    in_root = within(folder, ("/root",))
    if in_root or (within(folder, _OPERATORS) and not danger(mount.source, ())):
        return danger(mount.source, (mount.source,), mount.read_only)
    return danger(mount.source, (), mount.read_only)


def _way_out(mount: Mount, allowed: Allowed) -> str:
    if mount.kind == "volume" and "/.cache/huggingface" in mount.source:
        return f"Remove it: the cache of models is mounted already, at {allowed.hf_home}"
    first = {
        "model": "Move it below a folder of dgxspark_model_dirs",
        "volume": "Take another folder",
    }.get(mount.kind, "Set another")
    return f"{first}, or allow this one by name: dgxspark_volumes_allow: [{mount.source}]"


def _is_taken(mount: Mount) -> bool:
    """Whether the target is the container's own, or this collection's."""
    if mount.target == "/" or within(mount.target, _SYSTEM_TARGETS):
        return True
    ours = within(mount.target, (*_OURS, RUN_AT)) or around(mount.target, _OURS)
    return ours and mount.kind != "mod"


def _docker_takes(path: str) -> bool:
    """Whether `docker run --mount`, a line of values with commas, can take the path."""
    return is_absolute(path) and not re.search('[,"]', path)


def _bad_path(path: str) -> str:
    if not is_absolute(path):
        return f"{path!r:.200}, expected an absolute path without .. and without control characters"
    return (
        f"{path!r:.200}, with a comma or a double quote, which docker run --mount cannot take. "
        "Use a path without them"
    )
