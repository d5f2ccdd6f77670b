# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Run modules of this collection in another Python interpreter, without leaving a file there.

The modules travel on standard input, so that it makes no difference whether they come from a
checkout or from the archive in which Ansible sends a module, or whether the other interpreter lives
in a virtual environment or in a container. The answer comes back as JSON between two marks, so
that whatever the interpreter prints besides (a .pth file, a sitecustomize, an import) is harmless.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    BASE_ENVIRONMENT,
    Result,
    run,
)

Sources = Mapping[str, str]

_COLLECTION = __name__.rpartition(".plugins.")[0] + ".plugins."

# One line of its own; the last such line counts.
_FRAME = "\n<<<dgxspark %s dgxspark>>>\n"
_FRAMED = re.compile(r"^<<<dgxspark (.*) dgxspark>>>$", re.MULTILINE)

_BOOTSTRAP = """\
import json, sys, types
sources = json.loads(%r)
for name in sources:
    while name and name not in sys.modules:
        module = sys.modules[name] = types.ModuleType(name)
        module.__path__ = []
        name = name.rpartition(".")[0]
for name, source in sources.items():
    exec(compile(source, name, "exec"), sys.modules[name].__dict__)
sys.modules[%r].answer(json.loads(%r), sources)
"""


def sources_of(names: Sequence[str]) -> dict[str, str]:
    """The text of loaded modules by name; in an order in which each finds what it imports."""
    texts = {}
    for name in (foreign.__name__, *names):  # it is imported here, which all of them import
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec else None
        texts[name] = loader.get_source(name)
    return texts


def imports_of(name: str) -> list[str]:
    """A module of this collection after all that it imports of it, as sources_of needs them."""
    order: list[str] = []
    _follow(name, order)
    return order


def _follow(name: str, order: list[str]) -> None:
    if name in order:
        return
    for node in ast.walk(ast.parse(sources_of([name])[name])):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_COLLECTION):
            for alias in node.names:
                inner = "%s.%s" % (node.module, alias.name)
                _follow(inner if _is_module(inner) else str(node.module), order)
    order.append(name)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module and no package
        return False


def ask(
    argv: Sequence[str],
    sources: Sources,
    request: Mapping[str, Any],
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any] | None, Result]:
    """Have the last of sources answer the request in the interpreter that argv starts.

    That module's answer(request, sources) is called, and is expected to reply(). The first part
    is None without a complete reply; the Result then has the reason.
    """
    result = run([*argv, "-B", "-"], timeout, stdin=_program(sources, request), env=env)
    return _parse(result.stdout), result


def detach(
    argv: Sequence[str],
    words: Sequence[str],
    sources: Sources,
    request: Mapping[str, Any],
    log: IO[str],
) -> int:
    """As `ask`, but nobody waits: the process id. It outlives the caller, and writes to log.

    words: what a list of processes shows after the interpreter.
    """
    # It outlives this module, which AnsibleModule's own way of running does not allow.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
        [*argv, "-B", "-", *words],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=dict(BASE_ENVIRONMENT),
        cwd="/",
        start_new_session=True,
        text=True,
    )
    with process.stdin or log as stream:
        stream.write(_program(sources, request))
    return process.pid


def _program(sources: Sources, request: Mapping[str, Any]) -> str:
    *_others, entry = sources
    return _BOOTSTRAP % (json.dumps(dict(sources)), entry, json.dumps(request))


def reply(answer: Mapping[str, Any]) -> None:
    """Hand the answer back to the one who asked."""
    sys.stdout.write(_FRAME % json.dumps(answer))
    sys.stdout.flush()


def _parse(stdout: str) -> dict[str, Any] | None:
    framed = _FRAMED.findall(stdout)
    try:
        answer = foreign.json_of(framed[-1]) if framed else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
