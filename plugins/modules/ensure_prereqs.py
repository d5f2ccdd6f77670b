#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a node what everything else builds upon; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_prereqs
short_description: Give a node the packages, time, limits and Docker that all else builds upon
version_added: 0.1.0
description:
  - Looks at the DGX OS release, packages, time, the limits of logins, what happens to workers at a
    logout, the Docker engine, and how containers get at the GPUs.
  - All that is missing is installed by one call of the system's package manager. Nothing else is
    upgraded or removed for it, and nothing is installed while somebody else is at work with dpkg,
    or while an interrupted update has left packages torn.
  - Packages that do not belong on a Spark are reported, with the reason, and never removed.
  - Nothing is rebooted, and no running service is restarted.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
options:
  packages:
    description: The packages that every node has.
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
      - How long to wait for somebody else who is at work with dpkg, in seconds. After that it is
        reported who that is, and nothing is installed.
      - In check mode it is reported at once.
    type: int
    default: 120
  dgx_os:
    description:
      - The releases of DGX OS that are wanted, as V(7.4.0), V(>=7.4) or V(>=7,<8). Empty for any.
      - Where there is no C(/etc/dgx-release), the node has another system and nothing is compared.
    type: str
    default: ">=7,<8"
  time_package:
    description:
      - What to install where no time service is installed. Any that is there will do. Empty for
        nothing.
    type: str
    choices: ["", chrony, ntpsec, openntpd, systemd-timesyncd]
    default: systemd-timesyncd
  clock_timeout:
    description:
      - How long a time service that was just started may take to set the clock, in seconds.
    type: int
    default: 60
  memlock:
    description:
      - How much memory a login may pin, in KiB or V(unlimited), which RDMA needs. Empty for
        whatever it is.
    type: str
    default: unlimited
  nofile:
    description: How many files a process of a login may have open. Empty for whatever it is.
    type: str
    default: "1048576"
  keep_ipc:
    description:
      - Whether the shared memory of users outlives their logout (RemoveIPC=no), which workers need
        that were started from a login.
    type: bool
    default: true
  linger_users:
    description: Users whose services run without a login.
    type: list
    elements: str
    default: []
  docker_packages:
    description:
      - What to install where there is no Docker engine, for example V([docker-ce, docker-ce-cli,
        containerd.io]) or V([docker.io]). Empty for nothing.
      - C(docker.io) is never installed over C(docker-ce), C(docker-ce-cli) or C(containerd.io).
    type: list
    elements: str
    default: []
  docker_users:
    description: Users who may use Docker without root, by the group C(docker).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: What every node needs
  dgxspark.suite.ensure_prereqs:
    docker_users: [alice]
  become: true

- name: Some more packages, DGX OS 7.5 or newer, Docker where it is missing
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
  description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
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
  description: Always empty, this module names no binaries.
  returned: always
  type: dict
  sample: {}
parity:
  description: What should be the same on every node, by name.
  returned: always
  type: dict
  sample: {os: ubuntu 24.04, dgx_os: 7.5.0, docker: 29.2.1}
seconds:
  description: What a costly check took, in seconds, by check id; none is.
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
  description: The distribution, as it calls itself.
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
  description: DGX OS. Every value is empty where the node has another system.
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
  description: Who keeps the time.
  returned: always
  type: dict
  contains:
    service:
      description: The unit; empty where there is none.
      type: str
      sample: systemd-timesyncd.service
    synchronised:
      description: Whether the kernel's clock is.
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
