# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Fetch the files of a model on the Hugging Face Hub, in a Python with huggingface_hub.

A file that the Hub sends by HTTP is fetched with http_get, which resumes it; snapshot_download,
which calls it, discards a partial file since version 1. The others are fetched with
snapshot_download, which uses hf_xet, and begins anew with a file that was interrupted.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import importlib
import importlib.util
import os
import shutil
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import Sources, reply

# Kinds of problems, for which download.py has the texts.
BUSY = "busy"
FULL = "full"
GATED = "gated"
MISSING = "missing"
NO_REPOSITORY = "no_repository"
NO_REVISION = "no_revision"
OTHER = "other"
STATUS = "status"
TOKEN = "token"
UNREACHABLE = "unreachable"

# What an interrupted transfer loses at most, and the granularity of the progress.
_PIECE_BYTES = 1 << 20


def answer(request: dict[str, Any], sources: Sources) -> None:
    """Reply to a request: {repo, endpoint, token, revision, connections}, and for a transfer more.

    {files, stage, http_bytes, aside}: the files, each {path, name, size}, are fetched into stage
    under their name. Those of more than http_bytes are not asked for by HTTP; until they are
    complete, they are in the folder aside. Without files, the reply is {version, xet}: of
    huggingface_hub, and whether hf_xet is there. A problem is replied as its kind and a text.
    """
    _end_with_parent()
    try:
        hub = importlib.import_module("huggingface_hub")
    except Exception as error:  # a broken library may raise anything
        reply({"problem": MISSING, "text": str(error)})
        return
    try:
        outcome = _fetch(hub, request) if "files" in request else _about(hub)
    except Exception as error:  # whatever the library or its HTTP client raises
        outcome = _problem(error)
        outcome["text"] = without(str(outcome["text"]), request["token"])
    reply(outcome)
    # Without waiting for the other transfers: they may take hours, and what has arrived is kept.
    os._exit(0)


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _about(hub: Any) -> dict[str, Any]:
    xet = importlib.util.find_spec("hf_xet") is not None
    return {"version": str(hub.__version__), "xet": xet}


def _url(hub: Any, request: Mapping[str, Any], revision: str, path: str) -> str:
    return str(
        hub.hf_hub_url(request["repo"], path, revision=revision, endpoint=request["endpoint"])
    )


def _fetch(hub: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    transfer = importlib.import_module("huggingface_hub.file_download").http_get
    headers = importlib.import_module("huggingface_hub.utils").build_hf_headers(
        token=request["token"] or False
    )
    constants: Any = importlib.import_module("huggingface_hub.constants")
    constants.DOWNLOAD_CHUNK_SIZE = _PIECE_BYTES
    # A compressed transfer cannot be resumed.
    headers["Accept-Encoding"] = "identity"
    descriptor = os.open(request["stage"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        # A transfer whose parent was killed may not have ended yet.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return {"problem": BUSY, "text": ""}

    # What a killed transfer has left there cannot be resumed.
    shutil.rmtree(request["aside"], ignore_errors=True)

    def bring(file: Mapping[str, Any]) -> None:
        if file["size"] > request["http_bytes"]:
            _bring_large(hub, request, file)
            return
        path = os.path.join(request["stage"], file["name"])
        url = _url(hub, request, request["revision"], file["path"])
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
            arrived = stream.seek(0, os.SEEK_END)
            size = file["size"]
            if arrived > size:
                arrived = stream.truncate(stream.seek(0))
            transfer(url, stream, resume_size=arrived, headers=dict(headers), expected_size=size)
            stream.flush()
            os.fsync(stream.fileno())

    pool = ThreadPoolExecutor(request["connections"])
    waiting = [pool.submit(bring, file) for file in request["files"]]
    for done in as_completed(waiting):
        done.result()
    return {}


def _bring_large(hub: Any, request: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    place = os.path.join(request["stage"], file["name"])
    if os.path.exists(place) and os.path.getsize(place) == file["size"]:
        return
    folder = hub.snapshot_download(
        request["repo"],
        revision=request["revision"],
        allow_patterns=[glob.escape(file["path"])],
        cache_dir=request["aside"],
        token=request["token"] or False,
        endpoint=request["endpoint"],
        max_workers=1,
    )
    blob = os.path.realpath(os.path.join(folder, file["path"]))
    with open(blob, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(blob, place)


def _problem(error: Exception) -> dict[str, Any]:
    """The kind of a problem, its text, and the HTTP status of the Hub's answer."""
    errors = importlib.import_module("huggingface_hub.errors")
    text = " ".join(str(error).split())[:300] or type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        kind = GATED
    elif isinstance(error, errors.RepositoryNotFoundError):
        kind = NO_REPOSITORY
    elif isinstance(error, errors.RevisionNotFoundError):
        kind = NO_REVISION
    elif status == 401:
        kind = TOKEN
    elif status is not None:
        kind = STATUS
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        kind = FULL
    elif type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "requests", "urllib3"):
        kind = UNREACHABLE
        text = "%s: %s" % (type(error).__name__, text)
    else:
        kind = OTHER
        text = "%s: %s" % (type(error).__name__, text)
    return {"problem": kind, "text": text, "status": status}


def without(text: str, secret: str) -> str:
    """The text with three dots in place of the secret."""
    return text.replace(secret, "...") if secret else text
