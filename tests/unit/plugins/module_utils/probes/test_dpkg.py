# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dpkg's status file."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import (
    available,
    interrupted,
    parse_status,
    upstream,
)

STATUS = """\
Package: libnccl2
Status: install ok installed
Architecture: arm64
Version: 2.29.3-1+cuda13.1
Provides: libnccl-abi (= 2.29), nccl
Description: NCCL: fast
 Package: not a field

Package: docker-ce
Status: hold ok installed
Version: 5:29.2.1-1~ubuntu.24.04~noble

Package: jq
Status: deinstall ok config-files
Version: 1.7

Package: linux-image
Status: install reinstreq half-configured
Version: 6.17

Package: libc6
Status: install ok installed
Architecture: arm64
Version: 2.39

Package: libc6
Status: deinstall ok config-files
Architecture: armhf
Version: 2.31

garbage without a colon
Status: install ok
"""


def test_what_is_installed_held_removed_and_torn() -> None:
    found = parse_status(STATUS)
    assert set(found) == {"libnccl2", "docker-ce", "jq", "linux-image", "libc6"}
    assert [name for name, entry in found.items() if entry.installed] == [
        "libnccl2",
        "docker-ce",
        "libc6",
    ]
    assert [name for name, entry in found.items() if entry.torn] == ["linux-image"]
    assert found["docker-ce"].want == "hold"
    assert (found["libc6"].version, found["libc6"].architecture) == ("2.39", "arm64")


def test_a_versions_epoch_and_revision_are_the_packagers() -> None:
    assert upstream(parse_status(STATUS)["libnccl2"].version) == "2.29.3"
    assert upstream("5:29.2.1-1~ubuntu") == "29.2.1"
    assert upstream("1.7") == "1.7"


def test_what_stands_in_for_another_package_counts_as_it() -> None:
    there = available(parse_status(STATUS))
    assert {"libnccl2", "libnccl-abi", "nccl", "docker-ce"} <= there
    assert "jq" not in there


def test_a_journal_of_steps_tells_that_dpkg_was_interrupted() -> None:
    assert interrupted(["0001", "tmp.i"])
    assert not interrupted(["tmp.i"])
