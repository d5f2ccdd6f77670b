# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Which machine this is, and the models in a user's own cache. Needs no root, changes nothing."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dgx_release import (
    DGX_RELEASE,
    parse_dgx_release,
)

_PREFIX = "models--"


@dataclass(frozen=True)
class Machine:
    """key is the same only for two answers of one machine that was not restarted in between."""

    hostname: str = ""
    product: str = ""
    gpu: str = ""
    release: str = ""
    key: str = ""


@dataclass(frozen=True)
class Cache:
    """A Hugging Face home. counted: whether size, in bytes, is that of all files."""

    path: str = ""
    repositories: int = 0
    size: int = 0
    counted: bool = True


def ask_machine(root: str = "/") -> Machine:
    """Each text is empty where its file is missing."""

    def text(path: str) -> str:
        return (read_text(os.path.join(root, path.lstrip("/"))) or "").strip()

    gpus = "proc/driver/nvidia/gpus"
    names = [
        gpu_model(text("%s/%s/information" % (gpus, gpu)))
        for gpu in list_folder(os.path.join(root, gpus))
    ]
    return Machine(
        hostname=socket.gethostname(),
        product=text("sys/class/dmi/id/product_name"),
        gpu=next(filter(None, names), ""),
        release=parse_dgx_release(text(DGX_RELEASE)).name,
        key="%s %s" % (text("etc/machine-id"), text("proc/sys/kernel/random/boot_id")),
    )


def gpu_model(information: str) -> str:
    """The model in the driver's description of a GPU, "NVIDIA GB10"; empty for none."""
    for line in information.splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() == "Model":
            return value.strip()
    return ""


def ask_cache(home: str, seconds: float) -> Cache:
    """The cache in a home directory, sized for at most so many seconds; without path for none."""
    path = os.path.join(home, ".cache", "huggingface")
    hub = os.path.join(path, "hub")
    names = [name for name in list_folder(hub) if name.startswith(_PREFIX)]
    if not names:
        return Cache()
    size, deadline = 0, time.monotonic() + seconds
    for name in names:
        # Revisions are links to these files.
        blobs = os.path.join(hub, name, "blobs")
        for blob in list_folder(blobs):
            if time.monotonic() > deadline:
                return Cache(path, len(names), size, counted=False)
            try:
                size += os.lstat(os.path.join(blobs, blob)).st_size
            except OSError:  # a download has renamed it
                continue
    return Cache(path, len(names), size)
