# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is copied between two fake Docker engines, by real processes over a real socket."""

from __future__ import annotations

import json
import os
import signal
import time
import typing as t
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

# The file `image` is the image: its first line is the id.
DOCKER = """#!/bin/sh
cd %s
echo "$*" >> calls
case "$1 $2" in
    "image inspect")
        [ -e image ] || { echo "No such image" >&2; exit 1; }
        case "$4" in *Id*) head -n1 image ;; *) wc -c < image ;; esac ;;
    "info "*) echo /tmp ;;
    "save "*) [ -e slow ] && sleep 60; cat image ;;
    "load "*) cat > got; [ -s got ] || { echo "invalid tar header" >&2; exit 1; }; mv got image ;;
    "pull "*)
        echo "a1: Pulling fs layer"; echo "b2: Already exists"
        [ -e unreachable ] && { echo "lookup registry.invalid: no such host" >&2; exit 1; }
        echo "a1: Pull complete"; echo sha256:99 > image ;;
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
    (engine.root / "image").write_bytes(b"sha256:4467\n" + os.urandom(3 << 20))
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
    assert (target.root / "image").read_bytes() == (source.root / "image").read_bytes()
    assert target.jobs == []
    assert source.end(offered)["changed"] is True
    assert source.end(offered)["changed"] is False
    assert source.jobs == []


def test_an_existing_image_is_not_copied(source: Engine, target: Engine) -> None:
    (target.root / "image").write_text("sha256:4467\n")
    result = target.receive({"image_id": "sha256:4467"})
    assert (result["changed"], result["job"], result["image_id"]) == (False, "", "sha256:4467")


def test_another_image_of_that_name_is_replaced(source: Engine, target: Engine) -> None:
    (target.root / "image").write_text("sha256:old\n")
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
    assert not (target.root / "image").exists()
    assert target.jobs == []


def test_an_image_with_another_id_is_refused(source: Engine, target: Engine) -> None:
    offered = {**source.offer(), "image_id": "sha256:other"}
    result = target.receive(offered)
    assert result["failed"] is True
    assert "sha256:other" in result["msg"]
    assert "sha256:4467" in result["msg"]


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
