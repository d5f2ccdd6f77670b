# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a recipe file and read it; problems become issues."""

from __future__ import annotations

import os
import pathlib
import re
import stat
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    SUFFIXES,
    RecipeFile,
    SearchPaths,
    find,
    places_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import (
    FIELDS,
    INCLUDE,
    KNOWN_FIELDS,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import (
    HOOK_FIELDS,
    hooks_of,
    normal,
    volumes_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.json_schema import (
    conforms,
    in_words,
    is_of_kind,
    kind_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Licence,
    Recipe,
    RecipeError,
    Shelf,
)

try:
    import yaml
except ImportError:  # reported by load(), with what to install
    yaml = None  # type: ignore[assignment]

# Real recipes have 1 to 5 kB; with these limits a listing takes less than a second for any file.
MAX_BYTES = 256 * 1024
MAX_YAML_NODES = 4000
MAX_DEPTH = 64
MAX_INCLUDES = 8

# Fields whose type is checked here and whose value is checked, with more to say, by others.
_CHECKED_LATER = (
    *("model", "draft_model", "runtime", "container", "mode", "builder", "executor"),
    *("containers", "env", "overrides", "include", "kind"),
)
_NODES = ("min_nodes", "max_nodes")
# Fields with a notation of their own, read by `hooks`.
_PARSED = (*HOOK_FIELDS, "volumes")
_HOOKS_FIX = "Write it as a list of commands"
_VOLUMES_FIX = "Write them as source:target or source:target:rw"


def load(path_or_name: str, search_paths: SearchPaths = ()) -> Recipe:
    """Load the recipe of that path or name, with the recipes that it includes.

    Raises RecipeNotFound, RecipeAmbiguous, or RecipeError for a file that is not a YAML map, and
    for an `include` that cannot be followed. Wrong types and duplicate keys do not raise: they
    are in `Recipe.issues`.
    """
    return load_found(find(path_or_name, search_paths), search_paths)


def load_found(file: RecipeFile, search_paths: SearchPaths = ()) -> Recipe:
    """As `load`, for the file of `find`."""
    data, lines, issues = _read(file.path)
    sources = [file]
    while "include" in data:
        base = _base(data["include"], sources, search_paths)
        inherited, _lines, _issues = _read(base.path)
        data = merge(inherited, data)
        sources.append(base)
    shelves = tuple(
        Shelf(place.registry, os.path.expanduser(place.root or place.folder), place.trusted)
        for place in places_of(search_paths)
        if place.registry
    )
    return _recipe(sources, data, lines, [*file.issues, *issues], shelves)


def merge(base: dict[str, t.Any], outer: dict[str, t.Any]) -> dict[str, t.Any]:
    """`outer` over the recipe that it includes, `include` being the base's own.

    Maps merge key by key, a null removes a key, `overrides` follow those of the base, anything else
    replaces. A value of `defaults` or `env` is one setting: it is replaced completely.
    """
    result = dict(base)
    for key, value in outer.items():
        if key == "include":
            continue
        below = result.get(key)
        if value is None:
            result.pop(key, None)
        elif key == "overrides" and isinstance(value, list) and isinstance(below, list):
            result[key] = [*below, *value]
        elif isinstance(value, dict) and isinstance(below, dict):
            result[key] = _merged_map(below, value, deep=key not in ("defaults", "env"))
        else:
            result[key] = value
    return result


def _merged_map(base: dict[str, t.Any], outer: dict[str, t.Any], *, deep: bool) -> dict[str, t.Any]:
    result = dict(base)
    for key, value in outer.items():
        below = result.get(key)
        if value is None:
            result.pop(key, None)
        elif deep and isinstance(value, dict) and isinstance(below, dict):
            result[key] = _merged_map(below, value, deep=True)
        else:
            result[key] = value
    return result


def _base(name: t.Any, sources: list[RecipeFile], search_paths: SearchPaths) -> RecipeFile:
    """The recipe that the last of the sources includes. Raises RecipeError."""
    last = sources[-1]
    if not isinstance(name, str) or not re.fullmatch(INCLUDE, name):
        raise RecipeError(
            f"{last.path}: include: {name!r:.60} is neither the name of a recipe in the same "
            "folder nor @registry/name"
        )
    if name.startswith("@"):
        base = find(name, search_paths)
    else:
        base = RecipeFile(_sibling(name, last), last.place)
    chain = [os.path.realpath(source.path) for source in sources]
    if os.path.realpath(base.path) in chain:
        ring = " -> ".join(source.path.name for source in [*sources, base])
        raise RecipeError(f"{last.path}: recipes include each other: {ring}")
    if len(sources) > MAX_INCLUDES:
        raise RecipeError(
            f"{sources[0].path}: more than {MAX_INCLUDES} recipes include one another"
        )
    return base


def _sibling(name: str, last: RecipeFile) -> pathlib.Path:
    folder = last.path.parent
    for candidate in (folder / name, *(folder / f"{name}{suffix}" for suffix in SUFFIXES)):
        if candidate.suffix not in SUFFIXES or not os.path.isfile(candidate):
            continue
        # A registry's link says nothing about files of this machine.
        real = os.path.dirname(os.path.realpath(candidate))
        if not (last.place and last.place.registry) or real == os.path.realpath(folder):
            return candidate
    raise RecipeError(f"{last.path}: include: there is no recipe {name} in {folder}")


def _read(path: pathlib.Path) -> tuple[dict[str, t.Any], dict[str, int], list[Issue]]:
    """The map of one file, the line of each field, and what is wrong with it as YAML."""
    if yaml is None:
        raise RecipeError(
            "Reading recipes needs PyYAML on the controller: install the Python package PyYAML"
        )
    text = _text(path)
    issues: list[Issue] = []
    lines: dict[str, int] = {}
    try:
        # The node graph first: it has the lines and the duplicate keys that the finished map lacks.
        kind_of_loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        _require_shallow(text, path, kind_of_loader)
        loader = kind_of_loader(text)
        root = loader.get_single_node()
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
    return {str(key): value for key, value in data.items()}, lines, issues


def _require_shallow(text: str, path: pathlib.Path, loader: t.Any) -> None:
    """Raise RecipeError for text nested so deeply that libyaml would overflow the stack on it."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                where = f" line {event.start_mark.line + 1}:" if event.start_mark else ""
                raise RecipeError(f"{path}:{where} nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _text(path: pathlib.Path) -> str:
    try:
        # Opening a FIFO would wait for a writer; a device may act when it is opened or read.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise RecipeError(f"{path} is not a regular file, and is skipped")
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
            if isinstance(value, yaml.ScalarNode) and value.style == "|":
                lines[f"{field}|"] = value.start_mark.line + 2
            walk(value, f"{field}.")

    walk(root, "")


def _recipe(
    sources: t.Sequence[RecipeFile],
    data: dict[str, t.Any],
    lines: dict[str, int],
    issues: list[Issue],
    shelves: tuple[Shelf, ...],
) -> Recipe:
    fields = _Fields(data, lines, issues)
    path, place = sources[0].path, sources[0].place
    build = fields.map("build")
    metadata = fields.map("metadata")
    return Recipe(
        name=path.stem,
        path=str(path),
        data=data,
        lines=lines,
        model=fields.text("model"),
        runtime=fields.text("runtime").lower(),
        container=fields.text("container") or str(build.get("base", "")).strip(),
        # Other blanks mean something to a shell.
        command=fields.text("command", " \t\r\n"),
        defaults=fields.map("defaults"),
        env=fields.map("env"),
        metadata=metadata,
        runtime_config={
            **{key: value for key, value in data.items() if key not in KNOWN_FIELDS},
            **fields.map("runtime_config"),
        },
        # 2 and "2" mean the same.
        recipe_version=fields.text("recipe_version") or "2",
        mode=fields.text("mode").lower() or "auto",
        min_nodes=fields.nodes("min_nodes", 1),
        max_nodes=fields.nodes("max_nodes", None),
        solo_only=bool(fields.value("solo_only")),
        cluster_only=bool(fields.value("cluster_only")),
        model_revision=fields.text("model_revision"),
        draft_model=fields.text("draft_model"),
        runtime_version=fields.text("runtime_version"),
        title=str(metadata.get("name") or fields.text("name") or path.stem),
        description=fields.text("description") or str(metadata.get("description") or ""),
        maintainer=fields.text("maintainer") or str(metadata.get("maintainer") or ""),
        kind=_kinds(fields.value("kind")),
        entrypoint=fields.words("entrypoint"),
        container_port=_whole(fields.value("container_port")),
        memory=fields.text("memory"),
        gpu=fields.value("gpu") is not False,
        state={name: normal(path) for name, path in fields.map("state").items()},
        health=fields.text("health"),
        deep={key: value for key, value in fields.map("deep").items() if value is not None},
        needs=_needs(fields.map("needs")),
        overlay=fields.text("overlay") or str(build.get("folder", "")),
        built=bool(build),
        forbid=tuple(map(str, fields.value("forbid") or ())),
        accept_licences=tuple(map(_licence, fields.value("accept_licences") or ())),
        mods=fields.words("mods"),
        build_args=fields.words("build_args"),
        builder=fields.text("builder"),
        **{field: fields.parsed(field, hooks_of, _HOOKS_FIX) for field in HOOK_FIELDS},
        volumes=fields.parsed("volumes", volumes_of, _VOLUMES_FIX),
        executor=fields.text("executor"),
        executor_config=fields.map("executor_config"),
        distribution_config=fields.map("distribution_config"),
        benchmark=data.get("benchmark"),
        overrides=tuple(fields.value("overrides") or ()),
        included=tuple(str(source.path) for source in sources[1:]),
        registry=place.registry if place else "",
        root=str(place.root or place.path) if place and place.registry else str(path.parent),
        trusted=all(source.place is None or source.place.trusted for source in sources),
        shelves=shelves,
        issues=tuple(issues),  # last: the fields above add to it
    )


class _Fields:
    """The fields of a recipe by the types that FIELDS gives them.

    A value of another type becomes an issue, and the field counts as absent.
    """

    def __init__(
        self, data: t.Mapping[str, t.Any], lines: t.Mapping[str, int], issues: list[Issue]
    ) -> None:
        self._data, self._lines, self._issues = data, lines, issues
        self._wrong = {field for field in data if not self._is_right(field)}

    def _is_right(self, field: str) -> bool:
        known = FIELDS.get(field)
        if known is None or field in _PARSED or self._data[field] is None:
            return True
        value, wanted = self._data[field], in_words(known.schema)
        if field in _NODES:
            right, wanted = _whole(value) is not None, "a whole number"
        elif field in _CHECKED_LATER:
            right = is_of_kind(value, known.schema)
        else:
            right = conforms(value, known.schema)
        if right:
            return True
        if field not in _NODES and is_of_kind(value, known.schema):
            self._note(field, f"{_shown(value)} is not valid here", f"It is: {known.what}")
        else:
            wrong = f"expected {wanted}, found {_shown(value)}"
            self._note(field, wrong, f"Write {field} as {wanted}")
        return False

    def _note(self, field: str, message: str, fix: str, code: str = "wrong-type") -> None:
        self._issues.append(Issue(code, "error", field, message, fix, self._lines.get(field)))

    def value(self, field: str) -> t.Any:
        """The field's value; None where it is absent or of another type."""
        return None if field in self._wrong else self._data.get(field)

    def text(self, field: str, blanks: str | None = None) -> str:
        """The field's text without blanks at its ends. blanks: which count; None: all."""
        value = self.value(field)
        return "" if value is None else str(value).strip(blanks)

    def map(self, field: str) -> dict[str, t.Any]:
        return {str(key): value for key, value in (self.value(field) or {}).items()}

    def words(self, field: str) -> tuple[str, ...]:
        """A list of words, of the field or, before that, of runtime_config."""
        value = self.map("runtime_config").get(field, self.value(field))
        return (value,) if isinstance(value, str) else tuple(value or ())

    def nodes(self, field: str, absent: t.Any) -> t.Any:
        """A number of nodes; about 0 and less `topology_issues` has more to say."""
        value = self.value(field)
        return absent if value is None else _whole(value)

    def parsed(
        self, field: str, parse: t.Callable[[t.Any], tuple[tuple[t.Any, ...], list[str]]], fix: str
    ) -> t.Any:
        result, problems = parse(self._data.get(field))
        for problem in problems:
            self._note(field, problem, fix, f"{field.replace('_', '-')}-invalid")
        return result


def _kinds(value: t.Any) -> tuple[str, ...]:
    """The kinds as words, whether there are such kinds or not."""
    words = value if isinstance(value, list) else [value] if value else []
    return tuple(dict.fromkeys(str(word) for word in words))


def _needs(given: t.Mapping[str, t.Any]) -> dict[str, list[int]]:
    """Each need with the values that satisfy it."""
    values = {
        key: value if isinstance(value, list) else [value]
        for key, value in given.items()
        if value is not None
    }
    return {key: [int(one) for one in value] for key, value in values.items() if value}


def _licence(entry: t.Mapping[str, t.Any]) -> Licence:
    return Licence(str(entry["name"]), str(entry["url"]), str(entry.get("why") or ""))


def _whole(value: t.Any) -> int | None:
    """A whole number, also one that is written as text; None for anything else."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", value) else None
    return int(value) if kind_of(value) == "integer" else None


def _shown(value: t.Any) -> str:
    """A value with its kind, for messages."""
    kinds = ((list, "the list"), (dict, "the map"), (str, "the text"))
    kind = next((name for kind, name in kinds if isinstance(value, kind)), "the value")
    return f"{kind} {value!r:.60}"
