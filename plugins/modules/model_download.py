#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download a model from the Hugging Face Hub into the cache of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_download
short_description: Download a model from the Hugging Face Hub into the cache of a node
version_added: 0.1.0
description:
  - Lists the files of a revision, fetches the missing ones into a staging directory, verifies them
    by the Hub's checksums, and only then moves them into place. An interrupted download is resumed,
    also within a file.
  - The transfer is that of C(huggingface_hub), in a Python that has it; everything else needs
    nothing on the node. It runs as the owner of the cache, also when Ansible runs as root.
  - The controller prints the progress. The download ends by itself a minute after its controller
    has gone.
  - An existing file of the right size is not read, unless O(verify) is set.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: The Hub is asked, and nothing is written.
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
    description: Only this quantisation of a GGUF model, with all files that are not weights.
    type: str
    default: ""
  files:
    description: Fetch only files whose path matches one of these patterns.
    type: list
    elements: str
    default: []
  exclude:
    description: Fetch no files whose path matches one of these patterns.
    type: list
    elements: str
    default: []
  verify:
    description: Also read and verify the files that exist.
    type: bool
    default: false
  token:
    description:
      - The access token, needed for gated and private models. It is passed on standard input, and
        is in no command line, file or environment.
    type: str
    default: ""
  endpoint:
    description: The URL of the Hugging Face Hub, or of a mirror.
    type: str
    default: https://huggingface.co
  python:
    description:
      - The Python that has C(huggingface_hub); by default E(PY_BIN) of O(paths_file), which is that
        of vLLM.
    type: path
  paths_file:
    description: The file with the absolute paths of binaries.
    type: path
    default: /etc/dgxspark/paths.env
  connections:
    description: How many files are fetched in parallel.
    type: int
    default: 8
  seconds:
    description: Time limit of the transfer, in seconds.
    type: int
    default: 86400
  hf_home:
    description: The Hugging Face home; the cache is its directory C(hub).
    type: path
    default: /ai/cache/huggingface
  id:
    description: RV(id) of a download that was started; its progress is returned. The action plugin
      sets it.
    type: str
    default: ""
notes:
  - E(HTTPS_PROXY) and the like are taken from C(environment) of the task.
seealso:
  - module: dgxspark.suite.model_share
  - module: dgxspark.suite.model_receive
"""

EXAMPLES = r"""
- name: Show what would be downloaded
  dgxspark.suite.model_download:
    name: org/name
  check_mode: true
  register: offered

- name: Download the model
  dgxspark.suite.model_download:
    name: org/name
    token: "{{ vault_hf_token }}"
"""

RETURN = r"""
revision:
  description: The commit.
  returned: when the Hub has answered
  type: str
  sample: 70d244cc86ccca08cf5af4e1e306ecf908b1ad5e
files:
  description: The number of files to fetch, each content once.
  returned: when the Hub has answered
  type: int
  sample: 4
bytes:
  description: Their size.
  returned: when the Hub has answered
  type: int
  sample: 4079409664
resumed:
  description: How many of these bytes an earlier, interrupted run had fetched.
  returned: when the Hub has answered
  type: int
  sample: 0
total:
  description: The size of all wanted files, including those that exist.
  returned: when the Hub has answered
  type: int
  sample: 4079409664
manifest:
  description: The wanted files, for M(dgxspark.suite.model_receive).
  returned: when the Hub has answered
  type: dict
  sample: {name: org/name, kind: hub, revision: 70d244cc, refs: [main], entries: []}
problems:
  description: Why the revision is incomplete; empty if it is complete. With O(files) or O(exclude)
    that may be intended.
  returned: at the end
  type: list
  elements: str
  sample: []
id:
  description: What O(id) takes; empty where nothing was started.
  returned: when the Hub has answered
  type: str
  sample: /tmp/dgxspark-job-k2x9
phase:
  description: V(fetching), V(verifying) or V(done).
  returned: with O(id)
  type: str
  sample: fetching
progress:
  description: How many bytes of that phase are done.
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner import (
    FOLDERS,
    code_owner,
    python_parts,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained
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
        module.fail_json(msg="%r is not a Hub repository ID (expected org/name)" % name)
    result: dict[str, Any] = {}
    try:
        if module.params["id"]:
            _look(module, result)
        else:
            _begin(module, result)
    except (DownloadError, Blocked, OSError) as error:
        result.pop("manifest", None)
        module.fail_json(msg="%s is not downloaded: %s" % (name, explained(error)), **result)


def _begin(module: AnsibleModule, result: dict[str, Any]) -> None:
    given = module.params
    hub = os.path.join(given["hf_home"], "hub")
    python = given["python"] or EnvFile.read(given["paths_file"]).values().get("PY_BIN", "")
    if not python or not os.access(python, os.X_OK):
        what = "%s is not executable" % python if python else "%(paths_file)s has no PY_BIN" % given
        raise DownloadError(
            "%s. `site.yml --tags vllm_venv` creates the virtual environment of vLLM, which has"
            " huggingface_hub; dgxspark_download_python sets another Python that has it" % what
        )
    whose = Owner.of(hub)
    refuse_python(python, whose)
    endpoint = given["endpoint"].rstrip("/")
    if not endpoint.startswith(("https://", "http://")):
        raise DownloadError("the Hub's address is %r (expected https://...)" % endpoint)
    wanted = Wanted(
        *(given["name"], given["revision"], given["files"], given["exclude"], given["quant"]),
        *(endpoint, python, max(1, given["connections"])),
    )
    answer = download.listing(wanted, given["token"], whose)
    manifest = download.chosen(wanted, answer)
    target = receive.Destination.of(manifest, hub)
    plan = receive.plan(manifest, target, given["verify"])
    result.update(
        revision=manifest.revision,
        files=len(plan.entries),
        bytes=plan.size,
        resumed=plan.staged,
        total=sum({entry.blob: entry.size for entry in manifest.entries}.values()),
        manifest=manifest.to_dict(),
        id="",
    )
    refusal = receive.lacks_space(plan, target) or receive.unwritable(target)
    if plan.changed and refusal:
        raise DownloadError(refusal)
    if plan.changed:
        receive.owner_of(manifest, target)
    holder = receive.working(target)
    if holder:
        raise DownloadError(
            "another run of this collection works on it (process %d). If its controller is gone, it"
            " ends within a minute" % holder
        )
    if module.check_mode or not plan.changed:
        result["problems"] = (
            [] if plan.changed else _problems(hub, manifest.name, manifest.revision)
        )
        module.exit_json(changed=plan.changed, **result)
    limit = given["seconds"]
    result["id"] = download.start(wanted, manifest, hub, given["verify"], given["token"], limit)
    module.exit_json(changed=True, **result)


def refuse_python(python: str, whose: Owner) -> None:
    """Raise DownloadError for a Python that a third user can change, and Blocked for several.

    It gets the token of the Hub, and the rights of the cache's owner.
    """
    owner = code_owner(python_parts(python, FOLDERS))
    if owner.is_another and owner.uid != whose.uid:
        raise DownloadError(
            "%s can be changed by user %d, who owns neither the cache nor the system."
            " dgxspark_download_python names another" % (python, owner.uid)
        )


def _look(module: AnsibleModule, result: dict[str, Any]) -> None:
    given = module.params
    try:
        state = job.look(given["id"])
    except job.JobError as error:
        raise DownloadError("%s. Run again; what has arrived is kept" % error) from None
    if state.get("problem"):
        raise DownloadError(state["problem"])
    result.update(phase=state["phase"], progress=state.get("progress", 0))
    if state["phase"] == job.DONE:
        hub = os.path.join(given["hf_home"], "hub")
        result["problems"] = _problems(hub, given["name"], given["revision"])
    module.exit_json(changed=True, **result)


def _problems(hub: str, repo: str, revision: str) -> list[str]:
    model = cache.hub_model(hub, repo, time.time(), {})
    for known in model.revisions:
        if known.revision == revision:
            return list(known.problems)
    return ["%s is not on this node" % revision]


if __name__ == "__main__":
    main()
