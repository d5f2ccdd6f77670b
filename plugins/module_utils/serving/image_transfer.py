# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on beside the modules while an image moves: it is offered, taken, or pulled.

Started as a program of its own (`python3 FOLDER/image_transfer.py FOLDER`), which outlives the
module, so it imports nothing of this collection. The folder has what is to be done, job.json, and
gets what became of it, status.json.

An image travels as `docker save` writes it, straight into `docker load`: a file between the two
would take its size once more on both disks. Whoever takes it proves that he knows the secret, and
then believes not the sender but the id of what has arrived.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

JOB = "job.json"
STATUS = "status.json"
PROGRAM = "image_transfer.py"
LOG = "log"

# A program of its own, without an AnsibleModule to run others by.
# pylint: disable=ansible-bad-function

_CHUNK = 1 << 20
_NONCE = 32
_WELCOME = b"+"
_HELLO_SECONDS = 20.0
# Docker packs a whole image before its first byte comes, in seconds.
_QUIET_SECONDS = 900.0
_TELL_SECONDS = 0.5


class TransferError(Exception):
    """It did not come to its end; the text says why."""


def proof(secret: str, nonce: bytes) -> bytes:
    return hmac.new(secret.encode(), nonce, hashlib.sha256).hexdigest().encode()


def write(folder: str, name: str, value: dict[str, Any]) -> None:
    """Replace a file of the folder in one step; nobody but its owner reads it."""
    path = os.path.join(folder, name)
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(path + ".new", path)


def read(folder: str, name: str) -> dict[str, Any]:
    """Empty where there is none yet."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as stream:
            found = json.load(stream)
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def offer(folder: str, job: dict[str, Any]) -> None:
    """Give the image to whoever comes from one of the clients' addresses and knows the secret."""
    with socket.create_server((job["address"], 0), family=_family(job["address"])) as listening:
        write(folder, STATUS, {"port": listening.getsockname()[1]})
        while True:
            connection, (peer, *_rest) = listening.accept()
            if peer not in job["clients"]:
                connection.close()
                continue
            threading.Thread(target=_give, args=(connection, job), daemon=True).start()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _give(connection: socket.socket, job: dict[str, Any]) -> None:
    with connection, suppress(OSError):
        connection.settimeout(_HELLO_SECONDS)
        nonce = secrets.token_bytes(_NONCE)
        connection.sendall(nonce)
        expected = proof(job["secret"], nonce)
        if not hmac.compare_digest(_exactly(connection, len(expected)), expected):
            return
        connection.sendall(_WELCOME)
        connection.settimeout(_QUIET_SECONDS)
        with subprocess.Popen(
            [job["docker"], "save", job["image"]], stdout=subprocess.PIPE
        ) as saving:
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


def take(folder: str, job: dict[str, Any]) -> None:
    """Load the image that is offered at an address; raises TransferError and OSError."""
    with socket.create_connection((job["address"], job["port"]), _HELLO_SECONDS) as connection:
        nonce = _exactly(connection, _NONCE)
        connection.sendall(proof(job["secret"], nonce))
        if _exactly(connection, len(_WELCOME)) != _WELCOME:
            raise TransferError("%s does not let this node in" % job["address"])
        connection.settimeout(_QUIET_SECONDS)
        _load(folder, job, connection)


def _load(folder: str, job: dict[str, Any], connection: socket.socket) -> None:
    told = 0.0
    count = 0
    with open(os.path.join(folder, LOG), "w+", encoding="utf-8", errors="replace") as log:
        argv = [job["docker"], "load"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log) as loading:
            try:
                while loading.stdin:
                    data = connection.recv(_CHUNK)
                    if not data:
                        break
                    loading.stdin.write(data)
                    count += len(data)
                    if time.monotonic() - told > _TELL_SECONDS:
                        write(folder, STATUS, {"bytes": count})
                        told = time.monotonic()
                write(folder, STATUS, {"bytes": count, "arrived": True})
            except BrokenPipeError:
                pass  # what it says about that comes below
            except BaseException:
                # Half an image: Docker drops what it has of it when its client goes.
                loading.kill()
                raise
            with suppress(BrokenPipeError):
                loading.communicate()
        if loading.returncode or not count:
            log.seek(0)
            said = log.read().strip().splitlines()
            why = said[-1] if said else "exit status %s, nothing came" % loading.returncode
            raise TransferError("docker load: " + why)


def pull(folder: str, job: dict[str, Any]) -> None:
    """Pull the image from its registry; raises TransferError and OSError."""
    layers: dict[str, bool] = {}
    said = ""
    # Its configuration may have the credentials for the registry.
    env = {**os.environ, "HOME": os.path.expanduser("~")}
    argv = [job["docker"], "pull", job["image"]]
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        encoding="utf-8",
        errors="replace",
    ) as pulling:
        for line in pulling.stdout or ():
            said = line.strip() or said
            layer, _colon, state = said.partition(": ")
            if state in ("Pulling fs layer", "Waiting", "Already exists", "Pull complete"):
                layers[layer] = state in ("Already exists", "Pull complete")
                done = sum(layers.values())
                write(folder, STATUS, {"layers": len(layers), "layers_done": done})
    if pulling.returncode:
        raise TransferError(said or "docker pull: exit status %d" % pulling.returncode)


def main(folder: str) -> None:
    job = read(folder, JOB)
    work = {"offer": offer, "take": take, "pull": pull}[job["work"]]
    try:
        work(folder, job)
        write(folder, STATUS, {**read(folder, STATUS), "done": True})
    except (TransferError, OSError) as error:
        write(folder, STATUS, {**read(folder, STATUS), "done": True, "error": str(error)})


if __name__ == "__main__":
    main(sys.argv[1])
