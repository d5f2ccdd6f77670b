# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Names of repositories on the Hugging Face Hub, and their directories in its cache."""

from __future__ import annotations

import re

PREFIX = "models--"

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPO = re.compile(r"(?:%s/)?%s\Z" % (_PART, _PART))
_LIMIT = 96


def is_repo(name: str) -> bool:
    """Whether the Hub allows a repository of that name: org/name, or an old name without org."""
    return (
        bool(_REPO.match(name))
        and len(name) <= 2 * _LIMIT
        and "--" not in name
        and ".." not in name
    )


def folder_of(repo: str) -> str:
    """models--org--name. Raises ValueError for any other name."""
    if not is_repo(repo):
        raise ValueError("%r is not the name of a repository (expected org/name)" % repo)
    return PREFIX + repo.replace("/", "--")


def repo_of(folder: str) -> str | None:
    """org/name of models--org--name; None for any other directory."""
    if not folder.startswith(PREFIX):
        return None
    repo = folder[len(PREFIX) :].replace("--", "/")
    return repo if repo.count("/") <= 1 and is_repo(repo) else None
