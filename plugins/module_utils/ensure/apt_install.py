# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair that is a Debian package: installed by apt-get, by absolute path, asking nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.model import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.command import run

_QUIET = ("--yes", "--quiet", "--no-install-recommends")
# Another apt-get, the dashboard's updates perhaps, may be at work.
_PATIENT = ("--option", "DPkg::Lock::Timeout=120")
_SECONDS = 600.0
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}


@dataclass(frozen=True)
class AptInstall:
    """The declared installation of a package; lists are fetched only where that is needed."""

    apt_get: str
    package: str
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return "package %s" % self.package

    @property
    def before(self) -> str:
        return "not installed\n"

    @property
    def after(self) -> str:
        return "installed\n"

    def apply(self) -> None:
        """Raises Blocked where it cannot be had."""
        install = [self.apt_get, *_PATIENT, *_QUIET, "install", self.package]
        result = run(install, _SECONDS, env=_ENVIRONMENT)
        if result.ok:
            return
        run([self.apt_get, *_PATIENT, "--quiet", "update"], _SECONDS, env=_ENVIRONMENT)
        result = run(install, _SECONDS, env=_ENVIRONMENT)
        if not result.ok:
            told = "%s cannot be installed: %s" % (self.package, result.describe())
            raise Blocked(told, "Install it by hand, and see that apt's sources can be reached.")
