#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See that vLLM would serve on a node; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_vllm_runtime
short_description: Check that vLLM works on a node
version_added: 0.1.0
description:
  - Imports vLLM, its compiled extensions and torch in a virtual environment or in a container
    image, checks which GPU torch sees, compiles a kernel with Triton, runs it on the GPU, and runs
    C(vllm serve --help).
  - Nothing is repaired. The causes of problems are packages, pins or the driver, which
    M(dgxspark.suite.ensure_vllm_venv), M(dgxspark.suite.ensure_ptxas) and
    M(dgxspark.suite.ensure_cuda_toolchain) repair; the hints name the module.
  - On a node without an NVIDIA GPU, checks that need one are V(skipped).
  - It takes as long as the import of vLLM, some seconds on a Spark; see RV(seconds).
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
  - dgxspark.suite.ensure.costly
  - dgxspark.suite.ensure.image
  - dgxspark.suite.ensure.serve_from
options:
  venv:
    description:
      - Path of the virtual environment with vLLM, for example V(/opt/ai-tools/vllm-env).
      - Exactly one of O(venv) and O(image) is required.
    type: path
  image:
    description:
      - Container image with vLLM, as the Docker engine of the node knows it. It is never pulled.
      - The test runs in a container without network that can write only to memory, with the GPU of
        the node if there is one.
    type: str
  arch:
    description: The GPU architecture to compile for, as C(ptxas) calls it. V(sm_121) is the GB10's.
    type: str
    default: sm_121
  gpu_name:
    description:
      - A regular expression that matches the name of the GPU as reported by torch.
      - Empty for any name.
    type: str
    default: GB10
  gpus:
    description: The value of C(docker run --gpus) for O(image), on a node with a GPU.
    type: str
    default: all
  paths_file:
    description: The file with the pins for vLLM. It is only read.
    type: path
    default: /etc/dgxspark/paths.env
  timeout:
    description: Timeout of the import of vLLM, and of its help, in seconds.
    type: int
    default: 180
"""

EXAMPLES = r"""
---
- name: Check vLLM in the virtual environment
  dgxspark.suite.ensure_vllm_runtime:
    venv: /opt/ai-tools/vllm-env
  become: true

- name: Check an image on a node with another GPU
  dgxspark.suite.ensure_vllm_runtime:
    image: vllm/vllm-openai:v0.11.0
    arch: sm_90
    gpu_name: H100
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: vllm_runtime
findings:
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: runtime_import
      status: ok
      severity: info
      expected: vLLM, what it has compiled, and torch can be imported in /opt/ai-tools/vllm-env
      actual: vLLM 0.32.0, torch 2.13.0 (CUDA 13.0)
      fix: ""
      hint: ""
paths:
  description: Always empty.
  returned: always
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample:
    vllm in /opt/ai-tools/vllm-env: 0.32.0
seconds:
  description: Duration of each check in seconds, by check id. The help runs in parallel.
  returned: always
  type: dict
  sample:
    runtime_import: 6.1
diff:
  description: Always empty, since nothing is changed.
  returned: always
  type: dict
  sample: {before: "", after: "", before_header: "", after_header: ""}
target:
  description: The O(venv), or the O(image) with its C(id).
  returned: always
  type: dict
  sample:
    venv: /opt/ai-tools/vllm-env
versions:
  description: Versions of C(python), C(torch), C(vllm), and the C(cuda) that torch was built for.
  returned: always
  type: dict
  sample: {python: 3.12.3, torch: 2.13.0, cuda: "13.0", vllm: 0.32.0}
devices:
  description: The GPUs that torch sees.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    capability:
      description: Its compute capability.
      type: str
    bytes:
      description: Its memory, in bytes; on a GB10 that of the whole machine.
      type: int
  sample:
    - {name: NVIDIA GB10, capability: "12.1", bytes: 128526000128}
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.vllm_runtime import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
