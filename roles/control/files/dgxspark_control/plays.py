# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook of each job, its variables, and the command that a person types for it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dgxspark_control.config import Config

# Kinds that change a service: one of them at a time, and none of them is cancelled.
CHANGES = frozenset({"swap", "stop", "start", "restart", "update", "reapply"})
# Of a token, in a command that is displayed.
_TOKEN = "TOKEN"
_SECRET = frozenset({"lock_token"})
# The actions of services.yml; start is that of a service that does not run.
AGAIN = {"start": "reapply", "restart": "restart", "update": "update", "reapply": "reapply"}

Variables = Mapping[str, Any]


@dataclass(frozen=True)
class Play:
    """A run of a playbook of this collection.

    variables: as of -e. unshown: further ones that no person types, such as where a report goes.
    words: further options of ansible-playbook.
    """

    kind: str
    playbook: str
    variables: Variables = field(default_factory=dict)
    words: tuple[str, ...] = ()
    unshown: Variables = field(default_factory=dict)
    service: str = ""
    subject: str = ""
    owner: str = ""


def command(play: Play, config: Config) -> str:
    """What a person types for it, as one line for a shell."""
    words = ["ansible-playbook"]
    for inventory in config.inventory:
        words += ["-i", inventory]
    words.append(f"dgxspark.suite.{play.playbook}")
    for name, value in play.variables.items():
        words += ["-e", _word(name, value)]
    return shlex.join([*words, *play.words])


def _word(name: str, value: Any) -> str:
    if name in _SECRET:
        return f"{name}={_TOKEN}"
    if value is True:
        return f"{name}=true"
    if isinstance(value, str) and value and not set(value) & set(" '\"\\={}\n\t"):
        return f"{name}={value}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{name}={value}"
    return json.dumps({name: value}, ensure_ascii=False)


def extra_vars(play: Play, config: Config) -> dict[str, Any]:
    """The file of variables: strings in it are not templates, but those of the settings."""
    given = {**play.variables, **play.unshown}
    return {**config.variables, **{name: unsafe(value) for name, value in given.items()}}


def unsafe(value: Any) -> Any:
    """The value as JSON of which Ansible takes no string for a template; keys have to be plain."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value}
    if isinstance(value, Mapping):
        return {key: unsafe(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [unsafe(one) for one in value]
    return value


def _given(**variables: Any) -> dict[str, Any]:
    """Those that say something."""
    return {name: value for name, value in variables.items() if value}


def launch(
    recipe: str,
    back: bool,
    service: str,
    nodes: Sequence[str] = (),
    overrides: Variables | None = None,
    *,
    check: bool = False,
    owner: str = "",
    token: str = "",
    force: bool = False,
) -> Play:
    """A launch of a recipe, or of what was proven before. check: only the plan."""
    variables = _given(
        recipe=recipe,
        back=back,
        service=service,
        nodes=",".join(nodes),
        overrides=dict(overrides or {}),
        dgxspark_owner=owner,
        lock_token=token,
        force=force,
    )
    subject = recipe or "what was proven before"
    words = ("--check",) if check else ()
    kind = "validate" if check else "swap"
    return Play(kind, "launch", variables, words, {}, service, subject, owner)


def stop(service: str, *, owner: str = "", token: str = "", force: bool = False) -> Play:
    """A stop of one service."""
    variables = _given(service=service, dgxspark_owner=owner, lock_token=token, force=force)
    return Play("stop", "stop", variables, service=service, subject=service, owner=owner)


def again(
    action: str, service: str, *, owner: str = "", token: str = "", force: bool = False
) -> Play:
    """An action on a service, one of AGAIN."""
    variables = {
        "again": AGAIN[action],
        **_given(service=service, dgxspark_owner=owner, lock_token=token, force=force),
    }
    return Play(action, "services", variables, service=service, subject=service, owner=owner)


def logs(service: str, lines: int = 100) -> Play:
    variables = {"service": service, "lines": lines}
    return Play("logs", "logs", variables, service=service, subject=service)


def setup(model: str, confirm: str = "", image: str = "", quant: str = "") -> Play:
    """A recipe for a model; without confirm it is proposed only."""
    variables = _given(model=model, confirm=confirm, image=image, quant=quant)
    return Play("setup", "model_setup", variables, subject=model)


def download(model: str, revision: str = "", quant: str = "") -> Play:
    variables = _given(model=model, revision=revision, quant=quant)
    return Play("download", "model_download", variables, subject=model)


def delete(model: str, confirm: str) -> Play:
    variables = {"model": model, "confirm": confirm}
    return Play("delete", "model_delete", variables, subject=model)


def rescan(folder: str = "") -> Play:
    return Play("rescan", "models", {}, (), {"dgxspark_report_dir": folder})


def recipes(file: str = "") -> Play:
    return Play("recipes", "recipes", {}, (), {"json": file})


def status(file: str = "", as_root: bool = False) -> Play:
    words = ("-b",) if as_root else ()
    return Play("status", "status", {"history": 20}, words, {"dgxspark_json": file})


def health(deep: bool, file: str = "") -> Play:
    return Play("health", "health", _given(deep=deep), (), {"dgxspark_json": file})


def drift(folder: str = "") -> Play:
    return Play("drift", "audit", {}, (), {"dgxspark_report_dir": folder})


def schedule(file: str = "") -> Play:
    return Play("schedule", "schedule", {}, (), {"dgxspark_json": file})


def announce(owner: str, begin: str, hours: float, reason: str) -> Play:
    variables = _given(announce=begin, hours=hours, reason=reason, dgxspark_owner=owner)
    return Play("announce", "schedule", variables, subject=begin, owner=owner)


def cancel(entry: str, owner: str, force: bool) -> Play:
    variables = _given(cancel=entry, dgxspark_owner=owner, force=force)
    return Play("cancel", "schedule", variables, subject=entry, owner=owner)


def lock(
    *,
    seconds: int = 0,
    owner: str = "",
    reason: str = "",
    token: str = "",
    release: bool = False,
    force: bool = False,
    check: bool = False,
) -> Play:
    """Take, extend or release the cluster lock; check: whether it can be taken."""
    variables = _given(
        reserve=seconds,
        release=release,
        dgxspark_owner=owner,
        reason=reason,
        lock_token=token,
        force=force,
    )
    return Play("lock", "lock", variables, ("--check",) if check else (), {}, "", owner, owner)


def key_commands(config: Config) -> list[str]:
    """What to type so that the nodes accept the key of control."""
    commands = []
    for node in config.nodes:
        if node.address and config.key:
            port = [] if node.port == 22 else ["-p", str(node.port)]
            to = f"{node.user}@{node.address}" if node.user else node.address
            # -f: the private part is not needed where this is typed.
            words = ["ssh-copy-id", "-f", "-i", f"{config.key}.pub", *port, to]
            commands.append(shlex.join(words))
    return commands
