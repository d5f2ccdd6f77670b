# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Triton which ptxas it uses, and compile a kernel. Runs in the interpreter of the target.

Which variable a Triton reads, and how, does not come from a table of versions: Triton is asked,
once per environment (a "trial"), each time in a new process because it caches its answers.
"""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import platform
import sys
import tempfile
import types
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import (
    Sources,
    ask,
    reply,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import (
    Binary,
    capability,
    cuda_ptxas,
    examine,
)

# Everything that Triton or ptxas could write goes to the private directory in these.
PRIVATE = (
    "HOME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "TRITON_HOME",
    "TRITON_CACHE_DIR",
    "TRITON_DUMP_DIR",
    "TRITON_OVERRIDE_DIR",
)

_KERNEL = """\
import triton
import triton.language as tl


@triton.jit
def store_one(target):
    tl.store(target, 1.0)
"""


def answer(request: dict[str, Any], sources: Sources) -> None:
    """Reply to a request of ensure/engine/target.py, or to one of its trials.

    env holds what the launchers' environment adds; each of trials is {changes, expect}: changes
    to env by name (None removes), and the path that Triton must choose for a compile to be worth
    its time (empty: any). With until the trials end with the first that works; without it none
    is compiled after the first that works. mounted are the node's files in an isolated target,
    packages those whose versions are wanted.
    """
    if "expect" in request:
        _trial(request)
    else:
        reply(_everything(request, sources))


def _everything(request: dict[str, Any], sources: Sources) -> dict[str, Any]:
    root = _root()
    report: dict[str, Any] = {"python": platform.python_version(), "root": root, "trials": []}
    report["packages"] = {name: _version(name) for name in request.get("packages", ())}
    if not root:
        return report
    examined: dict[str, Binary] = {}
    places = [(path, "vendored") for path in _binaries(root)]
    if request["isolated"]:
        # Outside a container the toolkits are the node's, and known there.
        places += [(path, "image") for path in cuda_ptxas() if path not in request["mounted"]]
    for path, where in places:
        examined[path] = examine(path, where, request["arch"], request["timeout"])
    report["binaries"] = [asdict(binary) for binary in examined.values()]
    works = False
    for trial in request["trials"]:
        compiles = request["until"] or not works
        trial_result = _run_trial(request, sources, trial, compiles)
        report["trials"].append(trial_result)
        path = str(trial_result.get("path", ""))
        if path:
            if path not in examined:
                examined[path] = examine(path, "pinned", request["arch"], request["timeout"])
            trial_result["binary"] = asdict(examined[path])
            works = works or bool(examined[path].works and trial_result.get("compiled"))
        if works and request["until"]:
            break
    return report


def _run_trial(
    request: Mapping[str, Any], sources: Sources, trial: Mapping[str, Any], compiles: bool
) -> dict[str, Any]:
    env = {**os.environ, **request["env"]}
    for name, value in trial["changes"].items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    with tempfile.TemporaryDirectory(prefix="dgxspark-triton-") as private:
        env.update(dict.fromkeys(PRIVATE, private))
        question = {"arch": request["arch"], "expect": trial["expect"], "compile": compiles}
        trial_reply, result = ask([sys.executable], sources, question, request["timeout"], env)
    trial_reply = trial_reply or {}
    if not result.ok:
        trial_reply["error"] = "asking Triton: " + result.describe()
    return trial_reply


def _version(package: str) -> str:
    """The version in the metadata, without an import; empty if not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _root() -> str:
    """The folder of the triton package, without an import; empty if not installed."""
    try:
        spec = importlib.util.find_spec("triton")
    except (ImportError, ValueError):
        return ""
    return os.path.dirname(spec.origin) if spec and spec.origin else ""


def _binaries(root: str) -> list[str]:
    """The ptxas that came with Triton or its neighbours."""
    site = glob.escape(os.path.dirname(root))
    patterns = ("triton/backends/nvidia/bin/ptxas*", "torch/bin/ptxas", "nvidia/*/bin/ptxas")
    return [path for pattern in patterns for path in sorted(glob.glob(os.path.join(site, pattern)))]


def _trial(request: Mapping[str, Any]) -> None:
    """Reply, for one environment, with {version, imported, path, compiled, error}.

    Replies after each step, since the next one may hang or crash the process.
    """
    report: dict[str, Any] = {}
    number = capability(request["arch"])
    try:
        report["version"] = str(importlib.import_module("triton").__version__)
        compiler = importlib.import_module("triton.backends.nvidia.compiler")
        report["imported"] = True
        reply(report)
        report["path"] = _chosen(compiler, number)
        reply(report)
        if request["compile"] and request["expect"] in ("", report["path"]):
            compile_kernel(number)
            report["compiled"] = True
    except Exception as error:  # any exception of the library is the answer
        report["error"] = "%s: %s" % (type(error).__name__, error)
    reply(report)


def _chosen(compiler: types.ModuleType, number: int) -> str:
    """The path of the ptxas that Triton uses for a compute capability."""
    get_ptxas = compiler.get_ptxas
    takes_arch = inspect.signature(get_ptxas).parameters
    tool = get_ptxas(number) if takes_arch else get_ptxas()
    # Before 3.4 a (path, version) pair.
    return str(tool[0] if isinstance(tool, tuple) else tool.path)


def compile_kernel(number: int) -> None:
    """Compile a kernel to a cubin for a compute capability such as 121, for which no GPU is needed.

    Raises whatever Triton raises. Needs a private TMPDIR.
    """
    triton = importlib.import_module("triton")
    compiler = importlib.import_module("triton.compiler")
    target = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", number, 32)
    source = compiler.ASTSource(fn=kernel(), signature={"target": "*fp32"})
    if not triton.compile(source, target=target).asm.get("cubin"):
        raise RuntimeError("Triton compiled without a cubin")


def kernel() -> Any:
    """The kernel store_one(target), which stores a 1; needs a private TMPDIR."""
    path = os.path.join(os.environ["TMPDIR"], "dgxspark_kernel.py")
    with open(path, "w", encoding="ascii") as stream:
        stream.write(_KERNEL)  # Triton reads the source of a kernel from its file
    spec = importlib.util.spec_from_file_location("dgxspark_kernel", path)
    if not spec or not spec.loader:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.store_one
