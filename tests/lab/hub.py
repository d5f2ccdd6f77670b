# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub of one's own: what huggingface_hub asks of the real one for a download, over HTTP.

    hub.py FOLDER [--address 0.0.0.0] [--port 0]

FOLDER/org/name holds the files of a model. What FOLDER/control.json says holds from the next
request on: `token` (the only one that is accepted), `gated` and `private` (repositories), `rate`
(bytes a second), `damaged` (paths whose content is sent with its first byte changed), `cut` (bytes
after which every transfer is cut off). Standard library only, for whatever Python a node has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# As large files on the hub, these are known by their sha256 and sent from elsewhere.
LARGE = (".safetensors", ".gguf", ".bin")
CHUNK = 1 << 16


@cache
def _digests(path: str, _changed: int) -> tuple[str, str]:
    data = Path(path).read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return hashlib.sha256(data).hexdigest(), git.hexdigest()


def digests(path: Path) -> tuple[str, str]:
    """A file's sha256, and what git calls it."""
    return _digests(str(path), path.stat().st_mtime_ns)


def files(model: Path) -> list[Path]:
    return sorted(path for path in model.rglob("*") if path.is_file())


def commit(model: Path) -> str:
    told = "".join(f"{path.relative_to(model)} {digests(path)[1]}\n" for path in files(model))
    return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path, cdn: bool = False) -> None:
        super().__init__(address, Handler)
        self.folder = folder
        # (method, path, Range, Authorization) of every request.
        self.seen: list[tuple[str, str, str, str]] = []
        # Large files come from another host, which may not see the token: here another port.
        self.cdn = self if cdn else Hub((address[0], 0), folder, cdn=True)
        if not cdn:
            threading.Thread(target=self.cdn.serve_forever, daemon=True).start()

    def control(self) -> dict[str, Any]:
        path = self.folder / "control.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        asked = [self.headers.get(name, "") for name in ("Range", "Authorization")]
        self.server.seen.append((self.command, path, asked[0], asked[1]))
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"] and words[4:5] == ["tree"] and len(words) == 6:
            self._tree("/".join(words[2:4]), words[5])
        elif words[:2] == ["api", "models"] and len(words) in (4, 6):
            self._model("/".join(words[2:4]), words[5] if len(words) == 6 else "main")
        elif len(words) > 4 and words[2] == "resolve":
            self._resolve("/".join(words[:2]), words[3], "/".join(words[4:]))
        elif words[0] == "cdn" and len(words) > 3:
            self._content(self.server.folder / "/".join(words[1:]))
        else:
            self._refuse(404, "", "Not Found")

    def _may(self, repo: str, content: bool) -> bool:
        """Whether the asker may see a model, or its content; they are told if not."""
        control = self.server.control()
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given != control.get("token"):
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif not (self.server.folder / repo).is_dir() or (
            repo in control.get("private", ()) and not given
        ):
            self._refuse(404 if given else 401, "RepoNotFound", "Repository not found")
        elif content and repo in control.get("gated", ()) and not given:
            self._refuse(401, "GatedRepo", f"Access to model {repo} is restricted.")
        else:
            return True
        return False

    def _revision(self, repo: str, revision: str) -> str:
        """The commit that is meant; empty where the asker was told that there is none for them."""
        if not self._may(repo, content=False):
            return ""
        sha = commit(self.server.folder / repo)
        if revision in ("main", sha):
            return sha
        self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return ""

    def _tree(self, repo: str, revision: str) -> None:
        if not self._revision(repo, revision):
            return
        model = self.server.folder / repo
        tree: list[dict[str, Any]] = []
        for path in files(model):
            sha256, git = digests(path)
            one = {"type": "file", "path": str(path.relative_to(model)), "oid": git}
            size = path.stat().st_size
            lfs = {"lfs": {"oid": sha256, "size": size, "pointerSize": 135}}
            tree.append({**one, "size": size, **(lfs if path.suffix in LARGE else {})})
        self._answer(200, json.dumps(tree).encode())

    def _model(self, repo: str, revision: str) -> None:
        sha = self._revision(repo, revision)
        if not sha:
            return
        model = self.server.folder / repo
        siblings = []
        for path in files(model):
            sha256, git = digests(path)
            one: dict[str, Any] = {"rfilename": str(path.relative_to(model)), "blobId": git}
            one["size"] = path.stat().st_size
            if path.suffix in LARGE:
                one["lfs"] = {"sha256": sha256, "size": one["size"], "pointerSize": 135}
            siblings.append(one)
        self._answer(200, json.dumps({"id": repo, "sha": sha, "siblings": siblings}).encode())

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        if not self._may(repo, content=True):
            return
        path = self.server.folder / repo / name
        sha = commit(self.server.folder / repo)
        if revision not in ("main", sha) or not path.is_file():
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        sha256, git = digests(path)
        about = {"X-Repo-Commit": sha}
        if path.suffix in LARGE:
            about["X-Linked-Etag"] = f'"{sha256}"'
            about["X-Linked-Size"] = str(path.stat().st_size)
            host = self.headers["Host"].rpartition(":")[0]
            about["Location"] = f"http://{host}:{self.server.cdn.server_port}/cdn/{repo}/{name}"
            self._answer(302, b"", about)
        else:
            self._content(path, {**about, "ETag": f'"{git}"'})

    def _content(self, path: Path, about: dict[str, str] | None = None) -> None:
        control = self.server.control()
        data = path.read_bytes()
        whole = len(data)
        if path.name in control.get("damaged", ()):
            data = bytes([data[0] ^ 1]) + data[1:]
        asked = self.headers.get("Range", "")
        about = {"Accept-Ranges": "bytes", **(about or {})}
        if asked.startswith("bytes="):
            first = int(asked[len("bytes=") :].split("-")[0])
            data = data[first:]
            about["Content-Range"] = f"bytes {first}-{whole - 1}/{whole}"
        cut, rate = control.get("cut"), control.get("rate")
        self._answer(206 if asked else 200, data, about, body=False)
        if self.command == "HEAD":
            return
        sent = 0
        step = min(CHUNK, max(1, rate // 10)) if rate else CHUNK
        while sent < len(data):
            if cut and sent >= cut:
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(data[sent : sent + step])
            sent += step
            if rate:
                time.sleep(step / rate)

    def _refuse(self, status: int, code: str, message: str) -> None:
        about = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._answer(status, json.dumps({"error": message}).encode(), about)

    def _answer(
        self, status: int, data: bytes, about: dict[str, str] | None = None, body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(about or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    hub = Hub((given.address, given.port), given.folder)
    print(hub.server_port, flush=True)
    hub.serve_forever()


if __name__ == "__main__":
    main()
