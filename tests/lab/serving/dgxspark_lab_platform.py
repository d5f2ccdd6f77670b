# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM platform plugin of the lab: a CPU platform that Ray can place and that spans machines.

Upstream's CPU platform refuses Ray only because it names no Ray resource, and its communicator
takes ranks that share a group name for ranks that share memory, untrue for ranks on two nodes.
It also has each process of a server import vLLM anew, which takes ten seconds of a core each time;
forked ones have it.
"""

from __future__ import annotations

import os
from typing import Any


def register() -> str:
    """Entry point of the group ``vllm.platform_plugins``: the platform class to load."""
    return "dgxspark_lab_platform.LabPlatform"


def __getattr__(name: str) -> Any:
    # Built on first use: vLLM resolves plugins before its own modules may be imported.
    if name == "LabPlatform":
        from vllm.platforms.cpu import CpuPlatform

        class LabPlatform(CpuPlatform):
            ray_device_key = "GPU"

            @classmethod
            def check_and_update_config(cls, vllm_config: Any) -> None:
                super().check_and_update_config(vllm_config)
                os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"

            @classmethod
            def get_device_communicator_cls(cls) -> str:
                return "dgxspark_lab_platform.NetworkCommunicator"

        globals()[name] = LabPlatform
        return LabPlatform
    if name == "NetworkCommunicator":
        from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator

        class NetworkCommunicator(CpuCommunicator):
            @staticmethod
            def _all_group_ranks_share_shm_group_name(*_: Any, **__: Any) -> bool:
                return False

        globals()[name] = NetworkCommunicator
        return NetworkCommunicator
    raise AttributeError(name)
