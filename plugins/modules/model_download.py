#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a model from the hub into the cache of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_download
short_description: Bring a model from the hub into the cache of a node
version_added: 0.1.0
description:
  - Asks the hub what a revision is made of, fetches what is missing into a folder beside, verifies
    it by the checksums that the hub tells, and only then puts it in place. What was interrupted
    goes on where it stopped, also within a file.
  - The transfer is that of C(huggingface_hub), in the Python that has it; everything else needs
    nothing on the node. It runs as the owner of the cache, also where root acts.
  - On the controller it says how far it is. A download after which nobody has asked for a minute
    ends by itself.
  - What is there already and has the right size is taken for right, unless O(verify) is set.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: The hub is asked, and nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  name:
    description: The repository, as C(org/name).
    type: str
    required: true
  revision:
    description: A branch, a tag or a commit; empty for C(main).
    type: str
    default: ""
  quant:
    description: Of a GGUF model only this quantisation, with what is no weight.
    type: str
    default: ""
  files:
    description: Only files whose path matches one of these patterns.
    type: list
    elements: str
    default: []
  exclude:
    description: No files whose path matches one of these patterns.
    type: list
    elements: str
    default: []
  verify:
    description: Read and verify what is there already as well.
    type: bool
    default: false
  token:
    description:
      - What the hub knows you by; needed for gated and private models. It is handed over on
        standard input, and stands in no list of processes, file or environment.
    type: str
    default: ""
  endpoint:
    description: The hub, or a mirror of it.
    type: str
    default: https://huggingface.co
  python:
    description:
      - The Python that has C(huggingface_hub); if not set, E(PY_BIN) of O(paths_file), which is
        that of vLLM.
    type: path
  paths_file:
    description: The file with the absolute paths of binaries.
    type: path
    default: /etc/dgxspark/paths.env
  connections:
    description: How many files are fetched at the same time.
    type: int
    default: 8
  seconds:
    description: How long the download may take.
    type: int
    default: 86400
  hf_home:
    description: The Hugging Face home; the cache is the folder C(hub) in it.
    type: path
    default: /ai/cache/huggingface
  id:
    description: RV(id) of a download that was begun; it is asked how far it is. The action of the
      same name does so by itself.
    type: str
    default: ""
notes:
  - E(HTTPS_PROXY) and the like are taken from C(environment) of the task.
seealso:
  - module: dgxspark.suite.model_share
  - module: dgxspark.suite.model_receive
"""

EXAMPLES = r"""
- name: What would come, and how much it is
  dgxspark.suite.model_download:
    name: org/name
  check_mode: true
  register: offered

- name: Bring it
  dgxspark.suite.model_download:
    name: org/name
    token: "{{ vault_hf_token }}"
"""

RETURN = r"""
revision:
  description: The commit.
  returned: when the hub has answered
  type: str
  sample: 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e
files:
  description: How many files are fetched, or would be, each content once.
  returned: when the hub has answered
  type: int
  sample: 4
bytes:
  description: Their size.
  returned: when the hub has answered
  type: int
  sample: 4079409664
resumed:
  description: How many of these bytes an earlier, interrupted run had brought.
  returned: when the hub has answered
  type: int
  sample: 0
total:
  description: The size of all files that are wanted, those that are there as well.
  returned: when the hub has answered
  type: int
  sample: 4079409664
manifest:
  description: What is wanted, for M(dgxspark.suite.model_receive).
  returned: when the hub has answered
  type: dict
  sample: {name: org/name, kind: hub, revision: 70d244cc, refs: [main], entries: []}
problems:
  description: Why the revision is not whole; empty when it is. With O(files) it may be meant so.
  returned: at the end
  type: list
  elements: str
  sample: []
id:
  description: What O(id) takes; empty where nothing was begun.
  returned: when the hub has answered
  type: str
  sample: /tmp/dgxspark-job-k2x9
phase:
  description: V(fetching), V(verifying) or V(done).
  returned: with O(id)
  type: str
  sample: fetching
progress:
  description: How many bytes are fetched, or verified.
  returned: with O(id)
  type: int
  sample: 123456
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.host import job
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import is_repo
from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache, download, receive
from ansible_collections.dgxspark.suite.plugins.module_utils.models.download import (
    DownloadError,
    Wanted,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "revision": {"type": "str", "default": ""},
            "quant": {"type": "str", "default": ""},
            "files": {"type": "list", "elements": "str", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "verify": {"type": "bool", "default": False},
            "token": {"type": "str", "default": "", "no_log": True},
            "endpoint": {"type": "str", "default": download.HUB},
            "python": {"type": "path"},
            "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
            "connections": {"type": "int", "default": 8},
            "seconds": {"type": "int", "default": 86400},
            "hf_home": {"type": "path", "default": "/ai/cache/huggingface"},
            "id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    if not is_repo(name):
        module.fail_json(msg="%r is no repository of the hub, as org/name is" % name)
    told: dict[str, Any] = {}
    try:
        if module.params["id"]:
            _look(module, told)
        else:
            _begin(module, told)
    except (DownloadError, Blocked, OSError) as error:
        told.pop("manifest", None)
        hint = " %s" % error.hint if isinstance(error, Blocked) else ""
        module.fail_json(msg="%s is not downloaded: %s%s" % (name, error, hint), **told)


def _begin(module: AnsibleModule, told: dict[str, Any]) -> None:
    given = module.params
    hub = os.path.join(given["hf_home"], "hub")
    python = given["python"] or EnvFile.read(given["paths_file"]).values().get("PY_BIN", "")
    if not python or not os.access(python, os.X_OK):
        what = "%s is no program" % python if python else "%(paths_file)s has no PY_BIN" % given
        raise DownloadError(
            "%s. `site.yml --tags vllm_venv` makes the virtual environment of vLLM, which has"
            " huggingface_hub; dgxspark_download_python names another Python that has it" % what
        )
    endpoint = given["endpoint"].rstrip("/")
    if not endpoint.startswith(("https://", "http://")):
        raise DownloadError("the hub's address is %r; it begins with https://" % endpoint)
    wanted = Wanted(
        *(given["name"], given["revision"], given["files"], given["exclude"], given["quant"]),
        *(endpoint, python, max(1, given["connections"])),
    )
    whose = Owner.of(os.path.join(hub, "x"))
    answer = download.listing(wanted, given["token"], whose, download.environment())
    found = download.chosen(wanted, answer)
    target = receive.Target.of(found, hub)
    plan = receive.plan(found, target, given["verify"])
    told.update(
        revision=found.revision,
        files=len(plan.entries),
        bytes=plan.size,
        resumed=plan.staged,
        total=sum({one.blob: one.size for one in found.entries}.values()),
        manifest=found.to_dict(),
        id="",
    )
    refusal = receive.lacks_space(plan, target) or receive.unwritable(target)
    if plan.changed and refusal:
        raise DownloadError(refusal)
    by = _locked_by(target.root)
    if by:
        raise DownloadError(
            "process %d works on it already: another run of ours. Where its controller is gone it"
            " ends within a minute" % by
        )
    if module.check_mode or not plan.changed:
        told["problems"] = [] if plan.changed else _problems(hub, found.name, found.revision)
        module.exit_json(changed=plan.changed, **told)
    limit = given["seconds"]
    told["id"] = download.start(wanted, found, hub, given["verify"], given["token"], limit)
    module.exit_json(changed=True, **told)


def _locked_by(path: str) -> int:
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return cache.held_locks().get((found.st_dev, found.st_ino), 0)


def _look(module: AnsibleModule, told: dict[str, Any]) -> None:
    given = module.params
    try:
        state = job.look(given["id"])
    except job.JobError as error:
        raise DownloadError("%s. Run again; what has arrived is kept" % error) from None
    if state.get("problem"):
        raise DownloadError(state["problem"])
    told.update(phase=state["phase"], progress=state.get("progress", 0))
    if state["phase"] == job.DONE:
        hub = os.path.join(given["hf_home"], "hub")
        told["problems"] = _problems(hub, given["name"], given["revision"])
    module.exit_json(changed=True, **told)


def _problems(hub: str, repo: str, revision: str) -> list[str]:
    model = cache.hub_model(hub, repo, time.time(), ())
    for one in model.revisions:
        if one.revision == revision:
            return list(one.problems)
    return ["%s is not there" % revision]


if __name__ == "__main__":
    main()
