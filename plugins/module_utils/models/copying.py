# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Copy a model from another node as a background job; see host/job.py and receive.py."""

from __future__ import annotations

from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    channel,
    command,
    files,
    findings,
    handshake,
    interpreter,
    job,
    owner,
    repo_names,
    safe_folder,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models import (
    cache,
    completeness,
    manifest,
    receive,
    share,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.receive import ReceivePlan

TITLE = "dgxspark-copy:"

# What runs in such a process; each finds its imports before.
_HOST = (command, interpreter, findings, safe_folder, files, repo_names, owner, job)
_MODELS = (completeness, cache, handshake, channel, share, manifest, receive)
MODULES = (*(module.__name__ for module in (*_HOST, *_MODELS)), __name__)


def start(
    offered: manifest.Manifest,
    hub: str,
    verify: bool,
    source: tuple[str, int, str],
    seconds: int,
) -> str:
    """Start the copy; returns the job that `job.look` takes. Raises OSError.

    source: address, port and secret of an offer of share.py. seconds: how long it may take.
    """
    request = {
        "manifest": offered.to_dict(),
        "hub": hub,
        "verify": verify,
        "source": source,
    }
    unasked = job.ABANDONED_SECONDS
    return job.start(TITLE + offered.name, MODULES, request, limit=seconds, unasked=unasked)


def answer(request: dict[str, Any], _sources: interpreter.Sources) -> None:
    """What the process does that `start` has started."""
    offered = manifest.Manifest.from_dict(request["manifest"])
    target = receive.Destination.of(offered, request["hub"])

    def get(plan: ReceivePlan) -> None:
        address, port, secret = request["source"]
        receive.fetch(plan, target, (address, port, secret))

    def do(progress: job.Progress) -> str:
        try:
            receive.bring(offered, target, request["verify"], get, progress)
        except (receive.ReceiveError, OSError) as error:
            return explain(error)
        return ""

    def explain(error: Exception) -> str:
        again = "%s is not completely copied: %s. Run again; what has arrived is kept"
        return again % (offered.name, findings.explained(error).rstrip("."))

    receive.work(request, offered, target, do, explain)
