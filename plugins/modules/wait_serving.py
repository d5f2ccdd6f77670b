#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a starting server; the action plugin of the same name repeats it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_serving
short_description: Wait until a server answers the request of its kind
version_added: 0.1.0
description:
  - This module is private to the collection and may change without notice.
  - Waits until the server answers the request of its O(kind) as it should, and prints its phase
    meanwhile. A server for chat has to answer a completion of one token.
  - Fails as soon as the container has ended, with the last line of its log; as soon as the server
    answers that the key, the model or the request is wrong; and at the time limit.
  - A task that runs on all nodes of a workload, with O(url) on the head alone, watches all ranks.
    It ends on all nodes with the first rank that ends, and with the answer of the head.
  - An answer of C(/health) is not enough, because the engine behind it may be unusable.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
notes:
  - This is an action plugin. Each look runs on the node of the server and its container.
options:
  url:
    description: Where the server listens, as C(http://ADDRESS:PORT). Use an IP address, not a
      C(.local) name.
      Empty to only watch a rank that has no server.
    type: str
    default: ""
  model:
    description: The name under which the model is served. Required with O(url).
    type: str
    default: ""
  container:
    description: The container of the server, or of the rank.
    type: str
    required: true
  timeout:
    description: How long to wait, in seconds.
    type: int
    default: 1800
  kind:
    description:
      - What is served, and so what is requested. All of several kinds have to pass.
      - Where it is empty, the server is asked. It is a completion that is requested first.
    type: list
    elements: str
    choices: [chat, completion, embeddings, rerank, speech_to_text, diarization, text_to_speech,
      vector_store, redaction, bot, http]
    default: []
  probe:
    description:
      - What the recipe says of its probes, as the launch plan has it.
      - C(light), the path of the light probe; C(first_seconds), the limit for the first answer;
        C(voice), for speech.
    type: dict
    default: {}
    version_added: 0.3.0
  completion_timeout:
    description:
      - How long the requests of one look may take, in seconds. The first answer may compile
        kernels.
      - V(0) for C(first_seconds) of O(probe), or else that of the O(kind), 180 or 600.
    type: int
    default: 0
  api_key:
    description: The API key of the server. If it is empty, C(VLLM_API_KEY), C(LLAMA_API_KEY) or
      C(QDRANT__SERVICE__API_KEY) of the container, if any.
    type: str
    default: ""
  ask:
    description: Send the request with the first look, because the server is known to run.
      Otherwise only after C(/health) has answered.
    type: bool
    default: true
  known:
    description: The phase of the last look. While it stays the same and nothing is requested,
      the node repeats its look for up to O(patience). The action plugin sets it.
    type: str
    default: ""
  patience:
    description: How long a node may repeat its look, in seconds. The action plugin sets it.
    type: float
    default: 0
  remaining:
    description: How long this look may take at most, in seconds; V(0) for no limit of its own. The
      action plugin sets it to what is left of O(timeout).
    type: float
    default: 0
  docker_bin:
    description: Absolute path of the Docker client.
    type: path
    default: /usr/bin/docker
"""

EXAMPLES = r"""
- name: Wait until the model answers
  dgxspark.suite.wait_serving:
    url: http://192.0.2.11:8000
    model: lab-tiny
    container: dgxspark-main-0
    timeout: 600
"""

RETURN = r"""
phase:
  description: The phase of the server.
  returned: always
  type: str
  sample: serving
detail:
  description: Details of the last look.
  returned: always
  type: str
joined:
  description: Whether all nodes have joined Ray, according to the log.
  returned: always
  type: bool
phases:
  description: The phases of the wait with their durations in seconds, as far as it came.
  returned: always
  type: list
  elements: dict
  sample: [{phase: Ray formed, seconds: 9.1}, {phase: model loaded, seconds: 31.5},
    {phase: completion answered, seconds: 2.2}]
answer:
  description: What was answered, in short. The text of a completion.
  returned: when the request was answered
  type: str
answer_seconds:
  description: How long that took.
  returned: when the request was answered
  type: float
kind:
  description: The kind that the server has proven to be, or was asked for last.
  returned: when the request was answered
  type: str
  sample: completion
elapsed:
  description: How long the wait took, in seconds.
  returned: always
  type: int
last_log:
  description: The last line of the container's log.
  returned: always
  type: str
"""

import json
import math
import time
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import last_line
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import kinds, proof, readiness

LOG_LINES = 200
# What ray_wait.py prints on the head.
JOINED = "nodes have joined Ray"
# The phase of a rank that has no server.
RUNNING = "running"
# Seconds between two looks of one run.
INTERVAL = 0.25


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": ""},
            "model": {"type": "str", "default": ""},
            "container": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 1800},
            "kind": {"type": "list", "elements": "str", "default": [], "choices": [*kinds.KINDS]},
            "probe": {"type": "dict", "default": {}},
            "completion_timeout": {"type": "int", "default": 0},
            "ask": {"type": "bool", "default": True},
            "known": {"type": "str", "default": ""},
            "patience": {"type": "float", "default": 0},
            "remaining": {"type": "float", "default": 0},
            "api_key": {"type": "str", "default": "", "no_log": True},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    docker, name = given["docker_bin"], given["container"]
    try:
        inspected = containers.ask(docker, ["inspect", "--type", "container", name], 30)
        state = containers.parse_inspect(inspected)[0]
    except containers.EngineError as error:
        if "No such container" in str(error):
            module.fail_json(msg="Container %s is gone." % name)
        # A node that loads weights may be too busy to answer; the server may well be running.
        module.exit_json(**result("unknown", str(error), ""))
    log = partial(containers.log_tail, docker, state.name, LOG_LINES)
    if state.status != "running":
        module.fail_json(
            msg="Container %s has ended (%s, exit status %d): %s"
            % (state.name, state.status, state.exit_code, last_line(log()))
        )
    seen = readiness.Look(RUNNING, "the container runs")
    if given["url"]:
        health = containers.health(inspected)
        seen = look(given, given["api_key"] or containers.api_key(inspected), health)
    answer = {"answer": seen.answer, "answer_seconds": seen.seconds, "kind": seen.kind}
    module.exit_json(**result(seen.phase, seen.detail, log()), **answer)


def result(phase: str, detail: str, log: str) -> dict[str, Any]:
    """What one look returns. The action plugin adds up `elapsed` and `phases`."""
    return {
        "changed": False,
        "phase": phase,
        "detail": detail,
        "elapsed": 0,
        "last_log": last_line(log),
        "joined": JOINED in log,
        "phases": [],
    }


def look(given: dict[str, Any], api_key: str, health: str) -> readiness.Look:
    """Look until the phase differs from the known one, or patience or the remaining time ends."""
    limit = given["remaining"] or math.inf
    until = time.monotonic() + min(given["patience"], limit)
    said = proof.Given.of(json.dumps(given["probe"]), health)
    seconds = min(given["completion_timeout"] or said.first(given["kind"]), limit)
    while True:
        seen = readiness.look(
            given["url"],
            given["model"],
            given["ask"],
            seconds,
            api_key,
            given["kind"],
            said,
        )
        if given["ask"] or seen.phase != given["known"] or time.monotonic() >= until:
            return seen
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
