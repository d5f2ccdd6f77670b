# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plans of the bundled recipes would start, read by the parser of the real vLLM.

The words are those that a container's bash hands to vLLM, taken at its place by a script; values
for a GPU have to be read on a machine without one, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab import ROOT

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.load import load
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import Node
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.plan import Settings, build_plan
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.resolve import resolve

IMAGE = "dgxspark-lab/vllm:cpu"
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", "eth1") for i in range(1, 9)]

# Reads {name: words} and says {name: what is wrong with them}.
READER = """
import contextlib, io, json, sys
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.utils.argparse_utils import FlexibleArgumentParser

serve = ServeSubcommand()
parser = FlexibleArgumentParser()
serve.subparser_init(parser.add_subparsers(required=True, dest="subparser"))
found = {}
for name, words in json.loads(WORDS).items():
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            serve.validate(parser.parse_args(words[1:]))
        found[name] = ""
    except SystemExit:
        found[name] = said.getvalue()[-500:] or "it ends"
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
print("\\nREAD " + json.dumps(found))
"""

NOT_OF_VLLM = {
    "an option that is misspelt": ["vllm", "serve", "m", "--max-modle-len", "9"],
    "a value that is none": ["vllm", "serve", "m", "--kv-cache-dtype", "fq8"],
}


def started(rank: dict[str, Any], folder: Path) -> list[list[str]]:
    """The words with which the script of a rank starts vLLM; Ray is there, and does nothing."""
    shims = folder / "bin"
    shims.mkdir(parents=True)
    said = folder / "said"
    recorder = f"#!{sys.executable}\nimport json, sys\n"
    recorder += f"print(json.dumps(['vllm', *sys.argv[1:]]), file=open({str(said)!r}, 'a'))\n"
    texts = {"vllm": recorder, "ray": "#!/bin/sh\n", "python3": "#!/bin/sh\n"}
    for name, text in texts.items():
        (shims / name).write_text(text, encoding="utf-8")
        (shims / name).chmod(0o755)
    environment = {**rank["env"], "PATH": f"{shims}:/usr/bin:/bin", "HOME": str(folder)}
    subprocess.run(
        [*rank["entrypoint"], *rank["argv"]], env=environment, cwd=folder, check=True, timeout=60
    )
    return [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Recipe and rank -> words, for every rank that starts vLLM."""
    found = {}
    for path in RECIPES:
        recipe = load(str(path))
        plan = build_plan(resolve(recipe, {}, NODES), Settings())
        for rank in plan["ranks"]:
            if rank["server_argv"][:1] != ["vllm"]:
                continue
            name = f"{recipe.name} rank {rank['rank']}"
            (words,) = started(rank, tmp_path_factory.mktemp("rank") / "home")
            assert words == rank["server_argv"], name
            found[name] = words
    return found


@pytest.fixture(scope="module")
def verdicts(commands: dict[str, list[str]]) -> dict[str, str]:
    words = {**commands, **NOT_OF_VLLM}
    program = f"WORDS = {json.dumps(words)!r}\n{READER}"
    run = ["docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python3"]
    done = subprocess.run(
        ["docker", "exec", "--interactive", "spark1", *run, IMAGE, "-"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("READ ")]
    assert lines, done.stderr[-2000:]
    return dict(json.loads(lines[-1][5:]))


def test_every_recipe_for_vllm_is_there(commands: dict[str, list[str]]) -> None:
    other = ("sglang", "llama-cpp")
    expected = {path.stem for path in RECIPES if load(str(path)).runtime not in other}
    assert {name.partition(" rank ")[0] for name in commands} == expected
    assert len(expected) > 5


def test_the_parser_of_vllm_takes_every_command(
    commands: dict[str, list[str]], verdicts: dict[str, str]
) -> None:
    assert {name: verdicts[name] for name in commands if verdicts[name]} == {}


@pytest.mark.parametrize("name", NOT_OF_VLLM)
def test_the_parser_was_really_asked(name: str, verdicts: dict[str, str]) -> None:
    assert "error" in verdicts[name]
