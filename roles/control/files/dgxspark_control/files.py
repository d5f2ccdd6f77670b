# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the state folder, replaced in one step."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file; on OSError the old one is still there."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def read_json(path: Path) -> Any:
    """The value of a file; None if it is missing or not JSON."""
    try:
        return foreign.json_of(path.read_bytes())
    except (OSError, ValueError):
        return None


def moment(seconds: float) -> str:
    """Such as 2026-11-25T02:00:00Z."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def written(path: Path) -> float | None:
    """When a file was written, in seconds since 1970; None without one."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


_SSH = """\
# Written by control at its start.
Host *
    IdentityFile "{key}"
    IdentitiesOnly yes
    IdentityAgent none
    # The key of a host is noted at the first connection; another one later is refused.
    StrictHostKeyChecking accept-new
"""


def write_ssh_settings(home: Path, private: Path) -> None:
    """Have ssh of this user log in with one key. Raises OSError.

    By this process: what root writes below a folder of another user may go elsewhere by a link.
    """
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(folder / "config", _SSH.format(key=private).encode())


def public_key(private: Path | None) -> tuple[str, str]:
    """The public part of an SSH key and its fingerprint, as of ssh-keygen; empty without one."""
    if private is None:
        return "", ""
    try:
        text = private.with_name(f"{private.name}.pub").read_text("utf-8")
        blob = base64.b64decode(text.split()[1], validate=True)
    except (OSError, ValueError, IndexError):
        return "", ""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return foreign.line(text.strip()), f"SHA256:{digest}"
