# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The driver series in the names of NVIDIA's packages, and what is against a package on a Spark.

Ubuntu: nvidia-driver-580-open, linux-modules-nvidia-580-open-RELEASE, libnvidia-compute-580. The
CUDA repository of NVIDIA: nvidia-open-580, cuda-drivers-580, and the same names without a series.
"""

from __future__ import annotations

import re

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import upstream
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import (
    VersionSpec,
    key,
)

SUPPORTED = ">=580,<590"

_SERIES = re.compile(
    r"(?P<what>linux-(?:modules|objects)-nvidia|xserver-xorg-video-nvidia|cuda-drivers"
    r"|(?:lib)?nvidia(?:-[a-z][a-z0-9]*)*)-(?P<series>\d{3,4})(?P<rest>-.*)?"
)
# Names without a series: their version is that of the driver.
_UNNUMBERED = re.compile(
    r"cuda-drivers|nvidia-open|nvidia-driver(-open|-cuda|-libs)?|nvidia-(kernel-)?dkms(-open)?"
    r"|nvidia-kernel-open-dkms|libnvidia-compute|libcuda1"
)
_FOLLOWING = ("cuda-drivers", "nvidia-open")
# Packages that bring kernel modules, where they are not named -open.
_MODULES = re.compile(
    r"nvidia-(driver|dkms|kernel-source|headless|headless-no-dkms)|linux-(modules|objects)-nvidia"
)
_NVSWITCH = re.compile(
    r"(nvidia-|cuda-drivers-)?fabric-?manager.*|nvidia-fabricmanager.*|cuda-drivers-fabric.*"
    r"|lib(nvidia-)?nscq.*|nvlsm|.*nvswitch.*"
)

_PROPRIETARY = "proprietary kernel modules: the GB10 needs the open ones (RmInitAdapter failed)"
_SERVER = "a driver series for data centre GPUs, which DGX OS does not support on a Spark"
_NO_NVSWITCH = "for machines with NVSwitch; a Spark has none, and its service fails at every boot"
_NEWEST = "follows the newest series of NVIDIA's repository, whichever it is at the next upgrade"
# Series with a known fault.
_FAULTS = {590: "590 has a deadlock with CUDA graphs"}


def series_of(name: str, version: str = "") -> int | None:
    """The driver series of a package, 580; None for a package that is none of the driver's."""
    match = _SERIES.fullmatch(name)
    number = match["series"] if match else ""
    if not number and version and _UNNUMBERED.fullmatch(name):
        number = upstream(version).partition(".")[0]
    return int(number) if foreign.is_whole(number) else None


def in_series(series: int, driver: str) -> bool:
    """Whether a driver of the series can match; driver is a VersionSpec, empty for any.

    Of a bound within the series, >=580.142 or <580.200, the series alone decides nothing.
    """
    return all(_holds(series, *clause) for clause in VersionSpec.parse(driver).clauses)


def _holds(series: int, sign: str, version: str) -> bool:
    parts = [number for number, _text in key(version)]
    bound, alone = parts[0], not any(parts[1:])
    if sign == "!=":
        return series != bound or not alone
    if sign == "==":
        return series == bound
    above = series > bound or (series == bound and not (sign == ">" and alone))
    below = series < bound or (series == bound and not (sign == "<" and alone))
    return above if sign in (">", ">=") else below


def why_unsupported(name: str, version: str = "", driver: str = SUPPORTED) -> str:
    """Why a package does not belong on a Spark; empty if nothing is against it."""
    if _NVSWITCH.fullmatch(name):
        return _NO_NVSWITCH
    match = _SERIES.fullmatch(name)
    rest = (match["rest"] or "") if match else ""
    if match and _MODULES.fullmatch(match["what"]):
        if re.match(r"-server(-|$)", rest):
            return _SERVER
        if not re.match(r"-open(-|$)", rest):
            return _PROPRIETARY
    if name == "cuda-drivers" or (match and match["what"] == "cuda-drivers"):
        return _PROPRIETARY
    series = series_of(name, version)
    if series is not None and not in_series(series, driver):
        fault = ": %s" % _FAULTS[series] if series in _FAULTS else ""
        return "driver series %d, and %s is wanted%s" % (series, driver, fault)
    return _NEWEST if name in _FOLLOWING else ""
