# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Detect changes of files without reading them."""

from __future__ import annotations

import glob
import hashlib
import os
from typing import Any

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
# Written by Python itself at the first import.
_BYTECODE = "__pycache__"
# Part of the name of the .pth file of an editable installation.
_EDITABLE = "__editable__"


def file_state(path: str) -> str:
    """A line that changes whenever a file, or the target of a link, is written or replaced.

    It includes the time of the last inode change, which cannot be set.
    """
    try:
        real = os.path.realpath(path)
        return "%s -> %s %s" % (path, real, _state(os.stat(real)))
    except OSError as error:
        return "%s: %s" % (path, error.strerror)


def _state(status: os.stat_result) -> str:
    return "%d %d %d %d %d %d %d" % (
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_uid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def tree_state(path: str) -> str:
    """A digest of the state of everything below a folder except Python's bytecode.

    Raises OSError if something cannot be read.
    """
    digest = hashlib.sha256()
    descriptor = os.open(path, _FOLDER)
    try:
        _digest_folder(digest, path, descriptor)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _digest_folder(digest: Any, path: str, descriptor: int) -> None:
    """Add an open folder; by descriptor, since long paths cost a third of the time."""
    states, inside = [], []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            name = entry.name
            if name == _BYTECODE:
                continue
            if entry.is_symlink():
                states.append((name, file_state(os.path.join(path, name))))
            elif entry.is_dir():
                # Only its contents count, since bytecode changes the folder itself.
                states.append((name, ""))
                inside.append(name)
            else:
                states.append((name, _state(entry.stat(follow_symlinks=False))))
    # Independent of the order of the file system.
    states.sort()
    digest.update(repr((path, states)).encode("utf-8", "surrogateescape"))
    for name in sorted(inside):
        folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
        try:
            _digest_folder(digest, os.path.join(path, name), folder)
        finally:
            os.close(folder)


def venv_state(path: str) -> str:
    """A digest of the state of a virtual environment and its Python.

    Empty if it also uses files outside of both. Raises OSError if something cannot be read.
    """
    real = os.path.realpath(path)
    with open(os.path.join(real, "pyvenv.cfg"), encoding="utf-8") as stream:
        settings = stream.read().lower().replace(" ", "")
    if "include-system-site-packages=true" in settings or _leads_elsewhere(real):
        return ""
    python = os.path.realpath(os.path.join(real, "bin", "python"))
    library = os.path.join(os.path.dirname(os.path.dirname(python)), "lib")
    versions = [os.path.basename(os.path.dirname(site)) for site in _sites(real)]
    if len(versions) != 1:
        return ""
    standard = os.path.join(library, versions[0])
    # Not the system packages, which the environment does not use.
    own = [
        name for name in sorted(os.listdir(standard)) if name not in ("site-packages", _BYTECODE)
    ]
    states = [real, tree_state(real), file_state(python)]
    for name in own:
        entry = os.path.join(standard, name)
        states.append(
            tree_state(entry)
            if os.path.isdir(entry) and name != "dist-packages"
            else file_state(entry)
        )
    return hashlib.sha256("\n".join(states).encode("utf-8", "surrogateescape")).hexdigest()


def _sites(venv: str) -> list[str]:
    """The folders of its packages."""
    return glob.glob(os.path.join(glob.escape(venv), "lib", "python*", "site-packages"))


def _leads_elsewhere(venv: str) -> bool:
    for site in _sites(venv):
        for name in os.listdir(site):
            if not name.endswith(".pth"):
                continue
            with open(os.path.join(site, name), encoding="utf-8", errors="replace") as stream:
                lines = [line.strip() for line in stream if line.strip()]
            paths = [line for line in lines if not line.startswith(("import", "#"))]
            inside = all(
                os.path.isdir(os.path.join(site, entry)) and ".." not in entry for entry in paths
            )
            if _EDITABLE in name or not inside or any(os.path.isabs(entry) for entry in paths):
                return True
    return False
