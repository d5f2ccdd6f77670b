# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a recipe file and read it: nothing is dropped, what is wrong with it becomes issues."""

from __future__ import annotations

import difflib
import os
import pathlib
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.fields import KNOWN_FIELDS
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import (
    Issue,
    Recipe,
    RecipeAmbiguous,
    RecipeError,
    RecipeNotFound,
)

try:
    import yaml
except ImportError:  # reported by load(), with what to install
    yaml = None  # type: ignore[assignment]

SUFFIXES = (".yaml", ".yml")
# Real recipes have 1 to 5 kB; the limits are there for what is not a recipe.
MAX_BYTES = 1024 * 1024
MAX_YAML_NODES = 20000


def load(path_or_name: str, search_paths: t.Sequence[str] = ()) -> Recipe:
    """Load the recipe of that path or name.

    Raises RecipeNotFound, RecipeAmbiguous, or RecipeError for a file that is not a YAML map.
    Wrong types and duplicate keys do not raise: they are in `Recipe.issues`.
    """
    path, issues = find(path_or_name, search_paths)
    return read(path, issues)


def find(path_or_name: str, search_paths: t.Sequence[str] = ()) -> tuple[pathlib.Path, list[Issue]]:
    """The file that `path_or_name` means; a warning where one search path hides another's file.

    An existing file's path wins. Otherwise the name is a file's stem, or its path without suffix,
    below a search path; the first that has it wins. Twice within one search path is ambiguous.
    """
    name = str(path_or_name)
    direct = pathlib.Path(name).expanduser()
    if (direct.suffix in SUFFIXES or len(direct.parts) > 1) and direct.is_file():
        return direct, []
    if name.startswith("@"):
        raise RecipeNotFound(
            f"recipe {name}: registries (@registry/name) are not supported yet. "
            "Clone the registry and add its folder to the recipe paths."
        )
    wanted = _stem(name)
    hits: list[list[pathlib.Path]] = []
    names: set[str] = set()
    for folder in search_paths:
        files = _files(pathlib.Path(folder).expanduser())
        names.update(file.stem for file, _relative in files)
        hits.append([file for file, relative in files if wanted in (file.stem, relative)])
    found = [group for group in hits if group]
    if not found:
        raise RecipeNotFound(_not_found(name, wanted, names, search_paths))
    if len(found[0]) > 1:
        listing = "\n".join(f"  - {file}" for file in found[0])
        raise RecipeAmbiguous(
            f"recipe {name} names several files; give one of these paths instead:\n{listing}"
        )
    chosen = found[0][0]
    hidden = [str(file) for group in found[1:] for file in group]
    if not hidden:
        return chosen, []
    return chosen, [
        Issue(
            "shadowed",
            "warning",
            "",
            f"{chosen} is used; the same name is also at {', '.join(hidden)}",
            "Give the path if another one is meant",
        )
    ]


def read(path: pathlib.Path, found: t.Sequence[Issue] = ()) -> Recipe:
    """Read one file; `found`: issues from looking for it. Raises RecipeError as `load` does."""
    if yaml is None:
        raise RecipeError(
            "Reading recipes needs PyYAML on the controller: install the Python package PyYAML"
        )
    text = _text(path)
    try:
        # The node graph first: it has the lines and the duplicate keys that the finished map lacks.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        root = loader.get_single_node()
        issues = list(found)
        lines: dict[str, int] = {}
        if root is not None:
            _survey(root, path, lines, issues)
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(
            f"{path}:{where} is not valid YAML: {exc.problem or exc.context}"
        ) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise RecipeError(f"{path} is not valid YAML: {exc or type(exc).__name__}") from exc
    if not isinstance(data, dict):
        kind = "empty" if data is None else f"a {type(data).__name__}"
        raise RecipeError(
            f"{path} is {kind}; a recipe is a YAML map with model, runtime, container and command"
        )
    return _recipe(path, {str(key): value for key, value in data.items()}, lines, issues)


def _text(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as exc:
        raise RecipeError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if len(raw) > MAX_BYTES:
        raise RecipeError(f"{path} is larger than {MAX_BYTES} bytes; that is not a recipe")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise RecipeError(
            f"{path} is not UTF-8 text: byte {exc.start} is {raw[exc.start]:#04x}"
        ) from exc


def _survey(root: t.Any, path: pathlib.Path, lines: dict[str, int], issues: list[Issue]) -> None:
    """Note the line of each field and report duplicate keys.

    Raises RecipeError for an anchor that contains itself and for YAML bombs.
    """
    sizes: dict[int, int] = {}

    def size(node: t.Any, above: tuple[int, ...]) -> int:
        """Number of values with every alias written out: a bomb is small in the file, huge here."""
        if id(node) in above:
            raise RecipeError(
                f"{path}: line {node.start_mark.line + 1}: a YAML anchor contains itself"
            )
        if id(node) not in sizes:
            total = 1
            if not isinstance(node.value, str):
                for child in node.value:
                    for part in child if isinstance(child, tuple) else (child,):
                        total += size(part, (*above, id(node)))
            sizes[id(node)] = total
        return sizes[id(node)]

    if size(root, ()) > MAX_YAML_NODES:
        raise RecipeError(
            f"{path}: with its YAML aliases written out it has more than {MAX_YAML_NODES} values"
        )

    def walk(node: t.Any, prefix: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            field = f"{prefix}{key.value}"
            line = key.start_mark.line + 1
            if isinstance(key.value, str) and key.value in seen and key.value != "<<":
                issues.append(
                    Issue(
                        "duplicate-key",
                        "warning",
                        field,
                        f"the key is also on line {seen[key.value]}; the last one counts",
                        "Remove one of them",
                        line,
                    )
                )
            seen[str(key.value)] = line
            lines[field] = line
            walk(value, f"{field}.")

    walk(root, "")


def _recipe(
    path: pathlib.Path, data: dict[str, t.Any], lines: dict[str, int], issues: list[Issue]
) -> Recipe:
    def typed(field: str, kind: type, fallback: t.Any) -> t.Any:
        value = data.get(field)
        if value is None:
            return fallback
        if kind is int and isinstance(value, str) and value.strip().lstrip("+-").isdigit():
            return int(value)
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        issues.append(
            Issue(
                "wrong-type",
                "error",
                field,
                f"expected {_KIND_NAMES[kind]}, found {_kind(value)} {value!r:.60}",
                f"Write {field} as {_KIND_NAMES[kind]}",
                lines.get(field),
            )
        )
        return fallback

    explicit = typed("runtime_config", dict, {})
    swept = {key: value for key, value in data.items() if key not in KNOWN_FIELDS}
    return Recipe(
        name=path.stem,
        path=str(path),
        data=data,
        lines=lines,
        model=typed("model", str, "").strip(),
        runtime=typed("runtime", str, "").strip(),
        container=typed("container", str, "").strip(),
        command=typed("command", str, "").strip(),
        defaults={str(key): value for key, value in typed("defaults", dict, {}).items()},
        env={str(key): value for key, value in typed("env", dict, {}).items()},
        metadata=typed("metadata", dict, {}),
        runtime_config={**swept, **explicit},
        # 2 and "2" mean the same.
        recipe_version=str(data.get("recipe_version") or "2"),
        mode=typed("mode", str, "auto").strip().lower() or "auto",
        min_nodes=typed("min_nodes", int, 1),
        max_nodes=typed("max_nodes", int, None),
        solo_only=typed("solo_only", bool, False),
        cluster_only=typed("cluster_only", bool, False),
        issues=tuple(issues),  # last: the fields above add to it
    )


_KIND_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: "a map"}
_FOUND_NAMES = ((list, "the list"), (dict, "the map"), (str, "the text"))


def _kind(value: t.Any) -> str:
    return next((name for kind, name in _FOUND_NAMES if isinstance(value, kind)), "the value")


def _stem(name: str) -> str:
    """The name without suffix; "" for anything that would leave the search path."""
    pure = pathlib.PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        return ""
    return str(pure.with_suffix("")) if pure.suffix in SUFFIXES else str(pure)


def _files(folder: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
    """The recipe files below a folder, each with its relative path without suffix.

    Linked folders are not entered: a link may lead in a circle.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = pathlib.Path(parent, name)
            if file.suffix in SUFFIXES and not name.startswith("."):
                found.append((file, str(file.relative_to(folder).with_suffix("").as_posix())))
    return found


def _not_found(
    name: str, wanted: str, names: t.Collection[str], search_paths: t.Sequence[str]
) -> str:
    near = difflib.get_close_matches(
        pathlib.PurePosixPath(wanted).name, sorted(names), n=3, cutoff=0.5
    )
    where = ", ".join(
        str(path) + ("" if os.path.isdir(path) else " (no such folder)") for path in search_paths
    )
    text = f"recipe {name!r} not found. Looked in: {where or 'no search path'}."
    if near:
        return f"{text} Did you mean {' or '.join(near)}?"
    if names:
        return f"{text} There are: {', '.join(sorted(names)[:20])}."
    return f"{text} There is no recipe at all; check the recipe paths, or give the path of a file."
