# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rendered vLLM command says, and what has to be added to it for one rank of a launch."""

from __future__ import annotations

import functools
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell

# vLLM's own default (vllm serve --help).
DEFAULT_PORT = 8000

TENSOR = ("-tp", "--tensor-parallel-size")
PIPELINE = ("-pp", "--pipeline-parallel-size")
DATA = ("-dp", "--data-parallel-size")
BACKEND = ("--distributed-executor-backend",)
SERVED_NAME = ("--served-model-name",)
PORT = ("--port",)
HOST = ("--host",)
# Flags whose value is a secret -> the variable that does the same.
SECRET_FLAGS = {"--api-key": "VLLM_API_KEY", "--hf-token": "HF_TOKEN"}
# Flags with which the server does not answer at http://<address>:<port>/.
ELSEWHERE_FLAGS = ("--ssl-keyfile", "--ssl-certfile", "--root-path", "--uds")
# One value per rank: only the plan can know them.
RANK_FLAGS = ("--nnodes", "-n", "--node-rank", "-r", "--master-addr", "--master-port", "--headless")

_BACKEND_IN_TEXT = re.compile(
    r"\s--distributed[-_]executor[-_]backend(?:=|(?:\s|\\\n)+)(['\"]?)[\w.]+\1(?=\s|$)"
)


class CommandError(ValueError):
    """The command has a shape whose server cannot be made process 1 or given further flags."""


class Server(t.NamedTuple):
    """A rendered command, split before its last statement, which starts the server."""

    before: str
    text: str
    words: tuple[str, ...]

    def flag(self, names: t.Sequence[str]) -> str | None:
        """The value of a flag ("" for one without value), None if absent; the last one counts.

        vLLM takes `--a-b`, `--a_b`, `--a-b=v` and `--a-b v` for the same.
        """
        said = _flags_of(self.words)
        found = [said[name] for name in names if name in said]
        return max(found)[1] if found else None

    def flags(self) -> t.Iterator[tuple[str, str]]:
        """Each long flag as it stands, with - for _, and its value ("" for none)."""
        for position, word in enumerate(self.words):
            if not word.startswith("--"):
                continue
            name, equals, value = word.partition("=")
            following = self.words[position + 1] if position + 1 < len(self.words) else ""
            yield (
                name.replace("_", "-"),
                (value if equals else "" if following.startswith("-") else following),
            )

    def with_flags(self, flags: t.Sequence[str]) -> Server:
        text = " ".join([self.text, *(shell.quote(flag, shell.Context.PLAIN) for flag in flags)])
        return self._replace(text=text, words=(*self.words, *flags))

    def without_backend(self) -> Server:
        text = shell.tidy(_BACKEND_IN_TEXT.sub(" ", self.text))
        return self._replace(text=text, words=tuple(shell.words(text)))

    def script(self) -> str:
        """The whole command, its server replacing the shell."""
        return self.before + shell.with_exec(self.text)


@functools.lru_cache(maxsize=256)
def _flags_of(words: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Each flag's last place among the words, and its value there."""
    said = {}
    for position, word in enumerate(words):
        if not word.startswith("-"):
            continue
        name, equals, value = word.partition("=")
        following = words[position + 1] if position + 1 < len(words) else ""
        said[name.replace("_", "-") if name.startswith("--") else name] = (
            position,
            value if equals else "" if following.startswith("--") else following,
        )
    return said


@functools.lru_cache(maxsize=256)
def split_server(
    command: str,
    starts: t.Callable[[t.Sequence[str]], bool] | None = None,
    example: str = "vllm serve",
) -> Server:
    """Split a rendered command. Raises CommandError with what is expected and what was found.

    starts: whether words start the server, vLLM's by default; example: how they would.
    """
    open_quote = shell.unterminated(command)
    if open_quote:
        raise CommandError(f"{open_quote.value} are opened and never closed")
    parts = shell.statements(command)
    if not parts:
        raise CommandError("there is nothing but comments in it")
    last = parts[-1]
    if last.operator in ("|", "|&"):
        raise CommandError(
            "the server's output goes through a pipe, so that its end would not be seen"
        )
    if last.start == last.end:
        raise CommandError(
            "the server is started in the background (&), so that its end would not be seen"
        )
    text = command[last.start : last.end]
    try:
        words = shell.words(text)
    except ValueError as exc:
        raise CommandError(f"its last statement cannot be split into words: {exc}") from exc
    if words[:1] == ["exec"]:
        words = words[1:]
    plain = [
        char for char, where in zip(text, shell.contexts(text)) if where is shell.Context.PLAIN
    ]
    if not (starts or is_server)(words) or plain.count("(") != plain.count(")"):
        raise CommandError(
            f"its last statement must start the server with `{example}`, but is {text[:60]!r}"
        )
    return Server(command[: last.start], text, tuple(words))


def is_server(words: t.Sequence[str]) -> bool:
    """Whether these words start vLLM's OpenAI server."""
    if not words:
        return False
    program = words[0].rpartition("/")[2]
    if program == "vllm":
        return list(words[1:2]) == ["serve"]
    return program.startswith("python") and list(words[1:3]) == [
        "-m",
        "vllm.entrypoints.openai.api_server",
    ]
