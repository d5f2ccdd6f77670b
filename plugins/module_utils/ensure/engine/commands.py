# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A repair that is one program's work: the system's own tools, called by absolute path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked


@dataclass(frozen=True)
class Command:
    """The declared run of a program, without a shell, for at most timeout seconds.

    before and after are what a diff shows of its effect. hint is for a person, should it fail.
    """

    subject: str
    argv: tuple[str, ...]
    before: str
    after: str
    repairs: tuple[str, ...]
    timeout: float = 60.0
    hint: str = "Run it by hand to see what it says."
    env: Mapping[str, str] = field(default_factory=dict)

    def apply(self) -> None:
        """Raises Blocked where the program does not end well."""
        result = run(self.argv, self.timeout, env=self.env)
        if not result.ok:
            raise Blocked("%s: %s" % (" ".join(self.argv), result.describe()), self.hint)
