# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan makes of a recipe's mods and hooks: folders of the nodes, and lines of script."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import posixpath
import shlex
import stat
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Hook,
    Mod,
    ResolvedRecipe,
)

# On the nodes, by what is in them; in a container, read-only; there, where they are run.
MODS = "/var/lib/dgxspark/mods"
SEEN_AT = "/opt/dgxspark/mods"
RUN_AT = "/tmp/dgxspark-mods"

_MOD_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class PlacedMod:
    """A mod, and its directory on a node, which is named by its content."""

    mod: Mod
    digest: str

    @property
    def source(self) -> str:
        return posixpath.join(MODS, self.digest)

    @property
    def target(self) -> str:
        return posixpath.join(SEEN_AT, self.digest[:16])


def placed_mods(mods: t.Sequence[Mod]) -> tuple[list[PlacedMod], list[str]]:
    """The mods by what is in their folders, and why some cannot be used."""
    placed, wrong = [], []
    for mod in mods:
        try:
            placed.append(PlacedMod(mod, digest(mod.folder)))
        except (OSError, ValueError) as error:
            wrong.append(f"the mod {mod.name} in {mod.folder} cannot be used: {error}")
    return placed, wrong


def digest(folder: str, limit: int = _MOD_BYTES) -> str:
    """sha256 of all files below a folder by their names. Raises OSError, and ValueError.

    limit: the bytes of all files at most.

    A link counts as what it leads to, within the folder: nothing else of this machine goes along.
    """
    root = os.path.realpath(folder)
    entries = []
    size = 0
    for parent, folders, names in os.walk(folder, followlinks=False):
        for name in [
            *names,
            *(one for one in folders if os.path.islink(os.path.join(parent, one))),
        ]:
            path = os.path.join(parent, name)
            short = os.path.relpath(path, folder)
            if not os.path.realpath(path).startswith(root + os.sep):
                raise ValueError(f"{short} leads out of it")
            about = os.stat(path)
            if not stat.S_ISREG(about.st_mode):
                raise ValueError(f"{short} is no file")
            size += about.st_size
            if size > limit:
                raise ValueError(f"it has more than {limit} bytes")
            with open(path, "rb") as stream:
                entries.append(f"{_sha256(stream)} {short}\0")
    return hashlib.sha256("".join(sorted(entries)).encode()).hexdigest()


def _sha256(stream: t.BinaryIO) -> str:
    total = hashlib.sha256()
    while part := stream.read(1 << 20):
        total.update(part)
    return total.hexdigest()


def before(resolved: ResolvedRecipe, mods: t.Sequence[PlacedMod]) -> str:
    """Lines of bash that apply the mods and run pre_exec; the container ends where one fails.

    A mod runs in a writable copy of its folder, and knows as WORKSPACE_DIR the folder in which the
    server is started, as those that are written for eugr's images expect.
    """
    lines = []
    for index, placed in enumerate(mods):
        folder = f"{RUN_AT}/{index}"
        run = [
            'export WORKSPACE_DIR="$PWD"',
            f"mkdir -p {folder}",
            f"cp -R {placed.target}/. {folder}",
            f"cd {folder}",
            "chmod +x run.sh",
            "./run.sh",
        ]
        lines.append(_or_end("( " + " && ".join(run) + " )", f"the mod {placed.mod.name}"))
    for index, hook in enumerate(resolved.pre_exec, 1):
        lines.append(_or_end(_run(hook), f"pre_exec {index}"))
    return "".join(lines)


def _or_end(command: str, what: str) -> str:
    failed = shlex.quote(f"dgxspark: {what} failed with")
    return f"{command} || {{ code=$?; echo {failed} $code >&2; exit 1; }}\n"


def after(resolved: ResolvedRecipe) -> str:
    """Lines of bash for the head: run post_exec beside the server, once it says it is healthy.

    What they print comes into the container's log; a failure is logged there and ends nothing.
    """
    if not resolved.post_exec:
        return ""
    head = f"/dev/tcp/{resolved.ranks[0].node.address}/{resolved.port}"
    ask = (
        f"exec 3<>{head} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3"
        ' && read -r -t 10 _ code _ <&3 && [ "$code" = 200 ]'
    )
    lines = [f"until timeout 15 bash -c {shlex.quote(ask)} 2> /dev/null; do sleep 2; done"]
    for index, hook in enumerate(resolved.post_exec, 1):
        failed = shlex.quote(f"dgxspark: post_exec {index} failed with")
        lines.append(f"{_run(hook)} || echo {failed} $? >&2")
    return "{ " + "; ".join(lines) + "; } < /dev/null &\n"


def _run(hook: Hook) -> str:
    """In a bash of its own: no variable that it sets, no quote that it leaves open reaches ours."""
    words = ["bash", "-c", hook.command]
    if hook.timeout is not None:
        words = ["timeout", f"{hook.timeout:g}", *words]
    return shlex.join(words)
