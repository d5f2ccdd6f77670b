# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A repair by one program, called by its absolute path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked


@dataclass(frozen=True)
class Command:
    """The planned run of a program, without a shell, for at most timeout seconds.

    before and after describe its effect in the diff. hint is for the case that it fails.
    """

    subject: str
    argv: tuple[str, ...]
    before: str
    after: str
    repairs: tuple[str, ...]
    timeout: float = 60.0
    hint: str = "Run it manually to see the error."
    env: Mapping[str, str] = field(default_factory=dict)

    def apply(self) -> None:
        """Raises Blocked if the program fails."""
        result = run(self.argv, self.timeout, env=self.env)
        if not result.ok:
            raise Blocked("%s: %s" % (" ".join(self.argv), result.describe()), self.hint)
