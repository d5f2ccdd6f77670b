# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders and the cache on a real node; a disk that is in use is refused."""

from __future__ import annotations

from lab import mark, on_node, playbook, site, touched

NODE = "spark1"


def test_a_missing_folder_is_found_made_and_clean_after() -> None:
    # Of the owner of /ai: a folder of root's in a user's folder is left to root.
    on_node(NODE, "rm -rf /ai/data; chmod 0700 /ai/models; chown spark:spark /ai/models")
    mark(NODE)
    found = site(NODE, "storage", "--check")
    assert touched(NODE) == []
    assert found.having("drift") == {"storage_dir_ai_data", "storage_dir_ai_models"}
    repaired = site(NODE, "storage")
    assert repaired.having("fixed") == found.having("drift")
    assert repaired.diff == found.diff
    assert not site(NODE, "storage").changed


def test_a_link_of_the_user_who_owns_the_folder_above_leads_nowhere() -> None:
    on_node(NODE, "mv /ai/data /ai/data.aside; setpriv --reuid spark ln -s /tmp /ai/data")
    before = on_node(NODE, "stat -c '%U %a' /tmp")
    for words in (["--check"], []):
        found = site(NODE, "storage", *words)
        assert "storage_dir_ai_data" in found.having("blocked")
        assert on_node(NODE, "stat -c '%U %a' /tmp") == before
    on_node(NODE, "rm /ai/data; mv /ai/data.aside /ai/data")


def test_a_login_shell_and_a_service_know_the_cache() -> None:
    assert on_node(NODE, "sh -lc 'echo $HF_HOME'") == "/ai/cache/huggingface\n"
    service = "systemd-run --quiet --pipe --property EnvironmentFile=/etc/dgxspark/storage.env"
    assert on_node(NODE, f"{service} /usr/bin/printenv HF_HOME") == "/ai/cache/huggingface\n"


def test_a_disk_is_refused_before_anything_is_done() -> None:
    named = ["--limit", NODE, "-e", "dgxspark_disk=nvme-Example_S0"]
    status, said = playbook("provision_disk", *named)
    assert status != 0
    assert "dgxspark_disk_confirm" in said
    status, said = playbook("provision_disk", *named, "-e", "dgxspark_disk_confirm=nvme-Example_S0")
    assert status != 0
    assert "/dev/disk/by-id/nvme-Example_S0 does not exist" in said
    status, said = playbook("provision_disk", "-e", "dgxspark_disk=nvme-Example_S0")
    assert status != 0
    assert "Name one node" in said
