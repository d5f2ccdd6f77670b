# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is copied between two fake Docker engines, by real processes over a real socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import typing as t
from contextlib import suppress
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.host import job as background
from ansible_collections.dgxspark.suite.plugins.modules import (
    image_receive,
    image_share,
    share_end,
)

Result = dict[str, t.Any]

# images/ID is an image: its first line is the ID. names/NAME has the ID of that name. `besides` has
# lines "NAME ID" that this engine adds to whatever it saves; an image of that ID comes along.
DOCKER = """#!/bin/sh
cd %s
mkdir -p images names
echo "$*" >> calls
for last; do :; done
resolve() {
    if [ -e "names/$1" ]; then cat "names/$1"; elif [ -e "images/$1" ]; then echo "$1"
    else echo "No such image: $1" >&2; exit 1; fi
}
case "$1 $2" in
    "image inspect")
        id=$(resolve "$last") || exit 1
        case "$4" in *Id*) echo "$id" ;; *) wc -c < "images/$id" ;; esac ;;
    "image ls")
        for id in $(ls images); do
            echo "$id <none>:<none>"
            grep -lx "$id" names/* 2>/dev/null | sed "s|names/|$id |"
        done ;;
    "image rm") id=$(resolve "$last") || exit 1
        if [ -e "names/$last" ]; then rm "names/$last"; else rm "images/$id"; fi ;;
    "tag --") id=$(resolve "$3") || exit 1; echo "$id" > "names/$4" ;;
    "info "*) echo /tmp ;;
    "save "*) [ -e slow ] && sleep 60
        id=$(resolve "$2") || exit 1
        [ -e besides ] && sed "s/^/besides /" besides
        cat "images/$id" ;;
    "load ") cat > got; [ -s got ] || { echo "invalid tar header" >&2; exit 1; }
        grep -a "^besides " got | while read -r _word name id; do
            echo "$id" > "images/$id"
            if [ "$name" = - ]; then echo "Loaded image ID: $id"
            else echo "$id" > "names/$name"; echo "Loaded image: $name"; fi
        done
        sed "/^besides /d" got > rest
        if [ -e broken ]; then echo "no space left on device" >&2; exit 1; fi
        id=$(head -n1 rest); mv rest "images/$id"; rm got; echo "Loaded image ID: $id" ;;
    "pull "*)
        echo "a1: Pulling fs layer"; echo "b2: Already exists"
        [ -e unreachable ] && { echo "lookup registry.invalid: no such host" >&2; exit 1; }
        echo "a1: Pull complete"
        for one in images/sha256:99 names/serving:1; do echo sha256:99 > $one; done ;;
esac
"""


class Engine:
    """A node's Docker engine, and the modules run on that node."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        root.mkdir()
        self.client = root / "docker"
        self.client.write_text(DOCKER % root)
        self.client.chmod(0o755)
        (root / "images").mkdir()
        (root / "names").mkdir()

    def add(self, name: str, image_id: str, content: bytes = b"") -> None:
        (self.root / "images" / image_id).write_bytes(image_id.encode() + b"\n" + content)
        (self.root / "names" / name).write_text(f"{image_id}\n")

    @property
    def names(self) -> dict[str, str]:
        return {path.name: path.read_text().strip() for path in (self.root / "names").iterdir()}

    @property
    def images(self) -> set[str]:
        return {path.name for path in (self.root / "images").iterdir()}

    @property
    def loaded(self) -> bool:
        """Whether `docker load` was ever started."""
        calls = self.root / "calls"
        return calls.exists() and "load" in calls.read_text().split("\n")

    def run(self, module: t.Any, check: bool = False, **arguments: t.Any) -> Result:
        image = {"image": "serving:1", "docker_bin": str(self.client)}
        given = {
            **(image if module is not share_end else {}),
            "run_dir": str(self.root / "run"),
            "_ansible_check_mode": check,
            **arguments,
        }
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        return t.cast("Result", json.loads(self._capsys.readouterr().out))

    def offer(self, **arguments: t.Any) -> Result:
        who = {"address": "127.0.0.1", "clients": ["127.0.0.1"], "secret": "s3cret"}
        return self.run(image_share, **{**who, **arguments})

    def end(self, offered: Result) -> Result:
        return self.run(share_end, id=offered["id"])

    def receive(self, offered: Result, **arguments: t.Any) -> Result:
        """As the action plugin does: start, then look until it has ended."""
        given = {
            "address": "127.0.0.1",
            "port": offered.get("port", 0),
            "secret": "s3cret",
            "id": offered.get("image_id", ""),
            **arguments,
        }
        seen = self.run(image_receive, **given)
        deadline = time.monotonic() + 30
        job = seen.get("job")
        while job and not seen.get("failed") and seen.get("phase") != "done":
            assert time.monotonic() < deadline
            time.sleep(0.05)
            seen = self.run(image_receive, job=job, **given)
        return seen

    @property
    def jobs(self) -> list[Path]:
        return sorted((self.root / "run").glob("*"))


@pytest.fixture
def source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> t.Iterator[Engine]:
    engine = Engine(tmp_path / "source", capsys)
    engine.add("serving:1", "sha256:4467", os.urandom(3 << 20))
    yield engine
    for job in engine.jobs:
        background.end(str(job), str(job.parent))


@pytest.fixture
def target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> t.Iterator[Engine]:
    engine = Engine(tmp_path / "target", capsys)
    yield engine
    for job in engine.jobs:
        background.end(str(job), str(job.parent))


def test_an_image_is_copied_exactly_and_nothing_else_remains(
    source: Engine, target: Engine
) -> None:
    offered = source.offer()
    assert offered["image_id"] == "sha256:4467"
    assert offered["bytes"] > 3 << 20
    result = target.receive(offered)
    assert (result["changed"], result["image_id"]) == (True, "sha256:4467")
    copied = [engine.root / "images" / "sha256:4467" for engine in (source, target)]
    assert copied[0].read_bytes() == copied[1].read_bytes()
    assert (target.images, target.names) == ({"sha256:4467"}, {"serving:1": "sha256:4467"})
    assert target.jobs == []
    assert source.end(offered)["changed"] is True
    assert source.end(offered)["changed"] is False
    assert source.jobs == []


def test_an_existing_image_is_not_copied(source: Engine, target: Engine) -> None:
    target.add("serving:1", "sha256:4467")
    result = target.receive({"image_id": "sha256:4467"})
    assert (result["changed"], result["job"], result["image_id"]) == (False, "", "sha256:4467")


def test_another_image_of_that_name_is_replaced(source: Engine, target: Engine) -> None:
    target.add("serving:1", "sha256:old")
    assert target.receive(source.offer())["image_id"] == "sha256:4467"


def test_the_secret_is_in_no_argument_and_in_no_file_that_others_read(source: Engine) -> None:
    source.offer()
    (job,) = source.jobs
    pid = json.loads((job / "pid").read_text())["pid"]
    assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert job.stat().st_mode & 0o077 == 0
    assert not any(b"s3cret" in path.read_bytes() for path in job.iterdir())


@pytest.mark.parametrize(
    ("offer", "receive"), [({}, {"secret": "guess"}), ({"clients": ["192.0.2.9"]}, {})]
)
def test_other_clients_are_refused(
    source: Engine, target: Engine, offer: Result, receive: Result
) -> None:
    result = target.receive(source.offer(**offer), **receive)
    assert result["failed"] is True
    assert "serving:1 was not copied from 127.0.0.1" in result["msg"]
    assert (target.images, target.names, target.loaded) == (set(), {}, False)
    assert target.jobs == []


def test_another_image_than_the_offered_one_is_refused_and_removed(
    source: Engine, target: Engine
) -> None:
    # The name is moved to another image while it is offered.
    offered = source.offer()
    target.add("serving:1", "sha256:old")
    (source.root / "images" / "sha256:4467").write_text("sha256:other\n")
    result = target.receive(offered)
    assert result["failed"] is True
    assert "was not copied" in result["msg"]
    assert (target.images, target.names) == ({"sha256:old"}, {"serving:1": "sha256:old"})


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("image_id", ["sha256:4467", "sha256:other"])
def test_other_images_and_names_that_come_along_are_removed(
    source: Engine, target: Engine, image_id: str, broken: bool
) -> None:
    target.add("mine:1", "sha256:mine")
    target.add("serving:1", "sha256:old")
    names = ("mine:1 sha256:evil", "new:1 sha256:evil", "serving:1 sha256:evil", "- sha256:more")
    (source.root / "besides").write_text("".join(f"{line}\n" for line in names))
    if broken:
        (target.root / "broken").touch()
    offered = source.offer()
    (source.root / "images" / "sha256:4467").write_text(f"{image_id}\n")
    result = target.receive(offered)
    copied = image_id == "sha256:4467" and not broken
    assert bool(result.get("failed")) is not copied
    assert target.names == {
        "mine:1": "sha256:mine",
        "serving:1": "sha256:4467" if copied else "sha256:old",
    }
    assert "sha256:more" not in target.images


def test_whoever_answers_for_the_source_feeds_docker_nothing(target: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as false:
        given = {"address": "127.0.0.1", "secret": "s3cret", "id": "sha256:4467"}
        given["port"] = false.getsockname()[1]
        seen = target.run(image_receive, **given)
        connection, _address = false.accept()
        with connection, suppress(OSError):
            # What the copies of older versions took for a giver.
            connection.sendall(b"\0" * 32 + b"+" + b"a tar with whatever images I like\n" * 9)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
    deadline = time.monotonic() + 30
    result: Result = {}
    while "failed" not in result and time.monotonic() < deadline:
        result = target.run(image_receive, job=seen["job"], **given)
    assert result["failed"] is True
    assert "does not know the secret" in result["msg"]
    assert (target.loaded, target.images) == (False, set())


def test_a_killed_transfer_is_started_again(source: Engine, target: Engine) -> None:
    slow = source.root / "slow"
    slow.touch()
    offered = source.offer()
    arguments = {"address": "127.0.0.1", "port": offered["port"], "secret": "s3cret"}
    target.run(image_receive, id="sha256:4467", **arguments)
    (job,) = target.jobs
    os.killpg(json.loads((job / "pid").read_text())["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while background.running(str(job)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    slow.unlink()
    result = target.receive(offered)
    assert result.get("image_id") == "sha256:4467", result
    assert target.jobs == []


def test_an_offer_that_ends_fails_the_copy(source: Engine, target: Engine) -> None:
    (source.root / "slow").touch()
    offered = source.offer()
    arguments = {"address": "127.0.0.1", "port": offered["port"], "secret": "s3cret"}
    target.run(image_receive, id="sha256:4467", **arguments)
    time.sleep(0.5)
    source.end(offered)
    result = target.receive({**offered, "port": offered["port"]})
    assert result["failed"] is True
    assert target.jobs == []


def test_a_full_disk_is_reported_before_anything_is_copied(target: Engine) -> None:
    result = target.receive({"image_id": "sha256:4467"}, bytes=1 << 60)
    assert result["failed"] is True
    assert "bytes are needed" in result["msg"]
    assert target.jobs == []


def test_check_mode_copies_nothing(source: Engine, target: Engine) -> None:
    offered = source.run(
        image_share, check=True, address="127.0.0.1", clients=["127.0.0.1"], secret="hidden"
    )
    assert (offered["port"], offered["image_id"]) == (0, "sha256:4467")
    arguments = {"address": "127.0.0.1", "port": 0, "secret": "hidden", "id": "sha256:4467"}
    result = target.run(image_receive, check=True, **arguments)
    assert (result["changed"], result["job"]) == (True, "")
    assert (source.jobs, target.jobs) == ([], [])


def test_without_an_address_it_is_pulled(target: Engine) -> None:
    result = target.receive({}, address="")
    assert (result.get("image_id"), result.get("changed")) == ("sha256:99", True), result
    assert target.receive({}, address="")["changed"] is False


def test_an_unreachable_registry_is_reported_with_the_nodes_that_lack_the_image(
    target: Engine,
) -> None:
    (target.root / "unreachable").touch()
    result = target.receive({}, address="", looked_on=["spark1", "spark2"])
    assert result["failed"] is True
    assert "serving:1 is not on spark1 and spark2, and this node cannot pull it" in result["msg"]
    assert "no such host" in result["msg"]
    assert "docker load" in result["msg"]


def test_a_missing_image_cannot_be_offered(target: Engine) -> None:
    assert "it is not on this node" in target.offer()["msg"]


def test_no_other_directory_is_ended(source: Engine) -> None:
    result = source.run(share_end, id=str(source.root))
    assert result["failed"] is True
    assert source.client.exists()


@pytest.mark.parametrize(("before", "changed"), [("sha256:old", True), ("sha256:99", False)])
def test_an_image_is_pulled_again_and_is_a_change_only_if_its_id_is_another(
    target: Engine, before: str, changed: bool
) -> None:
    target.add("serving:1", before)
    assert target.run(image_receive)["changed"] is False
    assert target.run(image_receive, renew_from=before, check=True)["changed"] is True
    renewed = target.receive({}, address="", renew_from=before)
    assert (renewed["changed"], renewed["image_id"]) == (changed, "sha256:99")


def test_an_image_that_cannot_be_pulled_again_stays(target: Engine) -> None:
    target.add("serving:1", "sha256:old")
    (target.root / "unreachable").touch()
    result = target.receive({}, address="", renew_from="sha256:old")
    assert result["failed"] is True
    assert "serving:1 cannot be pulled again: lookup registry.invalid" in result["msg"]
    assert target.names == {"serving:1": "sha256:old"}
