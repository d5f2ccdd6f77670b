# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache laid out as huggingface_hub lays out its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest


class Hub:
    """The folder hub of a Hugging Face home."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def folder(self, repo: str) -> Path:
        return self.path / ("models--" + repo.replace("/", "--"))

    def add(
        self, repo: str, files: dict[str, bytes], revision: str = "a" * 40, ref: str = "main"
    ) -> Path:
        """Add a revision; the path of its snapshot."""
        folder = self.folder(repo)
        snapshot = folder / "snapshots" / revision
        for name, data in files.items():
            blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
            link = snapshot / name
            blob.parent.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(data)
            link.symlink_to(Path(*[".."] * (2 + name.count("/")), "blobs", blob.name))
        if ref:
            (folder / "refs").mkdir(parents=True, exist_ok=True)
            (folder / "refs" / ref).write_text(revision)
        return snapshot


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    (tmp_path / "home" / "hub").mkdir(parents=True)
    return Hub(tmp_path / "home" / "hub")
