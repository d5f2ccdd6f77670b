# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings, which the role control writes: docs/contracts/control_api.md."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic import ValidationError as Invalid

# RFC 6598, which VPNs such as Tailscale use; Python does not call it private.
_SHARED = ipaddress.ip_network("100.64.0.0/10")


class ConfigError(Exception):
    """Settings that cannot be used, and why."""


def _private(text: str) -> str:
    address = ipaddress.ip_address(text)
    shared = address.version == 4 and address in _SHARED
    if (
        address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or not (address.is_private or shared)
    ):
        raise ValueError("expected 127.0.0.1 or a private IP address of this machine")
    return text


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text)) if text else ""


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


Folder = Annotated[Path, AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeAddress(_Settings):
    """Where a node's SSH is; without an address the node is not polled. user: for people."""

    name: str
    address: Annotated[str, AfterValidator(_address)] = ""
    port: Port = 22
    user: str = ""


class Config(_Settings):
    """token_sha256: empty for no token. options, variables: further ones of each play.

    poll, facts, menu, deep: seconds between polls, plays, listings of models, deep probes; deep is
    0 for none.
    """

    bind: Annotated[str, AfterValidator(_private)]
    port: Port = 9999
    names: frozenset[str] = frozenset()
    token_sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    state: Folder
    page: Folder = Path(__file__).resolve().parent / "page"
    inventory: Annotated[list[str], Field(min_length=1)]
    nodes: list[NodeAddress] = []
    ansible_playbook: Folder
    collections: Folder
    project: Folder | None = None
    options: list[str] = []
    variables: dict[str, Any] = {}
    status_as_root: bool = False
    endpoints: Folder | None = None
    caps: dict[str, dict[str, int]] = {}
    gateway: str = ""
    key: Folder | None = None
    poll: Seconds = 5.0
    facts: Seconds = 300.0
    menu: Seconds = 3600.0
    deep: Annotated[float, Field(ge=0)] = 900.0
    keep_jobs: Annotated[int, Field(ge=1)] = 200
    keep_mib: Annotated[int, Field(ge=1)] = 1024


def parse(text: bytes | str) -> Config:
    """Raises ConfigError with all that is wrong."""
    try:
        return Config.model_validate_json(text)
    except Invalid as error:
        problems = (
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise ConfigError("; ".join(problems)) from None


def read(path: Path) -> Config:
    """Raises ConfigError, OSError."""
    try:
        return parse(path.read_bytes())
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
