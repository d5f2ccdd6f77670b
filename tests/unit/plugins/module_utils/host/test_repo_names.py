# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import (
    folder_of,
    is_repo,
    repo_of,
)


@pytest.mark.parametrize(
    ("repo", "folder"),
    [
        ("Qwen/Qwen3-1.7B", "models--Qwen--Qwen3-1.7B"),
        ("gpt2", "models--gpt2"),
        ("01-ai/Yi_6B", "models--01-ai--Yi_6B"),
    ],
)
def test_a_repository_and_its_folder(repo: str, folder: str) -> None:
    assert folder_of(repo) == folder
    assert repo_of(folder) == repo


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../etc", "a/..", "a/../b", "/etc/passwd", "a//b", "a/b/c", "a--b/c", "a b/c"),
        *("a/b\n", "a/b'", 'a/"b', "a/b;rm", "a/$(b)", "-a/b", "a/-b", ".a/b", "a/b."),
        *("a\\b", "é/b", "x" * 200),
    ],
)
def test_what_is_no_repository_has_no_folder(name: str) -> None:
    assert not is_repo(name)
    with pytest.raises(ValueError, match="is not the name of a repository"):
        folder_of(name)


@pytest.mark.parametrize(
    "folder",
    [
        *("models--", "models--..--etc", "models--a--b--c", "models--a--b\n", "models--a--b'c"),
        *("datasets--a--b", "models--a--", "models----a", "version.txt"),
    ],
)
def test_a_folder_that_is_no_repositorys(folder: str) -> None:
    assert repo_of(folder) is None
