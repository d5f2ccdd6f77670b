# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What keeps prereqs from installing what is missing, before apt is asked."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import NO_ROOT
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.packages import (
    Seen,
    torn_packages,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.file_lock import Holder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import available

# How long a name that apt does not know may be new to it, in seconds since it last looked.
FRESH = 600.0


def obstacle(seen: Seen, root: bool, names: Sequence[str]) -> Blocked | None:
    """Why nothing can be installed at all; apt is not asked."""
    if isinstance(seen.lock, Holder):
        return Blocked("dpkg is at work", "See dpkg_lock.")
    if torn_packages(seen):
        return Blocked("packages are torn, and are not made worse", "See dpkg_whole.")
    there = available(seen.packages)
    rivals = sorted(there & {"docker-ce", "docker-ce-cli", "containerd.io"})
    if "docker.io" in names and rivals:
        hint = "Leave docker.io out of the wanted packages, or remove the others first."
        return Blocked("docker.io does not go with %s" % ", ".join(rivals), hint)
    if not seen.apt_get:
        return Blocked("there is no apt-get here", "Install them by hand.")
    return None if root else NO_ROOT


def may_refresh(seen: Seen) -> bool:
    """Whether looking for new lists may bring anything new."""
    return seen.lists_age is None or seen.lists_age > FRESH
