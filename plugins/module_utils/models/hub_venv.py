# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The environment in which a node downloads: huggingface_hub and hf_xet, pinned by hash.

It is compared, made and replaced as the one of vLLM is (ensure/vllm_venv.py); it serves nothing, so
paths.env has no entry for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import vllm_venv
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import locked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    Blocked,
    Plan,
    explained,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.hub_listing import DownloadError

# What the pinned huggingface_hub needs.
_OLDEST = (3, 10)
_FREE_GIB = 0.3
_SECONDS = 900.0
# For another download, in seconds.
PATIENCE = 900.0
_ELSEWHERE = (
    "dgxspark_download_wheels names a folder of the node with its packages,"
    " dgxspark_download_env another index (PIP_INDEX_URL) or a proxy (HTTPS_PROXY),"
    " dgxspark_download_python a Python that has huggingface_hub"
)


@dataclass(frozen=True)
class HubVenv:
    """path: of the environment. base: the Python that makes it. requirements: text with hashes.

    wheels: a folder with all packages, used instead of an index; empty for none.
    """

    path: str
    base: str
    requirements: str
    wheels: str
    log_file: str

    @property
    def python(self) -> str:
        return os.path.join(os.path.normpath(self.path), "bin", "python")

    def lacks(self) -> str:
        """What is missing or differs, changing nothing; empty if it can be used.

        Raises DownloadError where it cannot be made.
        """
        return self._lacks(self._plan())

    def make(self) -> None:
        """Have it hold what is pinned. Raises DownloadError, OSError."""
        try:
            # Another download of this node may make it at the moment. Not of the path, which is a
            # link after the first time: the name of the lock would be another one.
            with locked(os.path.dirname(os.path.normpath(self.path)), PATIENCE):
                plan = self._plan()
                self._lacks(plan)
                for action in plan.actions:
                    action.apply()
        except Blocked as blocked:
            problem = "the environment %s of the download cannot be made: %s %s" % (
                *(self.path, explained(blocked).rstrip(".") + "."),
                _ELSEWHERE,
            )
            raise DownloadError(problem) from None
        rest = self.lacks()
        if rest:
            raise DownloadError("%s was made, and yet %s" % (self.path, rest))

    def _plan(self) -> Plan:
        try:
            wanted = vllm_venv.Wanted(
                path=self.path,
                python=self.base,
                requirements=self.requirements,
                wheelhouse=self.wheels or None,
                installer="pip",
                exact=False,
                free_gib=_FREE_GIB,
                log_file=self.log_file,
                paths_file=os.devnull,
                timeout=_SECONDS,
                only_wheels=True,
            )
        except ValueError as error:
            raise DownloadError("dgxspark_download_venv: %s" % error) from None
        observed = vllm_venv.observe(wanted)
        plan = vllm_venv.packages_plan(observed, wanted)
        version = observed.base.version
        if plan.actions and version and tuple(map(int, version.split("."))) < _OLDEST:
            raise DownloadError(
                "%s is Python %s, and huggingface_hub needs %d.%d or newer."
                " dgxspark_download_python names a Python that has it"
                % (self.base, version, *_OLDEST)
            )
        return plan

    def _lacks(self, plan: Plan) -> str:
        for finding in plan.findings:
            if finding.status == BLOCKED:
                raise DownloadError(
                    "the environment %s of the download cannot be made: %s"
                    % (self.path, finding.hint)
                )
        return next((finding.actual for finding in plan.findings if finding.status == DRIFT), "")
