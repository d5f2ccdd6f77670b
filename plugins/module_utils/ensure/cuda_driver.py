# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The NVIDIA driver: what is loaded, its libraries, its packages, and what the next boot loads.

These come from different sources and may contradict each other: an update without a reboot, a .run
installation beside the packages, a kernel without the driver's modules. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    INFO,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.boot_module import BootModule
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import (
    CudaStart,
    Smi,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import Package, upstream
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import in_series
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import (
    VersionSpec,
    key,
)

# NVIDIA's .run installer leaves this program; no package has it.
UNINSTALLER = "nvidia-uninstall"

# CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
_DRIVER_MISMATCH = 803
_LIBRARIES = re.compile(r"libnvidia-compute(-\d+)?|nvidia-driver-\d+-open")
_SERIES = re.compile(r"\bnvidia-(\d{3,4})\b")

_INSTALL = "Install a supported driver by the official DGX OS update, then reboot."
_REMOVE = (
    "A .run installation is there (%s), and the packages cannot replace it. Run"
    " `nvidia-uninstall`, then `apt-get install --reinstall nvidia-driver-580-open`, then reboot."
)
_REBOOT = (
    "Reboot: the module of the installed libraries is loaded then. If that changes nothing, a .run"
    " installation is left: run `nvidia-uninstall`, and reboot."
)
_FAILED = (
    "Install the driver by the official DGX OS update. If it is installed, see"
    " `dmesg | grep NVRM`, then power the node off and on."
)
_UNSIGNED = (
    " Secure Boot is on, which refuses modules without an enrolled signature: see"
    " `mokutil --list-enrolled` and `dmesg | grep -i rejected`."
)


@dataclass(frozen=True)
class DriverFiles:
    """packaged is the version of the installed packages of the driver's libraries, empty for none.

    uninstaller is the path of nvidia-uninstall, empty if there is none.
    """

    packaged: str = ""
    uninstaller: str = ""
    boot: BootModule = field(default_factory=BootModule)


def packaged_version(packages: Mapping[str, Package]) -> str:
    """The newest version of the installed packages of the driver's libraries."""
    versions = [
        upstream(package.version)
        for package in packages.values()
        if package.installed and _LIBRARIES.fullmatch(package.name)
    ]
    return max(versions, key=key, default="")


def judge_driver(smi: Smi, module: str, files: DriverFiles, driver: str) -> Finding:
    """Whether nvidia-smi answers with a wanted version; module is the version that is loaded."""
    spec = VersionSpec.parse(driver)
    actual = ", ".join("%s, driver %s" % (gpu.name, gpu.driver) for gpu in smi.gpus)
    expected = "nvidia-smi answers, driver version %s" % spec
    finding = Finding("cuda_driver", OK, expected, actual or smi.problem)
    if smi.library and module and smi.library != module:
        parts = ["module %s is loaded" % module, "libraries of %s are installed" % smi.library]
        if files.packaged:
            parts.append("packages of %s" % files.packaged)
        hint = _remedy(module, smi.library, files, spec)
        finding = replace(finding, severity=CRITICAL, actual=", ".join(parts), hint=hint)
        return replace(finding, status=BLOCKED)
    if smi.problem:
        hint = _FAILED + (_UNSIGNED if files.boot.secure_boot and not module else "")
        return replace(finding, status=BLOCKED, severity=CRITICAL, hint=hint)
    if all(spec.matches(gpu.driver) for gpu in smi.gpus):
        return finding
    if files.packaged:
        finding = replace(finding, actual="%s; packages of %s" % (actual, files.packaged))
    hint = _remedy(module, module, files, spec)
    return replace(finding, status=BLOCKED, severity=WARNING, hint=hint)


def _remedy(module: str, library: str, files: DriverFiles, spec: VersionSpec) -> str:
    """Remove, reboot or install: what ends the contradiction."""
    if files.uninstaller:
        return _REMOVE % files.uninstaller
    # Packages that differ from what is loaded come into force with the next boot.
    pending = files.packaged or library
    if pending != module and spec.matches(pending):
        return _REBOOT
    return _INSTALL


def judge_modules(module: str, is_open: bool, files: DriverFiles, driver: str) -> Finding:
    """Whether the loaded modules are the open ones, of a wanted version."""
    expected = "the open NVIDIA kernel modules (required by Blackwell GPUs)"
    actual = "%s modules %s" % ("open" if is_open else "proprietary", module)
    finding = Finding("cuda_open_modules", OK, expected, actual)
    if not module:
        hint = "Install nvidia-driver-580-open by the official DGX OS update, and reboot."
        hint += _UNSIGNED if files.boot.secure_boot else ""
        actual = "no NVIDIA kernel module is loaded"
        finding = replace(finding, severity=CRITICAL, actual=actual, hint=hint)
        return replace(finding, status=BLOCKED)
    if not is_open:
        hint = "Replace the driver with its -open package (nvidia-driver-580-open), and reboot."
        return replace(finding, status=BLOCKED, severity=CRITICAL, hint=hint)
    spec = VersionSpec.parse(driver)
    if not spec.matches(module):
        actual = "%s; %s is wanted" % (actual, spec)
        finding = replace(finding, severity=WARNING, actual=actual, hint="See cuda_driver.")
        return replace(finding, status=BLOCKED)
    return finding


def judge_start(smi: Smi, start: CudaStart | None) -> Finding:
    """Whether CUDA starts; nvidia-smi alone does not say so. start is None if it was not tried."""
    finding = Finding("cuda_start", OK, "CUDA starts (cuInit)", "as expected")
    if smi.problem or start is None:
        return replace(finding, status=SKIPPED, actual="not assessed: see cuda_driver")
    if start.code == 0:
        return finding
    finding = replace(finding, severity=CRITICAL)
    if start.code is None:
        hint = "Install the driver's libraries (libnvidia-compute), or see `dmesg | grep NVRM`."
        return replace(finding, status=BLOCKED, actual=start.problem, hint=hint)
    actual = "nvidia-smi lists the GPU, and cuInit returns %d" % start.code
    hint = "Reboot the node. Reloading the modules does not help; nor need it be powered off."
    if start.code == _DRIVER_MISMATCH:
        hint = "Module and libraries differ: reboot the node."
    return replace(finding, status=BLOCKED, actual=actual, hint=hint)


def judge_at_boot(module: str, boot: BootModule, driver: str) -> Finding:
    """Whether the kernel that boots next loads a driver of a wanted series."""
    expected = "the newest kernel has the driver's modules, and nothing keeps them from loading"
    finding = Finding("driver_at_boot", OK, expected, "%s: %s" % (boot.release, boot.module))
    if not module:
        return replace(finding, status=SKIPPED, actual="not assessed: see cuda_open_modules")
    finding = replace(finding, severity=CRITICAL)
    if boot.forbidden:
        actual = "%s keeps the module nvidia from loading at the next boot" % boot.forbidden
        hint = "Remove that line, and run `update-initramfs -u`."
        return replace(finding, status=BLOCKED, actual=actual, hint=hint)
    if not boot.release or boot.module is None:
        return replace(
            finding,
            status=SKIPPED,
            severity=INFO,
            actual="not assessed: %s"
            % ("no modules.dep" if boot.release else "no kernel in /boot"),
        )
    if not boot.module:
        actual = "%s boots next and has no module of the driver" % boot.release
        hint = (
            "Before a reboot: `apt-get install linux-modules-nvidia-580-open-%s`, or with DKMS"
            " `dkms autoinstall -k %s`." % (boot.release, boot.release)
        )
        return replace(finding, status=BLOCKED, actual=actual, hint=hint)
    named = _SERIES.search(boot.module)
    if named and not in_series(int(named[1]), driver):
        actual = "%s boots next with %s; %s is wanted" % (boot.release, boot.module, driver)
        hint = "Remove the packages of that series, and install a supported driver."
        return replace(finding, status=BLOCKED, actual=actual, hint=hint)
    return replace(finding, severity=INFO)
