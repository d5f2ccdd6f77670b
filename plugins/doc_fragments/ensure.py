# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all ensure modules have in common, because they run the same loop."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  paths_file:
    description:
      - The file in which the launchers find their binaries by absolute path, in lines C(KEY=/path).
      - Only the module's own keys are changed. Every other line is kept as it is.
      - The file is made readable by everybody, except where it is not and holds other lines, which
        may be secret. That is V(blocked), and nothing is written.
    type: path
    default: /etc/dgxspark/paths.env
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
  - Outside check mode the module repairs what it can, checks again, and fails if any finding is
    still V(blocked) or V(drift). The message then names each of them with what a person can do.
"""
