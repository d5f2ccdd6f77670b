#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check and repair the ptxas that Triton uses; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_ptxas
short_description: Check and repair the ptxas that Triton uses
version_added: 0.1.0
description:
  - Asks the Triton of a virtual environment or of a container image which C(ptxas) it uses, runs
    that binary for O(arch), and compiles a kernel with Triton. No GPU is needed.
  - The test uses the environment that O(paths_file) defines for the launchers, not that of a login
    shell.
  - If Triton fails, it is tried again without the pins of O(paths_file), one at a time, and then
    with each pin to a C(ptxas) of the CUDA toolkits of the node. The first change that works is
    made, so which variable a version of Triton reads is tested, not assumed.
  - A pin is never written without a successful test. A pin to an unusable C(ptxas) is replaced or
    removed, even if Triton silently falls back to its own binary.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
  - dgxspark.suite.ensure.costly
  - dgxspark.suite.ensure.paths_file
  - dgxspark.suite.ensure.image
  - dgxspark.suite.ensure.serve_from
options:
  venv:
    description:
      - Path of the virtual environment with Triton, for example V(/opt/ai-tools/vllm-env).
      - Exactly one of O(venv) and O(image) is required.
    type: path
  image:
    description:
      - Container image with Triton, as the Docker engine of the node knows it. It is never pulled.
      - The test runs in a container without network that can write only to memory. A pinned
        C(ptxas) of the node, and one that may be pinned, is mounted read-only at its own path.
      - With a pin, the result applies only to containers that are started with the pinned file
        mounted and the variable set. C(launch.yml) does so, using
        M(dgxspark.suite.image_preflight); for other containers the hint of the check
        C(triton_compile_sm121) has the options.
    type: str
  arch:
    description:
      - The GPU architecture, by its C(ptxas) name. V(sm_121) is that of the GB10.
      - The variant with a final V(a), which Triton requests, is tested as well.
    type: str
    default: sm_121
  cuda_home:
    description:
      - The CUDA toolkit whose C(bin/ptxas) may be pinned.
      - If not set, toolkits are searched in C(/usr/local/cuda) and C(/usr/local/cuda-*).
    type: path
  timeout:
    description:
      - Timeout of each test of Triton, in seconds.
      - The timeout of C(ptxas) itself is at most 15 seconds.
    type: int
    default: 60
  manage_ptxas_bin:
    description:
      - Whether C(PTXAS_BIN) of O(paths_file) is checked, and written together with a pin.
      - V(false) if M(dgxspark.suite.ensure_cuda_toolchain) does so. It is the preferred pin in any
        case.
    type: bool
    default: true
"""

EXAMPLES = r"""
---
- name: Check and repair the ptxas that vLLM's Triton uses
  dgxspark.suite.ensure_ptxas:
    venv: /opt/ai-tools/vllm-env
  become: true

- name: Check Triton in a serving image, and change nothing
  dgxspark.suite.ensure_ptxas:
    image: vllm/vllm-openai:latest
  become: true
  check_mode: true

- name: Pin to a particular CUDA toolkit if a pin is needed
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
  description: The result of each check.
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
          RV(findings[].actual); V(accepted), not repaired, see O(accepted).
      type: str
      sample: drift
    severity:
      description: One of V(info), V(warning) and V(critical).
      type: str
      sample: critical
    expected:
      description: The expected state.
      type: str
      sample: the ptxas that Triton chooses in /venv assembles for sm_121 and sm_121a
    actual:
      description: The actual state.
      type: str
      sample: "/opt/ai-tools/vllm-env/lib/python3.12/site-packages/triton/backends/nvidia/bin/ptxas
        (12.8.93): ptxas fatal : Value 'sm_121' is not defined for option 'gpu-name'; Triton's own"
    fix:
      description: What the module does about drift.
      type: str
      sample: write TRITON_PTXAS_PATH=/usr/local/cuda-13.0/bin/ptxas in /etc/dgxspark/paths.env
    hint:
      description: What a person can do if the module cannot.
      type: str
      sample: ""
paths:
  description: The module's entries of O(paths_file) after the run.
  returned: always
  type: dict
  sample:
    PTXAS_BIN: /usr/local/cuda-13.0/bin/ptxas
    TRITON_PTXAS_PATH: /usr/local/cuda-13.0/bin/ptxas
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample:
    triton in /opt/ai-tools/vllm-env: 3.5.1
seconds:
  description: Duration of costly checks in seconds, by check id.
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
      description: Full version, empty if the binary prints none.
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
