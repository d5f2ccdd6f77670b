# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a model from the hub into the cache: asked for, fetched beside, verified, put in place.

A process of its own does it, so that a broken connection does not end it, and ends when nobody has
asked for a while how far it is. The hub's list of files becomes a manifest, and everything after
the transfer is what happens to a copy from another node (receive.py).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import files, model
from ansible_collections.dgxspark.suite.plugins.module_utils.models import (
    cache,
    hub,
    manifest,
    names,
    owner,
    receive,
    share,
    weights,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import Manifest
from ansible_collections.dgxspark.suite.plugins.module_utils.models.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models.receive import Plan, Target
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import command, interpreter

PREFIX = "dgxspark-download-"
TITLE = "dgxspark-download:"
HUB = "https://huggingface.co"

# From the environment of the task: how this network is left.
PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")

FETCHING = "fetching"
VERIFYING = "verifying"
DONE = "done"

# What runs with huggingface_hub, and what runs beside the transfer; each finds its imports before.
_IN_HUB = tuple(one.__name__ for one in (command, interpreter, hub))
_IN_PROCESS = (
    *_IN_HUB,
    *(one.__name__ for one in (model, files, names, weights, cache, manifest, owner)),
    *(one.__name__ for one in (share, receive)),
    __name__,
)
_ASK_SECONDS = 120.0
# Nobody has asked for so long: the controller is gone.
_ABANDONED_SECONDS = 60.0
_TICK = 0.5


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
    """Begin to bring it; the folder by which `look` finds it. Raises OSError."""
    scratch = tempfile.mkdtemp(prefix=PREFIX)
    try:
        request = {
            "wanted": vars(wanted),
            "manifest": found.to_dict(),
            "hub": hub_folder,
            "verify": verify,
            "token": token,
            "seconds": seconds,
            "env": environment(),
            "scratch": scratch,
        }
        _note(scratch, "state", {"phase": FETCHING, "bytes": 0})
        descriptor = os.open(os.path.join(scratch, "log"), os.O_WRONLY | os.O_CREAT, 0o600)
        with open(descriptor, "w", encoding="utf-8") as log:
            title = TITLE + wanted.repo
            sources = interpreter.sources_of(_IN_PROCESS)
            pid = interpreter.detach([sys.executable], title, sources, request, log)
        _note(scratch, "pid", {"pid": pid})
    except BaseException:
        shutil.rmtree(scratch)
        raise
    return scratch


def look(scratch: str) -> dict[str, Any]:
    """How far it is: {phase, bytes}, or the end: {phase: DONE, problem}. It is forgotten then.

    Raises DownloadError where it is gone.
    """
    inside = os.path.dirname(scratch) == tempfile.gettempdir()
    if not inside or not os.path.basename(scratch).startswith(PREFIX):
        raise DownloadError("%s is no folder of ours" % scratch)
    gone = "the download has ended without a word. Run again; what has arrived is kept"
    # Before its result is read: it has written that when it is gone.
    alive = TITLE in _text("/proc/%d/cmdline" % _noted(scratch, "pid").get("pid", 0))
    result = _noted(scratch, "result")
    if alive and not result:
        os.utime(os.path.join(scratch, "pid"))
        return _noted(scratch, "state")
    said = command.last_line(_text(os.path.join(scratch, "log")))
    shutil.rmtree(scratch, ignore_errors=True)
    if not result:
        raise DownloadError("%s (%s)" % (gone, said) if said else gone)
    return result


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _noted(scratch: str, name: str) -> dict[str, Any]:
    text = _text(os.path.join(scratch, name))
    return dict(json.loads(text)) if text else {}


def _note(scratch: str, name: str, what: Mapping[str, Any]) -> None:
    path = os.path.join(scratch, name)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(what, stream)
    os.replace(path + ".new", path)


def answer(request: dict[str, Any], sources: interpreter.Sources) -> None:
    """What the process does that `start` began."""
    problem = ""
    try:
        bring(request, sources)
    except DownloadError as error:
        problem = str(error)
    except (receive.ReceiveError, model.Blocked, OSError) as error:
        problem = "%s. Run again; what has arrived is kept" % error
    except Exception as error:  # not to the log: a traceback might show the request
        problem = "unexpected: %s: %s" % (type(error).__name__, error)
    revision = request["manifest"]["revision"]
    told = {"phase": DONE, "problem": problem, "revision": revision}
    _note(request["scratch"], "result", told)


def bring(request: Mapping[str, Any], sources: interpreter.Sources) -> None:
    """Fetch, verify, put in place. Raises DownloadError, ReceiveError, Blocked or OSError."""
    wanted = Wanted(**request["wanted"])
    found = Manifest.from_dict(request["manifest"])
    target = Target.of(found, request["hub"])
    whose = Owner.of(target.root)
    whose.make_folders(target.root)
    progress = Progress(request["scratch"])
    threading.Thread(target=progress.watch, daemon=True).start()
    with files.locked(target.root, 0):
        plan = receive.plan(found, target, request["verify"])
        refusal = receive.lacks_space(plan, target)
        if refusal:
            raise DownloadError(refusal)
        if plan.entries:
            progress.of(FETCHING, [target.staged(one) for one in plan.entries])
            whose.make_folders(target.stage)
            _fetch(request, wanted, found, plan, target, whose, sources)
            progress.of(VERIFYING)
            for one in plan.entries:
                receive.check(replace(plan, entries=[one]), target)
                progress.verified += one.size
        receive.place(plan, target, whose)


def _fetch(
    request: Mapping[str, Any],
    wanted: Wanted,
    found: Manifest,
    plan: Plan,
    target: Target,
    whose: Owner,
    sources: interpreter.Sources,
) -> None:
    home = os.path.join(request["scratch"], "home")
    os.mkdir(home, 0o700)
    whose.give(home)
    # To pass through, not to list.
    os.chmod(request["scratch"], 0o711)
    _asked(
        replace(wanted, revision=found.revision),
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


class Progress:
    """Says every half second how far it is, and ends the process when nobody wants to know."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._phase = FETCHING
        self._paths: Sequence[str] = ()
        self.verified = 0

    def of(self, phase: str, paths: Sequence[str] = ()) -> None:
        self._paths, self._phase = paths, phase

    def watch(self) -> None:
        while True:
            time.sleep(_TICK)
            looked = os.path.join(self._scratch, "pid")
            with suppress(OSError):
                if time.time() - os.stat(looked).st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(self._scratch, ignore_errors=True)
                    os._exit(1)
                _note(self._scratch, "state", {"phase": self._phase, "bytes": self._bytes()})

    def _bytes(self) -> int:
        if self._phase == VERIFYING:
            return self.verified
        return sum(_size(path) for path in self._paths)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
