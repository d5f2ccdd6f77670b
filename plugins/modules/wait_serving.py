#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a starting server; the action plugin of the same name looks again and again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wait_serving
short_description: Wait until a model server answers a completion
version_added: 0.1.0
description:
  - Looks at the server until it answers a completion of one token, and tells on the screen how far
    it is.
  - Fails as soon as the container has ended, with the last line of its log, and otherwise at the
    time limit.
  - A task that runs on all nodes of a workload, with O(url) on the head alone, watches all ranks.
    The first one that ends is the end of the task on all nodes, as is the head's completion.
  - Fails at once, too, where the server answers that the key, the model or the path is wrong.
  - C(/health) is not taken for an answer, since it answers while the engine behind it is unusable.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
notes:
  - This is an action plugin. Each look runs on the node itself, where the server and its container
    are.
options:
  url:
    description: Where the server listens, as C(http://ADDRESS:PORT). Use an IP address, not a
      C(.local) name.
      Empty where a rank without a server of its own is only to be watched.
    type: str
    default: ""
  model:
    description: The model's name as served. Needed with O(url).
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
  completion_timeout:
    description: How long a single completion may take, in seconds. The first one may compile
      kernels.
    type: int
    default: 180
  api_key:
    description: The key that the server wants with a completion. Empty for the one that the
      container was given as C(VLLM_API_KEY) or C(LLAMA_API_KEY), if any.
    type: str
    default: ""
  ask:
    description: Ask for a completion with the first look, of a server that is known to run. Without
      it, as soon as C(/health) has answered.
    type: bool
    default: true
  known:
    description: The phase that is known already. While nothing else is seen, the node itself goes
      on looking for up to O(patience), as long as no completion is asked for. The action sets it.
    type: str
    default: ""
  patience:
    description: How long a node may take for one look, in seconds. The action sets it.
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
    container: dgxspark-lab-tiny-0
    timeout: 600
"""

RETURN = r"""
phase:
  description: How far the server is.
  returned: always
  type: str
  sample: serving
detail:
  description: What was seen last.
  returned: always
  type: str
joined:
  description: Whether the log tells that all nodes have joined Ray.
  returned: always
  type: bool
phases:
  description: What the wait consisted of, each with its seconds, as far as it came.
  returned: always
  type: list
  elements: dict
  sample: [{phase: Ray formed, seconds: 9.1}, {phase: model loaded, seconds: 31.5},
    {phase: completion answered, seconds: 2.2}]
completion:
  description: The text that was generated.
  returned: when a completion was answered
  type: str
completion_seconds:
  description: How long that completion took.
  returned: when a completion was answered
  type: float
elapsed:
  description: How long was waited, in seconds.
  returned: always
  type: int
last_log:
  description: The last line of the container's log.
  returned: always
  type: str
"""

import time
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import last_line
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers, serving

LOG_LINES = 200
# What ray_wait.py says on the head.
JOINED = "nodes have joined Ray"
# The phase of a rank that has no server to ask.
RUNNING = "running"
# Between two looks within one, in seconds.
INTERVAL = 0.25


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": ""},
            "model": {"type": "str", "default": ""},
            "container": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 1800},
            "completion_timeout": {"type": "int", "default": 180},
            "ask": {"type": "bool", "default": True},
            "known": {"type": "str", "default": ""},
            "patience": {"type": "float", "default": 0},
            "api_key": {"type": "str", "default": "", "no_log": True},
            "docker_bin": {"type": "path", "default": "/usr/bin/docker"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        inspected = containers.ask(
            given["docker_bin"], ["inspect", "--type", "container", given["container"]], 30
        )
        state = containers.parse_inspect(inspected)[0]
    except containers.EngineError as error:
        if "No such container" in str(error):
            module.fail_json(msg="Container %s is gone." % given["container"])
        # A node that loads weights may be too busy to answer; that is no end of the server.
        module.exit_json(
            changed=False,
            phase="unknown",
            detail=str(error),
            elapsed=0,
            last_log="",
            joined=False,
            phases=[],
        )
    log = partial(containers.log_tail, given["docker_bin"], state.name, LOG_LINES)
    if state.status != "running":
        module.fail_json(
            msg="Container %s has ended (%s, exit status %d): %s"
            % (state.name, state.status, state.exit_code, last_line(log()))
        )
    seen = serving.Look(RUNNING, "the container runs")
    if given["url"]:
        seen = look(given, given["api_key"] or containers.api_key(inspected))
    said = log()
    module.exit_json(
        changed=False,
        phase=seen.phase,
        detail=seen.detail,
        completion=seen.completion,
        completion_seconds=seen.seconds,
        elapsed=0,
        last_log=last_line(said),
        joined=JOINED in said,
        phases=[],
    )


def look(given: dict[str, Any], api_key: str) -> serving.Look:
    """Look until something is seen that is not known yet, or patience ends."""
    until = time.monotonic() + given["patience"]
    while True:
        seen = serving.look(
            given["url"], given["model"], given["ask"], given["completion_timeout"], api_key
        )
        if given["ask"] or seen.phase != given["known"] or time.monotonic() >= until:
            return seen
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
