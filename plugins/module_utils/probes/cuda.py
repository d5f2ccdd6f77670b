# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The NVIDIA driver, kernel modules and CUDA toolkits of a node."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner import code_owner
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    Result,
    last_line,
    run,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import Package, upstream
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import (
    NOT_RUN,
    Binary,
    examine,
    parse_version,
    version_key,
)

DRIVER_FILE = "/proc/driver/nvidia/version"
TOOLKITS = "/usr/local/cuda-*"
QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")

# Packages of a library; their version is that of the library.
CUDNN_PACKAGES = re.compile(r"libcudnn\d+(-cuda-\d+)?")
NCCL_PACKAGES = re.compile(r"libnccl\d+")


@dataclass(frozen=True)
class Gpu:
    """A GPU of nvidia-smi: its name and the driver version."""

    name: str
    driver: str


@dataclass(frozen=True)
class Smi:
    """The answer of nvidia-smi: GPUs, or a problem.

    library is the version of the driver's libraries, where it names it because of a mismatch.
    """

    path: str
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""
    library: str = ""


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit. home is its real folder; version is empty if unknown."""

    home: str
    version: str
    nvcc: str
    problem: str = ""


def ask_smi(path: str, timeout: float) -> Smi:
    """Run nvidia-smi, which may hang with the driver. path is empty if not installed."""
    if not path:
        return Smi("", problem="nvidia-smi is not installed")
    return parse_smi(path, run([path, *QUERY], timeout, limit=65536))


def parse_smi(path: str, result: Result) -> Smi:
    """Without memory: on unified memory it is [N/A]."""
    if not result.ok:
        said = " ".join((result.stdout + " " + result.stderr).split())
        version = re.search(r"NVML library version: (\d+(?:\.\d+)+)", said)
        problem = ("%s: %s" % (result.describe(), said))[:300]
        return Smi(path, problem=problem, library=version[1] if version else "")
    gpus = []
    for line in result.stdout.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 2 and re.fullmatch(r"\d+(\.\d+)+", words[1]):
            gpus.append(Gpu(words[0], words[1]))
    if not gpus:
        said = " ".join(result.stdout.split())[:200]
        return Smi(path, problem="nvidia-smi lists no GPU: %s" % (said or "nothing"))
    return Smi(path, tuple(gpus))


# cuInit of the driver API; 0 is success, 100 "no CUDA-capable device is detected".
_INIT = "import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0))"


@dataclass(frozen=True)
class CudaStart:
    """What cuInit returns; code is None if it was not called or did not return: the problem."""

    code: int | None = None
    problem: str = ""


def ask_cuda(timeout: float, python: str = sys.executable) -> CudaStart:
    """Start CUDA in a process of its own, which may hang with the driver. Needs no root."""
    return parse_cuda(run([python, "-I", "-S", "-c", _INIT], timeout, limit=8192))


def parse_cuda(result: Result) -> CudaStart:
    text = result.stdout.strip()
    if result.ok and foreign.is_whole(text):
        return CudaStart(int(text))
    return CudaStart(problem=last_line(result.stderr) or result.describe())


def parse_driver(text: str) -> tuple[str, bool]:
    """(version, whether these are the open modules) of /proc/driver/nvidia/version."""
    match = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", text)
    return (match[1] if match else "", "Open Kernel Module" in text)


def gpu_evidence(devices: str = "/sys/bus/pci/devices", control: str = "/dev/nvidiactl") -> str:
    """Evidence of an NVIDIA GPU in this machine, working or not; empty if there is none.

    A display controller (PCI class 03) of vendor 10de, or the device node of a loaded driver.
    """
    for device in sorted(glob.glob(os.path.join(glob.escape(devices), "*"))):
        vendor, kind = (
            (read_text(os.path.join(device, name)) or "").strip() for name in ("vendor", "class")
        )
        if vendor == "0x10de" and kind.startswith("0x03"):
            return "PCI device %s" % os.path.basename(device)
    return control if os.path.exists(control) else ""


def toolkits(pattern: str, link: str, timeout: float) -> tuple[Toolkit, ...]:
    """All toolkits in /usr/local and the target of the link, newest first."""
    homes = {os.path.realpath(home) for home in (*glob.glob(pattern), link) if os.path.isdir(home)}
    kits = [_toolkit(home, timeout) for home in homes]
    return tuple(sorted(kits, key=lambda kit: (version_key(kit.version), kit.home), reverse=True))


def _toolkit(home: str, timeout: float) -> Toolkit:
    nvcc = os.path.join(home, "bin", "nvcc")
    try:
        owner = code_owner([nvcc])
    except Blocked as blocked:
        return Toolkit(home, _version_json(home), "", str(blocked))
    asked = run(owner.command([nvcc, "--version"]), timeout, limit=8192)
    version = parse_version(asked.stdout) if asked.ok else ""
    if version:
        return Toolkit(home, version, os.path.realpath(nvcc))
    problem = "nvcc prints no release" if asked.ok else asked.describe()
    return Toolkit(home, _version_json(home), "", problem)


def examine_as_owner(path: str, where: str, arch: str, timeout: float = 15.0) -> Binary:
    """Examine a ptxas of this node, as the user who may write it. timeout: see examine."""
    try:
        owner = code_owner([path])
    except Blocked as blocked:
        return Binary(path, where, NOT_RUN, detail=explained(blocked))
    return examine(path, where, arch, timeout, owner)


def _version_json(home: str) -> str:
    try:
        text = read_text(os.path.join(home, "version.json")) or ""
        version = foreign.json_of(text)["cuda"]["version"]
    except (ValueError, TypeError, KeyError):
        return ""
    return version if isinstance(version, str) else ""


def library_version(packages: Mapping[str, Package], names: re.Pattern[str]) -> str:
    """The newest version of the installed packages of those names, empty if there is none."""
    versions = [
        upstream(package.version)
        for package in packages.values()
        if package.installed and names.fullmatch(package.name)
    ]
    return max(versions, key=version_key, default="")
