# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plans of the bundled recipes would start, read by the real parsers of vLLM and SGLang.

The words are those that a container's bash hands to the server, taken at its place by a script;
values for a GPU have to be read on a machine without one, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab import ROOT, on_node

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

IMAGE = "dgxspark-lab/vllm:cpu"
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", "eth1") for i in range(1, 9)]

VLLM = """
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.utils.argparse_utils import FlexibleArgumentParser

serve = ServeSubcommand()
parser = FlexibleArgumentParser()
serve.subparser_init(parser.add_subparsers(required=True, dest="subparser"))


def read(words):
    serve.validate(parser.parse_args(words[1:]))
"""
SGLANG = """
import argparse
from sglang.srt.server_args import ServerArgs

parser = argparse.ArgumentParser()
ServerArgs.add_cli_args(parser)


def read(words):
    parser.parse_args(words[words.index("sglang.launch_server") + 1:])
"""
# Reads {name: words} and says {name: what is wrong with them}.
READER = """
import contextlib, io, json
found = {}
for name, words in json.loads(WORDS).items():
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            read(words)
        found[name] = ""
    except SystemExit:
        found[name] = said.getvalue()[-500:] or "it ends"
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
print("\\nREAD " + json.dumps(found))
"""


@dataclass(frozen=True)
class Server:
    """A server whose parser is there.

    program: the word that starts it. overrides: each makes a plan of each recipe, which may have
    two nodes. options: of the container with its parser. wrong: what no such server takes.
    """

    runtimes: tuple[str, ...]
    program: str
    reader: str
    wrong: Sequence[Sequence[str]]
    overrides: tuple[dict[str, Any], ...] = ({},)
    options: tuple[str, ...] = ()


SERVERS = {
    "vllm": Server(
        ("", "vllm", "vllm-ray", "vllm-distributed", "eugr-vllm"),
        "vllm",
        VLLM,
        [
            ["vllm", "serve", "m", "--max-modle-len", "9"],
            ["vllm", "serve", "m", "--kv-cache-dtype", "fq8"],
        ],
    ),
    "sglang": Server(
        ("sglang",),
        "python3",
        SGLANG,
        [
            ["python3", "-m", "sglang.launch_server", "--model-path", "m", "--nnodez", "2"],
            ["python3", "-m", "sglang.launch_server", "--model-path", "m", "--nnodes", "two"],
        ],
        ({}, {"tensor_parallel": 2}),
        ("--volume=/opt/sglang:/opt/sglang:ro", "--env=PYTHONPATH=/opt/sglang"),
    ),
}


def started(rank: dict[str, Any], program: str, folder: Path) -> list[list[str]]:
    """The words with which the script of a rank starts its server; Ray does nothing."""
    shims = folder / "bin"
    shims.mkdir(parents=True)
    said = folder / "said"
    recorder = f"#!{sys.executable}\nimport json, sys\n"
    recorder += f"print(json.dumps([{program!r}, *sys.argv[1:]]), file=open({str(said)!r}, 'a'))\n"
    quiet = {"ray": "#!/bin/sh\n", "python3": "#!/bin/sh\n"}
    for name, text in {**quiet, program: recorder}.items():
        (shims / name).write_text(text, encoding="utf-8")
        (shims / name).chmod(0o755)
    environment = {**rank["env"], "PATH": f"{shims}:/usr/bin:/bin", "HOME": str(folder)}
    subprocess.run(
        [*rank["entrypoint"], *rank["argv"]], env=environment, cwd=folder, check=True, timeout=60
    )
    return [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]


class Asked:
    """A server's parser, and what it says of all recipes for it."""

    def __init__(self, server: Server, make_folder: Any) -> None:
        self.server = server
        self.commands: dict[str, list[str]] = {}
        self.recipes: set[str] = set()
        for path in RECIPES:
            recipe = load(str(path))
            if (recipe.runtime or "") not in server.runtimes:
                continue
            self.recipes.add(recipe.name)
            wider = make_folder("wider") / path.name
            text = path.read_text(encoding="utf-8")
            wider.write_text(text.replace("max_nodes: 1", "max_nodes: 2"), encoding="utf-8")
            for overrides in server.overrides:
                plan = build_plan(resolve(load(str(wider)), overrides, NODES), Settings())
                for rank in plan["ranks"]:
                    # A worker of Ray runs no server.
                    if not rank["server_argv"]:
                        continue
                    name = f"{recipe.name} {overrides} rank {rank['rank']}"
                    folder = make_folder("rank") / "home"
                    (words,) = started(rank, server.program, folder)
                    assert words == rank["server_argv"], name
                    self.commands[name] = words
        self.verdicts = self._ask()

    def _ask(self) -> dict[str, str]:
        words = {**self.commands, **{str(at): one for at, one in enumerate(self.server.wrong)}}
        program = f"WORDS = {json.dumps(words)!r}\n{self.server.reader}{READER}"
        run = ["docker", "run", "--rm", "--interactive", "--network=none", "--entrypoint=python3"]
        done = subprocess.run(
            [
                *("docker", "exec", "--interactive", "spark1"),
                *(*run, *self.server.options, IMAGE, "-"),
            ],
            input=program,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("READ ")]
        assert lines, done.stderr[-2000:]
        return dict(json.loads(lines[-1][5:]))


@pytest.fixture(scope="module", params=["vllm", pytest.param("sglang", marks=pytest.mark.long)])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if request.param == "sglang":
        subprocess.run([sys.executable, ROOT / "tests/lab/lab.py", "sglang"], check=True)
    yield Asked(SERVERS[request.param], tmp_path_factory.mktemp)
    if request.param == "sglang":
        on_node("spark1", "rm -rf /opt/sglang")


def test_the_parser_takes_every_command(asked: Asked) -> None:
    assert asked.commands
    assert {name: asked.verdicts[name] for name in asked.commands if asked.verdicts[name]} == {}


def test_the_parser_was_really_asked(asked: Asked) -> None:
    for at, _words in enumerate(asked.server.wrong):
        assert "error" in asked.verdicts[str(at)]


def test_every_recipe_is_for_a_server_that_was_asked_or_tried() -> None:
    known = {runtime for server in SERVERS.values() for runtime in server.runtimes}
    runtimes = {load(str(path)).runtime or "" for path in RECIPES}
    # test_llama_cpp.py starts the server itself; the command of any other image is its own affair.
    assert runtimes - known == {"llama-cpp", "container"}
