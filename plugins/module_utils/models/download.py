# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Download a model from the Hugging Face Hub into the cache, as a background job.

The Hub's list of files becomes a manifest; files are staged, verified and moved into place as those
of a copy from another node are (receive.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    foreign,
    interpreter,
    job,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import explained
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models import (
    cache,
    completeness,
    copying,
    hub,
    hub_listing,
    manifest,
    receive,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.hub_listing import (
    DownloadError,
    HubProblem,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import (
    Manifest,
    ManifestEntry,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.receive import (
    Destination,
    ReceivePlan,
)

TITLE = "dgxspark-download:"
HUB = "https://huggingface.co"
# Larger files need another protocol of the Hub, which hf_xet has, and which cannot resume.
HTTP_BYTES = 50 * 1000**3

# Passed on from the environment of the task: proxies and certificates.
PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

# What runs with huggingface_hub, and what runs in the job; each finds its imports before.
_IN_HUB = tuple(module.__name__ for module in (foreign, command, interpreter, hub))
_IN_PROCESS = (*copying.MODULES, hub.__name__, hub_listing.__name__, __name__)
_ASK_SECONDS = 120.0


@dataclass(frozen=True)
class Wanted:
    """What is to be downloaded. revision: branch, tag or commit; empty for main.

    files, exclude: patterns of paths. quant: of a GGUF model only this one. endpoint: URL of the
    Hub. python: the interpreter that has huggingface_hub.
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
    """The variables that are passed on to the transfer."""
    both = [*PASSED, *map(str.lower, PASSED)]
    return {name: os.environ[name] for name in both if name in os.environ}


def _hub_environment(private: str) -> dict[str, str]:
    return {
        **dict.fromkeys(("HOME", "TMPDIR", "HF_HOME"), private),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def listing(wanted: Wanted, token: str, whose: Owner) -> dict[str, Any]:
    """The files of the revision, as the Hub lists them to whose. Raises DownloadError, OSError."""

    def ask() -> dict[str, Any]:
        try:
            return hub_listing.listing(wanted.endpoint, wanted.repo, wanted.revision, token)
        except HubProblem as problem:
            return {"problem": problem.kind, "text": str(problem)}

    answer = dict(whose.do(ask))
    if "problem" in answer:
        raise DownloadError(explain(wanted, bool(token), answer))
    return answer


def refuse_library(wanted: Wanted, entries: Sequence[ManifestEntry], whose: Owner) -> None:
    """Raise DownloadError for a Python that cannot fetch these, and OSError."""
    # Read here: the archive in which Ansible sends a module is root's alone.
    sources = interpreter.sources_of(_IN_HUB)

    def ask() -> dict[str, Any]:
        try:
            with tempfile.TemporaryDirectory(prefix="dgxspark-hub-") as home:
                env = {**environment(), **_hub_environment(home)}
                return {"about": _asked(wanted, "", env, _ASK_SECONDS, sources)}
        except DownloadError as error:
            return {"refusal": str(error)}

    answer = whose.do(ask)
    if "refusal" in answer:
        raise DownloadError(answer["refusal"])
    large = [entry.path for entry in entries if entry.size > HTTP_BYTES]
    if large and not answer["about"]["xet"]:
        raise DownloadError(
            "the Hub does not send %s by HTTP, since it has more than %d bytes, and %s has no"
            " hf_xet. Install it there, or leave out dgxspark_download_python"
            % (large[0], HTTP_BYTES, wanted.python)
        )


def _asked(
    wanted: Wanted,
    token: str,
    env: Mapping[str, str],
    seconds: float,
    sources: interpreter.Sources,
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
    reply, result = interpreter.ask([wanted.python], sources, request, seconds, env)
    if result.outcome == command.TIMED_OUT:
        longer = "dgxspark_download_seconds gives it longer; what has arrived is kept"
        raise DownloadError("it %s. %s" % (result.reason, longer))
    if reply is None:
        raise DownloadError(
            "%s did not answer: %s. %s" % (wanted.python, result.describe(), _NAME_PYTHON)
        )
    if "problem" in reply:
        raise DownloadError(explain(wanted, bool(token), reply))
    return reply


_NAME_PYTHON = (
    "dgxspark_download_python names another Python that has it; without it the collection makes an"
    " environment that has it"
)


def explain(wanted: Wanted, with_token: bool, problem: Mapping[str, Any]) -> str:
    """A problem that hub.py reports, with what to do about it."""
    kind, text = problem["problem"], problem["text"]
    page = "%s/%s" % (wanted.endpoint, wanted.repo)
    of_token = (
        "the account of the token in dgxspark_hf_token" if with_token else "an account, and set"
        " its token, encrypted by ansible-vault, as dgxspark_hf_token"
    )  # fmt: skip
    if kind == hub.MISSING:
        return "%s has no huggingface_hub (%s). %s" % (wanted.python, text, _NAME_PYTHON)
    if kind == hub.GATED:
        return "%s is gated: ask for access on %s with %s" % (wanted.repo, page, of_token)
    if kind == hub.NO_REPOSITORY:
        access = "accessible with this token" if with_token else "accessible without a token"
        return (
            "%s has no model %s that is %s. Check the name; a private model needs the token of an"
            " account with access in dgxspark_hf_token" % (wanted.endpoint, wanted.repo, access)
        )
    if kind == hub.NO_REVISION:
        return "%s has no revision %s: see %s/commits/main" % (wanted.repo, wanted.revision, page)
    if kind == hub.TOKEN:
        return (
            "%s does not accept the token in dgxspark_hf_token: it is wrong or revoked"
            % wanted.endpoint
            if with_token
            else "%s needs a token: set dgxspark_hf_token, encrypted by ansible-vault" % page
        )
    if kind == hub.UNREACHABLE:
        return (
            "%s is not reachable from this node (%s). dgxspark_download_env sets a proxy"
            " (HTTPS_PROXY), dgxspark_hub_endpoint a mirror, dgxspark_download_node another node"
            % (wanted.endpoint, text)
        )
    if kind == hub.FULL:
        return "the disk is full (%s). Free space, then run again" % text
    if kind == hub.BUSY:
        return "another run is downloading it"
    return "%s: %s" % (wanted.endpoint, text)


def chosen(wanted: Wanted, listed: Mapping[str, Any]) -> Manifest:
    """The wanted files of the Hub's list. Raises DownloadError."""
    chosen_files = [file for file in listed["files"] if _is_wanted(file["path"], wanted)]
    if wanted.quant:
        ggufs = [file["path"] for file in listed["files"] if file["path"].endswith(".gguf")]
        quants = sorted(set(map(completeness.quant_name, ggufs)))
        if wanted.quant not in quants:
            raise DownloadError(
                "%s has no quantisation %s; it has: %s"
                % (wanted.repo, wanted.quant, ", ".join(quants) or "none")
            )
    if not chosen_files:
        count = len(listed["files"])
        raise DownloadError("none of the %d files of %s is wanted" % (count, wanted.repo))
    commit = str(listed["revision"])
    given = wanted.revision or "main"
    try:
        return Manifest.from_dict(
            {
                "name": wanted.repo,
                "kind": cache.HUB,
                "revision": commit,
                "refs": [] if given == commit else [given],
                "entries": [{**file, "sha256": ""} for file in chosen_files],
            }
        )
    except manifest.ManifestError as error:
        raise DownloadError("the Hub's list of %s: %s" % (wanted.repo, error)) from None


def _is_wanted(path: str, wanted: Wanted) -> bool:
    if wanted.quant and not manifest.belongs(path, wanted.quant):
        return False
    if any(_matches(path, pattern) for pattern in wanted.exclude):
        return False
    return not wanted.files or any(_matches(path, pattern) for pattern in wanted.files)


def _matches(path: str, pattern: str) -> bool:
    # As in huggingface_hub: a directory means all files in it.
    return fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)


def start(
    wanted: Wanted, manifest: Manifest, hub_folder: str, verify: bool, token: str, seconds: int
) -> str:
    """Start the download; returns the job that `job.look` takes. Raises OSError."""
    request = {
        "wanted": vars(wanted),
        "manifest": manifest.to_dict(),
        "hub": hub_folder,
        "verify": verify,
        "token": token,
        "seconds": seconds,
        "env": environment(),
        "http_bytes": HTTP_BYTES,
    }
    unasked = job.ABANDONED_SECONDS
    return job.start(TITLE + wanted.repo, _IN_PROCESS, request, unasked=unasked)


def answer(request: dict[str, Any], sources: interpreter.Sources) -> None:
    """What the process does that `start` has started."""
    wanted = Wanted(**request["wanted"])
    manifest = Manifest.from_dict(request["manifest"])
    target = Destination.of(manifest, request["hub"])

    def do(progress: job.Progress) -> str:
        def fetch(plan: ReceivePlan) -> None:
            commit = replace(wanted, revision=manifest.revision)
            _fetch(request, commit, plan, target, sources)

        try:
            receive.bring(manifest, target, request["verify"], fetch, progress)
        except DownloadError as error:
            return str(error)
        except (receive.ReceiveError, OSError) as error:
            return _failure(error)
        return ""

    receive.work(request, manifest, target, do, _failure)


def _failure(error: Exception) -> str:
    return "%s. Run again; what has arrived is kept" % explained(error).rstrip(".")


def _fetch(
    request: Mapping[str, Any],
    wanted: Wanted,
    plan: ReceivePlan,
    target: Destination,
    sources: interpreter.Sources,
) -> None:
    # A killed run leaves it to the next one, which removes it with the stage.
    home = os.path.join(target.stage, ".home")
    os.makedirs(home, mode=0o700, exist_ok=True)
    _asked(
        wanted,
        request["token"],
        {**request["env"], **_hub_environment(home)},
        float(request["seconds"]),
        {name: sources[name] for name in _IN_HUB},
        stage=target.stage,
        aside=target.aside,
        http_bytes=request["http_bytes"],
        files=[
            {"path": entry.path, "size": entry.size, "name": os.path.basename(target.staged(entry))}
            for entry in plan.entries
        ],
    )
