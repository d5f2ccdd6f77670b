#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a virtual environment hold exactly the pinned packages; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_vllm_venv
short_description: Have a virtual environment hold exactly the pinned packages
version_added: 0.1.0
description:
  - Compares what is installed in a virtual environment with pinned O(requirements), by reading
    metadata and the list of files of each package. No installer is started, nothing is imported.
  - Packages that are missing, of another version, or damaged are installed in place, by C(uv) where
    there is one and by C(pip) otherwise.
  - Where the environment cannot be repaired, since it is missing, or its Python does not run or is
    of another version, a new one is made beside it, verified, and put in its place in one step.
    O(path) is then a link. A server that runs keeps its files, and the old environment is kept
    until the next one is made.
  - What an interrupted run has left is recognised by the next one and removed.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.paths_file
options:
  path:
    description: The virtual environment.
    type: path
    default: /opt/ai-tools/vllm-env
  python:
    description: The Python of which the environment is made. Its version decides.
    type: path
    default: /usr/bin/python3
  requirements:
    description:
      - All packages of the environment, each with its exact version, as C(pip freeze),
        C(pip-compile) or C(uv export) write them. Environment markers and hashes are understood;
        where every package has a hash, they are required.
      - It is the text, not the name of a file. A file of the controller is read by
        P(ansible.builtin.file#lookup).
      - If empty, only the environment's Python and programs are looked at.
    type: str
    default: ""
  wheelhouse:
    description: A folder of the node with all the packages. If given, no network is used.
    type: path
  installer:
    description: What installs. V(auto) is C(uv) where there is one in the standard directories.
    type: str
    choices: [auto, uv, pip]
    default: auto
  exact:
    description:
      - Whether packages that O(requirements) does not name are removed. C(pip), C(setuptools),
        C(wheel) and C(uv) never are.
    type: bool
    default: false
  free_gib:
    description: How much room there has to be before anything is installed, in GiB.
    type: float
    default: 12
  log_file:
    description: Where the installer's output goes as it comes, so that a long run can be followed.
    type: path
    default: /var/log/dgxspark/vllm_venv.log
  timeout:
    description: How long one step of the installation may take, in seconds.
    type: int
    default: 3600
"""

EXAMPLES = r"""
---
- name: Have the same packages on every node
  dgxspark.suite.ensure_vllm_venv:
    python: /usr/bin/python3.12
    requirements: "{{ lookup('ansible.builtin.file', 'vllm-requirements.txt') }}"
  become: true

- name: The same without any network
  dgxspark.suite.ensure_vllm_venv:
    requirements: "{{ lookup('ansible.builtin.file', 'vllm-requirements.txt') }}"
    wheelhouse: /opt/wheelhouse
    exact: true
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: vllm_venv
findings:
  description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: venv_packages
      status: drift
      severity: critical
      expected: the 172 pinned packages, whole
      actual: numpy is 1.26.4
      fix: install 1 packages with uv
      hint: ""
paths:
  description: Entries of O(paths_file) of this module that hold once the run is done.
  returned: always
  type: dict
  sample:
    VLLM_BIN: /opt/ai-tools/vllm-env/bin/vllm
    RAY_BIN: /opt/ai-tools/vllm-env/bin/ray
    PY_BIN: /opt/ai-tools/vllm-env/bin/python
    PIP_BIN: /opt/ai-tools/vllm-env/bin/pip
parity:
  description: What should be the same on every node, by name.
  returned: always
  type: dict
  sample:
    packages of /opt/ai-tools/vllm-env: 1f0c5a9d77e2
seconds:
  description: What a costly check took, in seconds, by check id; none is.
  returned: always
  type: dict
  sample: {}
diff:
  description: The packages that are changed, before and after, and the module's own lines of
    O(paths_file).
  returned: always
  type: dict
  sample:
    before: |
      numpy==1.26.4
    after: |
      numpy==2.3.5
    before_header: /opt/ai-tools/vllm-env
    after_header: /opt/ai-tools/vllm-env
venv:
  description: The environment.
  returned: always
  type: str
  sample: /opt/ai-tools/vllm-env
python_version:
  description: Version of its Python, empty if it does not run.
  returned: always
  type: str
  sample: 3.12.3
packages:
  description: What is installed, name to version.
  returned: always
  type: dict
  sample: {numpy: 2.3.5, vllm: 0.32.0}
fingerprint:
  description: 12 hex digits over the Python's version and all packages.
  returned: always
  type: str
  sample: 1f0c5a9d77e2
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.vllm_venv import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
