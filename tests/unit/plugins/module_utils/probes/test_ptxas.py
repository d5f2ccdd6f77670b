# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ptxas is; outputs recorded from the real ones, failures from scripts that really fail."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import ptxas
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import (
    CRASHES,
    FAILS,
    HANGS,
    MISSING,
    NOT_A_FILE,
    NOT_EXECUTABLE,
    NOT_PTXAS,
    REJECTS,
    WORKS,
    Binary,
    capability,
    cuda_ptxas,
    examine,
    gpu_names,
    parse_version,
    ptx_isa,
)

CUDA_13_0 = """\
ptxas: NVIDIA (R) Ptx optimizing assembler
Copyright (c) 2005-2025 NVIDIA Corporation
Built on Wed_Aug_20_01:55:12_PM_PDT_2025
Cuda compilation tools, release 13.0, V13.0.88
Build cuda_13.0.r13.0/compiler.36424714_0
"""
CUDA_12_8 = """\
ptxas: NVIDIA (R) Ptx optimizing assembler
Copyright (c) 2005-2025 NVIDIA Corporation
Built on Fri_Feb_21_20:21:21_PST_2025
Cuda compilation tools, release 12.8, V12.8.93
Build cuda_12.8.r12.8/compiler.35583870_0
"""
REJECTION = "ptxas fatal   : Value 'sm_121' is not defined for option 'gpu-name'"
CUBIN = r"printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\276\0'"
ELF_FOR_X86 = r"printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\076\0'"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (CUDA_13_0, "13.0.88"),
        (CUDA_12_8, "12.8.93"),
        ("Cuda compilation tools, release 13.0", "13.0"),
        ("GNU assembler 2.40", ""),
        ("", ""),
    ],
)
def test_version_of_recorded_outputs(text: str, version: str) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "isa"),
    [
        ("11.8.89", "7.8"),
        ("12.4.99", "8.4"),
        ("12.5", "8.5"),
        ("12.6", "8.5"),
        ("12.8.93", "8.7"),
        ("12.9.86", "8.8"),
        ("13.0.88", "9.0"),
        ("13.4.59", "9.4"),
        ("14", "10.0"),
    ],
)
def test_ptx_isa_follows_the_version(version: str, isa: str) -> None:
    assert ptx_isa(version) == isa


@pytest.mark.parametrize(
    ("arch", "number", "names"),
    [
        ("sm_121", 121, ("sm_121", "sm_121a")),
        ("sm_90", 90, ("sm_90", "sm_90a")),
        ("sm_86", 86, ("sm_86",)),
    ],
)
def test_architectures(arch: str, number: int, names: tuple[str, ...]) -> None:
    assert (capability(arch), gpu_names(arch)) == (number, names)


@pytest.mark.parametrize("arch", ["", "121", "sm121", "sm_121a", "sm_012", "sm_1210", "SM_121"])
def test_other_forms_of_an_architecture_are_refused(arch: str) -> None:
    with pytest.raises(ValueError, match="expected an architecture such as sm_121"):
        capability(arch)


def write(path: Path, body: str, mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n%s\n" % body)
    path.chmod(mode)
    return str(path)


def answering(version_text: str, otherwise: str) -> str:
    """A script that answers --version, and does something else when it is to assemble."""
    return 'if [ "$1" = --version ]; then cat <<END\n%sEND\nexit\nfi\n%s\n' % (
        version_text,
        otherwise,
    )


REJECT = 'echo "%s" >&2; exit 255' % REJECTION
ONLY_PLAIN = "case $1 in *a) %s;; esac; %s > $4" % (REJECT, CUBIN)
ASSEMBLING = [
    ("assembles", answering(CUDA_13_0, CUBIN + " > $4"), WORKS, ""),
    ("is too old", answering(CUDA_12_8, REJECT), REJECTS, REJECTION),
    ("knows the plain name only", answering(CUDA_13_0, ONLY_PLAIN), REJECTS, REJECTION),
    ("fails otherwise", answering(CUDA_13_0, "echo why >&2; exit 1"), FAILS, "status 1: why"),
    ("crashes when it assembles", answering(CUDA_13_0, "kill -SEGV $$"), CRASHES, "SIGSEGV"),
    ("hangs when it assembles", answering(CUDA_13_0, "exec sleep 60"), HANGS, "within 0.5 s"),
    ("writes nothing", answering(CUDA_13_0, "exit 0"), NOT_PTXAS, "no cubin"),
    ("writes something else", answering(CUDA_13_0, ELF_FOR_X86 + " > $4"), NOT_PTXAS, "no cubin"),
    ("crashes at once", "kill -BUS $$", CRASHES, "SIGBUS"),
    ("hangs at once", "exec sleep 60", HANGS, "did not end"),
    ("prints nonsense", "echo 'I am ptxas'", NOT_PTXAS, "prints no release: I am ptxas"),
    ("is a script", "echo 'I am ptxas'", NOT_PTXAS, "[it is a script: #!/bin/sh]"),
    ("prints bytes", "printf '\\377\\376'", NOT_PTXAS, "prints no release"),
    ("prints nothing", "exit 0", NOT_PTXAS, "prints no release: nothing"),
    ("prints without end", "exec yes", HANGS, "did not end"),
    ("does not know --version", "echo usage >&2; exit 2", NOT_PTXAS, "exit status 2: usage"),
]


@pytest.mark.parametrize(
    ("body", "verdict", "detail"),
    [case[1:] for case in ASSEMBLING],
    ids=[case[0] for case in ASSEMBLING],
)
def test_a_verdict_is_proven_by_assembling(
    tmp_path: Path, body: str, verdict: str, detail: str
) -> None:
    path = write(tmp_path / "ptxas", body)
    binary = examine(path, "system", "sm_121", timeout=0.5)
    assert (binary.verdict, binary.where) == (verdict, "system")
    assert binary.version == parse_version(body)
    assert detail in binary.detail
    assert binary.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert binary.works is (verdict == WORKS)


def test_what_is_no_program_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    write(tmp_path / "plain", "", 0o644)
    cases = [
        ("none", MISSING, "does not exist"),
        ("link", MISSING, "does not exist"),
        ("plain/ptxas", MISSING, "does not exist"),
        ("directory", NOT_A_FILE, "a directory"),
        ("fifo", NOT_A_FILE, "not a regular file"),
        ("plain", NOT_EXECUTABLE, "is not executable"),
    ]
    for name, verdict, detail in cases:
        binary = examine(str(tmp_path / name), "pinned", "sm_121")
        assert (binary.verdict, detail in binary.detail) == (verdict, True), binary


@pytest.mark.parametrize("path", ["", "ptxas", "bin/ptxas"])
def test_a_relative_path_names_nothing(path: str) -> None:
    binary = examine(path, "pinned", "sm_121")
    assert (binary.verdict, binary.detail) == (MISSING, "not an absolute path")


def test_the_name_in_the_bytes_is_found_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ptxas"
    for offset in range((1 << 20) - 8, (1 << 20) + 2):
        path.write_bytes(b"\0" * offset + b"sm_121a" + b"\0" * 9)
        assert examine(str(path), "system", "sm_121").names_arch, offset
    path.write_bytes(b"sm_121\0sm_120a")
    assert not examine(str(path), "system", "sm_121").names_arch


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(ptxas.tempfile, "tempdir", str(scratch))
    path = write(tmp_path / "ptxas", answering(CUDA_13_0, CUBIN + ' > "$4"'))
    assert examine(path, "system", "sm_121").works
    assert list(scratch.iterdir()) == []


def test_no_room_for_scratch_files_is_no_verdict_on_the_binary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ptxas.tempfile, "tempdir", str(tmp_path / "gone"))
    path = write(tmp_path / "ptxas", answering(CUDA_13_0, CUBIN + ' > "$4"'))
    binary = examine(path, "system", "sm_121")
    assert (binary.verdict, binary.is_ptxas) == (FAILS, True)


def test_toolkits_are_found_by_looking(tmp_path: Path) -> None:
    paths = {}
    for name in ("cuda-12.9", "cuda-13.0", "cuda-13.10", "cuda-9.2"):
        paths[name] = write(tmp_path / name / "bin" / "ptxas", "")
    (tmp_path / "cuda-14.0").mkdir()
    (tmp_path / "cuda").symlink_to("cuda-13.0")
    homes = (str(tmp_path / "cuda"), str(tmp_path / "cuda-*"))
    names = ["cuda-13.0", "cuda-13.10", "cuda-12.9", "cuda-9.2"]
    assert cuda_ptxas(homes=homes) == [paths[name] for name in names]


def test_a_named_toolkit_is_the_only_one_even_if_it_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "cuda" / "bin" / "ptxas", "")
    homes = (str(tmp_path / "cuda"),)
    named = str(tmp_path / "other")
    assert cuda_ptxas(named, homes) == [os.path.join(named, "bin", "ptxas")]


def test_a_description_says_what_is_wrong() -> None:
    assert Binary("/p", "system", WORKS, "13.0.88").describe() == "/p (13.0.88)"
    assert (
        Binary("/p", "system", REJECTS, "12.8.93", detail="old").describe() == "/p (12.8.93): old"
    )
    assert Binary("", "pinned", MISSING, detail="not set").describe() == "nothing: not set"
