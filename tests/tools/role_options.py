# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the roles, from the modules' documentation and from variables.yml.

An option of a role is a variable dgxspark_* that its tasks, templates or vars read. Where a task
gives it unchanged to one option of one module, that option's documentation describes it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("variables.yml")
NAMES = ROOT / "plugins" / "plugin_utils" / "known_variables.py"
PAGE = ROOT / "docs" / "variables.md"

HEADER = """\
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""
PAGE_HEAD = """\
<!--
Copyright (c) 2026, dgxspark.suite contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

<!-- Generated: make contracts -->

# Variables

All variables that the collection reads. Another variable in an inventory or in `-e` that begins
with `dgxspark_` is reported with the nearest name of this list.

| variable | default | meaning | read by |
| --- | --- | --- | --- |
"""
OURS = "dgxspark.suite."
# dgxspark_control is the package of the role control.
VARIABLE = re.compile(r"\bdgxspark_(?!result_|control\b)\w+(?!\w*:)")
# A variable that an argument of a task hands on as it is.
UNCHANGED = re.compile(r"\{\{ (dgxspark_\w+)( \| default\(omit, true\)| or omit)? \}\}")
COPIED = ("type", "elements", "choices", "required", "no_log")
# A default that is longer is left to the file.
CELL = 60

Docs = Mapping[str, Mapping[str, Any]]  # module -> what ansible-doc knows of it
Option = dict[str, Any]  # as in an argument_specs.yml


class OptionError(Exception):
    """Something reads a variable that nothing describes, or that two modules describe."""


@dataclass(frozen=True)
class Role:
    """What a role's files say of its variables."""

    path: Path
    reads: frozenset[str]
    bound: Mapping[str, tuple[tuple[str, str], ...]]  # variable -> (module, option), in order

    @property
    def name(self) -> str:
        return self.path.name


class _Dumper(yaml.SafeDumper):
    """Lists are indented, as yamllint wants them here; nothing is an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(value: Any, indent: int = 0) -> str:
    """Block YAML, each line indented by so many spaces."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=90 - indent)
    return "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())


def roles() -> list[Role]:
    return [read(path) for path in sorted((ROOT / "roles").iterdir()) if path.is_dir()]


def read(path: Path) -> Role:
    """The role in this folder."""
    files = [
        file
        for folder in ("tasks", "templates", "vars")
        for file in sorted((path / folder).glob("*"))
    ]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    reads = {
        name
        for line in lines
        if not line.lstrip().startswith("#")
        for name in VARIABLE.findall(line)
    }
    bound: dict[str, list[tuple[str, str]]] = {}
    for file in sorted((path / "tasks").glob("*.yml")):
        for module, arguments in _calls(yaml.safe_load(file.read_text(encoding="utf-8"))):
            for option, value in arguments.items():
                whole = UNCHANGED.fullmatch(value) if isinstance(value, str) else None
                if whole and (module, option) not in bound.setdefault(whole[1], []):
                    bound[whole[1]].append((module, option))
    return Role(path, frozenset(reads), {name: tuple(to) for name, to in bound.items()})


def _calls(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each of the collection's modules that the tasks call, with its arguments."""
    for value in node if isinstance(node, list) else []:
        yield from _calls(value)
    for key, value in node.items() if isinstance(node, dict) else []:
        if str(key).startswith(OURS) and isinstance(value, dict):
            yield str(key).removeprefix(OURS), value
        else:
            yield from _calls(value)


def options(role: Role, entries: Mapping[str, Option], docs: Docs) -> dict[str, Option]:
    """All options of the role: those that are required first, those that other roles have last."""
    names = role.reads | {
        name for name, entry in entries.items() if role.name in entry.get("roles", {})
    }
    described = {name: option(name, role, entries.get(name, {}), docs) for name in names}
    own = f"dgxspark_{role.name}"
    order = sorted(
        names, key=lambda name: (not described[name].get("required"), own not in name, name)
    )
    return {name: described[name] for name in order}


def option(name: str, role: Role, entry: Option, docs: Docs) -> Option:
    """One variable as this role has it."""
    entry = {**entry, **entry.get("roles", {}).get(role.name, {})}
    source = _source(name, role, entry, docs)
    made = {**(_of_module(*source, role, docs) if source else {}), **entry}
    for key in ("description", "type"):
        if key not in made:
            raise OptionError(f"{role.name}: no {key} of {name}: describe it in {SOURCE.name}")
    text = made["description"]
    paragraphs = [text] if isinstance(text, str) else list(text)
    paragraphs += [made["note"]] if "note" in made else []
    result = {"description": paragraphs if len(paragraphs) > 1 else paragraphs[0]}
    result |= {key: made[key] for key in COPIED if made.get(key)}
    if "options" in made:
        result["options"] = made["options"]
    if not made.get("required"):
        result["default"] = made.get("default", "")
    return result


def _source(name: str, role: Role, entry: Option, docs: Docs) -> tuple[str, str] | None:
    """The module's option that describes it, if one does."""
    if "from" in entry:
        module, _dot, key = entry["from"].partition(".")
        return module, key
    if {"description", "type"} <= entry.keys():
        return None
    said: dict[str, tuple[str, str]] = {}
    for module, key in role.bound.get(name, ()):
        said.setdefault(
            json.dumps(docs[module]["doc"]["options"][key], sort_keys=True), (module, key)
        )
    if len(said) > 1:
        raise OptionError(
            f"{role.name}: {name} is described differently by "
            f"{' and '.join('.'.join(one) for one in said.values())}: "
            f"name one of them in {SOURCE.name}"
        )
    return next(iter(said.values()), None)


def _of_module(module: str, key: str, role: Role, docs: Docs) -> Option:
    """An option of a module as a role's argument_specs.yml has it."""
    known = {
        to[1]: variable
        for variable, all_to in role.bound.items()
        for to in all_to
        if to[0] == module
    }
    return _converted(docs[module]["doc"]["options"][key], module, known)


def _converted(given: Mapping[str, Any], module: str, known: Mapping[str, str]) -> Option:
    made = {key: given[key] for key in (*COPIED, "default") if key in given}
    text = given["description"]
    paragraphs = [
        _renamed(one, module, known) for one in ([text] if isinstance(text, str) else text)
    ]
    made["description"] = paragraphs if len(paragraphs) > 1 else paragraphs[0]
    if given.get("suboptions"):
        made["options"] = {
            key: _ordered(_converted(one, module, known))
            for key, one in given["suboptions"].items()
        }
    return made


def _ordered(given: Option) -> Option:
    keys = ("description", *COPIED, "options", "default")
    return {key: given[key] for key in keys if given.get(key) is not None and key in given}


def _renamed(text: str, module: str, known: Mapping[str, str]) -> str:
    """O(option) of the module as O(variable) of the role, or, like RV(key), as the module's."""

    def name(match: re.Match[str]) -> str:
        mark, key = match.groups()
        variable = known.get(key) if mark == "O" else None
        return f"{mark}({variable or f'{OURS}{module}#module:{key}'}"

    return " ".join(re.sub(r"\b(O|RV)\((\w+)(?=[=)])", name, text).split())


def spec(text: str, of_role: Mapping[str, Option]) -> str:
    """An argument_specs.yml: what is above `options` is written by hand."""
    mark = "    # The options are generated: make contracts\n"
    head = text.partition("    options:")[0].replace(mark, "").replace("    options: {}\n", "")
    if not of_role:
        return f"{head}{mark}    options: {{}}\n"
    return f"{head}{mark}    options:\n{dump(of_role, 6)}"


def galaxy(text: str, specs: str) -> str:
    """A meta/main.yml whose description is the short one of the argument_specs.yml."""
    short = yaml.safe_load(specs)["argument_specs"]["main"]["short_description"]
    return re.sub(r"(?m)^  description: .*$", lambda _: f"  description: {short}", text)


def defaults(of_role: Mapping[str, Option]) -> str:
    """A defaults/main.yml."""
    values = {name: one["default"] for name, one in of_role.items() if not one.get("required")}
    return f"{HEADER}---\n# Generated: make contracts\n{dump(values)}"


def plain(text: str | list[str]) -> str:
    """Ansible's markup as Markdown, within a cell of a table."""
    joined = " ".join([text] if isinstance(text, str) else text)
    joined = re.sub(r"\b(?:RV|[BCEIMOPV])\(((?:[^()\\]|\\.|\([^()]*\))*)\)", r"`\1`", joined)
    joined = re.sub(r"`ignore:([^`]+)`", r"`\1`", joined).replace(OURS, "")
    joined = re.sub(r"`\w+#\w+:([^`]+)`", r"`\1`", joined)
    return " ".join(joined.split()).replace("|", "\\|")


def kind(given: Option) -> str:
    return str(given["type"]) + (f" of {given['elements']}" if "elements" in given else "")


def default(given: Option, folder: str = "") -> str:
    """The default as a cell of a table; a long one is a link to the role in this folder."""
    if given.get("required"):
        return "required"
    value = given.get("default")
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > CELL:
        return f"see [defaults]({folder}defaults/main.yml)"
    return f"`{text}`".replace("|", "\\|") if text else "empty"


def meaning(given: Option) -> str:
    """The first paragraph, the choices, and the keys of a map or of the maps of a list."""
    first = given["description"]
    cell = plain(first if isinstance(first, str) else first[0])
    if given.get("choices"):
        choices = ", ".join(f"`{one}`" if one else "empty" for one in given["choices"])
        cell += f" One of {choices}."
    if given.get("options"):
        cell += f" Keys: {', '.join(f'`{key}`' for key in given['options'])}."
    return cell


def table(of_role: Mapping[str, Option]) -> str:
    """The table of a role's README."""
    lines = ["", "| variable | type | default | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {kind(one)} | {default(one)} | {meaning(one)} |"
        for name, one in of_role.items()
    ]
    return "\n".join(lines) + "\n"


def of_plugins(docs: Mapping[str, Docs]) -> dict[str, tuple[str, Option]]:
    """Variable -> plugin and option, for plugins that read variables by themselves."""
    return {
        variable["name"]: (f"{sort} `{name}`", option)
        for sort in ("callback", "lookup")
        for name, plugin in sorted(docs[sort].items(), reverse=True)
        for option in plugin["doc"].get("options", {}).values()
        for variable in option.get("vars", [])
    }


def names(known: Iterable[str]) -> str:
    """The module with all names that mean anything."""
    lines = "".join(f'        "{name}",\n' for name in sorted(known))
    return (
        f"{HEADER}"
        '"""The variables that this collection reads. Generated: make contracts."""\n\n'
        "from __future__ import annotations\n\n"
        f"KNOWN = frozenset(\n    {{\n{lines}    }}\n)\n"
    )


def page(
    by_role: Mapping[str, Mapping[str, Option]],
    plugins: Mapping[str, tuple[str, Option]],
    others: Mapping[str, str],
) -> str:
    """The page with all variables. Where roles differ, it has what most of them say."""
    cells: dict[str, list[tuple[str, str]]] = {}
    readers: dict[str, list[str]] = {}
    for role, of_role in by_role.items():
        for name, one in of_role.items():
            shown = default(one, f"../roles/{role}/")
            cells.setdefault(name, []).append((shown, meaning(one)))
            readers.setdefault(name, []).append(f"[`{role}`](../roles/{role}/README.md)")
    for name, (plugin, one) in plugins.items():
        cells.setdefault(name, [(default(one), meaning(one))])
        readers.setdefault(name, []).append(plugin)
    for name, text in others.items():
        cells[name], readers[name] = [("", plain(text))], ["playbooks, plugins"]
    common = {name: Counter(said).most_common(1)[0][0] for name, said in sorted(cells.items())}
    lines = [
        f"| `{name}` | {shown} | {text} | {', '.join(readers[name])} |"
        for name, (shown, text) in common.items()
    ]
    return PAGE_HEAD + "\n".join(lines) + "\n"


def files(docs: Mapping[str, Docs], renewed: Callable[[str, str], str]) -> dict[Path, str]:
    """Every generated file with its text. `renewed(text, table)` puts a table between its marks."""
    source = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    modules = docs["module"]
    made: dict[Path, str] = {}
    by_role: dict[str, dict[str, Option]] = {}
    for role in roles():
        of_role = by_role[role.name] = options(role, source["variables"], modules)
        meta = role.path / "meta" / "argument_specs.yml"
        readme = role.path / "README.md"
        made[meta] = spec(meta.read_text(encoding="utf-8"), of_role)
        main = role.path / "meta" / "main.yml"
        made[main] = galaxy(main.read_text(encoding="utf-8"), made[meta])
        made[role.path / "defaults" / "main.yml"] = defaults(of_role)
        made[readme] = renewed(readme.read_text(encoding="utf-8"), table(of_role))
    unused = source["variables"].keys() - set().union(*by_role.values())
    if unused:
        raise OptionError(f"{SOURCE.name}: no role reads {', '.join(sorted(unused))}")
    # What a role of the collection gives another one is not for users.
    public = {
        name: {key: given for key, given in of_role.items() if key.startswith("dgxspark_")}
        for name, of_role in by_role.items()
    }
    plugins = of_plugins(docs)
    made[NAMES] = names({*plugins, *source["others"]}.union(*public.values()))
    made[PAGE] = page(public, plugins, source["others"])
    return made
