# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Properties of a ptxas binary, and whether it assembles for an architecture."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    EXITED,
    NOT_FOUND,
    SIGNALLED,
    TIMED_OUT,
    Result,
    last_line,
    run,
)

if TYPE_CHECKING:
    from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner

# Verdicts. WORKS is the only good one; REJECTS is a healthy ptxas that is too old.
WORKS = "works"
REJECTS = "rejects_arch"
MISSING = "missing"
NOT_A_FILE = "not_a_file"
NOT_EXECUTABLE = "not_executable"
HANGS = "hangs"
CRASHES = "crashes"
NOT_PTXAS = "not_ptxas"
FAILS = "fails"
NOT_RUN = "not_run"

CUDA_HOMES = ("/usr/local/cuda", "/usr/local/cuda-*")

# ptxas answers in milliseconds; after this time it hangs.
_SECONDS = 15.0

_KERNEL = """\
.version %s
.target %s
.address_size 64
.visible .entry k(){ ret; }
"""
_RELEASE = re.compile(r"release (?P<release>\d+\.\d+)(?:, V(?P<version>[\d.]+))?")
_EM_CUDA = 190  # e_machine of a cubin, "NVIDIA CUDA architecture"


@dataclass(frozen=True)
class Binary:
    """One ptxas. where is vendored, system, pinned or image.

    version is the full one (13.0.88) or empty, names_arch whether the bytes of the file contain
    the architecture's name (known without running it), detail what it said when it failed.
    """

    path: str
    where: str
    verdict: str
    version: str = ""
    sha256: str = ""
    names_arch: bool = False
    detail: str = ""

    @property
    def works(self) -> bool:
        return self.verdict == WORKS

    @property
    def is_ptxas(self) -> bool:
        """Whether it is a ptxas at all, as far as known, even if it is too old or fails."""
        return self.verdict in (WORKS, REJECTS, FAILS, NOT_RUN)

    def describe(self) -> str:
        """The binary and its problem, as a short text."""
        name = "%s (%s)" % (self.path, self.version) if self.version else self.path or "nothing"
        return name if self.works else "%s: %s" % (name, self.detail)


def gpu_names(arch: str) -> tuple[str, ...]:
    """The names to assemble for; Triton itself always appends the a from sm_90 on."""
    return (arch, arch + "a") if capability(arch) >= 90 else (arch,)


def capability(arch: str) -> int:
    """121 for sm_121. Raises ValueError for another form."""
    match = re.fullmatch(r"sm_([1-9][0-9]{1,2})", arch)
    if not match:
        raise ValueError("expected an architecture such as sm_121, found %r" % arch)
    return int(match[1])


def parse_version(text: str) -> str:
    """13.0.88 (or at least 13.0) of `ptxas --version`; empty for other output."""
    match = _RELEASE.search(text)
    return (match["version"] or match["release"]) if match else ""


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers, for comparison."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def ptx_isa(version: str) -> str:
    """The newest PTX ISA that a ptxas of this version reads (12.9 reads 8.8, 13.0 reads 9.0)."""
    major, minor = (*version_key(version), 0, 0)[:2]
    if major >= 13:
        return "%d.%d" % (major - 4, minor)
    if major == 12:
        # CUDA 12.5 and 12.6 share PTX 8.5.
        return "8.%d" % (minor if minor < 6 else minor - 1)
    return "7.%d" % minor


def cuda_ptxas(cuda_home: str | None = None, homes: Sequence[str] = CUDA_HOMES) -> list[str]:
    """Resolved paths of the ptxas of CUDA toolkits: the default toolkit's first, then newest first.

    With cuda_home that one's alone, whether it exists or not.
    """
    if cuda_home:
        return [os.path.realpath(os.path.join(cuda_home, "bin", "ptxas"))]
    paths: list[str] = []
    for pattern in homes:
        for home in sorted(glob.glob(pattern), key=version_key, reverse=True):
            path = os.path.realpath(os.path.join(home, "bin", "ptxas"))
            if os.path.exists(path) and path not in paths:
                paths.append(path)
    return paths


def examine(
    path: str, where: str, arch: str, timeout: float = _SECONDS, owner: Owner | None = None
) -> Binary:
    """Examine a binary. timeout is in seconds, for each time that it is run.

    owner: the user as whom it is run; None for the present one.
    """
    names = gpu_names(arch)
    binary = Binary(path, where, MISSING)
    if not os.path.isabs(path):
        return replace(binary, detail="not an absolute path")
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            return replace(binary, verdict=NOT_A_FILE, detail=kind)
        sha256, names_arch, start = _fingerprint(path, names[-1])
    except (FileNotFoundError, NotADirectoryError):
        return replace(binary, detail="does not exist")
    except OSError as error:
        return replace(binary, verdict=FAILS, detail=str(error))
    binary = replace(binary, sha256=sha256, names_arch=names_arch)
    try:
        binary = _assemble(binary, names, min(timeout, _SECONDS), owner)
    except OSError as error:
        return replace(binary, verdict=FAILS, detail="no temporary folder: %s" % error)
    if not binary.works and start.startswith(b"#!"):
        line = start.split(b"\n", 1)[0].decode("utf-8", "replace")
        return replace(binary, detail="%s [it is a script: %s]" % (binary.detail, line))
    return binary


def _fingerprint(path: str, needle: str) -> tuple[str, bool, bytes]:
    """(sha256, whether the bytes contain needle, the first bytes) of a file of any size."""
    digest = hashlib.sha256()
    contained = False
    start = tail = b""
    with open(path, "rb", opener=_open) as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
            contained = contained or needle.encode() in tail + chunk
            tail = chunk[-len(needle) :]
            start = start or chunk[:80]
    return digest.hexdigest(), contained, start


def _open(path: str, flags: int) -> int:
    # Another user's program may put a pipe there, on which root would wait.
    return os.open(path, flags | os.O_NONBLOCK)


def _assemble(binary: Binary, names: Sequence[str], timeout: float, owner: Owner | None) -> Binary:
    argv = [binary.path, "--version"]
    asked = run(owner.command(argv) if owner else argv, timeout, limit=8192)
    version = parse_version(asked.stdout)
    if not asked.ok:
        return replace(binary, verdict=_failure(asked, NOT_PTXAS), detail=asked.describe())
    if not version:
        said = last_line(asked.stdout + asked.stderr) or "nothing"
        return replace(binary, verdict=NOT_PTXAS, detail="--version prints no release: %s" % said)
    binary = replace(binary, version=version)
    for name in names:
        verdict, detail = _assemble_for(binary, name, timeout, owner)
        if verdict != WORKS:
            return replace(binary, verdict=verdict, detail=detail)
    return replace(binary, verdict=WORKS)


def _assemble_for(
    binary: Binary, name: str, timeout: float, owner: Owner | None
) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="dgxspark-ptxas-") as scratch:
        source, cubin = os.path.join(scratch, "k.ptx"), os.path.join(scratch, "k.cubin")
        with open(source, "w", encoding="ascii") as stream:
            stream.write(_KERNEL % (ptx_isa(binary.version), name))
        argv = [binary.path, "--gpu-name=" + name, source, "-o", cubin]
        if owner:
            owner.give(scratch)
            argv = owner.command(argv)
        result = run(argv, timeout, env={"TMPDIR": scratch}, limit=8192)
        if not result.ok:
            said = last_line(result.stderr) or last_line(result.stdout)
            if "is not defined for option 'gpu-name'" in result.stderr:
                return REJECTS, said
            return _failure(result, FAILS), result.describe()
        if _is_cubin(cubin):
            return WORKS, ""
        return NOT_PTXAS, "exit status 0 for --gpu-name=%s, but no cubin" % name


def _is_cubin(path: str) -> bool:
    try:
        with open(path, "rb", opener=_open) as stream:
            head = stream.read(20)
    except OSError:
        return False
    return head[:4] == b"\x7fELF" and int.from_bytes(head[18:20], "little") == _EM_CUDA


def _failure(result: Result, otherwise: str) -> str:
    outcomes = {TIMED_OUT: HANGS, SIGNALLED: CRASHES, EXITED: otherwise, NOT_FOUND: MISSING}
    return outcomes.get(result.outcome, NOT_EXECUTABLE)
