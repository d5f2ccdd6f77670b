# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Obstacles to an installation that are known before apt is asked."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import NO_ROOT
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.packages import (
    Observed,
    incomplete_packages,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.file_lock import Holder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import available

# Package lists of at most this age, in seconds, are not downloaded again for an unknown name.
LISTS_VALID_SECONDS = 600.0


def obstacle(observed: Observed, root: bool, names: Sequence[str]) -> Blocked | None:
    """Why nothing can be installed at all, without asking apt."""
    if isinstance(observed.lock, Holder):
        return Blocked("another process is using dpkg", "See dpkg_lock.")
    if incomplete_packages(observed):
        return Blocked("packages are partly installed", "See dpkg_whole.")
    installed = available(observed.packages)
    rivals = sorted(installed & {"docker-ce", "docker-ce-cli", "containerd.io"})
    if "docker.io" in names and rivals:
        hint = "Remove docker.io from the options, or uninstall the other packages first."
        return Blocked("docker.io conflicts with %s" % ", ".join(rivals), hint)
    if not observed.apt_get:
        return Blocked("apt-get is not installed", "Install the packages manually.")
    return None if root else NO_ROOT


def may_refresh(observed: Observed) -> bool:
    """Whether new package lists may have other packages."""
    return observed.lists_age is None or observed.lists_age > LISTS_VALID_SECONDS
