# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of a node without rights: neither leads root elsewhere, nor holds it up.

What the owner of a cache or of a virtual environment can try is in the scenarios models and ptxas,
what strangers on the network can, in launch.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import NODES, module, on_node, playbook, site, wait_for

NODE = NODES[0]
USER = "mallory"
# What belongs to root and must not change, whatever a user does.
ROOTS = "/etc /root /usr/local /var/lib/dgxspark /var/spool"


@pytest.fixture(scope="module", autouse=True)
def user() -> Iterator[None]:
    on_node(NODE, f"id {USER} >/dev/null 2>&1 || useradd --create-home {USER}")
    yield
    on_node(NODE, f"pkill -KILL -u {USER} || true")
    wait_for(lambda: not on_node(NODE, f"pgrep -u {USER} || true"), 10)
    on_node(NODE, f"userdel --remove {USER} 2>/dev/null")


def as_user(script: str, who: str = USER) -> str:
    rights = f"--reuid={who} --regid={who} --clear-groups --no-new-privs"
    return on_node(NODE, f"cd /; setpriv {rights} sh -ec '{script}'")


def roots() -> str:
    """A digest of owner, mode, size and inode of all that is root's."""
    listed = f"find {ROOTS} -xdev -printf '%p %U %G %m %s %i %l\\n' | sort | sha256sum"
    return on_node(NODE, listed)


def test_locks_of_a_user_hold_up_nobody() -> None:
    for place in ("/run/lock", "/var/lib/dgxspark", "/etc/systemd/system", "/ai"):
        as_user(f"test ! -e {place} || flock --exclusive {place} sleep 600 >/dev/null 2>&1 &")
    assert on_node(NODE, f"pgrep -u {USER} flock").split()
    assert not site(NODE, "storage,oom_protection").having("blocked")
    assert on_node(NODE, "stat -c '%U %a' /run/dgxspark/locks") == "root 700\n"


def test_a_job_of_a_user_is_not_taken_for_ours() -> None:
    as_user("mkdir -m 700 /tmp/dgxspark-job-x; echo {} >/tmp/dgxspark-job-x/result")
    result = module(NODE, "model_download", {"name": "a/b", "id": "/tmp/dgxspark-job-x"})
    assert result["failed"]
    assert "not the directory of a background job" in result["msg"]
    on_node(NODE, "rm -r /tmp/dgxspark-job-x")


@pytest.mark.parametrize("trash", ["/etc", "/var/spool"])
def test_a_trash_that_leads_elsewhere_is_left_alone(trash: str) -> None:
    """By the owner of the models: /etc has cron.d and cron.daily, once taken for leftovers."""
    models = "/ai/models"
    owner = on_node(NODE, f"stat -c '%U:%G' {models}").strip()
    on_node(NODE, f"chown spark:spark {models}")
    model = f"{models}/cron"
    as_user(
        f"mkdir {model}; echo {{}} >{model}/config.json; echo x >{model}/model.safetensors;"
        f" ln -s {trash} {models}/.dgxspark-trash",
        "spark",
    )
    before = roots()
    words = ("-e", f"model={model}", "-e", f"confirm={model}", "--limit", NODE)
    try:
        status, said = playbook("model_delete", *words)
        assert status != 0, said
        assert ".dgxspark-trash" in said
        assert roots() == before
    finally:
        on_node(NODE, f"rm -rf {models}/.dgxspark-trash {model}; chown {owner} {models}")
