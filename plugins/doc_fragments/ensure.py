# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options and attributes that all ensure modules share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  fail:
    description:
      - Whether to fail, outside check mode, if a finding is still V(blocked) or V(drift).
      - With V(false) the module returns the same result without failing, for a playbook that runs
        all modules and fails at its end.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details:
      - Never fails because of a finding. All findings are reported, RV(ignore:changed) and the
        diff are those of the run that would follow, and nothing is left on the node.
  diff_mode:
    support: full
    details:
      - Shows only the module's own lines, since other lines of a file may be secret.
  idempotent:
    support: full
notes:
  - Of two runs on one node the second waits for the first, up to a minute; check mode never waits.
  - Outside check mode the module repairs what it can, checks again, and fails if any finding is
    still V(blocked) or V(drift). The message lists them with their hints.
"""

    EXEMPTIONS = r"""
options:
  skip:
    description:
      - Checks that do not apply to this node, check id to reason. They are reported as V(skipped),
        with the reason, and nothing is repaired for them.
      - Ids of other modules' checks are ignored, so that one map serves all modules.
    type: dict
    default: {}
  accepted:
    description:
      - Known drift that is accepted until a day. A finding of that check that is V(drift) or
        V(blocked) is reported as V(accepted), and is not repaired.
      - After that day an entry has no effect, and the hint of the finding says that it has expired.
      - Ids of other modules' checks are ignored, so that one list serves all modules.
    type: list
    elements: dict
    default: []
    suboptions:
      check:
        description: Id of the check.
        type: str
        required: true
      reason:
        description: Why it is accepted, for the report.
        type: str
        required: true
      until:
        description: The last day, in UTC, as V(2027-01-31).
        type: str
        required: true
"""

    PATHS_FILE = r"""
options:
  paths_file:
    description:
      - The file that lists the binaries of the launchers by absolute path, in lines C(KEY=/path).
      - Only the module's own keys are changed. All other lines stay unchanged.
      - The file is made readable by everybody. If it is not, and has other lines, which may be
        secret, the finding is V(blocked), and nothing is written.
    type: path
    default: /etc/dgxspark/paths.env
"""

    COSTLY = r"""
options:
  costly:
    description:
      - What to do with checks that take long.
      - V(cached) uses the answers of an earlier run as long as nothing that they depend on has
        changed. That is the files of the environment, or the id of the image; the pins, and the
        files that they name; the packages of the system, the kernel, the driver, and the present
        output of C(nvidia-smi).
      - V(refresh) asks again in any case.
      - V(skip) never runs them. Without a valid cached answer the findings are V(skipped), with
        that as the reason.
    type: str
    choices: [cached, refresh, skip]
    default: cached
  cache_folder:
    description:
      - Where runs cache their answers if all findings of the module are V(ok) or V(skipped).
      - Check mode never writes there.
    type: path
    default: /var/lib/dgxspark/cache
"""

    SERVE_FROM = r"""
options:
  serve_from:
    description:
      - From what models are served. With V(containers) a virtual environment does not apply, and
        nothing of it is inspected.
    type: str
    choices: [containers, venv, both]
    default: both
    version_added: 0.2.0
"""

    IMAGE = r"""
options:
  docker_bin:
    description:
      - The Docker client, for O(image).
      - If not set, E(DOCKER_BIN) of O(paths_file) is used, or else the one in the standard
        directories.
    type: path
  image_python:
    description: The Python interpreter in O(image), a path or a name to be found in its E(PATH).
    type: str
    default: python3
  optional:
    description:
      - Whether O(image) may be missing on the node, which is then reported as V(skipped). A launch
        brings an image that is missing.
    type: bool
    default: false
    version_added: 0.2.0
"""
