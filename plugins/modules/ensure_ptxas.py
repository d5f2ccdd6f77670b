#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have Triton use a ptxas that assembles for the GB10; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_ptxas
short_description: Have Triton use a ptxas that assembles for the GB10
version_added: 0.1.0
description:
  - Asks the Triton of a virtual environment or of a container image which C(ptxas) it really uses,
    lets that binary assemble for O(arch), and has Triton compile a kernel. No GPU is needed for any
    of it.
  - The environment that counts is the one that O(paths_file) makes for the launchers, not a login
    shell's.
  - Where Triton fails, it is asked again without the pins of O(paths_file), one at a time, and then
    with each pin to a C(ptxas) of the CUDA toolkits of the node. The first change that lets Triton
    compile is made. Which variable a version of Triton reads is thus seen, not assumed.
  - A pin that was not seen to work is never written. A pin that names no usable C(ptxas) is
    replaced or removed, even where Triton silently falls back to its own binary.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.costly
  - dgxspark.suite.ensure.paths_file
options:
  venv:
    description:
      - Path of the virtual environment with Triton, for example V(/opt/ai-tools/vllm-env).
      - Exactly one of O(venv) and O(image) is required.
    type: path
  image:
    description:
      - Container image with Triton, as the Docker engine of the node knows it. It is never pulled.
      - It is asked in a container without network that can write nowhere but to its own memory. A
        pinned C(ptxas) of the node, and one that is about to be pinned, is mounted read-only at its
        own path.
      - Where a pin is used, that the image works holds only for containers that are started with
        the pinned file mounted and the variable passed. C(launch.yml) does so by what
        M(dgxspark.suite.image_preflight) finds; for other containers the hint of the check
        C(triton_compile_sm121) names the options.
    type: str
  arch:
    description:
      - The GPU architecture, as C(ptxas) calls it. V(sm_121) is the GB10's.
      - The variant with an V(a) at the end, which Triton always asks for, is assembled for, too.
    type: str
    default: sm_121
  cuda_home:
    description:
      - The CUDA toolkit whose C(bin/ptxas) may be pinned.
      - If not set, toolkits are found by looking at C(/usr/local/cuda) and C(/usr/local/cuda-*).
    type: path
  timeout:
    description:
      - How long Triton may take to start, choose and compile, in seconds, each time that it is
        asked.
      - C(ptxas) itself is given 15 seconds at the most.
    type: int
    default: 60
  docker_bin:
    description:
      - The Docker client, for O(image).
      - If not set, E(DOCKER_BIN) of O(paths_file) is used, or else the one in the standard
        directories.
    type: path
  image_python:
    description: The Python interpreter in O(image), a path or a name to be found in its E(PATH).
    type: str
    default: python3
  manage_ptxas_bin:
    description:
      - Whether C(PTXAS_BIN) of O(paths_file) is written together with a pin, and judged.
      - V(false) where M(dgxspark.suite.ensure_cuda_toolchain) does so. It is preferred as a pin in
        any case.
    type: bool
    default: true
"""

EXAMPLES = r"""
---
- name: See to it that vLLM's Triton can compile for the GB10
  dgxspark.suite.ensure_ptxas:
    venv: /opt/ai-tools/vllm-env
  become: true

- name: Tell what Triton in a serving image would do, and change nothing
  dgxspark.suite.ensure_ptxas:
    image: vllm/vllm-openai:latest
  become: true
  check_mode: true

- name: Pin to one particular CUDA toolkit where a pin is needed
  dgxspark.suite.ensure_ptxas:
    venv: /opt/ai-tools/vllm-env
    cuda_home: /usr/local/cuda-13.0
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: ptxas
findings:
  description: What each check saw.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: Stable id of the check.
      type: str
      sample: triton_ptxas_sm121
    status:
      description:
        - V(ok); V(drift), repairable and not yet repaired; V(fixed), repaired and checked again;
          V(blocked), not repairable here; V(skipped), not assessed, for the reason in
          RV(findings[].actual); V(accepted), left as it is, see O(accepted).
      type: str
      sample: drift
    severity:
      description: One of V(info), V(warning) and V(critical).
      type: str
      sample: critical
    expected:
      description: What should be.
      type: str
      sample: the ptxas that Triton chooses in /venv assembles for sm_121 and sm_121a
    actual:
      description: What is.
      type: str
      sample: "/opt/ai-tools/vllm-env/lib/python3.12/site-packages/triton/backends/nvidia/bin/ptxas
        (12.8.93): ptxas fatal : Value 'sm_121' is not defined for option 'gpu-name'; Triton's own"
    fix:
      description: What the module does about a drift.
      type: str
      sample: write TRITON_PTXAS_PATH=/usr/local/cuda-13.0/bin/ptxas in /etc/dgxspark/paths.env
    hint:
      description: What a person can do where the module cannot.
      type: str
      sample: ""
paths:
  description: Entries of O(paths_file) of this module that hold once the run is done.
  returned: always
  type: dict
  sample:
    PTXAS_BIN: /usr/local/cuda-13.0/bin/ptxas
    TRITON_PTXAS_PATH: /usr/local/cuda-13.0/bin/ptxas
parity:
  description: What should be the same on every node, by name.
  returned: always
  type: dict
  sample:
    triton in /opt/ai-tools/vllm-env: 3.5.1
seconds:
  description: What a costly check took, in seconds, by check id.
  returned: always
  type: dict
  sample: {}
diff:
  description: The module's own lines of O(paths_file), before and after.
  returned: always
  type: dict
  sample:
    before: ""
    after: |
      PTXAS_BIN=/usr/local/cuda-13.0/bin/ptxas
      TRITON_PTXAS_PATH=/usr/local/cuda-13.0/bin/ptxas
    before_header: /etc/dgxspark/paths.env
    after_header: /etc/dgxspark/paths.env
arch:
  description: The architecture that was checked.
  returned: always
  type: str
  sample: sm_121
target:
  description: The O(venv), or the O(image) with its C(id).
  returned: always
  type: dict
  sample:
    venv: /opt/ai-tools/vllm-env
triton_version:
  description: Version of Triton; V(null) if it could not be asked.
  returned: always
  type: str
  sample: 3.5.1
ptxas:
  description: Every C(ptxas) that was found, run for its version and made to assemble.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: Absolute path, in the image where RV(ptxas[].where) is V(image) or the target is
        one.
      type: str
    where:
      description:
        - V(vendored), with Triton or a package beside it; V(system), a CUDA toolkit of the node;
          V(image), a CUDA toolkit in the image; V(pinned), elsewhere, and named by the launchers'
          environment.
      type: str
    version:
      description: Full version, empty if the binary does not tell one.
      type: str
    sha256:
      description: Checksum of the file, empty if it cannot be read.
      type: str
    names_arch:
      description: Whether the bytes of the file contain the name of the architecture; known without
        running it.
      type: bool
    verdict:
      description:
        - V(works), it assembled for O(arch); V(rejects_arch), a healthy C(ptxas) that does not know
          O(arch); V(missing), V(not_a_file), V(not_executable), V(hangs), V(crashes), V(not_ptxas),
          V(fails) otherwise.
      type: str
    detail:
      description: What the binary wrote to stderr when it failed, or what else is wrong with it.
      type: str
  sample:
    - path: /usr/local/cuda-13.0/bin/ptxas
      where: system
      version: 13.0.88
      sha256: 2ab6e1a2e3c58a8e1a2f2ea5a0ad6a4f3a5d3fe1b5d2d8cb28a9a1e6d9c8e7f0
      names_arch: true
      verdict: works
      detail: ""
chosen:
  description: The C(ptxas) that Triton chooses in the launchers' environment, and why; V(null) if
    it chooses none.
  returned: always
  type: dict
  sample:
    path: /usr/local/cuda-13.0/bin/ptxas
    version: 13.0.88
    why: TRITON_PTXAS_PATH in /etc/dgxspark/paths.env
pins:
  description: The pins that O(paths_file) now has, whether or not this Triton reads them.
  returned: always
  type: dict
  sample:
    TRITON_PTXAS_PATH: /usr/local/cuda-13.0/bin/ptxas
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
