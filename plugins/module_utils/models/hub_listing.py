# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The files of a model, as the Hugging Face Hub lists them: with the standard library alone.

So a node can be asked what it would download before it has anything to download with.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.models import hub

_SECONDS = 30.0
_REDIRECTS = 5
_BYTES = foreign.LIMIT


class DownloadError(Exception):
    """The download failed; the text says why, and what to do."""


class HubProblem(Exception):
    """What the Hub refuses: a kind of hub.py, and its own words."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are followed below: the token is for the Hub alone."""

    def redirect_request(  # pylint: disable=too-many-positional-arguments
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> None:
        return None


def listing(endpoint: str, repo: str, revision: str, token: str) -> dict[str, Any]:
    """{revision, files}: the commit, and path, size and blob of its files. Raises HubProblem."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise HubProblem(hub.TOKEN, "it has characters that no token has")
    url = "%s/api/models/%s" % (endpoint, repo)
    if revision:
        url += "/revision/%s" % quote(revision, safe="")
    try:
        listed = parse(_answer("GET", url + "?blobs=true", token))
    except ValueError as error:
        raise HubProblem(hub.OTHER, "its list of %s: %s" % (repo, error)) from None
    if listed["files"]:
        # The list of files is public even where their content is not.
        path = quote(listed["files"][0]["path"])
        _answer("HEAD", "%s/%s/resolve/%s/%s" % (endpoint, repo, listed["revision"], path), token)
    return listed


def parse(text: bytes) -> dict[str, Any]:
    """The Hub's description of a revision. Raises ValueError."""
    about = foreign.json_of(text)
    try:
        return {"revision": _text(about["sha"]), "files": list(map(_file, about["siblings"]))}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it is not a list of files: %r" % error) from None


def _file(given: Mapping[str, Any]) -> dict[str, Any]:
    lfs = given.get("lfs")
    blob = lfs["sha256"] if lfs else given["blobId"]
    size = given["size"]
    if not isinstance(size, int):
        raise TypeError("size")
    return {"path": _text(given["rfilename"]), "size": size, "blob": _text(blob)}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("%.80r is not a text" % (value,))
    return value


def _answer(method: str, url: str, token: str) -> bytes:
    """Of this URL, and of where it leads on the Hub itself. Raises HubProblem."""
    for _redirect in range(_REDIRECTS):
        try:
            with _opener().open(_request(method, url, token), timeout=_SECONDS) as reply:
                text = reply.read(_BYTES + 1)
                return bytes(text)
        except urllib.error.HTTPError as error:
            with error:
                if error.code // 100 != 3:
                    raise _problem(error.code, error.headers, token) from None
                there = urljoin(url, error.headers.get("Location", ""))
            if urlsplit(there)[:2] != urlsplit(url)[:2]:
                # To the host that has the content, which is not asked here.
                return b""
            url = there
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            text = "%s: %s" % (type(reason).__name__, reason)
            raise HubProblem(hub.UNREACHABLE, _said(text, token)) from None
    raise HubProblem(hub.OTHER, "it redirects more than %d times" % _REDIRECTS)


def _opener() -> urllib.request.OpenerDirector:
    proxies = urllib.request.getproxies()
    every = proxies.pop("all", "")
    if every:
        proxies = {"http": every, "https": every, **proxies}
    return urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect())


def _request(method: str, url: str, token: str) -> urllib.request.Request:
    headers = {"Accept-Encoding": "identity", "User-Agent": "dgxspark.suite"}
    if token:
        headers["Authorization"] = "Bearer %s" % token
    return urllib.request.Request(url, headers=headers, method=method)


def _problem(status: int, headers: Message, token: str) -> HubProblem:
    """As huggingface_hub: a code of the Hub says more than the status."""
    code, message = headers.get("X-Error-Code", ""), headers.get("X-Error-Message", "")
    text = _said("HTTP %d: %s" % (status, message or code or "no reason given"), token)
    if code == "GatedRepo":
        return HubProblem(hub.GATED, text)
    if code == "RevisionNotFound":
        return HubProblem(hub.NO_REVISION, text)
    if status == 401 and message == "Invalid credentials in Authorization header":
        return HubProblem(hub.TOKEN, text)
    # Private models are answered like those that do not exist.
    if code == "RepoNotFound" or status == 401:
        return HubProblem(hub.NO_REPOSITORY, text)
    return HubProblem(hub.STATUS, text)


def _said(text: str, token: str) -> str:
    return foreign.line(hub.without(text, token))[:300]
