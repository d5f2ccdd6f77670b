# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where recipes are: the file of a name, and all recipes of a search path."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    RecipeAmbiguous,
    RecipeNotFetched,
    RecipeNotFound,
)

SUFFIXES = (".yaml", ".yml")
# The folder of a registry's files, which `registries.place_of` names by their commit.
_COMMIT = re.compile(r"[0-9a-f]{40}|not-fetched")
# The real path: messages show it, and the collection may be installed as a link.
BUNDLED = str(pathlib.Path(__file__).resolve().parents[4] / "recipes")


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder with recipes.

    registry: its name in `@registry/name`; "" for a local directory. trusted: whether hooks
    of its recipes, commands that run besides the server, may be run. root: of the registry's files.
    """

    folder: str
    registry: str = ""
    trusted: bool = True
    root: str = ""

    @property
    def path(self) -> pathlib.Path:
        return pathlib.Path(self.folder).expanduser()

    def __str__(self) -> str:
        missing = "" if self.path.is_dir() else " (no such directory)"
        if self.registry:
            missing = "" if self.path.is_dir() else " (not fetched yet)"
            return f"@{self.registry}{missing}"
        return f"{self.folder}{missing}"


@dataclasses.dataclass(frozen=True)
class RecipeFile:
    """A recipe file.

    place: None where a path was given that is no registry's. issues: what looking for it showed.
    """

    path: pathlib.Path
    place: Place | None = None
    issues: tuple[Issue, ...] = ()

    @property
    def label(self) -> str:
        """A name that means this file only."""
        if self.place and self.place.registry:
            relative = self.path.relative_to(self.place.path).with_suffix("")
            return f"@{self.place.registry}/{relative.as_posix()}"
        return str(self.path)


SearchPaths = t.Sequence[t.Union[str, Place]]


def places_of(search_paths: SearchPaths) -> list[Place]:
    """Paths as local directories."""
    return [path if isinstance(path, Place) else Place(str(path)) for path in search_paths]


def find(path_or_name: str, search_paths: SearchPaths = ()) -> RecipeFile:
    """The file that is meant.

    An existing file's path wins. `@registry/name` looks in that registry only. Any other name is a
    file's stem, or its path without suffix, below a place: the first local directory that has it
    wins, with a warning if it hides others; then the registries, all of one rank.

    Raises RecipeNotFound with the nearest names; RecipeAmbiguous, which lists them, where a name
    means several files of one folder, or of the registries.
    """
    name = str(path_or_name)
    direct = pathlib.Path(name).expanduser()
    places = places_of(search_paths)
    if (direct.suffix in SUFFIXES or len(direct.parts) > 1) and direct.is_file():
        return RecipeFile(direct, _registry_of(direct, places))
    wanted = name
    if name.startswith("@"):
        registry, _slash, wanted = name[1:].partition("/")
        places = [_registry(registry, wanted, places)]
    stem = _stem(wanted)
    tiers = [[place] for place in places if not place.registry]
    tiers.append([place for place in places if place.registry])
    everything = [[file for place in tier for file in recipes_in(place)] for tier in tiers]
    matches = [hits for tier in everything if (hits := [file for file in tier if _is(file, stem)])]
    if not matches:
        names = {file.path.stem for tier in everything for file in tier}
        raise RecipeNotFound(_not_found(name, stem, names, places))
    if len(matches[0]) > 1:
        listing = "\n".join(f"  - {file.label}" for file in matches[0])
        raise RecipeAmbiguous(
            f"recipe {name} names several files; give one of these instead:\n{listing}"
        )
    chosen = matches[0][0]
    hidden = [file.label for group in matches[1:] for file in group]
    if not hidden:
        return chosen
    shadowed = Issue(
        "shadowed",
        "warning",
        "",
        f"{chosen.path} is used; the same name is also at {', '.join(hidden)}",
        "Give the path to use another one",
    )
    return dataclasses.replace(chosen, issues=(shadowed,))


def recipes_in(place: Place) -> list[RecipeFile]:
    """Every recipe file below a place, in order.

    What has the name of one and is a folder, a device or the like is among them: reading it is an
    error that names it. Linked folders are not entered, since a link may lead in a circle; a link
    of a registry that leads out of it is left out, since its author does not say what this
    machine's files are.
    """
    files = []
    root = os.path.realpath(place.root or place.path)
    for parent, folders, names in os.walk(place.path):
        names += [name for name in folders if name.endswith(SUFFIXES)]
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not name.endswith(SUFFIXES)
        )
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(SUFFIXES):
                continue
            path = os.path.join(parent, name)
            inside = os.path.realpath(path).startswith(root + os.sep)
            if not place.registry or inside:
                files.append(RecipeFile(pathlib.Path(path), place))
    return files


def _registry_of(path: pathlib.Path, places: t.Sequence[Place]) -> Place | None:
    """The registry that has a file whose path was given, also one of another commit.

    Raises RecipeNotFound for a link in a registry's folder that leads out of it.
    """
    named = (os.path.abspath(path), os.path.join(os.path.realpath(path.parent), path.name))
    for place in places:
        if not place.registry:
            continue
        root = place.root or str(place.path)
        home = os.path.dirname(root) if _COMMIT.fullmatch(os.path.basename(root)) else root
        above = tuple(
            os.path.join(folder(home), "") for folder in (os.path.abspath, os.path.realpath)
        )
        real = os.path.realpath(path)
        if real.startswith(os.path.join(os.path.realpath(root), "")):
            return place
        if real.startswith(above):
            return dataclasses.replace(place, folder=home, root=home)
        if any(name.startswith(above) for name in named):
            raise RecipeNotFound(
                f"{path} leads out of the registry {place.registry}, and is not read"
            )
    return None


def _is(file: RecipeFile, stem: str) -> bool:
    if file.path.stem == stem:
        return True
    if not file.place or "/" not in stem:
        return False
    relative = file.path.relative_to(file.place.path).with_suffix("")
    return relative.as_posix() == stem


def _registry(name: str, recipe: str, places: t.Sequence[Place]) -> Place:
    for place in places:
        if place.registry and place.registry == name:
            if place.path.is_dir():
                return place
            raise RecipeNotFetched(
                f"recipe @{name}/{recipe}: the registry {name} has not been fetched yet"
            )
    known = ", ".join(f"@{place.registry}" for place in places if place.registry) or "none"
    raise RecipeNotFetched(
        f"recipe @{name}/{recipe}: no registry {name} is configured, there is: {known}. "
        "Name it in dgxspark_recipe_registries, then fetch it"
    )


def _stem(name: str) -> str:
    """The name without suffix; "" for anything that would leave the place."""
    pure = pathlib.PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        return ""
    return str(pure.with_suffix("")) if pure.suffix in SUFFIXES else str(pure)


def _not_found(name: str, stem: str, names: t.Collection[str], places: t.Sequence[Place]) -> str:
    near = nearest(pathlib.PurePosixPath(stem).name, sorted(names), n=3, cutoff=0.5)
    where = ", ".join(map(str, places)) or "no search path"
    text = f"recipe {name!r} not found. Searched: {where}."
    if near:
        return f"{text} Did you mean {' or '.join(near)}?"
    if names:
        return f"{text} There are: {', '.join(sorted(names)[:20])}."
    return f"{text} There are no recipes; check the recipe paths, or give the path of a file."
