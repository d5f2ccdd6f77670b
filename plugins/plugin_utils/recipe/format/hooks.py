# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recipe runs or mounts besides its server: hooks, volumes, mods."""

from __future__ import annotations

import os
import pathlib
import posixpath
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Hook,
    Issue,
    Mod,
    Recipe,
    Shelf,
    Volume,
)

HOOK_FIELDS = ("pre_exec", "post_exec", "post_commands")
MOD_SCRIPT = "run.sh"
# Where other programs of a Hub's client have the models.
_IN_CACHE = "/.cache/huggingface"

# A recipe stands at most this deep below the folder that has its mods: recipes/4x-cluster/x.yaml.
_LEVELS = 3
_MOD_NAME = 200


def hooks_of(value: t.Any) -> tuple[tuple[Hook, ...], list[str]]:
    """The hooks of a field, and what is wrong with it.

    Text, a map {command, timeout in seconds}, or a list of both.
    """
    hooks, wrong = [], []
    entries = value if isinstance(value, list) else [] if value is None else [value]
    for entry in entries:
        if isinstance(entry, str) and entry.strip():
            hooks.append(Hook(entry.strip()))
        elif isinstance(entry, dict) and "copy" in entry:
            wrong.append("copying files of the controller is not supported")
        elif _is_hook(entry):
            timeout = entry.get("timeout")
            hooks.append(Hook(entry["command"].strip(), None if timeout is None else timeout))
        else:
            wrong.append(f"expected a command or {{command, timeout}}, found {entry!r:.60}")
    return tuple(hooks), wrong


def _is_hook(entry: t.Any) -> bool:
    if not isinstance(entry, dict) or not set(entry) <= {"command", "timeout"}:
        return False
    command, timeout = entry.get("command"), entry.get("timeout")
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout > 0
    return isinstance(command, str) and bool(command.strip()) and (timeout is None or number)


def volumes_of(value: t.Any) -> tuple[tuple[Volume, ...], list[str]]:
    """The volumes of a field, and what is wrong with it.

    A map {source: target}, or a list of source:target[:ro|rw], {source: target} and
    {source, target, read_only}. Read-only unless they say rw, or read_only: false.
    """
    if value is None or value == {}:
        return (), []
    entries = value if isinstance(value, list) else [value]
    volumes, wrong = [], []
    for entry in entries:
        for source, target, options in _volume_parts(entry):
            bad = [path for path in (source, target) if not is_absolute(path)]
            if bad:
                about = "; remove it, the cache of models is mounted anyway"
                wrong.append(
                    f"expected absolute paths without .., found {bad[0]!r:.60}"
                    f"{about if _IN_CACHE in source else ''}"
                )
            elif options not in ("", "ro", "rw"):
                wrong.append(f"expected ro or rw, found {options!r:.60}")
            else:
                volumes.append(Volume(normal(source), normal(target), options != "rw"))
    return tuple(volumes), wrong


def _volume_parts(entry: t.Any) -> list[tuple[str, str, str]]:
    if isinstance(entry, str):
        source, _colon, rest = entry.partition(":")
        target, _colon, options = rest.partition(":")
        return [(source, target, options)]
    if isinstance(entry, dict) and {"source", "target"} <= set(entry):
        options = "rw" if entry.get("read_only") is False else "ro"
        return [(str(entry["source"]), str(entry["target"]), options)]
    if isinstance(entry, dict) and entry:
        return [(str(source), *_target_of(str(target))) for source, target in entry.items()]
    return [(str(entry), "", "")]


def _target_of(text: str) -> tuple[str, str]:
    target, _colon, options = text.partition(":")
    return target, options


def normal(path: str) -> str:
    """The one notation of an absolute path: //etc, which POSIX leaves open, is /etc."""
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else path


def is_absolute(path: str) -> bool:
    """Whether it is an absolute path without .. and without control characters."""
    return path.startswith("/") and ".." not in path.split("/") and path.isprintable()


def overlay_folder(recipe: Recipe) -> str:
    """The folder of a recipe's overlay on the controller; empty for none."""
    beside = pathlib.Path(recipe.path).absolute().parent
    return str(beside / recipe.overlay) if recipe.overlay else ""


def mods_of(recipe: Recipe, mod_paths: t.Sequence[str] = ()) -> tuple[list[Mod], list[Issue]]:
    """The recipe's mods with their folders, and an error for each that is not there.

    `mods/x`, or `x`, is a folder with a `run.sh`: below one of mod_paths, beside the recipe or a
    folder above it, not further up than its registry, or in a registry of the inventory.
    `@registry/x` is one of that registry.
    """
    mods, missing = [], []
    places = [pathlib.Path(path).expanduser() for path in mod_paths]
    near = _folders_above(recipe)
    for name in recipe.mods:
        registry, path = "", name
        if name.startswith("@"):
            registry, _slash, path = name[1:].partition("/")
        pure = pathlib.PurePosixPath(path)
        strange = pure.is_absolute() or ".." in pure.parts or not pure.parts or path[:1] == "@"
        if strange or len(name) > _MOD_NAME or not name.isprintable():
            missing.append(_not_a_mod(recipe, name))
            continue
        short = pathlib.PurePosixPath(*pure.parts[1:]) if pure.parts[0] == "mods" else pure
        local = [] if registry else [*places, *near]
        candidates = [place / form for place in local for form in ("mods" / short, short)]
        folder = next((path for path in candidates if _is_mod(path, recipe, near)), None)
        shelves = [shelf for shelf in recipe.shelves if registry in ("", shelf.registry)]
        mod = Mod(short.as_posix(), str(folder)) if folder else _on_a_shelf(short, shelves)
        if mod is None:
            labels = [f"@{shelf.registry}" for shelf in shelves]
            missing.append(_no_mod(recipe, name, [*map(str, local), *labels], registry))
        else:
            mods.append(mod)
    return mods, missing


def _on_a_shelf(name: pathlib.PurePosixPath, shelves: t.Iterable[Shelf]) -> Mod | None:
    """The mod of that name in the first of the registries that has it."""
    for shelf in shelves:
        root = os.path.realpath(shelf.root)
        for form in ("mods" / name, name):
            folder = os.path.join(root, form)
            # A registry's link says nothing about files of this machine.
            script = os.path.realpath(os.path.join(folder, MOD_SCRIPT))
            if os.path.isfile(script) and script.startswith(root + os.sep):
                return Mod(name.as_posix(), folder, shelf.trusted)
    return None


def untrusted_mods(recipe: Recipe, mods: t.Iterable[Mod]) -> list[str]:
    """Names of the mods that a registry brings which is not trusted."""
    root = os.path.realpath(recipe.root) + os.sep
    return [
        mod.name
        for mod in mods
        if not mod.trusted or (not recipe.trusted and os.path.realpath(mod.folder).startswith(root))
    ]


def _is_mod(folder: pathlib.Path, recipe: Recipe, near: t.Sequence[pathlib.Path]) -> bool:
    if not os.path.isfile(folder / MOD_SCRIPT):
        return False
    if not recipe.registry or not any(folder.is_relative_to(place) for place in near):
        return True
    # A registry's link says nothing about files of this machine.
    root = os.path.realpath(recipe.root)
    return os.path.realpath(folder / MOD_SCRIPT).startswith(root + os.sep)


def _folders_above(recipe: Recipe) -> list[pathlib.Path]:
    folder = pathlib.Path(recipe.path).absolute().parent
    folders = [folder, *folder.parents][: _LEVELS + 1]
    if recipe.registry:
        root = pathlib.Path(recipe.root).absolute()
        folders = [above for above in folders if above == root or above.is_relative_to(root)]
    return folders


def _not_a_mod(recipe: Recipe, name: str) -> Issue:
    return recipe.issue(
        "mod-invalid",
        "error",
        "mods",
        f"{name!r:.60} is not a name of a mod",
        "Write it as mods/<name>",
    )


def _no_mod(recipe: Recipe, name: str, places: t.Sequence[str], registry: str) -> Issue:
    known = any(shelf.registry == registry for shelf in recipe.shelves)
    if registry and not known:
        return recipe.issue(
            "mod-not-found",
            "error",
            "mods",
            f"the mod {name} is of the registry {registry}, which the inventory does not have",
            "Add it to dgxspark_recipe_registries",
        )
    return recipe.issue(
        "mod-not-found",
        "error",
        "mods",
        f"the mod {name} (a folder with a {MOD_SCRIPT}) is not there; looked in "
        f"{', '.join(places)}",
        f"Fetch the registry {registry} again: recipes.yml -e fetch=true"
        if registry
        else "Clone the repository that the recipe is from, or has its mods from, and name its "
        "folder in dgxspark_mod_paths, or add it to dgxspark_recipe_registries",
    )
