# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ensure_ptxas on real Tritons: check, run, run, check, from several starting points."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from lab import NODES, mark, module, on_node, touched

PATHS = "/etc/dgxspark/paths.env"
CUDA = "/usr/local/cuda-13.0/bin/ptxas"
OLD = {"venv": "/opt/ai-tools/vllm-env"}
NEW = {"venv": "/opt/ai-tools/vllm-env-next"}
OLD_IMAGE = {"image": "dgxspark-lab/triton:3.5.1"}
NEW_IMAGE = {"image": "dgxspark-lab/vllm:cpu"}
# Triton 3.5.1's vendored binary, which does not know the GB10; start_from resolves the pattern.
STALE = "/opt/ai-tools/vllm-env/lib/python3*/site-packages/triton/backends/nvidia/bin/ptxas"


class Case(NamedTuple):
    """before and after: the lines of paths.env; None: no such file. repaired: check ids."""

    target: dict[str, str]
    before: str | None
    after: str | None
    repaired: set[str]


PINNED = f"PTXAS_BIN={CUDA}\nTRITON_PTXAS_PATH={CUDA}\n"
CASES = {
    "triton 3.5.1 as it comes": Case(
        OLD,
        "",
        PINNED,
        {"triton_ptxas_sm121", "triton_compile_sm121", "triton_ptxas_path", "ptxas_bin"},
    ),
    "triton 3.5.1 in an image": Case(
        OLD_IMAGE,
        "",
        PINNED,
        {"triton_ptxas_sm121", "triton_compile_sm121", "triton_ptxas_path", "ptxas_bin"},
    ),
    "triton 3.5.1 pinned well": Case(OLD, PINNED, PINNED, set()),
    "other people's lines stay": Case(
        OLD,
        "# mine\nexport FOO='a b'\nDOCKER_BIN=/usr/bin/docker",
        f"# mine\nexport FOO='a b'\nDOCKER_BIN=/usr/bin/docker\n{PINNED}",
        {"triton_ptxas_sm121", "triton_compile_sm121", "triton_ptxas_path", "ptxas_bin"},
    ),
    "triton 3.9.0 as it comes": Case(NEW, None, None, set()),
    "triton 3.9.0 in an image": Case(NEW_IMAGE, None, None, set()),
    "triton 3.9.0 broken by a pin": Case(
        NEW,
        f"TRITON_PTXAS_BLACKWELL_PATH={STALE}\n",
        "",
        {"triton_ptxas_sm121", "triton_compile_sm121", "triton_ptxas_blackwell_path"},
    ),
}


def start_from(lines: str | None) -> None:
    script = "rm -rf /etc/dgxspark"
    if lines is not None:
        if STALE in lines:
            lines = lines.replace(STALE, on_node("spark1", f"ls {STALE}").strip())
        script += f"; install -d /etc/dgxspark; cat >{PATHS} <<'END'\n{lines}\nEND\n"
        script += f"truncate -s -1 {PATHS}"
    on_node("spark1", script)


def lines_of(text: str) -> str:
    """Without the comment that the module starts a new file with."""
    ours = "# Absolute paths for the launchers"
    return "".join(line for line in text.splitlines(True) if not line.startswith(ours))


def repairs(result: dict[str, Any], status: str) -> set[str]:
    return {found["check"] for found in result["findings"] if found["status"] == status}


# The others come with `make test-all`; converge has met those of Triton 3.9.0 as well.
SHORT = ("triton 3.5.1 as it comes", "triton 3.5.1 in an image", "triton 3.9.0 broken by a pin")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.long]) for name in CASES],
)
def test_check_run_run_check(name: str) -> None:
    case = CASES[name]
    start_from(case.before)
    mark("spark1")
    checked = module("spark1", "ensure_ptxas", case.target, "--check", "--diff")
    assert touched("spark1") == []
    ran = module("spark1", "ensure_ptxas", case.target, "--diff")
    again = module("spark1", "ensure_ptxas", case.target, "--diff")
    checked_again = module("spark1", "ensure_ptxas", case.target, "--check", "--diff")

    assert checked["changed"] == ran["changed"] == bool(case.repaired)
    assert checked["diff"] == ran["diff"]
    assert repairs(checked, "drift") == case.repaired
    assert repairs(ran, "fixed") == case.repaired
    for quiet in (again, checked_again):
        assert not quiet["changed"]
        assert not repairs(quiet, "drift") | repairs(quiet, "fixed") | repairs(quiet, "blocked")
    there = on_node("spark1", f"cat {PATHS} 2>/dev/null || echo absent")
    assert ("absent\n" if case.after is None else case.after) == lines_of(there)


def test_the_pin_compiles_a_kernel_in_the_environment_of_the_launchers() -> None:
    start_from("")
    ran = module("spark1", "ensure_ptxas", OLD)
    assert ran["chosen"]["path"] == CUDA
    assert {"triton_compile_sm121": "fixed"}.items() <= {
        found["check"]: found["status"] for found in ran["findings"]
    }.items()


def test_a_venv_without_triton_is_told_from_one_that_is_missing() -> None:
    start_from(None)
    on_node("spark1", "python3 -m venv --without-pip /opt/bare")
    try:
        bare = module("spark1", "ensure_ptxas", {"venv": "/opt/bare"}, "--check")
        missing = module("spark1", "ensure_ptxas", {"venv": "/opt/no-such"}, "--check")
        failed = module("spark1", "ensure_ptxas", {"venv": "/opt/no-such"})
    finally:
        on_node("spark1", "rm -rf /opt/bare")
    for result in (bare, missing):
        assert not result.get("failed")
        assert repairs(result, "blocked")
    assert failed["failed"]
    assert "/opt/no-such" in failed["msg"]
    assert on_node("spark1", "ls /etc/dgxspark 2>/dev/null || echo absent") == "absent\n"


def test_the_paths_file_is_as_launchers_need_it(nodes: dict[str, Any]) -> None:
    start_from(None)
    module("spark1", "ensure_ptxas", OLD)
    paths = nodes["spark1"].file(PATHS)
    assert (paths.user, paths.group, paths.mode) == ("root", "root", 0o644)


def test_converge_left_both_nodes_alike(nodes: dict[str, Any]) -> None:
    module("spark1", "ensure_ptxas", OLD)
    assert {lines_of(nodes[name].file(PATHS).content_string) for name in NODES} == {PINNED}


def test_the_code_of_a_user_never_runs_as_root() -> None:
    """Whoever may write the packages of an environment decides what its Python runs."""
    start_from("")
    (site,) = on_node(NODES[0], f"ls -d {OLD['venv']}/lib/python3*/site-packages").split()
    line = 'import os; open("/run/uids/ran", "a").write(f"{os.getuid()}\\n")'
    on_node(
        NODES[0],
        f"install -d -m 0777 /run/uids; install -m 0666 /dev/null /run/uids/ran;"
        f" printf '%s\\n' '{line}' >{site}/note.pth; chown spark {site}",
    )
    try:
        for words in (["--check"], []):
            module(NODES[0], "ensure_ptxas", OLD, *words)
        ran = set(on_node(NODES[0], "cat /run/uids/ran").split())
        assert ran == {on_node(NODES[0], "id -u spark").strip()}
        on_node(NODES[0], f"chown nobody {OLD['venv']}")
        # Cached, the answer of the run above would do.
        asked = {**OLD, "costly": "refresh"}
        found = module(NODES[0], "ensure_ptxas", asked, "--check")
        assert repairs(found, "blocked")
        assert set(on_node(NODES[0], "cat /run/uids/ran").split()) == ran
    finally:
        on_node(NODES[0], f"chown root {OLD['venv']} {site}; rm -rf {site}/note.pth /run/uids")
