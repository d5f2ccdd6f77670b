# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of ensure_ptxas below AnsibleModule, with real processes, files and interpreters."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine import target
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import (
    converge,
    ensure,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import (
    Wanted,
    observe,
    plan,
)

LABEL = "--label dgxspark.suite/probe=ptxas"


def converged(wanted: Wanted, act: bool = False) -> tuple[dict[str, Any], str]:
    return converge(partial(observe, wanted), partial(plan, wanted=wanted), act)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {entry["check"]: entry["status"] for entry in result["findings"]}


def actual(result: dict[str, Any], check: str) -> str:
    return next(entry["actual"] for entry in result["findings"] if entry["check"] == check)


def everything_below(root: Path) -> list[tuple[str, int, int]]:
    entries = [(path, path.lstat()) for path in sorted(root.rglob("*"))]
    return [(str(path), info.st_mtime_ns, info.st_size) for path, info in entries]


def test_check_run_run_check_of_a_triton_that_needs_a_pin(node: Any) -> None:
    node.venv("3.5.1", own="12.8.93")
    cuda = node.toolkit("13.0.88")
    node.write("# mine\nHF_HOME=/models\n")
    wanted = node.wanted(cuda_home=str(Path(cuda).parents[1]))
    before = everything_below(node.root)

    check, complaint = converged(wanted)
    assert complaint == ""
    assert everything_below(node.root) == before
    assert statuses(check) == {
        "ptxas_target": "ok",
        "paths_file": "ok",
        "triton_ptxas_sm121": "drift",
        "triton_compile_sm121": "drift",
        "triton_ptxas_path": "drift",
        "triton_ptxas_blackwell_path": "ok",
        "ptxas_bin": "drift",
    }
    assert "Value 'sm_121' is not defined" in actual(check, "triton_ptxas_sm121")

    run, complaint = converged(wanted, act=True)
    assert complaint == ""
    assert (run["changed"], run["diff"]) == (check["changed"], check["diff"]) == (True, run["diff"])
    assert set(statuses(run).values()) == {"ok", "fixed"}
    assert run["chosen"] == {
        "path": cuda,
        "version": "13.0.88",
        "why": "TRITON_PTXAS_PATH in %s" % node.paths_env,
    }
    assert node.paths_env.read_text() == (
        "# mine\nHF_HOME=/models\nPTXAS_BIN=%s\nTRITON_PTXAS_PATH=%s\n" % (cuda, cuda)
    )

    again = everything_below(node.root)
    for act in (True, False):
        result, complaint = converged(wanted, act=act)
        assert (result["changed"], complaint) == (False, "")
        assert set(statuses(result).values()) == {"ok"}
    assert everything_below(node.root) == again


def test_a_triton_that_works_needs_no_file(node: Any) -> None:
    node.venv("3.9.0", own="12.8.93", blackwell="13.4.59")
    before = everything_below(node.root)
    result, complaint = converged(node.wanted(), act=True)
    assert (result["changed"], complaint) == (False, "")
    assert set(statuses(result).values()) == {"ok"}
    assert result["triton_version"] == "3.9.0"
    vendored = [entry for entry in result["ptxas"] if entry["where"] == "vendored"]
    assert [(entry["version"], entry["verdict"]) for entry in vendored] == [
        ("12.8.93", "rejects_arch"),
        ("13.4.59", "works"),
    ]
    assert everything_below(node.root) == before


def test_triton_34_is_blocked_with_cuda_13_and_pinned_to_129(node: Any) -> None:
    node.venv("3.4.0", own="12.8.93")
    newer, older = (str(Path(node.toolkit(entry)).parents[1]) for entry in ("13.0.88", "12.9.86"))
    result, complaint = converged(node.wanted(cuda_home=newer), act=True)
    assert result["changed"] is False
    assert "got CUDA version: 13.0" in complaint
    assert not node.paths_env.exists()
    result, complaint = converged(node.wanted(cuda_home=older), act=True)
    assert (result["changed"], complaint) == (True, "")
    assert result["paths"]["TRITON_PTXAS_PATH"] == older + "/bin/ptxas"


def test_triton_33_is_blocked_whatever_there_is(node: Any) -> None:
    node.venv("3.3.1", own="12.4.99", blackwell="12.8.61")
    home = str(Path(node.toolkit("13.0.88")).parents[1])
    result, complaint = converged(node.wanted(cuda_home=home), act=True)
    assert result["changed"] is False
    assert "Upgrade Triton" in complaint
    assert not node.paths_env.exists()


BAD_PINS = {
    "nothing": ("/nonexistent/ptxas", "does not exist"),
    "a directory": ("{root}", "a directory"),
    "not executable": ("{root}/plain", "is not executable"),
    "a script": ("{root}/script", "it is a script"),
    "too old": ("{root}/cuda-12.8.93/bin/ptxas", "is not defined for option"),
    "relative": ("ptxas", "not an absolute path"),
}


TRITON_35 = ("3.5.1", "TRITON_PTXAS_PATH", "12.8.93")
TRITON_39 = ("3.9.0", "TRITON_PTXAS_BLACKWELL_PATH", "13.4.59")


@pytest.mark.parametrize(
    ("triton", "key", "own", "pin", "why"),
    [
        *((*TRITON_35, *bad) for bad in BAD_PINS.values()),
        *((*TRITON_39, *BAD_PINS[name]) for name in ("nothing", "not executable", "too old")),
    ],
)
def test_a_bad_pin_is_found_by_name_and_repaired(
    node: Any, triton: str, key: str, own: str, pin: str, why: str
) -> None:
    node.venv(triton, own=own, blackwell=own)
    node.toolkit("12.8.93")
    cuda = node.toolkit("13.0.88")
    (node.root / "plain").write_text("")
    (node.root / "script").write_text("#!/bin/sh\necho nonsense\n")
    (node.root / "script").chmod(0o755)
    node.write("%s=%s\nX=1\n" % (key, pin.format(root=node.root)))
    result, complaint = converged(node.wanted(cuda_home=str(Path(cuda).parents[1])), act=True)
    assert complaint == ""
    check = {"3.5.1": "triton_ptxas_path", "3.9.0": "triton_ptxas_blackwell_path"}[triton]
    assert statuses(result)[check] == "fixed"
    assert why in actual(result, check)
    replaced = "%s=%s\nX=1\nPTXAS_BIN=%s\n" % (key, cuda, cuda)
    assert node.paths_env.read_text() == (replaced if triton == "3.5.1" else "X=1\n")


def test_a_pin_that_hangs_is_found_and_removed(node: Any) -> None:
    node.venv("3.9.0", own="13.4.59", blackwell="13.4.59")
    (node.root / "slow").write_text("#!/bin/sh\nexec sleep 60\n")
    (node.root / "slow").chmod(0o755)
    node.write("TRITON_PTXAS_BLACKWELL_PATH=%s\n" % (node.root / "slow"))
    result, complaint = converged(node.wanted(timeout=2), act=True)
    assert complaint == ""
    assert "did not end within 2 s" in actual(result, "triton_ptxas_blackwell_path")
    assert node.paths_env.read_text() == ""


def test_what_paths_env_says_to_triton_counts_and_the_rest_does_not(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.venv("3.9.0", own="13.4.59", blackwell="13.4.59")
    old = node.toolkit("12.8.93")
    # A login shell's pin is nobody's business.
    monkeypatch.setenv("TRITON_PTXAS_BLACKWELL_PATH", old)
    node.write("PATH=/nowhere\nPYTHONPATH=/nowhere\nTRITON_CACHE_DIR=%s/cache\n" % node.root)
    result, _complaint = converged(node.wanted())
    assert set(statuses(result).values()) == {"ok"}
    assert not (node.root / "cache").exists()


BROKEN_TARGETS = {
    "no directory": ("", "is not a directory"),
    "no python": ("mkdir venv", "bin/python does not exist"),
    "a python that cannot be run": ("mkdir -p venv/bin; echo > venv/bin/python", "not executable"),
    "a python that prints nonsense": (
        "mkdir -p venv/bin; cp /bin/echo venv/bin/python",
        "exit status 0: -B -",
    ),
    "no Triton": ("rm -r venv/site/triton", "has no Triton"),
    "the remains of a Triton": ("rm venv/site/triton/__init__.py", "has no Triton"),
    "a Triton that does not import": (
        "echo 'raise ImportError(\"libcuda is gone\")' > venv/site/triton/__init__.py",
        "ImportError: libcuda is gone",
    ),
    "a Triton that crashes": (
        "echo 'import os; os.kill(os.getpid(), 11)' > venv/site/triton/__init__.py",
        "SIGSEGV",
    ),
    "a Triton for another GPU": (
        "echo '__version__ = \"3.9.0\"' > venv/site/triton/__init__.py",
        "No module named 'triton.backends",
    ),
}


@pytest.mark.parametrize(("break_it", "why"), BROKEN_TARGETS.values(), ids=BROKEN_TARGETS.keys())
def test_a_broken_target_is_told_and_nothing_written(node: Any, break_it: str, why: str) -> None:
    if "site" in break_it:
        node.venv("3.5.1", own="12.8.93")
    subprocess.run(["/bin/sh", "-c", break_it], cwd=node.root, check=True)
    home = str(Path(node.toolkit("13.0.88")).parents[1])
    result, complaint = converged(node.wanted(cuda_home=home), act=True)
    assert statuses(result)["ptxas_target"] == "blocked"
    assert statuses(result)["triton_compile_sm121"] == "skipped"
    assert result["changed"] is False
    assert why in complaint
    assert not node.paths_env.exists()


def test_an_image_is_asked_without_pulling_and_without_a_network(node: Any) -> None:
    node.venv("3.5.1", own="12.8.93")
    cuda = node.toolkit("13.0.88")
    wanted = node.wanted(
        image="serving:1", docker_bin=node.engine(), cuda_home=str(Path(cuda).parents[1])
    )
    result, complaint = converged(wanted, act=True)
    assert (result["changed"], complaint) == (True, "")
    assert result["target"] == {"image": "serving:1", "id": "sha256:5e71"}
    runs = [call for call in node.docker_calls if call.startswith("run ")]
    names = [call.split("--name ")[1].split()[0] for call in runs]
    assert len(set(names)) == len(runs)
    removed = [call for call in node.docker_calls if call.startswith("rm ")]
    assert removed == ["rm --force " + name for name in names]
    # Without a pin, with each candidate, and to verify.
    assert len(runs) == 3
    for call in runs:
        for option in ("--rm", "--pull never", "--network none", "--read-only", LABEL):
            assert option in call
        assert call.endswith("--entrypoint python3 serving:1 -B -")
    mount = "--mount type=bind,source=%s,target=%s,readonly" % (cuda, cuda)
    assert [mount in call for call in runs] == [False, True, True]


def test_the_engine_is_the_one_that_paths_env_names(node: Any) -> None:
    node.venv("3.9.0", own="13.4.59", blackwell="13.4.59")
    node.write("DOCKER_BIN=%s\n" % node.engine())
    result, _complaint = converged(node.wanted(image="serving:1"))
    assert set(statuses(result).values()) == {"ok"}


def test_an_image_that_is_not_there_is_told_and_not_pulled(node: Any) -> None:
    result, complaint = converged(node.wanted(image="other:1", docker_bin=node.engine()), act=True)
    assert "other:1 is not on this node" in complaint
    assert all(call.startswith("image inspect ") for call in node.docker_calls)
    assert result["changed"] is False


def test_no_engine_is_told(node: Any) -> None:
    docker = str(node.root / "none")
    _result, complaint = converged(node.wanted(image="serving:1", docker_bin=docker), act=True)
    assert "none does not exist" in complaint
    assert "DOCKER_BIN" in complaint


def test_an_image_that_hangs_has_its_container_removed(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.venv("3.9.0", own="13.4.59", blackwell="13.4.59")
    engine = node.engine()
    python = node.root / "venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(target, "_CONTAINER_SECONDS", 1.0)
    wanted = node.wanted(image="serving:1", docker_bin=engine, timeout=0.2)
    _result, complaint = converged(wanted, act=True)
    assert "did not end within" in complaint
    started, removed = [call for call in node.docker_calls if call.startswith(("run ", "rm "))][:2]
    assert removed == "rm --force " + started.split("--name ")[1].split()[0]


def test_a_run_that_is_ended_removes_its_container(node: Any) -> None:
    node.venv("3.9.0", own="13.4.59", blackwell="13.4.59")
    engine = node.engine()
    python = node.root / "venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nkill -TERM %d\nexec sleep 60\n" % os.getpid())
    wanted = node.wanted(image="serving:1", docker_bin=engine)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        ensure(
            Mock(check_mode=True, params={"skip": {}, "accepted": [], "fail": True}),
            "ptxas",
            partial(observe, wanted),
            partial(plan, wanted=wanted),
            Exemptions(),
        )
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    started, removed = [call for call in node.docker_calls if call.startswith(("run ", "rm "))]
    assert removed == "rm --force " + started.split("--name ")[1].split()[0]


@pytest.mark.parametrize("odd", ["cuda,13.0", 'cuda"13.0"'])
def test_a_path_that_would_be_more_than_one_mount_option_is_refused(node: Any, odd: str) -> None:
    node.venv("3.5.1", own="12.8.93")
    node.ptxas("%s/bin/ptxas" % odd, "13.0.88")
    (node.root / "cuda").symlink_to(odd)
    engine = node.engine()
    for home in (node.root / odd, node.root / "cuda"):
        wanted = node.wanted(image="serving:1", docker_bin=engine, cuda_home=str(home))
        result, complaint = converged(wanted, act=True)
        assert "cannot be mounted" in complaint
        assert odd in complaint
        assert "cuda_home (role: dgxspark_ptxas_cuda_home)" in complaint
        assert statuses(result)["ptxas_target"] == "blocked"
        assert result["changed"] is False
    assert not any(odd in call for call in node.docker_calls)


def test_a_pin_with_a_comma_behind_a_link_is_refused(node: Any) -> None:
    node.venv("3.5.1", own="12.8.93")
    path = node.ptxas("cuda,13.0/bin/ptxas", "13.0.88")
    (node.root / "link").symlink_to(path)
    node.write("TRITON_PTXAS_PATH=%s\n" % (node.root / "link"))
    wanted = node.wanted(image="serving:1", docker_bin=node.engine())
    _result, complaint = converged(wanted, act=True)
    assert "%s -> %s" % (node.root / "link", path) in complaint
    assert not any(call.startswith("run ") for call in node.docker_calls)


def test_a_private_file_with_the_keys_of_others_is_left_as_it_is(node: Any) -> None:
    node.venv("3.5.1", own="12.8.93")
    home = str(Path(node.toolkit("13.0.88")).parents[1])
    node.write("HF_TOKEN=hf_secret\n")
    node.paths_env.chmod(0o600)
    before = everything_below(node.root)
    result, complaint = converged(node.wanted(cuda_home=home), act=True)
    assert result["changed"] is False
    assert statuses(result)["paths_file"] == "blocked"
    assert "then chmod 0644" in complaint
    assert "hf_secret" not in str(result) + complaint
    assert everything_below(node.root) == before
    assert node.paths_env.stat().st_mode & 0o777 == 0o600


ROLE_HINTS = {
    "a missing venv": ({"venv": "/nonexistent"}, "correct venv (role: dgxspark_ptxas_targets)"),
    "a python of an image": (
        {"image": "serving:1", "image_python": "python9"},
        "dgxspark_ptxas_targets",
    ),
}


@pytest.mark.parametrize(("parameters", "hint"), ROLE_HINTS.values(), ids=ROLE_HINTS.keys())
def test_hints_name_what_a_user_of_the_role_has_set(
    node: Any, parameters: dict[str, Any], hint: str
) -> None:
    # The image's python is nowhere, as there is no virtual environment.
    _result, complaint = converged(node.wanted(docker_bin=node.engine(), **parameters), act=True)
    assert hint in complaint


def test_ptxas_bin_can_be_left_to_another_module(node: Any) -> None:
    node.venv("3.5.1", own="12.8.93")
    ptxas = node.toolkit("13.0.88")
    wanted = node.wanted(cuda_home=str(Path(ptxas).parents[1]), manage_ptxas_bin=False)
    result, complaint = converged(wanted, act=True)
    assert complaint == ""
    assert "ptxas_bin" not in statuses(result)
    assert EnvFile.read(str(node.paths_env)).values() == {"TRITON_PTXAS_PATH": ptxas}
    node.write("PTXAS_BIN=/nowhere\n")
    converged(wanted, act=True)
    values = EnvFile.read(str(node.paths_env)).values()
    assert values == {"PTXAS_BIN": "/nowhere", "TRITON_PTXAS_PATH": ptxas}
