# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes at a shell's prompt, without Ansible: list, show, validate, memory, schema."""

from __future__ import annotations

import argparse
import json
import os
import sys
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import BUNDLED
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError


def main(arguments: t.Sequence[str] | None = None) -> int:
    """0: no error; 1: a recipe has errors; 2: it cannot be found or read, or wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RecipeError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--path", action="append", default=[], help="folder with recipes")
    common.add_argument("--mods", action="append", default=[], help="folder with mods")
    common.add_argument("--hf-home", default="", help="Hugging Face cache to look for models in")
    common.add_argument("--node-gib", type=float, default=121.0, help="memory of a node, in GiB")
    common.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(prog="recipe", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: t.Callable[..., int], what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=what)
        added.set_defaults(run=run)
        return added

    command("list", _list, "every recipe, one line each")
    for name, run, what in (
        ("show", _show, "one recipe in full"),
        ("memory", _memory, "what a recipe needs on each node"),
    ):
        added = command(name, run, what)
        added.add_argument("recipe")
        added.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE")
    added = command("validate", _validate, "what is wrong with recipes")
    added.add_argument("recipe", nargs="+", help="names or paths; all: every recipe")
    added.add_argument("--strict", action="store_true", help="warnings fail too")
    commands.add_parser("schema", help="the format as JSON Schema").set_defaults(run=_schema)
    return parser


def _context(options: argparse.Namespace) -> t.Any:
    # Imported late: the schema needs none of it.
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context

    return Context(
        search_paths=[*options.path, BUNDLED],
        mod_paths=options.mods,
        hf_home=options.hf_home,
        node_gib=options.node_gib,
    )


def _print(options: argparse.Namespace, data: t.Any, lines: t.Iterable[str]) -> None:
    if options.json:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")
    else:
        sys.stdout.write("\n".join(lines) + "\n")


def _list(options: argparse.Namespace) -> int:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import listing

    rows = listing.rows(_context(options))
    _print(options, rows, listing.table(rows))
    return 0


def _details(options: argparse.Namespace) -> dict[str, t.Any]:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import listing
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
        parse_overrides,
    )

    context = _context(options)
    recipe = load(options.recipe, context.search_paths)
    return listing.details(recipe, context, parse_overrides(options.override))


def _show(options: argparse.Namespace) -> int:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import listing

    shown = _details(options)
    _print(options, shown, listing.details_lines(shown))
    return 0


def _memory(options: argparse.Namespace) -> int:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import listing

    shown = _details(options)
    _print(options, shown["memory"], listing.memory_lines(shown["memory"]))
    return 0 if shown["memory"] else 1


def _validate(options: argparse.Namespace) -> int:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import validation

    context = _context(options)
    results = validation.validated(options.recipe, context)
    _print(options, results, validation.validated_lines(results))
    return 1 if any(validation.fails(result, options.strict) for result in results) else 0


def _schema(_options: argparse.Namespace) -> int:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.schema import (
        schema_text,
    )

    sys.stdout.write(schema_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
