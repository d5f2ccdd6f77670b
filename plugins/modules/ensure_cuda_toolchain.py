#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have driver and CUDA toolkit as they should be, and named; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_cuda_toolchain
short_description: Check driver and CUDA toolkit, and write their absolute paths
version_added: 0.1.0
description:
  - Asks C(nvidia-smi) for the driver, reads which kernel modules are loaded, and searches the CUDA
    toolkits of the node. A toolkit is usable if its C(nvcc) answers and its C(ptxas) assembles for
    O(arch).
  - Sets the link to the toolkit in use, writes C(NVCC_BIN), C(PTXAS_BIN) and C(NVIDIA_SMI_BIN) into
    O(paths_file), and C(CUDA_HOME) into one file for login shells and one for services.
  - Installs no driver and no toolkit. Both come with DGX OS and its updates; the hints say what to
    do.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
  - dgxspark.suite.ensure.paths_file
options:
  driver:
    description:
      - The required driver versions, such as V(580.159.03), V(>=580) or V(>=580,<590). Empty for
        any.
    type: str
    default: ">=580,<590"
  cuda:
    description: The required versions of the toolkit, likewise. V(13.0) accepts 13.0.88.
    type: str
    default: ""
  cudnn:
    description: The required versions of cuDNN, likewise. Empty for any, or none.
    type: str
    default: ""
  nccl:
    description: The required versions of NCCL, likewise. Empty for any, or none.
    type: str
    default: ""
  arch:
    description: The GPU architecture for which the toolkit's C(ptxas) has to assemble.
    type: str
    default: sm_121
  link:
    description:
      - The link to the toolkit in use. If it uses the system's alternatives, those are set. A
        folder in its place is not changed.
      - A link to a usable toolkit of a required version stays, even if there is a newer one.
    type: path
    default: /usr/local/cuda
  profile_file:
    description: The file for login shells, which sets E(CUDA_HOME) and extends E(PATH).
    type: path
    default: /etc/profile.d/dgxspark-cuda.sh
  environment_file:
    description: The file for services (C(EnvironmentFile=) of systemd).
    type: path
    default: /etc/dgxspark/cuda.env
  timeout:
    description: How long C(nvidia-smi), C(nvcc) and C(ptxas) may take, in seconds each.
    type: int
    default: 20
"""

EXAMPLES = r"""
---
- name: Require a driver of the 580 series, and any CUDA toolkit that supports the GB10
  dgxspark.suite.ensure_cuda_toolchain:
  become: true

- name: Use CUDA 13.0 even if there are others
  dgxspark.suite.ensure_cuda_toolchain:
    cuda: "13.0"
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: cuda_toolchain
findings:
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: cuda_link
      status: drift
      severity: warning
      expected: /usr/local/cuda leads to /usr/local/cuda-13.0
      actual: /usr/local/cuda-12.8
      fix: have /usr/local/cuda lead to /usr/local/cuda-13.0
      hint: ""
paths:
  description: The module's entries of O(paths_file) after the run.
  returned: always
  type: dict
  sample:
    NVCC_BIN: /usr/local/cuda-13.0/bin/nvcc
    PTXAS_BIN: /usr/local/cuda-13.0/bin/ptxas
    NVIDIA_SMI_BIN: /usr/bin/nvidia-smi
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample: {driver: 580.159.03, cuda: 13.0.88, nccl: 2.29.3}
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
  returned: always
  type: dict
  sample: {}
diff:
  description: What is changed, before and after; of O(paths_file) only the module's own lines.
  returned: always
  type: dict
  sample:
    before: |
      /usr/local/cuda -> /usr/local/cuda-12.8
    after: |
      /usr/local/cuda -> /usr/local/cuda-13.0
    before_header: /usr/local/cuda
    after_header: /usr/local/cuda
driver_version:
  description: Version of the driver, empty if it is not known.
  returned: always
  type: str
  sample: 580.159.03
gpus:
  description: The GPUs that C(nvidia-smi) names. Memory is not asked for, since a GB10 has none of
    its own.
  returned: always
  type: list
  elements: dict
  sample:
    - name: NVIDIA GB10
      driver: 580.159.03
toolkits:
  description: Every toolkit that was found, newest first; RV(toolkits[].problem) says why one does
    not count.
  returned: always
  type: list
  elements: dict
  contains:
    home:
      description: Its folder.
      type: str
    version:
      description: Its version, empty if it is not known.
      type: str
    nvcc:
      description: Its compiler, empty if it does not answer.
      type: str
    problem:
      description: What is wrong with it.
      type: str
  sample:
    - home: /usr/local/cuda-13.0
      version: 13.0.88
      nvcc: /usr/local/cuda-13.0/bin/nvcc
      problem: ""
cuda_home:
  description: The toolkit that is in use, or will be.
  returned: always
  type: str
  sample: /usr/local/cuda-13.0
cudnn_version:
  description: Version of the installed cuDNN package, empty if there is none.
  returned: always
  type: str
  sample: 9.13.0
nccl_version:
  description: Version of the installed NCCL package, empty if there is none.
  returned: always
  type: str
  sample: 2.29.3
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.cuda_toolchain import SPEC
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
