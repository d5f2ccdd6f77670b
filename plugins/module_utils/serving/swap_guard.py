# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Carries out a swap of one service, on each node that takes part; the program of its unit.

A controller arms the nodes, and its last act is the wish to go. From then on the guards replace the
old plan by the new one by themselves: that of the decider says what happens next and decides, the
others follow it. What the rules in swap_rules.py say is done by swap_node.py; what has to outlive a
guard is on the disk by swap_files.py. A guard that was killed begins where it was.

    python3 swap_guard.py SERVICE
"""

# A program and no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import signal
import sys

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    supervisor,
    swap_files,
    swap_node,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_decider import Decider
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_part import UNIT
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_participant import (
    Participant,
)


def main(argv: list[str]) -> int:
    # systemd ends a guard without further ado: whatever it does can be done again.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    (service,) = argv
    supervisor.notify("READY=1")
    folder = swap_files.FOLDER
    part = swap_files.read(service, folder)
    if part is None:
        command.run([swap_node.SYSTEMCTL, "disable", UNIT % service], swap_node.ASK)
        return 0
    decides = part.swap["me"] == part.swap["decider"]
    guard: Decider | Participant = (Decider if decides else Participant)(part, folder)
    guard.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
