# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that a person is told to type next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants as C
from ansible import context

COLLECTION = "dgxspark.suite"


def playbook_command(
    name: str, words: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> str:
    """The command line that runs a playbook of this collection, with the options of this run.

    name: without folder and suffix, as "launch". words: further arguments; they are quoted here.
    options: those of ansible-playbook, as `context.CLIARGS` has them, which is the default. Its
    inventories, user and -K are repeated, so that the line can be typed as it is printed. The
    full name of a playbook works in a clone as well as with an installed collection.
    """
    given = context.CLIARGS if options is None else options
    command = ["ansible-playbook"]
    inventories = list(given.get("inventory") or ())
    # Without -i, Ansible puts the configured inventories here; the next run finds these by itself.
    if inventories != list(C.DEFAULT_HOST_LIST):
        for inventory in inventories:
            command += ["-i", _short(str(inventory))]
    if given.get("remote_user") not in (None, C.DEFAULT_REMOTE_USER):
        command += ["-u", str(given["remote_user"])]
    if given.get("become_ask_pass"):
        command.append("-K")
    return shlex.join([*command, f"{COLLECTION}.{name}", *words])


def _short(inventory: str) -> str:
    """A path below the working directory relative to it; a list of hosts as it is."""
    inside = os.path.join(os.getcwd(), "")
    return inventory[len(inside) :] if inventory.startswith(inside) else inventory
