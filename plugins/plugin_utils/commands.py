# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to type next."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

COLLECTION = "dgxspark.suite"
# A pattern in place of the groups of serving nodes; it has an effect on the command line alone.
HOSTS = "dgxspark_hosts"
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
    command = ["ansible-playbook"]
    inventories = list(given.get("inventory") or ())
    # Without -i, Ansible puts the configured inventories here; the next run finds these by itself.
    if inventories != list(C.DEFAULT_HOST_LIST):
        for inventory in inventories:
            command += ["-i", short(str(inventory))]
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
