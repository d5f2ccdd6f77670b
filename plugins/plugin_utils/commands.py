# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to type next."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import line

COLLECTION = "dgxspark.suite"
# How the last line of a message begins that is the command to type next.
NEXT = "next: "
# A pattern in place of the groups of serving nodes; it has an effect on the command line alone.
HOSTS = "dgxspark_hosts"
# What a command line has that is not printed again, by name: also a variable within another.
SECRET = re.compile("token|secret|passw|key", re.I)
PLAYBOOKS = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", "playbooks"))
# The variables of a node that `login_command` reads.
LOGIN = (
    "ansible_connection",
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
)


def playbook_command(
    name: str, words: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> str:
    """The command line that runs a playbook of this collection, with the options of this run.

    name: without folder and suffix, as "launch". words: further arguments; they are quoted here.
    options: those of ansible-playbook, as `context.CLIARGS` has them, which is the default. Its
    inventories, user, -b, -K and -e dgxspark_hosts are repeated, so that the line can be typed as
    it is printed. The full name of a playbook works in a clone as well as with an installed
    collection.
    """
    given = context.CLIARGS if options is None else options
    command = ["ansible-playbook", *_inventories(given)]
    if given.get("remote_user") not in (None, C.DEFAULT_REMOTE_USER):
        command += ["-u", str(given["remote_user"])]
    words = list(words)
    if given.get("become") and "-b" not in words:
        command.append("-b")
    if given.get("become_ask_pass"):
        command.append("-K")
    if given.get("extra_vars") and (hosts := load_extra_vars(DataLoader()).get(HOSTS)):
        words = [
            "-e",
            f"{HOSTS}={hosts}" if isinstance(hosts, str) else json.dumps({HOSTS: hosts}),
            *words,
        ]
    return shlex.join([*command, f"{COLLECTION}.{name}", *words])


def inventory_command(options: Mapping[str, Any] | None = None) -> str:
    """The command line that shows the groups of this run's inventories, and their hosts."""
    given = context.CLIARGS if options is None else options
    return shlex.join(["ansible-inventory", *_inventories(given), "--graph"])


def _inventories(given: Mapping[str, Any]) -> list[str]:
    inventories = list(given.get("inventory") or ())
    # Without -i, Ansible puts the configured inventories here; the next run finds these by itself.
    if inventories == list(C.DEFAULT_HOST_LIST):
        return []
    return [word for one in inventories for word in ("-i", short(str(one)))]


def selection(options: Mapping[str, Any], *besides: str) -> list[str]:
    """The nodes and tags of this run. besides: tags to leave out."""
    words = []
    if options.get("subset"):
        words += ["--limit", str(options["subset"])]
    for option in ("tags", "skip_tags"):
        tags = [tag for tag in options.get(option) or () if tag not in ("all", *besides)]
        if tags:
            words += [f"--{option.replace('_', '-')}", ",".join(tags)]
    return words


def again(*words: str, options: Mapping[str, Any] | None = None) -> str:
    """This run once more, with further arguments.

    "" where it cannot be printed: it runs a playbook of another collection, or was given a secret
    on the command line.
    """
    given = context.CLIARGS if options is None else options
    name = playbook_name(given)
    typed = list(given.get("extra_vars") or ())
    variables = json.dumps(load_extra_vars(DataLoader()), default=str) if typed else ""
    if not name or SECRET.search(variables):
        return ""
    # playbook_command repeats dgxspark_hosts, which is among these.
    command = shlex.split(playbook_command(name, (), {**given, "extra_vars": ()}))
    command += selection(given) + (["--check"] if given.get("check") else [])
    return shlex.join([*command, *(part for one in typed for part in ("-e", one)), *words])


def playbook_name(options: Mapping[str, Any] | None = None) -> str:
    """The playbook of this run, typed as a path or in full; "" if it is not of this collection."""
    given = context.CLIARGS if options is None else options
    typed = [str(name) for name in given.get("args") or ()]
    if len(typed) != 1:
        return ""
    if typed[0].startswith(f"{COLLECTION}."):
        return typed[0].removeprefix(f"{COLLECTION}.")
    folder, file = os.path.split(os.path.realpath(typed[0]))
    return file.removesuffix(".yml") if folder == PLAYBOOKS else ""


def ending(message: str, command: str) -> str:
    """A message whose last line is the command to type next."""
    return f"{message.rstrip()}\n{NEXT}{line(command)}"


def parted(message: str) -> tuple[str, str]:
    """A message without that line, and the line; "" where it has none."""
    text, _end, last = message.rstrip("\n").rpartition("\n")
    return (text, last) if last.startswith(NEXT) else (message, "")


# What a server of a kind is asked: path, and what its body has beside the model.
_REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "embeddings": ("/v1/embeddings", {"input": "Hello"}),
    "rerank": ("/v1/rerank", {"query": "Hello", "documents": ["Good day", "A stone"]}),
    "text_to_speech": ("/v1/audio/speech", {"input": "Hello", "response_format": "wav"}),
    "": ("/v1/completions", {"prompt": "Hello", "max_tokens": 32}),
}
# Where a server of another kind is asked with a GET.
_PAGES = {"vector_store": "/collections", "redaction": "/health", "http": ""}


def request_command(url: str, model: str, kind: str = "") -> str:
    """The command line that asks a server what has just been proven of it.

    url: without path. model: the name under which it is served, quoted here. kind: of kinds.py; one
    that is neither asked by a body of JSON nor by a file has a page, by default its models.
    """
    known = {"chat": "", "completion": ""}.get(kind, kind)
    if known == "speech_to_text":
        form = ["-F", "file=@speech.wav", "-F", f"model={model}"]
        return shlex.join(["curl", "-s", f"{url}/v1/audio/transcriptions", *form])
    if known not in _REQUESTS:
        return shlex.join(["curl", "-s", url + _PAGES.get(known, "/v1/models")])
    path, body = _REQUESTS[known]
    data = json.dumps({"model": model, **body})
    header = "Content-Type: application/json"
    output = ["-o", "speech.wav"] if known == "text_to_speech" else []
    return shlex.join(["curl", "-s", f"{url}{path}", *output, "-H", header, "-d", data])


def login_command(
    node: str, variables: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> str:
    """The command line that connects to a node as Ansible does; "" if it does not use SSH.

    variables: those of the node, templated.
    """
    given = context.CLIARGS if options is None else options
    if variables.get("ansible_connection") not in (None, "smart", "ssh", "ansible.builtin.ssh"):
        return ""
    command = ["ssh"]
    for option, name in (("-p", "ansible_port"), ("-i", "ansible_ssh_private_key_file")):
        if variables.get(name):
            command += [option, str(variables[name])]
    address = str(variables.get("ansible_host") or node)
    user = variables.get("ansible_user") or given.get("remote_user")
    return shlex.join([*command, f"{user}@{address}" if user else address])


def short(inventory: str) -> str:
    """A path below the working directory relative to it; a list of hosts as it is."""
    inside = os.path.join(os.getcwd(), "")
    return inventory[len(inside) :] if inventory.startswith(inside) else inventory
