# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether vLLM works: import, GPU, `vllm serve --help`. Runs in the interpreter of the target.

Libraries may hang or crash the process that loads them, so this runs in a child process, which
reports its progress after each step.
"""

from __future__ import annotations

import importlib
import logging
import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import (
    Sources,
    ask,
    reply,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import capability
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.triton import (
    PRIVATE,
    compile_kernel,
    kernel,
)

# The warning of vLLM about an extension that cannot be loaded; it fails only at a request.
_NOT_LOADED = re.compile(r"Failed to import from vllm\._")


def answer(request: dict[str, Any], sources: Sources) -> None:
    """Reply to {arch, env, timeout}, or, in the child, run the steps.

    env is added by the launchers' environment, timeout is in seconds. The reply has the report of
    the child, see _steps, with died if it did not end; and serve: {path, ok, error, seconds}.
    """
    if request.get("child"):
        _steps(request)
        return
    timeout = float(request["timeout"])
    with tempfile.TemporaryDirectory(prefix="dgxspark-vllm-") as private:
        env = {**os.environ, **request["env"], **dict.fromkeys(PRIVATE, private)}
        # Otherwise vLLM warns about a home that cannot be written.
        env["VLLM_NO_USAGE_STATS"] = "1"
        with ThreadPoolExecutor(1) as beside:
            serving = beside.submit(run, [_vllm(), "serve", "--help"], timeout, env=env)
            child = {**request, "child": True}
            steps, result = ask([sys.executable], sources, child, timeout, env)
            helped = serving.result()
    report = steps or {}
    if not result.ok:
        report["died"] = result.describe()
    answered = helped.ok and "usage" in helped.stdout.lower()
    error = helped.describe() if not helped.ok else "" if answered else "prints no usage"
    report["serve"] = {
        "path": helped.argv[0],
        "ok": answered,
        "error": error,
        "seconds": round(helped.seconds, 2),
    }
    reply(report)


def _vllm() -> str:
    """The program beside this interpreter, or else in PATH."""
    beside = [os.path.dirname(sys.executable), sysconfig.get_path("scripts")]
    paths = [os.path.join(folder, "vllm") for folder in beside]
    there = next((path for path in paths if os.path.exists(path)), "")
    return there or shutil.which("vllm") or paths[0]


def _steps(request: Mapping[str, Any]) -> None:
    """Reply, before and after each step, with python, torch, cuda, vllm, devices, compiled, ran.

    cuda is the CUDA version that torch was built for, devices a list of {name, capability, bytes}.
    errors and seconds are by step: import, device, compile, run. step is the current one, in which
    the process died if there is no further reply.
    """
    report: dict[str, Any] = {"python": platform.python_version(), "errors": {}, "seconds": {}}

    def step(name: str, work: Callable[[], Mapping[str, Any]]) -> bool:
        report["step"] = name
        reply(report)
        started = time.monotonic()
        try:
            report.update(work())
        except Exception as error:  # any exception of the library is the answer
            report["errors"][name] = "%s: %s" % (type(error).__name__, error)
        report["seconds"][name] = round(time.monotonic() - started, 2)
        return name not in report["errors"]

    if step("import", _import):
        devices = step("device", _devices) and report["devices"]
        step("compile", partial(_compile, capability(request["arch"])))
        if devices:
            step("run", _run_kernel)
    report["step"] = ""
    reply(report)


class _Complaints(logging.Handler):
    """Collects the warnings of vLLM about extensions that cannot be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if _NOT_LOADED.search(record.getMessage()):
            self.heard.append(record.getMessage())


def _import() -> dict[str, str]:
    torch = importlib.import_module("torch")
    vllm = importlib.import_module("vllm")
    complaints = _Complaints()
    logging.getLogger("vllm").addHandler(complaints)
    # Loads the extension modules of this platform.
    importlib.import_module("vllm._custom_ops")
    if complaints.heard:
        raise ImportError("; ".join(complaints.heard))
    # The server is imported lazily.
    callable(vllm.LLM)
    return {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "",
        "vllm": str(vllm.__version__),
    }


def _compile(number: int) -> dict[str, bool]:
    compile_kernel(number)
    return {"compiled": True}


def _devices() -> dict[str, list[dict[str, Any]]]:
    """The GPUs that torch sees; raises with the reason of torch if there are none."""
    cuda = importlib.import_module("torch").cuda
    if not cuda.is_available():
        cuda.init()
    devices = []
    for index in range(cuda.device_count()):
        about = cuda.get_device_properties(index)
        kind = "%d.%d" % (about.major, about.minor)
        devices.append({"name": about.name, "capability": kind, "bytes": about.total_memory})
    return {"devices": devices}


def _run_kernel() -> dict[str, bool]:
    """Whether a kernel compiled by Triton writes the expected value on this GPU."""
    torch = importlib.import_module("torch")
    target = torch.zeros(1, device="cuda")
    kernel()[(1,)](target)
    torch.cuda.synchronize()
    return {"ran": bool(target.item() == 1.0)}
