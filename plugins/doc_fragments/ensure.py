# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all ensure modules have in common, because they run the same loop."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  skip:
    description:
      - Checks that do not apply to this node, check id to reason. They are reported as V(skipped),
        with the reason, and nothing is repaired for them.
      - Ids of other modules' checks are ignored, so that one map serves all of them.
    type: dict
    default: {}
  accepted:
    description:
      - Findings that may stay as they are for a while. A drift or a blocked finding of that check
        is reported as V(accepted), and is not repaired.
      - After its last day an entry has no effect any more, and the report says that it had.
      - Ids of other modules' checks are ignored, so that one list serves all of them.
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
  fail:
    description:
      - Whether to fail, outside check mode, where a finding is still V(blocked) or V(drift).
      - With V(false) the same is returned without failing, for a playbook that goes on to the next
        module and judges at its end.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details:
      - Never fails because of what is found. All findings are reported, RV(ignore:changed) and the
        diff are those of the run that would follow, and nothing remains on the node.
  diff_mode:
    support: full
    details:
      - Shows only the module's own lines, since other lines of the file may be secret.
  idempotent:
    support: full
notes:
  - Two runs on one node wait for each other, up to a minute; a check never waits.
  - Outside check mode the module repairs what it can, checks again, and fails if any finding is
    still V(blocked) or V(drift). The message then names each of them with what a person can do.
"""

    PATHS_FILE = r"""
options:
  paths_file:
    description:
      - The file in which the launchers find their binaries by absolute path, in lines C(KEY=/path).
      - Only the module's own keys are changed. Every other line is kept as it is.
      - The file is made readable by everybody, except where it is not and holds other lines, which
        may be secret. That is V(blocked), and nothing is written.
    type: path
    default: /etc/dgxspark/paths.env
"""

    COSTLY = r"""
options:
  costly:
    description:
      - V(kept) believes what an earlier run has found, as long as nothing that it depends on has
        changed since. That is the files of the environment, or the id of the image; the pins, and
        the files that they name; the packages of the system, the kernel, the driver, and what
        C(nvidia-smi) says just now.
      - V(fresh) looks in any case.
      - V(quick) never does what takes long. Where nothing was kept that still holds, the findings
        are V(skipped), with that as the reason.
    type: str
    choices: [kept, fresh, quick]
    default: kept
  kept_folder:
    description: Where runs keep what they have found if all was well. Checks never write there.
    type: path
    default: /var/lib/dgxspark/kept
"""
