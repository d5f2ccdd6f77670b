# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift callback, without a configuration that enables it.

Ansible loads the callbacks in the folder callback_plugins beside a playbook. Those of a collection
it loads only if they are enabled, which the ansible.cfg of somebody else does not do.
"""

from __future__ import annotations

from typing import Any

from ansible import constants as C

from ansible_collections.dgxspark.suite.plugins.callback import drift

# Ansible takes the options from here.
DOCUMENTATION = drift.DOCUMENTATION


class CallbackModule(drift.CallbackModule):
    """Does nothing where the drift callback is enabled, so that there is one report."""

    CALLBACK_NAME = "dgxspark_drift"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.disabled = drift.CallbackModule.CALLBACK_NAME in C.CALLBACKS_ENABLED
