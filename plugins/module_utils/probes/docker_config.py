# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""/etc/docker/daemon.json, which dockerd reads when it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text

DAEMON_FILE = "/etc/docker/daemon.json"

# Options that the file names in the plural, and the command line once for each value.
_PLURALS = {
    "hosts": "host",
    "labels": "label",
    "log-opts": "log-opt",
    "storage-opts": "storage-opt",
}
_SHORT = {"-H": "host", "-D": "debug", "-l": "log-level", "-b": "bridge", "-p": "pidfile"}
# These add up instead of being refused where both set them.
_ADDING = ("insecure-registries", "registry-mirrors", "dns", "runtimes", "features")


def start_problem(path: str, argv: Sequence[str] = ()) -> str:
    """Why dockerd will not start with its file, empty if it will.

    argv is the command line of the running dockerd, empty for none. dockerd refuses a file that is
    no JSON object, and a setting that is in the file and on its command line.
    """
    if not os.path.exists(path):
        return ""
    text = read_text(path)
    if text is None:
        return ""
    try:
        options = foreign.json_of(text) if text.strip() else {}
    except ValueError as error:
        return "%s: %s" % (path, error)
    if not isinstance(options, dict):
        return "%s is not a JSON object" % path
    twice = sorted(set(_flags(options)) & _given(argv))
    if twice:
        named = ", ".join(twice)
        return "%s and the command line of dockerd (docker.service) both set %s" % (path, named)
    return ""


def data_root(path: str) -> str:
    """The folder of images and containers from the next start on; empty if the file names none."""
    try:
        options = foreign.json_of(read_text(path) or "{}")
    except ValueError:
        return ""
    root = options.get("data-root") if isinstance(options, dict) else None
    return root if isinstance(root, str) else ""


def _flags(options: Mapping[str, object]) -> list[str]:
    return [_PLURALS.get(name, name) for name in options if name not in _ADDING]


def _given(argv: Sequence[str]) -> set[str]:
    words = [word.partition("=")[0] for word in argv[1:] if word.startswith("-")]
    return {_SHORT.get(word, word.lstrip("-")) for word in words}
