# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Offer, copy or pull an image, as a background job; see host/job.py.

An image travels as `docker save` writes it, straight into `docker load`: a file between the two
would take its size once more on both disks. The receiver proves that it knows the secret, and the
module then verifies the ID of the image that has arrived.

A transfer is known by the image, in a directory below /run: the next run finds one whose controller
was killed, and a reboot leaves nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, interpreter, job

OFFER = "offer"
TAKE = "take"
PULL = "pull"

# Where transfers are known.
FOLDER = "/run/dgxspark/images"

TITLE = "dgxspark-image:"

# What runs in a transfer's process; each finds its imports before.
MODULES = (*(module.__name__ for module in (command, interpreter, job)), __name__)

# A process of its own, without an AnsibleModule to run others by.
# pylint: disable=ansible-bad-function

_CHUNK = 1 << 20
_NONCE = 32
_WELCOME = b"+"
_HELLO_SECONDS = 20.0
# Docker packs a whole image before its first byte comes, in seconds.
_QUIET_SECONDS = 900.0


class TransferError(Exception):
    """The transfer failed; the text says why."""


def folder_of(run_dir: str, work: str, image: str) -> str:
    """Where a transfer of this image is known."""
    return os.path.join(run_dir, "%s-%s" % (work, hashlib.sha256(image.encode()).hexdigest()[:16]))


def start(run_dir: str, work: str, request: Mapping[str, Any], seconds: int) -> str:
    """Start a transfer, for at most that many seconds; one of the same work and image is ended.

    work: OFFER, TAKE or PULL. request: `image`, `docker` (path of the client); of TAKE also
    `address`, `port` and `secret` of the offer; of OFFER `address`, `clients` (addresses that may
    connect) and `secret`. run_dir: exists. Returns the job's directory. Raises OSError.
    """
    image = request["image"]
    folder = folder_of(run_dir, work, image)
    return job.start(TITLE + image, MODULES, {**request, "work": work}, folder, limit=seconds)


def answer(request: dict[str, Any], _sources: interpreter.Sources) -> None:
    """What the process does that `start` has started."""
    do = {OFFER: _offer, TAKE: _take, PULL: _pull}[request["work"]]

    def transfer(progress: job.Progress) -> str:
        try:
            do(request, progress)
        except (TransferError, OSError) as error:
            return str(error)
        return ""

    job.work(request, transfer)


def _proof(secret: str, nonce: bytes) -> bytes:
    return hmac.new(secret.encode(), nonce, hashlib.sha256).hexdigest().encode()


def _offer(request: Mapping[str, Any], progress: job.Progress) -> None:
    """Send the image to whoever connects from a client's address and knows the secret."""
    address = request["address"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        progress.begin(job.OFFERING)
        progress.announce(port=listening.getsockname()[1])
        while True:
            connection, (peer, *_rest) = listening.accept()
            if peer not in request["clients"]:
                connection.close()
                continue
            threading.Thread(target=_send, args=(connection, request), daemon=True).start()


def _send(connection: socket.socket, request: Mapping[str, Any]) -> None:
    with connection, suppress(OSError):
        connection.settimeout(_HELLO_SECONDS)
        nonce = secrets.token_bytes(_NONCE)
        connection.sendall(nonce)
        expected = _proof(request["secret"], nonce)
        if not hmac.compare_digest(_exactly(connection, len(expected)), expected):
            return
        connection.sendall(_WELCOME)
        connection.settimeout(_QUIET_SECONDS)
        argv = [request["docker"], "save", request["image"]]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as saving:
            try:
                while saving.stdout:
                    data = saving.stdout.read(_CHUNK)
                    if not data:
                        break
                    connection.sendall(data)
            finally:
                # No harm where it has ended; Docker tidies up after one that has not.
                saving.terminate()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            return data
        data += part
    return data


def _take(request: Mapping[str, Any], progress: job.Progress) -> None:
    """Load the image that is offered at an address; raises TransferError and OSError."""
    progress.begin(job.FETCHING)
    source = request["address"], request["port"]
    with socket.create_connection(source, _HELLO_SECONDS) as connection:
        nonce = _exactly(connection, _NONCE)
        connection.sendall(_proof(request["secret"], nonce))
        if _exactly(connection, len(_WELCOME)) != _WELCOME:
            raise TransferError("%s refuses this node" % request["address"])
        connection.settimeout(_QUIET_SECONDS)
        _load(request["docker"], connection, progress)


def _load(docker: str, connection: socket.socket, progress: job.Progress) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        argv = [docker, "load"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log) as loading:
            try:
                while loading.stdin:
                    data = connection.recv(_CHUNK)
                    if not data:
                        break
                    loading.stdin.write(data)
                    progress.count += len(data)
            except BrokenPipeError:
                pass  # what it says about that comes below
            except BaseException:
                # Half an image: Docker drops what it has of it when its client goes.
                loading.kill()
                raise
            received = progress.count
            progress.begin(job.UNPACKING)
            progress.count = received
            with suppress(BrokenPipeError):
                loading.communicate()
        if loading.returncode or not received:
            log.seek(0)
            last = command.last_line(log.read())
            why = last or "exit status %s, nothing came" % loading.returncode
            raise TransferError("docker load: " + why)


def _pull(request: Mapping[str, Any], progress: job.Progress) -> None:
    """Pull the image from its registry; raises TransferError and OSError."""
    progress.begin(job.PULLING)
    layers: dict[str, bool] = {}
    last = ""
    # Its configuration may have the credentials for the registry.
    env = {**os.environ, "HOME": os.path.expanduser("~")}
    with subprocess.Popen(
        [request["docker"], "pull", request["image"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        encoding="utf-8",
        errors="replace",
    ) as pulling:
        for line in pulling.stdout or ():
            last = line.strip() or last
            layer, _colon, state = last.partition(": ")
            if state in ("Pulling fs layer", "Waiting", "Already exists", "Pull complete"):
                layers[layer] = state in ("Already exists", "Pull complete")
                progress.count, progress.total = sum(layers.values()), len(layers)
    if pulling.returncode:
        raise TransferError(last or "docker pull: exit status %d" % pulling.returncode)
