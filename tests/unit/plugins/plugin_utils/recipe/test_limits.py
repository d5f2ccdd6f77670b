# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes that are made to take time or memory, or are no files, hold up no listing."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import listing, validation
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    Place,
    find,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    RecipeError,
    RecipeNotFound,
)

# Seconds of processor for a list and a validation; they take 0.0 to 0.6 on an idle machine.
LIMIT = 2.0
LONG = 60_000  # a little less than the longest command
LARGE = 250_000  # a little less than the largest file
MANY = 1900  # a little less than the most entries of a map

HEAD = "model: org/m\nruntime: vllm\ncontainer: org/i:1\n"
PLAIN = HEAD + "command: 'vllm serve {model}'\n"


def defaults(**values: str) -> str:
    """A recipe with these defaults, each a text of YAML, whose command asks for a0."""
    listed = ", ".join(f"{name}: {value}" for name, value in values.items())
    return HEAD + f"defaults: {{port: 8000, {listed}}}\ncommand: 'vllm serve {{model}} {{a0}}'\n"


def bomb(last: str, blank: str = "") -> str:
    """Nine values of ten references each to the next."""
    levels = {f"a{i}": f"'{(f'{{a{i + 1}}}' + blank) * 10}'" for i in range(9)}
    return defaults(**levels, **({"a9": last} if last else {}))


def command(text: str) -> str:
    return HEAD + f"command: 'vllm serve {{model}} {text}'\n"


SHAPES = {
    "a bomb": bomb("xxxxxxxxxx"),
    "a bomb of nothing": bomb("''"),
    "a bomb of words": bomb("x", " "),
    "a bomb that goes round": bomb("'{a0}'"),
    "a bomb without an end": bomb(""),
    "a bomb of lists": defaults(
        **{f"a{i}": "[" + ", ".join([f"'{{a{i + 1}}}'"] * 10) + "]" for i in range(9)}, a9="x"
    ),
    "a bomb in hooks": bomb("x").replace("{model} {a0}", "{model}") + "pre_exec: 'echo {a0}'\n",
    "a chain": defaults(**{f"a{i}": f"'{{a{i + 1}}}'" for i in range(MANY)}),
    "a long value, often": defaults(a0="x" * LONG).replace("{a0}", "{a0}" * 1000),
    "a long value in many hooks": defaults(a0="x" * LONG)
    + "pre_exec: ["
    + ", ".join(["'echo {a0}'"] * MANY)
    + "]\n",
    "assignments": HEAD + f"command: '{'X=1 ' * (LONG // 4)} vllm serve {{model}}'\n",
    "too many assignments": HEAD + f"command: '{'X=1 ' * (LARGE // 4)} vllm serve {{model}}'\n",
    "blanks": command(" " * LONG + "x"),
    "braces": command("{ " * (LONG // 2)),
    "statements": command("&& x " * (LONG // 5)),
    "quotes": command("\"''\" " * (LONG // 7)),
    "substitutions": command("$(" * (LONG // 2)),
    "flags": command("--a b " * (LONG // 6)),
    "unknown flags": command(" ".join(f"--n{i}-m b" for i in range(LONG // 11))),
    "one flag often": command("--max-num-seqs 4 " * (LONG // 17)),
    "words": command("b " * (LONG // 2)),
    "digits in the command": command(f"--gpu-memory-utilization {'1' * LONG}x"),
    "digits with a unit": command(f"--max-model-len {'1' * LONG}x"),
    "quotes in JSON": command("--hf-overrides ''{" + '"' * (LONG // 2) + "''"),
    "JSON": command("--hf-overrides ''" + "[" * (LONG // 2) + "''"),
    "here-documents": HEAD
    + f"command: |\n  cat {'<<E ' * (LONG // 6)}\n  x\n  vllm serve {{model}}\n",
    "compound commands": HEAD
    + "command: |\n"
    + "  if true\n" * (LONG // 10)
    + "  vllm serve {model}\n",
    "expansions": command('"${a:-' * (LONG // 6)),
    "continued lines": HEAD
    + "command: |\n  vllm serve {model}"
    + " \\\n  --a b" * (LONG // 9)
    + "\n",
    "unknown names": command(" ".join(f"{{n{i}}}" for i in range(LONG // 9))),
    "a long name": command("{" + "ab-c.d_e0" * (LONG // 9) + "}"),
    "unused defaults": HEAD
    + "defaults: {"
    + ", ".join(f"max_num_seq{i}: 1" for i in range(MANY))
    + "}\ncommand: vllm serve {model}\n",
    "unknown fields": PLAIN + "".join(f"defaultx{i}: 1\n" for i in range(MANY)),
    "variables": PLAIN + "env: {" + ", ".join(f"A{i}: b" for i in range(MANY)) + "}\n",
    "a key": PLAIN + f"description: '{'-----BEGIN A' * (LARGE // 12)}'\n",
    "an address": PLAIN + f"env: {{A: '{'http://a' * (LARGE // 8)}'}}\n",
    "one letter": PLAIN + f"env: {{A: '{'a' * LARGE}'}}\n",
    "a long model": PLAIN.replace("org/m", f"org/{'1' * LARGE}"),
    "a long image": PLAIN.replace("org/i:1", "'" + "a._-" * (LARGE // 4) + ":'"),
    "volumes": PLAIN + "volumes: [" + ", ".join(f"'/a/b{i}:/c{i}'" for i in range(MANY)) + "]\n",
    "a long volume": PLAIN + f"volumes: ['{'/a' * (LARGE // 2)}:/b']\n",
    "mods": PLAIN + "mods: [" + ", ".join(f"m{i}" for i in range(MANY)) + "]\n",
    "nodes": PLAIN + "min_nodes: 99999\n",
    "digits": PLAIN + f"metadata: {{model_params: '1e{'9' * 4000}', num_layers: {'9' * 4000}}}\n",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_no_recipe_takes_long(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "shape.yaml").write_text(text, encoding="utf-8")
    context = Context([str(tmp_path)])
    start = time.process_time()
    (row,) = listing.rows(context)
    (result,) = validation.validated(["all"], context)
    assert time.process_time() - start < LIMIT
    assert (row["name"], result["name"]) == ("shape", "shape")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a bomb", "value-too-long"),
        ("a bomb of nothing", "value-too-deep"),
        ("a chain", "value-too-deep"),
        ("a long value, often", "command-too-long"),
        ("a long value in many hooks", "command-too-long"),
        ("too many assignments", "command-too-long"),
    ],
)
def test_what_grows_without_end_is_an_error(tmp_path: pathlib.Path, name: str, code: str) -> None:
    (tmp_path / "shape.yaml").write_text(SHAPES[name], encoding="utf-8")
    (result,) = validation.validated(["shape"], Context([str(tmp_path)]))
    assert code in {issue["code"] for issue in result["issues"] if issue["severity"] == "error"}


def test_many_such_recipes_take_little_memory(tmp_path: pathlib.Path) -> None:
    """What was parsed of one recipe is not kept for all of them."""
    for index in range(40):
        text = SHAPES["assignments"].replace("org/m", f"org/m{index}")
        (tmp_path / f"r{index}.yaml").write_text(text, encoding="utf-8")
    script = (
        "import resource\n"
        f"from {listing.__name__} import rows\n"
        f"from {Context.__module__} import Context\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"assert len(rows(Context([{str(tmp_path)!r}]))) == 40\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100 * 1024  # KiB


@pytest.fixture
def odd(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A folder with a recipe and with what only has the name of one."""
    (tmp_path / "good.yaml").write_text(PLAIN, encoding="utf-8")
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml" / "inner.yaml").write_text(PLAIN, encoding="utf-8")
    (tmp_path / "null.yaml").symlink_to("/dev/zero")
    (tmp_path / "lost.yaml").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            listening.bind("socket.yaml")
        finally:
            os.chdir(here)
        yield tmp_path


def test_what_is_no_file_is_skipped_with_a_word(odd: pathlib.Path) -> None:
    rows = {row["name"]: row for row in listing.rows(Context([str(odd)]))}
    assert set(rows) == {"good", "fifo", "folder", "null", "lost", "socket"}
    assert rows.pop("good")["errors"] == 0
    assert all(str(odd / f"{name}.yaml") in row["error"] for name, row in rows.items())
    results = {result["name"]: result for result in validation.validated(["all"], Context([odd]))}
    assert {name for name, result in results.items() if result["errors"]} == set(rows)
    assert stat.S_ISFIFO((odd / "fifo.yaml").stat().st_mode)


@pytest.mark.parametrize("name", ["fifo", "folder", "null", "socket"])
def test_what_is_no_file_cannot_be_loaded(odd: pathlib.Path, name: str) -> None:
    with pytest.raises(RecipeError, match=rf"{name}\.yaml"):
        load(name, [str(odd)])


@pytest.mark.parametrize("way", ["file", "folder"])
def test_a_link_out_of_a_registry_is_not_read_by_its_path_either(
    tmp_path: pathlib.Path, way: str
) -> None:
    registry, outside = tmp_path / "registry", tmp_path / "outside"
    registry.mkdir()
    outside.mkdir()
    (outside / "mine.yaml").write_text(PLAIN, encoding="utf-8")
    (registry / "link.yaml").symlink_to(outside / "mine.yaml")
    (registry / "folder").symlink_to(outside)
    place = Place(str(registry), "evil", trusted=False, root=str(registry))
    path = registry / ("link.yaml" if way == "file" else "folder/mine.yaml")
    with pytest.raises(RecipeNotFound, match="leads out of the registry evil"):
        find(str(path), [place])
    assert find(str(outside / "mine.yaml"), [place]).place is None
