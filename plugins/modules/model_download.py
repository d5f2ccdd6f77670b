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
  - The transfer is that of C(huggingface_hub) with C(hf_xet), in an environment of its own,
    O(venv). If a file has to be fetched and the environment is missing, or differs from
    O(requirements), it is made first. The list of files needs nothing on the node.
  - Everything but the environment is done as the owner of the cache, also when Ansible runs as
    root.
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
    description: A Python that has C(huggingface_hub); with it there is no O(venv).
    type: path
  venv:
    description: The environment of downloads. It is made and replaced by root.
    type: path
    default: /opt/dgxspark/download
    version_added: 0.2.0
  requirements:
    description:
      - All packages of O(venv), each with its version and hashes, as C(pip-compile) writes them.
      - It is the text, not the name of a file. Required without O(python).
    type: str
    default: ""
    version_added: 0.2.0
  wheels:
    description: A folder of the node with all packages of O(venv). If set, no index is used.
    type: path
    version_added: 0.2.0
  base_python:
    description: The Python that makes O(venv), 3.10 or newer.
    type: path
    default: /usr/bin/python3
    version_added: 0.2.0
  log_file:
    description: The log with the output of the installer of O(venv).
    type: path
    default: /var/log/dgxspark/download_venv.log
    version_added: 0.2.0
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
  - E(HTTPS_PROXY) and the like, and for O(venv) those of pip such as E(PIP_INDEX_URL), are taken
    from C(environment) of the task.
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
    requirements: "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
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
venv:
  description: What O(venv) lacked; with check mode, what it lacks. Empty if it is used as it is, if
    it is not needed, and with O(python).
  returned: when the Hub has answered
  type: str
  sample: /opt/dgxspark/download does not exist
  version_added: 0.2.0
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
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

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
from ansible_collections.dgxspark.suite.plugins.module_utils.models.download import Wanted
from ansible_collections.dgxspark.suite.plugins.module_utils.models.hub_listing import DownloadError
from ansible_collections.dgxspark.suite.plugins.module_utils.models.hub_venv import HubVenv
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import ManifestEntry


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
            "venv": {"type": "path", "default": "/opt/dgxspark/download"},
            "requirements": {"type": "str", "default": ""},
            "wheels": {"type": "path"},
            "base_python": {"type": "path", "default": "/usr/bin/python3"},
            "log_file": {"type": "path", "default": "/var/log/dgxspark/download_venv.log"},
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
    own = None if given["python"] else _own(given)
    python = own.python if own else given["python"]
    whose = Owner.of(hub)
    if not own and not os.access(python, os.X_OK):
        raise DownloadError("dgxspark_download_python: %s is not executable" % python)
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
        venv="",
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
    if plan.entries:
        _prepare(module, result, own, wanted, plan.entries, whose)
    if module.check_mode or not plan.changed:
        result["problems"] = (
            [] if plan.changed else _problems(hub, manifest.name, manifest.revision)
        )
        module.exit_json(changed=plan.changed, **result)
    limit = given["seconds"]
    result["id"] = download.start(wanted, manifest, hub, given["verify"], given["token"], limit)
    module.exit_json(changed=True, **result)


def _own(given: Mapping[str, Any]) -> HubVenv:
    names = ("venv", "base_python", "requirements", "wheels", "log_file")
    if not given["requirements"].strip():
        raise DownloadError("requirements: expected the packages of %(venv)s, or python" % given)
    return HubVenv(*(given[name] or "" for name in names))


def _prepare(
    module: AnsibleModule,
    result: dict[str, Any],
    own: HubVenv | None,
    wanted: Wanted,
    entries: Sequence[ManifestEntry],
    whose: Owner,
) -> None:
    """Have a Python that can fetch these; with check mode, say what it lacks."""
    if own:
        result["venv"] = own.lacks()
        if result["venv"] and module.check_mode:
            return
        if result["venv"]:
            own.make()
    refuse_python(wanted.python, whose)
    download.refuse_library(wanted, entries, whose)


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
