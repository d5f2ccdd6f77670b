# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long recipes take; medians of several runs on this machine, and their share of the target.

    .venv/bin/python tests/benchmarks/bench_recipes.py

With $DGXSPARK_CORPUS, a folder of public recipes, those are taken, else the bundled ones. The
command that looks at one of them stands against sparkrun's, where that can be installed. Nothing is
asserted: a figure says as much about the machine and who else is busy on it.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from functools import partial

from measure import cost_of, in_turn, installed, table

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    estimate_memory,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.cli"
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", "eth1") for i in range(1, 9)]
RUNS = 5


def whole(path: pathlib.Path, mods: str) -> None:
    """Load, validate, resolve and estimate one recipe."""
    recipe = load(str(path))
    validate(recipe, mod_paths=[mods])
    try:
        estimate_memory(resolve(recipe, {}, NODES, mod_paths=[mods]))
    except RecipeError:
        return


def seconds(run: t.Callable[[], object], runs: int = RUNS) -> float:
    taken = []
    for _run in range(runs):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def tell(what: str, took: float, target: float) -> None:
    print(f"{what:52} {took * 1000:9.1f} ms, {took / target:5.2f} of the target {target:g} s")


def main() -> None:
    folder = pathlib.Path(os.environ.get("DGXSPARK_CORPUS") or ROOT / "recipes")
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml"))
    print(f"{len(files)} recipes of {folder}, Python {sys.version.split()[0]}, median of {RUNS}")
    with tempfile.TemporaryDirectory() as made:
        mods = pathlib.Path(made, "eugr")
        many = pathlib.Path(made, "many")
        many.mkdir()
        for path in files:
            for name in load(str(path)).mods:
                (mods / name).mkdir(parents=True, exist_ok=True)
                (mods / name / "run.sh").touch()
        for index in range(500):
            path = files[index % len(files)]
            shutil.copy(path, many / f"{index:03}-{path.stem}.yaml")
        each = [seconds(lambda path=path: whole(path, str(mods))) for path in files]
        tell("load, validate, resolve, estimate: median recipe", statistics.median(each), 0.010)
        tell("load, validate, resolve, estimate: slowest recipe", max(each), 0.010)
        tell("all of them", seconds(lambda: [whole(path, str(mods)) for path in files]), 2.0)
        words = [sys.executable, "-m", PACKAGE, "list", "--path", str(many), "--mods", str(mods)]
        tell(
            "list of 500 recipes, as a command",
            seconds(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)),
            1.5,
        )
        own = [sys.executable, "-m", PACKAGE, "validate", "--mods", str(mods), str(files[0])]
        compare(own, files[0], pathlib.Path(made, "home"))


def compare(own: list[str], recipe: pathlib.Path, home: pathlib.Path) -> None:
    """The command that says what is wrong with one recipe, and sparkrun's, in turn."""
    ours = "validate, as a command"
    commands = {ours: own}
    program = installed("sparkrun==0.4.2")
    if program:
        commands["the same by sparkrun"] = [str(program), "recipe", "validate", str(recipe)]
    # Without its registries, which it would fetch.
    (home / ".config" / "sparkrun").mkdir(parents=True)
    (home / ".config" / "sparkrun" / "registries.yaml").write_text("registries: []\n")
    what = {name: partial(cost_of, words, HOME=str(home)) for name, words in commands.items()}
    table(in_turn(what, RUNS, lambda _round: None), ours, "what is wrong with one recipe")


if __name__ == "__main__":
    main()
