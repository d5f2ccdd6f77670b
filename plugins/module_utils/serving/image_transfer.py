# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Offer, copy or pull an image, as a background job; see host/job.py.

An image travels as `docker save` writes it, straight into `docker load`: a file between the two
would take its size once more on both disks. Both ends prove that they know the secret of the copy,
and `docker load` gets nothing that is not verified to come from the other end; see host/channel.py.
The image is named on the receiver when one of its ID has arrived. Other images and names that came
with it are removed.

A transfer is known by the image, in a directory below /run: the next run finds one whose controller
was killed, and a reboot leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    channel,
    command,
    handshake,
    interpreter,
    job,
)

OFFER = "offer"
TAKE = "take"
PULL = "pull"

# Where transfers are known.
FOLDER = "/run/dgxspark/images"

TITLE = "dgxspark-image:"

# What runs in a transfer's process; each finds its imports before.
_HOST = (command, interpreter, job, handshake, channel)
MODULES = (*(module.__name__ for module in _HOST), __name__)

# A process of its own, without an AnsibleModule to run others by.
# pylint: disable=ansible-bad-function

# Docker packs a whole image before its first byte comes, in seconds.
_QUIET_SECONDS = 900.0
_ASK_SECONDS, _ANSWER_BYTES = 120.0, 64 << 20
# What `docker load` prints of each image.
_LOADED_NAME, _LOADED_ID = "Loaded image: ", "Loaded image ID: "


class TransferError(Exception):
    """The transfer failed; the text says why."""


def folder_of(run_dir: str, work: str, image: str) -> str:
    """Where a transfer of this image is known."""
    return os.path.join(run_dir, "%s-%s" % (work, hashlib.sha256(image.encode()).hexdigest()[:16]))


def start(run_dir: str, work: str, request: Mapping[str, Any], seconds: int) -> str:
    """Start a transfer, for at most that many seconds; one of the same work and image is ended.

    work: OFFER, TAKE or PULL. request: `image`, `docker` (path of the client); of TAKE also `id` of
    the image and `address`, `port` and `secret` of the offer; of OFFER `id`, `address`, `clients`
    (addresses that may connect) and `secret`. run_dir: exists. Returns the job's directory. Raises
    OSError.
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


def _offer(request: Mapping[str, Any], progress: job.Progress) -> None:
    """Send the image to whoever connects from a client's address and knows the secret."""
    address = request["address"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def give(taker: channel.Channel) -> None:
        _send(taker, request["docker"], request["id"])

    with socket.create_server((address, 0), family=family) as listening:
        progress.begin(job.OFFERING)
        progress.announce(port=listening.getsockname()[1])
        about = _about(request)
        clients, secret = request["clients"], request["secret"]
        channel.serve(listening, clients, secret, about, _QUIET_SECONDS, give)


def _about(request: Mapping[str, Any]) -> str:
    return "image %s %s" % (request["id"], request["image"])


def _send(taker: channel.Channel, docker: str, image_id: str) -> None:
    # By its ID an image is saved without its names.
    with subprocess.Popen([docker, "save", image_id], stdout=subprocess.PIPE) as saving:
        try:
            while saving.stdout:
                data = saving.stdout.read(channel.FRAME)
                if not data:
                    break
                taker.send(data)
            if saving.wait() == 0:
                taker.send(b"")
        finally:
            # No harm where it has ended; Docker tidies up after one that has not.
            saving.terminate()


def _take(request: Mapping[str, Any], progress: job.Progress) -> None:
    """Load the image that is offered at an address; raises TransferError and OSError."""
    progress.begin(job.FETCHING)
    docker = request["docker"]
    about = _about(request)
    source = request["address"], request["port"], request["secret"]
    with channel.join(*source, about, _QUIET_SECONDS) as giver:
        before = _Images.of(docker)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            problems: list[str] = []
            try:
                _load(docker, giver, progress, log)
                _ask(docker, "tag", "--", request["id"], request["image"])
            finally:
                log.seek(0)
                problems += before.remove_others(log.read(), request["image"], request["id"])
            if problems:
                raise TransferError("what came with the image remains: " + "; ".join(problems))


def _load(docker: str, giver: channel.Channel, progress: job.Progress, log: IO[str]) -> None:
    """Feed what the giver sends to `docker load`. log: gets what that prints."""
    argv = [docker, "load"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log) as loading:
        try:
            while loading.stdin:
                data = giver.receive()
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


class _Images:
    """The images of the engine at one moment. names: name -> ID; ids: also of unnamed ones."""

    def __init__(self, docker: str, names: Mapping[str, str], ids: Collection[str]) -> None:
        self._docker, self._names, self._ids = docker, names, ids

    @classmethod
    def of(cls, docker: str) -> _Images:
        """Raises TransferError."""
        listed = ("--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
        lines = [line.split() for line in _ask(docker, "image", "ls", *listed).splitlines()]
        pairs = [line for line in lines if len(line) == 2]
        return cls(docker, {name: one for one, name in pairs}, {one for one, _name in pairs})

    def remove_others(self, log: str, image: str, image_id: str) -> Iterator[str]:
        """Undo what `docker load` has done besides loading the wanted image; what went wrong.

        log: the output of `docker load`. A name that was another image's goes back to that. Other
        runs may load images at the same time, so only what the log names is removed.
        """
        for line in log.splitlines():
            kind, colon, loaded = line.partition(": ")
            try:
                if kind + colon == _LOADED_NAME:
                    self._check_name(loaded, image, image_id)
                elif kind + colon == _LOADED_ID and loaded not in (image_id, *self._ids):
                    _ask(self._docker, "image", "rm", "--", loaded)
            except TransferError as error:
                yield str(error)

    def _check_name(self, name: str, image: str, image_id: str) -> None:
        """Restore a name, unless it is the wanted one of the wanted image."""
        if name == image:
            form = ("--format", "{{.Id}}", "--", name)
            if _ask(self._docker, "image", "inspect", *form).strip() == image_id:
                return
        if name in self._names:
            _ask(self._docker, "tag", "--", self._names[name], name)
        else:
            _ask(self._docker, "image", "rm", "--", name)


def _ask(docker: str, *words: str) -> str:
    """Raises TransferError."""
    result = command.run([docker, *words], _ASK_SECONDS, limit=_ANSWER_BYTES)
    if not result.ok:
        raise TransferError("docker %s: %s" % (words[0], result.describe()))
    return result.stdout


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
