# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Bring a model from the hub into the cache: asked for, fetched beside, verified, put in place.

A process of its own does it (job.py). The hub's list of files becomes a manifest, and everything
after the transfer is what happens to a copy from another node (receive.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, interpreter, job
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models import (
    cache,
    copying,
    hub,
    manifest,
    receive,
    weights,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import Manifest
from ansible_collections.dgxspark.suite.plugins.module_utils.models.receive import Plan, Target

TITLE = "dgxspark-download:"
HUB = "https://huggingface.co"

# From the environment of the task: how this network is left.
PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

# What runs with huggingface_hub, and what runs beside the transfer; each finds its imports before.
_IN_HUB = tuple(one.__name__ for one in (command, interpreter, hub))
_IN_PROCESS = (*copying.MODULES, hub.__name__, __name__)
_ASK_SECONDS = 120.0


class DownloadError(Exception):
    """It was not downloaded; the text says why, and what a person does."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. revision: branch, tag or commit; empty for main.

    files, exclude: patterns of paths; quant: of a GGUF model only this one. endpoint: the hub.
    python: the interpreter that has huggingface_hub.
    """

    repo: str
    revision: str
    files: Sequence[str]
    exclude: Sequence[str]
    quant: str
    endpoint: str
    python: str
    connections: int


def environment() -> dict[str, str]:
    """What the transfer is given besides: proxies and certificates."""
    both = [*PASSED, *map(str.lower, PASSED)]
    return {name: os.environ[name] for name in both if name in os.environ}


def _hub_environment(private: str) -> dict[str, str]:
    return {
        **dict.fromkeys(("HOME", "TMPDIR", "HF_HOME"), private),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def listing(wanted: Wanted, token: str, whose: Owner, env: Mapping[str, str]) -> dict[str, Any]:
    """What the hub says that the revision is made of. Raises DownloadError."""
    with tempfile.TemporaryDirectory(prefix="dgxspark-hub-") as private:
        whose.give(private)
        return _asked(wanted, token, whose, {**env, **_hub_environment(private)}, _ASK_SECONDS)


def _asked(
    wanted: Wanted,
    token: str,
    whose: Owner,
    env: Mapping[str, str],
    seconds: float,
    sources: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    request = {
        "repo": wanted.repo,
        "endpoint": wanted.endpoint,
        "token": token,
        "revision": wanted.revision,
        "connections": wanted.connections,
        **more,
    }
    sources = sources or interpreter.sources_of(_IN_HUB)
    argv = whose.command([wanted.python])
    told, result = interpreter.ask(argv, sources, request, seconds, env)
    if result.outcome == command.TIMED_OUT:
        longer = "dgxspark_download_seconds gives it longer; what has arrived is kept"
        raise DownloadError("it %s. %s" % (result.reason, longer))
    if told is None:
        raise DownloadError(
            "%s gives no answer: %s. %s" % (wanted.python, result.describe(), _NAME_PYTHON)
        )
    if "problem" in told:
        raise DownloadError(explain(wanted, bool(token), told))
    return told


_NAME_PYTHON = (
    "site.yml --tags vllm_venv makes the one that has it; dgxspark_download_python names another"
)


def explain(wanted: Wanted, with_token: bool, problem: Mapping[str, Any]) -> str:
    """A problem that hub.py met, with what a person does about it."""
    kind, text = problem["problem"], problem["text"]
    page = "%s/%s" % (wanted.endpoint, wanted.repo)
    of_token = (
        "the account of the token in dgxspark_hf_token" if with_token else "an account, and give"
        " a token of it, by ansible-vault, as dgxspark_hf_token"
    )  # fmt: skip
    if kind == hub.MISSING:
        return "%s has no huggingface_hub (%s). %s" % (wanted.python, text, _NAME_PYTHON)
    if kind == hub.GATED:
        return "%s is gated: ask for access on %s with %s" % (wanted.repo, page, of_token)
    if kind == hub.NO_REPOSITORY:
        seen = "that this token may see" if with_token else "that may be seen without a token"
        return (
            "%s has no model %s %s. Look at the name; a private one needs, in dgxspark_hf_token,"
            " the token of somebody who may see it" % (wanted.endpoint, wanted.repo, seen)
        )
    if kind == hub.NO_REVISION:
        return "%s has no revision %s: see %s/commits/main" % (wanted.repo, wanted.revision, page)
    if kind == hub.TOKEN:
        return (
            "%s does not accept the token in dgxspark_hf_token: it is wrong, or was revoked"
            % wanted.endpoint
            if with_token
            else "%s wants a token: give one, by ansible-vault, as dgxspark_hf_token" % page
        )
    if kind == hub.UNREACHABLE:
        return (
            "%s is not reached from this node (%s). dgxspark_download_env sets a proxy"
            " (HTTPS_PROXY), dgxspark_hub_endpoint a mirror, dgxspark_download_node a node that"
            " reaches it" % (wanted.endpoint, text)
        )
    if kind == hub.FULL:
        return "the disk is full (%s). Make room, then run again" % text
    if kind == hub.BUSY:
        return "another run is downloading it"
    return "%s: %s" % (wanted.endpoint, text)


def chosen(wanted: Wanted, told: Mapping[str, Any]) -> Manifest:
    """What of the hub's list is to be here. Raises DownloadError."""
    kept = [one for one in told["files"] if _is_wanted(one["path"], wanted)]
    if wanted.quant:
        ggufs = [one["path"] for one in told["files"] if one["path"].endswith(".gguf")]
        quants = sorted(set(map(weights.quant_name, ggufs)))
        if wanted.quant not in quants:
            raise DownloadError(
                "%s has no quantisation %s; it has: %s"
                % (wanted.repo, wanted.quant, ", ".join(quants) or "none")
            )
    if not kept:
        count = len(told["files"])
        raise DownloadError("none of the %d files of %s is wanted" % (count, wanted.repo))
    large = [one["path"] for one in kept if (one["size"] or 0) > told["limit"]]
    if large:
        raise DownloadError(
            "the hub does not send %s by HTTP, it has more than %d bytes. `hf download` can fetch"
            " it on one node; model_sync.yml takes it to the others" % (large[0], told["limit"])
        )
    commit = str(told["revision"])
    given = wanted.revision or "main"
    try:
        return Manifest.from_dict(
            {
                "name": wanted.repo,
                "kind": cache.HUB,
                "revision": commit,
                "refs": [] if given == commit else [given],
                "entries": [{**one, "sha256": ""} for one in kept],
            }
        )
    except manifest.ManifestError as error:
        raise DownloadError("what the hub tells of %s: %s" % (wanted.repo, error)) from None


def _is_wanted(path: str, wanted: Wanted) -> bool:
    if wanted.quant and not manifest.belongs(path, wanted.quant):
        return False
    if any(_matches(path, one) for one in wanted.exclude):
        return False
    return not wanted.files or any(_matches(path, one) for one in wanted.files)


def _matches(path: str, pattern: str) -> bool:
    # As the hub's own clients: a folder means all that is in it.
    return fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)


def start(
    wanted: Wanted, found: Manifest, hub_folder: str, verify: bool, token: str, seconds: int
) -> str:
    """Begin to bring it; the folder by which job.look finds it. Raises OSError."""
    request = {
        "wanted": vars(wanted),
        "manifest": found.to_dict(),
        "hub": hub_folder,
        "verify": verify,
        "token": token,
        "seconds": seconds,
        "env": environment(),
    }
    unasked = job.ABANDONED_SECONDS
    return job.start(TITLE + wanted.repo, _IN_PROCESS, request, unasked=unasked)


def answer(request: dict[str, Any], sources: interpreter.Sources) -> None:
    """What the process does that `start` began."""
    wanted = Wanted(**request["wanted"])
    found = Manifest.from_dict(request["manifest"])
    target = Target.of(found, request["hub"])

    def do(progress: job.Progress) -> str:
        def fetch(plan: Plan, whose: Owner) -> None:
            _fetch(request, replace(wanted, revision=found.revision), plan, target, whose, sources)

        try:
            receive.bring(found, target, request["verify"], fetch, progress)
        except DownloadError as error:
            return str(error)
        except (receive.ReceiveError, Blocked, OSError) as error:
            return "%s. Run again; what has arrived is kept" % error
        return ""

    job.work(request, do)


def _fetch(
    request: Mapping[str, Any],
    wanted: Wanted,
    plan: Plan,
    target: Target,
    whose: Owner,
    sources: interpreter.Sources,
) -> None:
    scratch = request["job"]["folder"]
    home = os.path.join(scratch, "home")
    os.mkdir(home, 0o700)
    whose.give(home)
    # To pass through, not to list.
    os.chmod(scratch, 0o711)
    _asked(
        wanted,
        request["token"],
        whose,
        {**request["env"], **_hub_environment(home)},
        float(request["seconds"]),
        {name: sources[name] for name in _IN_HUB},
        stage=target.stage,
        files=[
            {"path": one.path, "size": one.size, "name": os.path.basename(target.staged(one))}
            for one in plan.entries
        ],
    )
