# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: launch_plan
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: Plan the launch of a recipe on these nodes
description:
  - Turns recipe, overrides, nodes and inventory into one map that describes every container to
    start, down to the C(docker run) command that a person could paste.
  - Runs on the controller; no node is touched. What it takes from facts must have been gathered.
  - Fails with every reason at once, each with the way out.
options:
  _terms:
    description: Name or path of one recipe, as for P(dgxspark.suite.recipe#lookup).
    type: list
    elements: str
    required: true
  nodes:
    description:
      - The nodes that may be used, in order; the first becomes the head.
      - Each is a host of the inventory by name, or a map with C(name), C(address),
        C(fabric_address) and C(fabric_interface). What a map leaves out comes from the host's
        variables and facts.
      - The C(address) is C(dgxspark_address), else C(ansible_host) if that is an IP address, else
        the address of the default route.
      - The C(fabric_address) is C(dgxspark_fabric_address), else the one that
        M(dgxspark.suite.ensure_fabric) left in the node's local facts, if the node still has it;
        without one the ranks talk over the C(address). The C(fabric_interface) is the one that
        carries it.
    type: list
    elements: raw
    required: true
  overrides:
    description:
      - Values that win over the recipe's C(defaults), as a map, as a list of C(key=value), or as
        text of C(key=value) words.
    type: raw
    default: {}
  hf_home:
    description: The Hugging Face cache on the nodes; mounted read-only at the same path.
    type: str
    default: /ai/cache/huggingface
    vars:
      - name: dgxspark_hf_home
  runtime_cache:
    description:
      - Where vLLM and SGLang keep what they compile on each node, so that the next start need not
        do it again. The name of a Docker volume, which is made where it is missing, or the absolute
        path of a folder that is there; empty for nowhere.
    type: str
    default: dgxspark-cache
    vars:
      - name: dgxspark_runtime_cache
  gpus:
    description: V(all), a number, or empty for containers without a GPU.
    type: str
    default: all
    vars:
      - name: dgxspark_gpus
  shm_size:
    description: Upper bound of C(/dev/shm) in each container; Ray's object store lives there.
    type: str
    default: 16g
    vars:
      - name: dgxspark_shm_size
  ipc_mode:
    description:
      - IPC namespace of the containers. V(host) is not recommended, since C(systemd-logind) may
        remove the shared memory of a server when its user logs out.
    type: str
    default: private
    vars:
      - name: dgxspark_ipc_mode
  ulimits:
    description: Limits of each container as C(name:soft:hard).
    type: list
    elements: str
    default: ['memlock:-1:-1', 'stack:67108864:67108864']
    vars:
      - name: dgxspark_ulimits
  devices:
    description: Devices of the node that containers get, such as V(/dev/infiniband) for RDMA.
    type: list
    elements: str
    default: []
    vars:
      - name: dgxspark_devices
  env:
    description:
      - Variables for every container; those of the recipe win.
      - V(${NAME}) as a complete value stands for a variable of the controller, see O(env_allow).
    type: dict
    default: {}
    vars:
      - name: dgxspark_env
  env_allow:
    description:
      - Variables of the controller that may be asked for with C(${NAME}), in O(env) and in the
        C(env) of a recipe.
    type: list
    elements: str
    default: []
    vars:
      - name: dgxspark_env_allow
  env_secret:
    description:
      - Variables of O(env) and of recipes whose values are secrets, besides those that look like
        one by their names or values. A plan has their names only.
    type: list
    elements: str
    default: []
    vars:
      - name: dgxspark_env_secret
  master_port:
    description: Port on the head at which vLLM's ranks meet when Ray is not used.
    type: int
    default: 25000
    vars:
      - name: dgxspark_master_port
  ray_port:
    description: Port of Ray on the head.
    type: int
    default: 46379
    vars:
      - name: dgxspark_ray_port
  ray_object_store_bytes:
    description:
      - Size of Ray's object store on each node, in bytes.
      - vLLM hardly uses it, while Ray's default is a third of the node's memory.
    type: int
    default: 1073741824
    vars:
      - name: dgxspark_ray_object_store_bytes
  ray_wait_seconds:
    description: How long the head waits for all nodes to join Ray, and a worker for the head.
    type: int
    default: 300
    vars:
      - name: dgxspark_ray_wait_seconds
  survive:
    description: Have a unit on each node restart its rank after reboots and crashes.
    type: bool
    default: true
    vars:
      - name: dgxspark_survive
  survive_port:
    description: Port on the head's fabric address at which the units of all ranks meet.
    type: int
    default: 25010
    vars:
      - name: dgxspark_survive_port
  swap_port:
    description: Port on the head's fabric address at which the guards of a swap meet.
    type: int
    default: 25020
    vars:
      - name: dgxspark_swap_port
    version_added: 0.3.0
  survive_starts:
    description: How many times within an hour the units start the workload at most.
    type: int
    default: 3
    vars:
      - name: dgxspark_survive_starts
  restart_on_deep_failure:
    description:
      - Have the unit of the first rank send the server the request of its kind every
        O(deep_seconds), and restart the service when it answers C(/health) and no request, twice in
        a row.
      - At most three times within half an hour; then it is given up until somebody launches it
        again.
      - A server that works off requests of others meanwhile is not restarted.
    type: bool
    default: false
    vars:
      - name: dgxspark_restart_on_deep_failure
    version_added: 0.3.0
  deep_seconds:
    description: After how many seconds such a server is asked again.
    type: int
    default: 900
    vars:
      - name: dgxspark_deep_seconds
    version_added: 0.3.0
  accept_licences:
    description:
      - Names of licences that you have read and accept. A recipe whose C(accept_licences) has
        another one, as of gated or non-commercial weights, is refused before anything is fetched.
    type: list
    elements: str
    default: []
    vars:
      - name: dgxspark_accept_licences
    version_added: 0.3.0
  accept_licence:
    description: Further ones, for this run; C(-e accept_licence=NAME) of the playbooks.
    type: list
    elements: str
    default: []
    vars:
      - name: dgxspark_accept_licence
    version_added: 0.3.0
  ray_auth:
    description:
      - Have Ray, over several nodes, ask for a token, which is in a file of the nodes.
      - An image whose Ray cannot, as those before 2.52, is refused. V(false) launches it without a
        token; then whoever reaches a node on any of its interfaces can run code there.
    type: bool
    default: true
    vars:
      - name: dgxspark_ray_auth
  model_dirs:
    description: Local model directories on the nodes, whose models and folders recipes may mount.
    type: list
    elements: str
    default: [/ai/models]
    vars:
      - name: dgxspark_model_dirs
  security_opts:
    description:
      - Options of C(docker run --security-opt) for all containers. By default no process in them
        gains privileges from a file, as from one that is set-user-ID.
    type: list
    elements: str
    default: [no-new-privileges]
    vars:
      - name: dgxspark_security_opts
  pids_limit:
    description: How many processes and threads each container has at most; V(0) for no limit.
    type: int
    default: 16384
    vars:
      - name: dgxspark_pids_limit
  image_preflight:
    description:
      - Whether the plan follows O(image_facts). With V(false) the image is launched as it is; only
        the version of its Ray counts.
    type: bool
    default: true
    vars:
      - name: dgxspark_image_preflight
  volumes_allow:
    description:
      - Paths of the nodes that a recipe may mount besides what is below O(model_dirs) and
        O(hf_home), each with what is below it.
      - A path that a recipe names exactly like this is mounted even if it gives the container power
        over the node, holds credentials, or belongs to its system. What is below a path is not.
    type: list
    elements: str
    default: []
    vars:
      - name: dgxspark_volumes_allow
  image_facts:
    description:
      - For nodes by name, what M(dgxspark.suite.image_preflight) found in the image there.
      - Where its Triton fails, the pin with which it works becomes part of the plan; where nothing
        works and containers get a GPU there is no plan.
      - The version of its Ray decides about O(ray_auth).
    type: dict
    default: {}
  service:
    description: The service that the launch replaces, which names its containers.
    type: str
    default: main
    version_added: 0.2.0
  slot:
    description: The number that chooses its ports, from P(dgxspark.suite.service_slot#filter).
    type: int
    default: 0
    version_added: 0.2.0
  reach:
    description:
      - Nodes whose addresses the plan has in its C(addresses), by name; also of those that have no
        rank. Nodes whose addresses are not known are left out.
    type: list
    elements: str
    default: []
    version_added: 0.3.0
  needs:
    description:
      - Return only what has to be on the nodes, as a map of the plan's C(recipe), C(image),
        C(models) and C(mounts). It does not depend on the nodes' facts.
    type: bool
    default: false
  problem:
    description:
      - Return why the recipe cannot be launched on so many nodes, or an empty text. No node's facts
        are needed.
    type: bool
    default: false
    version_added: 0.2.0
  secret_values:
    description:
      - Return the values of the plan's C(secret_env) instead of the plan.
      - For the one task that starts the containers, which must set C(no_log).
    type: bool
    default: false
extends_documentation_fragment:
  - dgxspark.suite.recipes
requirements:
  - PyYAML on the controller
seealso:
  - plugin: dgxspark.suite.recipe
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Plan the launch
  ansible.builtin.set_fact:
    launch_plan: >-
      {{ lookup('dgxspark.suite.launch_plan', recipe,
                nodes=groups['spark_nodes'], overrides=overrides | default({})) }}
  run_once: true

- name: Show what would be started
  ansible.builtin.debug:
    msg: "{{ launch_plan.docker_commands | map(attribute='command') }}"
  run_once: true
"""

RETURN = r"""
_raw:
  description:
    - The plan. C(docs/contracts/launch_plan.md) in the collection describes every key.
    - With O(needs=true) a part of it. With O(secret_values=true) a map of the secret variables
      instead, with O(problem=true) a text.
  type: list
  elements: dict
"""

import os
import typing as t
from contextlib import suppress

from ansible.errors import AnsibleError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    parse_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.nodes import node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    SETTINGS,
    Service,
    Settings,
    build_plan,
    needs,
    secret_values,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.lookup import RecipeLookup


class LookupModule(RecipeLookup):
    """The recipe engine's load, resolve and build_plan."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any] | str]:
        self.set_templated_options(variables, kwargs)
        if len(terms) != 1:
            raise AnsibleError(f"launch_plan takes one recipe, got {len(terms)}")
        service = Service(self.plain("service"), self.plain("slot"))
        given = {name: self.plain(name) for name in SETTINGS}
        given["accept_licences"] = [*given["accept_licences"], *self.plain("accept_licence")]
        chosen = Settings(**given)
        settings = service.settings(chosen)
        try:
            recipe = load(terms[0], self.search_paths())
            known = Context(inventory=self.plain("recipe_values"))
            resolved = resolve(
                recipe,
                parse_overrides(self.plain("overrides")),
                self._nodes((variables or {}).get("hostvars") or {}),
                Variables(self.plain("env"), self.plain("env_allow"), os.environ),
                inventory=known.values_for(recipe),
                mod_paths=self.plain("mod_paths"),
                ports=service.ports(chosen),
            )
            if self.get_option("needs"):
                return [needs(resolved, settings)]
            if self.get_option("problem"):
                needs(resolved, settings)
                return [""]
            plan = build_plan(resolved, settings, self.plain("image_facts"), service)
            if self.get_option("secret_values"):
                return [secret_values(resolved, os.environ, settings)]
        except RecipeError as exc:
            # Imported late: most runs do without.
            from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import of_recipe

            text = of_recipe(exc, str(terms[0]), bool(self.get_option("overrides")))
            if self.get_option("problem"):
                return [text]
            raise AnsibleError(text) from None
        return [{**plan, "addresses": self._addresses((variables or {}).get("hostvars") or {})}]

    def _addresses(self, hostvars: t.Mapping[str, t.Any]) -> dict[str, dict[str, str]]:
        """Node -> its `address` and its `link_address`."""
        found = {}
        for name in self.plain("reach"):
            with suppress(RecipeError):
                one = node(name, hostvars)
                found[name] = {"address": one.address, "link_address": one.link_address}
        return found

    def _nodes(self, hostvars: t.Mapping[str, t.Any]) -> list[Node]:
        if self.get_option("needs") or self.get_option("problem"):
            return [Node(str(given), "", None, None) for given in self.plain("nodes")]
        return [node(given, hostvars) for given in self.plain("nodes")]
