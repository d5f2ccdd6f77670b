#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a node what everything else builds upon; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_prereqs
short_description: Check and install the prerequisites of a node
version_added: 0.1.0
description:
  - Checks the DGX OS release, packages, time, the limits of logins, logind's handling of shared
    memory, the Docker engine, and GPUs in containers.
  - Missing packages are installed by one call of apt-get. No other package is upgraded or removed,
    and nothing is installed while another process uses dpkg, or while packages are incomplete after
    an interrupted update.
  - Unsupported packages are reported, with the reason, and never removed.
  - The node is never rebooted, and no running service is restarted.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  packages:
    description: The packages of every node.
    type: list
    elements: str
    default:
      - build-essential
      - curl
      - ethtool
      - git
      - iproute2
      - jq
      - ninja-build
      - pkg-config
      - python3-venv
      - rdma-core
  extra_packages:
    description: Further packages.
    type: list
    elements: str
    default: []
  lock_timeout:
    description:
      - How long to wait for another process that uses dpkg, in seconds. After that the process is
        reported, and nothing is installed.
      - In check mode it is reported immediately.
    type: int
    default: 120
  dgx_os:
    description:
      - The required release of DGX OS, such as V(7.4.0), V(>=7.4) or V(>=7,<8). Empty for any.
      - Without C(/etc/dgx-release) the node has another system, and nothing is compared.
    type: str
    default: ">=7,<8"
  time_package:
    description:
      - The package to install if no time service is installed. Any installed one is accepted. Empty
        for none.
    type: str
    choices: ["", chrony, ntpsec, openntpd, systemd-timesyncd]
    default: systemd-timesyncd
  clock_timeout:
    description:
      - How long to wait for a time service that was just started to set the clock, in seconds.
    type: int
    default: 60
  memlock:
    description:
      - How much memory a login may lock, in KiB or V(unlimited), which RDMA needs. Empty for
        any value.
    type: str
    default: unlimited
  nofile:
    description: How many files a process of a login may open. Empty for any.
    type: str
    default: "1048576"
  keep_ipc:
    description:
      - Whether the shared memory of users is kept at logout (RemoveIPC=no), which workers started
        from a login need.
    type: bool
    default: true
  linger_users:
    description: Users whose services run without a login.
    type: list
    elements: str
    default: []
  docker_packages:
    description:
      - The packages to install if there is no Docker engine, for example V([docker-ce,
        docker-ce-cli, containerd.io]) or V([docker.io]). Empty for none.
      - C(docker.io) is never installed over C(docker-ce), C(docker-ce-cli) or C(containerd.io).
    type: list
    elements: str
    default: []
  docker_users:
    description: Users who may use Docker without root, by the group C(docker).
    type: list
    elements: str
    default: []
  driver:
    description:
      - The driver versions that a Spark may have, such as V(>=580,<590). Packages of another
        series are reported as unsupported. Empty for any.
    type: str
    default: ">=580,<590"
    version_added: 0.3.0
"""

EXAMPLES = r"""
---
- name: Check and install the prerequisites
  dgxspark.suite.ensure_prereqs:
    docker_users: [alice]
  become: true

- name: Install more packages, require DGX OS 7.5 or newer, install Docker if missing
  dgxspark.suite.ensure_prereqs:
    extra_packages: [nvtop, tmux]
    dgx_os: ">=7.5,<8"
    docker_packages: [docker-ce, docker-ce-cli, containerd.io]
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: prereqs
findings:
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: packages
      status: drift
      severity: warning
      expected: "3 packages are installed: ethtool, git, jq"
      actual: "missing: ethtool, jq"
      fix: install ethtool, jq
      hint: ""
paths:
  description: Always empty, since this module writes no paths.
  returned: always
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample: {os: ubuntu 24.04, dgx_os: 7.5.0, docker: 29.2.1}
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
  returned: always
  type: dict
  sample: {}
diff:
  description: What is changed, before and after.
  returned: always
  type: dict
  sample:
    before: ""
    after: |
      ethtool installed
      jq installed
    before_header: packages
    after_header: packages
os:
  description: The name of the distribution.
  returned: always
  type: dict
  contains:
    name:
      description: Name and version for people.
      type: str
      sample: Ubuntu 24.04.3 LTS
    id:
      description: Its short name.
      type: str
      sample: ubuntu
    version:
      description: Its version.
      type: str
      sample: "24.04"
dgx_os:
  description: DGX OS. Every value is empty on another system.
  returned: always
  type: dict
  contains:
    name:
      description: Name of the product.
      type: str
      sample: NVIDIA DGX Spark
    version:
      description: The release, by the last update or else by the image.
      type: str
      sample: 7.5.0
    factory_version:
      description: The release of the image that the node was installed from.
      type: str
      sample: 7.2.3
    updated:
      description: When it was last updated over the network, as the system says it.
      type: str
      sample: Thu Jul  9 12:00:00 PM UTC 2026
    fastos:
      description: The version of the image.
      type: str
      sample: 1.91.51
kernel:
  description: Release of the running kernel.
  returned: always
  type: str
  sample: 6.17.0-1032-nvidia
architecture:
  description: The machine's architecture.
  returned: always
  type: str
  sample: aarch64
addresses:
  description: The node's addresses but those of loopback and link-local ones.
  returned: always
  type: list
  elements: dict
  contains:
    interface:
      description: Name of the interface.
      type: str
      sample: enp1s0f1np1
    address:
      description: The address, of either family.
      type: str
      sample: 192.0.2.10
    prefix:
      description: Length of the network's prefix.
      type: int
      sample: 24
time:
  description: The time service.
  returned: always
  type: dict
  contains:
    service:
      description: The unit; empty where there is none.
      type: str
      sample: systemd-timesyncd.service
    synchronised:
      description: Whether the kernel's clock is synchronised.
      type: bool
      sample: true
docker:
  description: The Docker engine.
  returned: always
  type: dict
  contains:
    engines:
      description:
        - What brings it, C(docker-ce), C(docker.io), C(snap docker), or the path of a dockerd that
          is of no package.
      type: list
      elements: str
      sample: [docker-ce]
    version:
      description: The version that it answers; empty where it does not.
      type: str
      sample: 29.2.1
driver:
  description: Version of the loaded NVIDIA driver; empty where none is.
  returned: always
  type: str
  sample: 580.159.03
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.prereqs import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
