# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a model hub of the lab, which another node serves: results and failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import NODES, address, ended, mark, on_node, playbook, playbook_begun, run, touched

FIRST, OTHER = NODES
pytestmark = pytest.mark.long
HUB = "/ai/cache/huggingface/hub"
LARGE = f"{HUB}/models--lab--large"
TOKEN = "hf_only_for_this_test"


def control(**how: Any) -> None:
    """How the hub behaves from now on; see tests/lab/hub.py."""
    on_node(OTHER, f"echo '{json.dumps(how)}' >/opt/lab-hub/control.json")


def options(**more: Any) -> tuple[str, str]:
    given = {
        "model": "lab/large",
        "dgxspark_hub_endpoint": f"http://{address(OTHER)}:8900",
        "dgxspark_download_python": "/opt/lab-hub-env/bin/python",
        **more,
    }
    return "-e", json.dumps(given)


@pytest.fixture(autouse=True)
def nothing_there() -> Iterator[None]:
    control()
    yield
    control()
    for node in NODES:
        on_node(node, f"rm -rf {LARGE}; ! mountpoint -q /ai/try || umount /ai/try; rm -rf /ai/try")


def test_check_reports_the_download_and_writes_nothing() -> None:
    mark(FIRST)
    mark(OTHER)
    status, said = playbook("model_download", *options(), "--check")
    assert status == 0, said
    assert "24.00 MB to be fetched" in said
    assert said.count("changed=1") == 2
    for node in NODES:
        assert touched(node) == []


def test_a_killed_download_fails_a_second_is_refused_and_the_next_resumes() -> None:
    control(rate=600_000)
    first = playbook_begun("model_download", *options())
    try:
        # Until something has arrived.
        script = f"until find {LARGE} -size +2M 2>/dev/null | grep -q .; do sleep 0.2; done"
        on_node(FIRST, f"timeout 120 sh -c '{script}'")
        status, said = playbook("model_download", *options(), "--limit", FIRST)
        assert status != 0
        assert "another run of this collection works on it (process " in said
    finally:
        on_node(FIRST, "kill -9 $(pgrep -f '[d]gxspark-download:') || true")
        status, said = ended(first)
    assert status != 0
    assert "fetching: " in said
    assert "exited without a result. Run again; what has arrived is kept" in said
    # Of what was cut off nothing is on a menu.
    assert on_node(FIRST, f"ls -A {LARGE}").split() == [".dgxspark-sync"]
    control()
    status, said = playbook("model_download", *options())
    assert status == 0, said
    assert "of it by an earlier run" in said
    trees = [on_node(node, f"cd {LARGE} && find . -type f | xargs sha256sum") for node in NODES]
    assert sorted(trees[0].splitlines()) == sorted(trees[1].splitlines())
    assert on_node(FIRST, f"stat -c %U {LARGE}/blobs/*").split() == ["spark"] * 3
    status, said = playbook("model_download", *options())
    assert status == 0, said
    assert said.count("changed=0") == 2


def test_a_damaged_file_is_detected_and_fetched_again() -> None:
    control(damaged=["model.safetensors"])
    status, said = playbook("model_download", *options(), "--limit", FIRST)
    assert status != 0
    assert "model.safetensors arrived damaged" in said
    assert on_node(FIRST, f"ls -A {LARGE}").split() == [".dgxspark-sync"]
    control()
    status, said = playbook("model_download", *options(), "--limit", FIRST)
    assert status == 0, said


def test_a_gated_model_is_downloaded_with_a_vaulted_token_that_is_shown_nowhere(
    tmp_path: Path,
) -> None:
    control(gated=["lab/large"], token=TOKEN)
    status, said = playbook("model_download", *options(), "--limit", FIRST)
    assert status != 0
    assert "lab/large is gated: ask for access on http://" in said
    wrong = options(dgxspark_hf_token=TOKEN + "x")
    status, said = playbook("model_download", *wrong, "--limit", FIRST)
    assert status != 0
    assert "does not accept the token in dgxspark_hf_token" in said
    (tmp_path / "password").write_text("p")
    (tmp_path / "secrets.yml").write_text(f"dgxspark_hf_token: {TOKEN}\n")
    vault = ("--vault-password-file", str(tmp_path / "password"))
    sealed = run("ansible-vault", "encrypt", *vault, str(tmp_path / "secrets.yml"))
    assert sealed.returncode == 0, sealed.stderr
    secrets = ("-e", f"@{tmp_path}/secrets.yml", *vault)
    control(gated=["lab/large"], token=TOKEN, rate=6_000_000)
    begun = playbook_begun("model_download", *options(), *secrets, "--limit", FIRST, "-vvv")
    script = "until pgrep -f '^/opt/lab-hub-env/bin/python -B -$' >/dev/null; do sleep 0.1; done"
    on_node(FIRST, f'timeout 120 sh -c "{script}"')
    # The engine's own command line has it for the moment: it is asked for by its two halves.
    half = len(TOKEN) // 2
    looked = f"t={TOKEN[:half]}; t=$t{TOKEN[half:]}; grep -lsa $t /proc/[0-9]*/cmdline"
    looked += " /proc/[0-9]*/environ || true; grep -rlsa $t /tmp /var/log /ai /home /root || true"
    assert on_node(FIRST, looked) == ""
    status, said = ended(begun)
    assert status == 0, said
    assert TOKEN not in said
    assert on_node(FIRST, looked) == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"model": "lab/none"}, "has no model lab/none that is accessible without a token"),
        ({"revision": "v9"}, "has no revision v9"),
        ({"dgxspark_hub_endpoint": "http://127.0.0.1:9"}, "is not reachable from this node"),
        ({"dgxspark_download_python": "/usr/bin/python3"}, "has no huggingface_hub"),
        ({"dgxspark_download_node": "spark99"}, "spark99 is not one of"),
    ],
)
def test_refusals_name_the_remedy(given: dict[str, Any], expected: str) -> None:
    status, said = playbook("model_download", *options(**given))
    assert status != 0
    assert expected in said
    assert on_node(FIRST, f"ls {HUB}") == on_node(FIRST, f"ls -I '*large' {HUB}")


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(
    ("how", "expected"),
    [("size=8m", "bytes are needed"), ("ro,size=64m", "its file system is read-only")],
)
def test_a_full_or_read_only_cache_is_reported_before_anything_is_fetched(
    node: str, how: str, expected: str
) -> None:
    for one in NODES:
        on_node(one, "install -d -o spark -g spark /ai/try")
    on_node(node, f"mount -t tmpfs -o {how},uid=$(id -u spark) lab /ai/try")
    status, said = playbook("model_download", *options(dgxspark_hf_home="/ai/try"))
    assert status != 0
    assert expected in said
    for one in NODES:
        assert on_node(one, "find /ai/try -type f") == ""


@pytest.mark.parametrize("part", ["", "/refs", "/snapshots", "/blobs", "/.dgxspark-sync"])
def test_a_link_of_the_caches_owner_leads_root_nowhere(part: str) -> None:
    """apt runs as root what a file in that directory says."""
    place = "/etc/apt/apt.conf.d"
    parent = f"mkdir -p {LARGE};" if part else ""
    become = "setpriv --reuid=spark --regid=spark --clear-groups"
    on_node(FIRST, f"cd /; {become} sh -ec '{parent} ln -s {place} {LARGE}{part}'")
    before = on_node(FIRST, f"ls -lain {place}")
    for words in (["--check"], []):
        status, said = playbook("model_download", *options(), "--limit", FIRST, *words)
        assert status != 0, said
        assert f"{LARGE}{part} is a link" in said
        assert on_node(FIRST, f"ls -lain {place}") == before
