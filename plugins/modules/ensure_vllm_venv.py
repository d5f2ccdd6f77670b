#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a virtual environment hold exactly the pinned packages; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_vllm_venv
short_description: Install a virtual environment with pinned packages
version_added: 0.1.0
description:
  - Compares the packages of a virtual environment with pinned O(requirements), by reading the
    metadata and the file list of each package. No installer is started, nothing is imported.
  - Packages that are missing, of another version, or damaged are installed in place, with C(uv) if
    available and otherwise with C(pip).
  - If the environment cannot be repaired, because it is missing, or its Python does not run or has
    another version, a new one is made beside it, verified, and put in its place in one step.
    O(path) is then a link. A running server keeps the files of the old environment, which stays
    until the next one is made.
  - Remains of an interrupted run are detected and removed by the next one.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
  - dgxspark.suite.ensure.paths_file
  - dgxspark.suite.ensure.serve_from
options:
  path:
    description: The virtual environment.
    type: path
    default: /opt/ai-tools/vllm-env
  python:
    description: The Python of the environment.
    type: path
    default: /usr/bin/python3
  requirements:
    description:
      - All packages of the environment, each with its exact version, as C(pip freeze),
        C(pip-compile) or C(uv export) write them. Environment markers and hashes are supported;
        if every package has a hash, hashes are required.
      - It is the text, not the name of a file. Use P(ansible.builtin.file#lookup) to read a file of
        the controller.
      - If empty, only the Python and the programs of the environment are checked.
    type: str
    default: ""
  wheelhouse:
    description: A folder of the node with all packages. If set, no network is used.
    type: path
  installer:
    description:
      - The installer. V(auto) is C(uv) if it is in the standard directories, otherwise C(pip).
    type: str
    choices: [auto, uv, pip]
    default: auto
  exact:
    description:
      - Whether packages that are not in O(requirements) are removed, except C(pip),
        C(setuptools), C(wheel) and C(uv).
    type: bool
    default: false
  free_gib:
    description: Required free space before an installation, in GiB.
    type: float
    default: 12
  log_file:
    description: The log with the output of the installer, written continuously.
    type: path
    default: /var/log/dgxspark/vllm_venv.log
  timeout:
    description: Timeout of each step of the installation, in seconds.
    type: int
    default: 3600
"""

EXAMPLES = r"""
---
- name: Install the same packages on every node
  dgxspark.suite.ensure_vllm_venv:
    python: /usr/bin/python3.12
    requirements: "{{ lookup('ansible.builtin.file', 'vllm-requirements.txt') }}"
  become: true

- name: Install without a network
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
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
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
  description: The module's entries of O(paths_file) after the run.
  returned: always
  type: dict
  sample:
    VLLM_BIN: /opt/ai-tools/vllm-env/bin/vllm
    RAY_BIN: /opt/ai-tools/vllm-env/bin/ray
    PY_BIN: /opt/ai-tools/vllm-env/bin/python
    PIP_BIN: /opt/ai-tools/vllm-env/bin/pip
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample:
    packages of /opt/ai-tools/vllm-env: 1f0c5a9d77e2
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
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
