# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long recipes take; medians of several runs on this machine, and their share of the target.

    .venv/bin/python tests/benchmarks/bench_recipes.py

With $DGXSPARK_CORPUS, a folder of public recipes, those are read, else the bundled ones. Listing,
showing and validating, as a playbook and as a command, are compared with sparkrun's commands, where
that can be installed. Nothing is asserted: a figure says as much about the machine and its load.
"""

from __future__ import annotations

import json
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


def complete(path: pathlib.Path, mods: str) -> None:
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


def report(what: str, took: float, target: float) -> None:
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
        each = [seconds(lambda path=path: complete(path, str(mods))) for path in files]
        report("load, validate, resolve, estimate: median recipe", statistics.median(each), 0.010)
        report("load, validate, resolve, estimate: slowest recipe", max(each), 0.010)
        report("all of them", seconds(lambda: [complete(path, str(mods)) for path in files]), 2.0)
        words = [sys.executable, "-m", PACKAGE, "list", "--path", str(many), "--mods", str(mods)]
        report(
            "list of 500 recipes, as a command",
            seconds(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)),
            1.5,
        )
        compare(pathlib.Path(made))


def compare(folder: pathlib.Path) -> None:
    """The playbook, our command and sparkrun's, in turn, over the recipes of this collection."""
    program = installed("sparkrun==0.4.2")
    recipe = ROOT / "recipes" / "qwen3-8b-sglang.yaml"
    playbook = [
        str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
        *("-i", str(ROOT / "inventories" / "dual_spark")),
        str(ROOT / "playbooks" / "recipes.yml"),
    ]
    command = [sys.executable, "-m", PACKAGE]
    home = _home(folder, program)
    for what, words, options, theirs in (
        ("list", ["list"], [], ["list"]),
        # Its estimate of memory asks the Hugging Face Hub; ours is part of what is shown.
        ("show", ["show", recipe.stem], ["-e", f"show={recipe.stem}"], ["show", "--no-vram"]),
        ("validate", ["validate", recipe.stem], ["-e", f"validate={recipe.stem}"], ["validate"]),
    ):
        ours = f"{what}, the playbook"
        commands = {ours: [*playbook, *options], f"{what}, the command": [*command, *words]}
        if program:
            argument = [] if what == "list" else [str(recipe)]
            commands[f"{what}, sparkrun"] = [str(program), "recipe", *theirs, *argument]
        yardstick = f"{what}, sparkrun" if program else ours
        runs = {name: partial(cost_of, argv, HOME=str(home)) for name, argv in commands.items()}
        table(in_turn(runs, RUNS, lambda _round: None), yardstick, f"{what}: recipes")


def _home(folder: pathlib.Path, program: pathlib.Path | None) -> pathlib.Path:
    """A home in which sparkrun knows the recipes of this collection, and no other registry."""
    home, upstream = folder / "home", folder / "registry"
    shutil.copytree(ROOT / "recipes", upstream / "recipes")
    git = ["git", "-C", str(upstream), "-c", "user.name=bench", "-c", "user.email=b@host.example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "recipes"]):
        subprocess.run([*git, *words], check=True)
    (home / ".config" / "sparkrun").mkdir(parents=True)
    registry = {"name": "local", "url": f"file://{upstream}", "subpath": "recipes"}
    configuration = json.dumps({"config_version": 1, "registries": [registry]})
    (home / ".config" / "sparkrun" / "registries.yaml").write_text(configuration)
    if program:
        subprocess.run(
            [program, "registry", "update", "local"],
            env={**os.environ, "HOME": str(home)},
            check=False,
            capture_output=True,
        )
    return home


if __name__ == "__main__":
    main()
