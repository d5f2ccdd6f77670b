# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Which services of this node are starting, as the Docker engine knows them."""

from __future__ import annotations

import json

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import start_permit

_SECONDS = 120.0


def others(docker: str, service: str, folder: str) -> str:
    """Which service besides this one is starting, in words; empty for none.

    Of what is not supervised nobody marks the end of a start, so that nobody waits for it. folder:
    of the permits. A container that vanishes meanwhile, and an engine that does not answer, keep
    nobody from starting.
    """
    rows = '{{.ID}} {{.Label "%sservice"}}' % LABEL
    running = ["ps", "--no-trunc", "--filter", "label=%ssupervise" % LABEL, "--format", rows]
    for line in _lines(docker, running):
        container, _blank, name = line.partition(" ")
        if name in ("", service) or start_permit.is_complete(container, folder):
            continue
        label = json.dumps(LABEL + "supervise")
        question = "{{.State.StartedAt}}|{{index .Config.Labels %s}}" % label
        for facts in _lines(docker, ["inspect", "--format", question, container]):
            moment, _bar, supervised = facts.partition("|")
            if supervised in ("", "{}"):
                continue
            if start_permit.is_starting(container, moment, folder):
                return "service %s is not complete yet" % foreign.line(name)
    return ""


def _lines(docker: str, question: list[str]) -> list[str]:
    try:
        return containers.ask(docker, question, _SECONDS).splitlines()
    except containers.EngineError:
        return []
