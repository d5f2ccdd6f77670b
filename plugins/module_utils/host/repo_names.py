# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Names of models: what a repository may be called, and its folder in the hub's cache."""

from __future__ import annotations

import re

PREFIX = "models--"

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(r"(?:%s/)?%s\Z" % (_PART, _PART))
_LIMIT = 96


def is_repo(name: str) -> bool:
    """Whether the hub would have a repository of that name: org/name, or one old name alone."""
    return (
        bool(_REPO.match(name))
        and len(name) <= 2 * _LIMIT
        and "--" not in name
        and ".." not in name
    )


def folder_of(repo: str) -> str:
    """models--org--name. Raises ValueError for what is no repository's name."""
    if not is_repo(repo):
        raise ValueError("%r is not the name of a repository, as org/name is" % repo)
    return PREFIX + repo.replace("/", "--")


def repo_of(folder: str) -> str | None:
    """org/name of models--org--name; None for a folder that is no repository's."""
    if not folder.startswith(PREFIX):
        return None
    repo = folder[len(PREFIX) :].replace("--", "/")
    return repo if repo.count("/") <= 1 and is_repo(repo) else None
