#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is and how it is connected; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: spark_info
short_description: Report what a machine is and how it is connected
version_added: 0.2.0
description:
  - Reads what C(dgxspark.suite.discover) needs for an inventory. Needs no privileges and changes
    nothing.
  - Sends two pings to the group of all IPv6 nodes on each cabled port, so that the nodes at the
    other end are found without an address plan.
  - Runs C(sudo -n true) to find out whether sudo asks for a password.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  cages:
    description:
      - Interfaces of each cage, in order, if they cannot be found by vendor and sysfs; see
        O(dgxspark.suite.ensure_fabric#module:cages).
    type: list
    elements: list
    default: []
  cache_seconds:
    description: How long to sum up the size of the user's own Hugging Face cache, in seconds.
    type: float
    default: 5
"""

EXAMPLES = r"""
- name: Inspect the machine
  dgxspark.suite.spark_info:
  register: machine
"""

RETURN = r"""
machine:
  description: C(hostname), the DMI product name, the GPU, the name of DGX OS, and a key of the
    running machine. Each is empty where it is not known.
  returned: success
  type: dict
  sample:
    hostname: spark1
    product: NVIDIA_DGX_Spark
    gpu: NVIDIA GB10
    release: DGX Spark
    key: 0123 4567
session:
  description: The address of the node that the present SSH session uses; empty without one.
  returned: success
  type: str
  sample: 192.0.2.11
default_interface:
  description: The interface of the preferred default route; empty without one.
  returned: success
  type: str
  sample: enP7s7
addresses:
  description: All addresses but those of the loopback interface, those of one link included.
  returned: success
  type: list
  elements: dict
  sample:
    - interface: enP7s7
      address: 192.0.2.11
      prefix: 24
networks:
  description: The IPv4 networks that the node has a route to.
  returned: success
  type: list
  elements: str
  sample: [192.0.2.0/24]
ports:
  description: The interfaces of each cage. C(state) is V(cabled), V(no cable) or V(down); C(users)
    are the bonds, bridges and VLANs on it; C(neighbours) the IPv6 addresses that answer on it or
    on those.
  returned: success
  type: list
  elements: dict
  sample:
    - interface: enp1s0f0np0
      cage: 0
      twin: 0
      state: cabled
      users: []
      neighbours: ["fe80::2"]
fabric:
  description: The local fact of M(dgxspark.suite.ensure_fabric); empty without one.
  returned: success
  type: dict
  sample: {}
rdma:
  description: Whether the node has RDMA devices for containers.
  returned: success
  type: bool
  sample: true
cache:
  description: The user's own Hugging Face home, how many repositories it has, its size in bytes,
    and whether all files were counted in time. C(path) is empty where there is none.
  returned: success
  type: dict
  sample:
    path: /home/alice/.cache/huggingface
    repositories: 2
    size: 4079409664
    counted: true
user:
  description: The user of the connection.
  returned: success
  type: str
  sample: alice
sudo:
  description: V(free) if sudo asks for no password, V(asks) if it does, V(missing) without sudo.
  returned: success
  type: str
  sample: asks
"""

import os
import pwd
import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import connectx
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.addresses import (
    ask_addresses,
    ask_facts,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import (
    ask_default_routes,
    ask_links,
    session_address,
    stacked,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.machine import (
    ask_cache,
    ask_machine,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.neighbours import (
    ask_neighbours,
    ask_networks,
)

_STATES = {True: "cabled", False: "no cable", None: "down"}
_SECONDS = 10.0


def _ports(ip: str, ping: str, cages: t.Sequence[t.Sequence[str]]) -> list[dict[str, t.Any]]:
    """The ports of the cages as they are, and who answers on them."""
    links = ask_links(ip)
    cages = cages or connectx.cages(connectx.find_ports())
    present = [
        (cage, twin, name)
        for cage, names in enumerate(cages)
        for twin, name in enumerate(names)
        if name in links
    ]
    users = {name: stacked(links, name) for _cage, _twin, name in present}
    cabled = [name for name in users if links[name].carrier]
    heard = ask_neighbours(ping, [one for name in cabled for one in (name, *users[name])])
    return [
        {
            "interface": name,
            "cage": cage,
            "twin": twin,
            "state": _STATES[links[name].carrier],
            "users": list(users[name]),
            "neighbours": sorted({a for one in (name, *users[name]) for a in heard.get(one, ())}),
        }
        for cage, twin, name in present
    ]


def _sudo() -> str:
    sudo = find_tool("sudo")
    if os.geteuid() == 0:
        return "free"
    if not sudo:
        return "missing"
    return "free" if run([sudo, "-n", "true"], _SECONDS).ok else "asks"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cages": {"type": "list", "elements": "list", "default": []},
            "cache_seconds": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    ip = find_tool("ip")
    if not ip:
        module.fail_json(msg="ip is not installed: apt install iproute2")
    ping = find_tool("ping")
    if not ping:
        module.warn("ping is not installed (iputils-ping): no cable is matched to a node")
    user = pwd.getpwuid(os.geteuid())
    local = ask_facts(ip, _SECONDS).get("ansible_local", {}).get("dgxspark_fabric")
    module.exit_json(
        changed=False,
        machine=asdict(ask_machine()),
        session=session_address(os.environ),
        default_interface=next(iter(ask_default_routes(ip)), ""),
        addresses=ask_addresses(ip, _SECONDS, ("global", "link")),
        networks=list(ask_networks(ip)),
        ports=_ports(ip, ping, module.params["cages"]),
        fabric=local if isinstance(local, dict) else {},
        rdma=os.path.isdir("/dev/infiniband"),
        cache=asdict(ask_cache(user.pw_dir, module.params["cache_seconds"])),
        user=user.pw_name,
        sudo=_sudo(),
    )


if __name__ == "__main__":
    main()
