# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Ask the hub what a model is made of, and fetch files of it; inside a Python with huggingface_hub.

snapshot_download is not used: since its version 1 it gives a file that was cut off away, and begins
anew. http_get, by which it transfers, goes on where it is told to.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import Sources, reply

# What went wrong, for download.py to put into words.
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

_SECONDS = 30.0
# Above, the hub wants another protocol, by which nothing goes on where it was cut off.
_HTTP_BYTES = 50 * 1000**3
# What is kept at least of a transfer that is cut off, and how finely progress is told.
_PIECE_BYTES = 1 << 20


def answer(request: dict[str, Any], sources: Sources) -> None:
    """Reply to a request: {repo, endpoint, token, revision}, and perhaps {files, stage}.

    Without files it is told what the revision is made of; with files, each {path, name, size},
    they are brought into stage under their name. A problem is told by its kind and in words.
    """
    _end_with_parent()
    try:
        hub = importlib.import_module("huggingface_hub")
    except Exception as error:  # a broken one may raise anything
        reply({"problem": MISSING, "text": str(error)})
        return
    try:
        told = _fetch(hub, request) if "files" in request else _list(hub, request)
    except Exception as error:  # whatever the library or its HTTP client raises
        told = _problem(error)
        told["text"] = _without(str(told["text"]), request["token"])
    reply(told)
    # Not after the other transfers: they may take hours, and what has arrived is kept.
    os._exit(0)


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.3)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _list(hub: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    api = hub.HfApi(endpoint=request["endpoint"], token=request["token"] or False)
    info = api.model_info(
        request["repo"],
        revision=request["revision"] or None,
        files_metadata=True,
        timeout=_SECONDS,
    )
    files = [
        {
            "path": one.rfilename,
            "size": one.size,
            "blob": one.lfs["sha256"] if one.lfs else one.blob_id,
        }
        for one in info.siblings or ()
    ]
    if files:
        # What a model is made of is told to everybody, its content perhaps not.
        url = _url(hub, request, info.sha, str(files[0]["path"]))
        hub.get_hf_file_metadata(url, token=request["token"] or False, timeout=_SECONDS)
    constants = importlib.import_module("huggingface_hub.constants")
    limit = getattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", _HTTP_BYTES)
    return {"revision": info.sha, "files": files, "limit": limit, "version": hub.__version__}


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
    # Compressed, a file could not go on where it was cut off.
    headers["Accept-Encoding"] = "identity"
    descriptor = os.open(request["stage"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        # That of a run whose parent was killed may be a moment from its end.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return {"problem": BUSY, "text": ""}

    def bring(one: Mapping[str, Any]) -> None:
        path = os.path.join(request["stage"], one["name"])
        url = _url(hub, request, request["revision"], one["path"])
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
            there = stream.seek(0, os.SEEK_END)
            if there > one["size"]:
                there = stream.truncate(stream.seek(0))
            transfer(
                url, stream, resume_size=there, headers=dict(headers), expected_size=one["size"]
            )
            stream.flush()
            os.fsync(stream.fileno())

    pool = ThreadPoolExecutor(request["connections"])
    waiting = [pool.submit(bring, one) for one in request["files"]]
    for done in as_completed(waiting):
        done.result()
    return {}


def _problem(error: Exception) -> dict[str, Any]:
    """The kind of a problem, its text, and the status that the hub answered with."""
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


def _without(text: str, secret: str) -> str:
    return text.replace(secret, "...") if secret else text
