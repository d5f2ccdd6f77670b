# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a serving environment that works, and of one that breaks at each step."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.vllm_runtime import (
    Observed,
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import gpu_evidence

WANTED = Wanted(
    venv="/venv",
    image=None,
    arch="sm_121",
    gpu_name="GB10",
    gpus="all",
    paths_file="/nowhere/paths.env",
    timeout=20,
    docker_bin=None,
    image_python="python3",
)
SERVE = {"path": "/venv/bin/vllm", "ok": True, "error": "", "seconds": 9.5}
GB10 = {"name": "NVIDIA GB10", "capability": "12.1", "bytes": 128526000128}
# What the probe replies on a Spark where all is well.
WELL: dict[str, Any] = {
    "python": "3.12.3",
    "torch": "2.13.0",
    "cuda": "13.0",
    "vllm": "0.32.0",
    "devices": [GB10],
    "compiled": True,
    "ran": True,
    "errors": {},
    "seconds": {"import": 6.1, "device": 0.4, "compile": 0.8, "run": 0.2},
    "step": "",
    "serve": SERVE,
}
CHECKS = ["target", "import", "device", "compile", "kernel", "serve"]


def told(gpu: str, wanted: Wanted = WANTED, **changes: Any) -> dict[str, Any]:
    """The findings by check, without runtime_, of a reply that differs from WELL."""
    made = plan(Observed(gpu, {**WELL, **changes}), wanted)
    assert made.actions == ()
    return {one.check.removeprefix("runtime_"): one for one in made.findings}


def statuses(found: dict[str, Any]) -> list[str]:
    return [found[check].status for check in CHECKS]


def test_a_spark_where_all_is_well() -> None:
    found = told("PCI device 000f:01:00.0")
    assert statuses(found) == ["ok"] * 6
    assert found["import"].actual == "vLLM 0.32.0, torch 2.13.0 (CUDA 13.0)"
    assert found["device"].actual == "NVIDIA GB10, compute capability 12.1"


def test_what_must_agree_between_nodes_and_what_it_took() -> None:
    made = plan(Observed("gpu", WELL), WANTED)
    assert made.parity == {"vllm in /venv": "0.32.0", "torch in /venv": "2.13.0"}
    assert made.seconds == {
        "runtime_import": 6.1,
        "runtime_device": 0.4,
        "runtime_compile": 0.8,
        "runtime_kernel": 0.2,
        "runtime_serve": 9.5,
    }
    assert made.facts["devices"] == [GB10]


def test_without_a_gpu_what_needs_one_is_skipped_and_all_else_is_looked_at() -> None:
    reply = {**WELL, "errors": {"device": "AssertionError: Torch not compiled with CUDA enabled"}}
    del reply["devices"], reply["ran"]
    found = {one.check: one for one in plan(Observed("", reply), WANTED).findings}
    assert [one.status for one in found.values()] == ["ok", "ok", "skipped", "ok", "skipped", "ok"]
    assert found["runtime_device"].actual == "no NVIDIA GPU on this node"


def test_a_gpu_that_torch_does_not_see_is_no_reason_to_skip() -> None:
    found = told("/dev/nvidiactl", devices=[], errors={"device": "RuntimeError: no driver"}, ran=0)
    assert found["device"].status == "blocked"
    assert found["device"].actual == (
        "RuntimeError: no driver, although the node has one: /dev/nvidiactl"
    )
    assert "cuda_toolchain" in found["device"].hint


@pytest.mark.parametrize(
    "other",
    [{**GB10, "capability": "12.0"}, {**GB10, "name": "NVIDIA RTX PRO 6000"}],
    ids=["another architecture", "another name"],
)
def test_another_gpu_than_the_one_that_is_wanted_is_blocked(other: dict[str, Any]) -> None:
    found = told("gpu", devices=[other])
    assert found["device"].status == "blocked"
    assert "dgxspark_vllm_runtime_gpu_name" in found["device"].hint
    assert told("gpu", replace(WANTED, gpu_name=""), devices=[GB10])["device"].status == "ok"


@pytest.mark.parametrize(
    ("step", "check", "later"),
    [
        ("import", "import", ["device", "compile", "kernel"]),
        ("device", "device", ["compile", "kernel"]),
        ("compile", "compile", ["kernel"]),
        ("run", "kernel", []),
    ],
)
def test_a_process_that_dies_in_a_step_is_blamed_there_and_later_steps_are_not_judged(
    step: str, check: str, later: list[str]
) -> None:
    order = ["import", "device", "compile", "run"]
    reached = dict.fromkeys(order[: order.index(step)], 0.1)
    reply = {
        **{key: WELL[key] for key in ("python", "serve", "errors")},
        **({key: WELL[key] for key in ("torch", "cuda", "vllm")} if "import" in reached else {}),
        **({"devices": [GB10]} if "device" in reached else {}),
        "seconds": reached,
        "step": step,
        "died": "died by signal 6 (SIGABRT)",
    }
    found = {
        one.check.removeprefix("runtime_"): one
        for one in plan(Observed("gpu", reply), WANTED).findings
    }
    assert found[check].status == "blocked"
    assert found[check].actual.startswith("died by signal 6")
    for name in later:
        assert found[name].status == "skipped"
        assert found[name].actual == "not assessed: see runtime_%s" % check


def test_a_failed_import_leaves_nothing_else_judged() -> None:
    reply = {
        "python": "3.12.3",
        "errors": {"import": "ModuleNotFoundError: No module named 'torch'"},
        "seconds": {"import": 0.1},
        "step": "",
        "serve": {**SERVE, "ok": False, "error": "/venv/bin/vllm does not exist"},
    }
    found = plan(Observed("gpu", reply), WANTED).findings
    assert [one.status for one in found] == [
        "ok",
        "blocked",
        "skipped",
        "skipped",
        "skipped",
        "blocked",
    ]
    assert found[1].hint.endswith("ansible-playbook dgxspark.suite.site --tags vllm_venv.")


def test_a_kernel_that_ran_and_wrote_nothing_is_no_success() -> None:
    assert told("gpu", ran=False)["kernel"].status == "blocked"


VLLM_PROGRAM = "#!/bin/sh\necho 'usage: vllm serve [model_tag] [options]'\n"
TORCH = """
import types
__version__ = "2.13.0+cpu"
version = types.SimpleNamespace(cuda=None)
def init():
    raise AssertionError("Torch not compiled with CUDA enabled")
cuda = types.SimpleNamespace(is_available=lambda: False, init=init)
"""
TRITON = """
import sys, types
def jit(function):
    return function
def compile(source, target):
    return types.SimpleNamespace(asm={"cubin": b"\\x7fELF"} if target[1] == 121 else {})
def module(name, **names):
    sys.modules["triton." + name] = types.SimpleNamespace(**names)
module("language")
module("compiler", ASTSource=lambda fn, signature: fn)
module("backends")
module("backends.compiler", GPUTarget=lambda *target: target)
"""


def venv(
    root: Path,
    vllm: str = "",
    custom_ops: str = "",
    program: str = VLLM_PROGRAM,
    noise: str = "",
) -> Wanted:
    """An environment with packages that behave as the real ones were seen to."""
    site = root / "site"
    for name, text in {
        "torch/__init__.py": TORCH,
        "triton/__init__.py": TRITON,
        "vllm/__init__.py": "__version__ = '0.32.0'\nLLM = object\n" + vllm,
        "vllm/_custom_ops.py": custom_ops,
        "sitecustomize.py": noise,
    }.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python = '#!/bin/sh\nPYTHONPATH=%s exec %s "$@"\n' % (shlex.quote(str(site)), sys.executable)
    for name, text in {"python": python, "vllm": program}.items():
        file = root / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    return replace(WANTED, venv=str(root))


def asked(wanted: Wanted) -> dict[str, Any]:
    made = plan(replace(observe(wanted), gpu=""), wanted)
    return {one.check.removeprefix("runtime_"): one for one in made.findings}


@pytest.fixture(autouse=True)
def beside_the_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The fake environment's python is a script, so what it runs is not beside it.
    monkeypatch.setattr(
        "ansible_collections.dgxspark.suite.plugins.module_utils.host.command.BASE_ENVIRONMENT",
        {"PATH": "%s/bin:/usr/bin:/bin" % tmp_path, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def everything_below(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_an_environment_is_really_asked_and_left_as_it_is(tmp_path: Path) -> None:
    wanted = venv(tmp_path)
    before = everything_below(tmp_path)
    found = asked(wanted)
    assert [found[c].status for c in CHECKS] == ["ok", "ok", "skipped", "ok", "skipped", "ok"]
    assert found["import"].actual == "vLLM 0.32.0, torch 2.13.0+cpu (no CUDA)"
    assert everything_below(tmp_path) == before


BREAKS = {
    "vLLM cannot be imported": (
        {"vllm": "import nowhere_to_be_found"},
        "import",
        "No module named 'nowhere_to_be_found'",
    ),
    "vLLM takes the process with it": (
        {"vllm": "import os; os.abort()"},
        "import",
        "died by signal 6 (SIGABRT)",
    ),
    "vLLM hangs": ({"vllm": "import time; time.sleep(60)"}, "import", "did not end within 6 s"),
    "what vLLM has compiled cannot be loaded": (
        {
            "custom_ops": "import logging\nlogging.getLogger('vllm.platforms').warning("
            "'Failed to import from vllm._C: %s', \"ImportError('undefined symbol: _ZN')\")"
        },
        "import",
        "undefined symbol: _ZN",
    ),
    "the class that serves cannot be imported": (
        {"vllm": "del LLM\ndef __getattr__(name):\n    raise ImportError('libcudart.so.13')"},
        "import",
        "libcudart.so.13",
    ),
    "the help hangs": ({"program": "#!/bin/sh\nsleep 60\n"}, "serve", "did not end within 6 s"),
    "the help is none": ({"program": "#!/bin/sh\necho hello\n"}, "serve", "usage"),
    "the help fails in bytes that are no text": (
        {"program": "#!/bin/sh\nprintf '\\377\\376 oops\\n' >&2\nexit 3\n"},
        "serve",
        "exit status 3",
    ),
    "the program names an interpreter that is gone": (
        {"program": "#!/nowhere/python\n"},
        "serve",
        "its interpreter or loader does not",
    ),
}


@pytest.mark.parametrize(("broken", "check", "why"), BREAKS.values(), ids=BREAKS.keys())
def test_what_breaks_is_blocked_with_the_reason(
    tmp_path: Path, broken: dict[str, str], check: str, why: str
) -> None:
    # Long enough for what does not hang, on a machine with much else to do.
    found = asked(replace(venv(tmp_path, **broken), timeout=6))
    assert found[check].status == "blocked"
    assert why in found[check].actual
    other = "serve" if check == "import" else "import"
    assert found[other].status == "ok"


def test_noise_around_the_answer_is_harmless(tmp_path: Path) -> None:
    noise = "import sys\nsys.stdout.buffer.write(b'\\xff\\n<<<dgxspark {} dgxspark')\n"
    assert asked(venv(tmp_path, noise=noise))["import"].status == "ok"


def test_an_environment_that_is_not_there_is_told_with_the_way_out(tmp_path: Path) -> None:
    wanted = replace(WANTED, venv=str(tmp_path / "none"))
    result, complaint = converge(lambda: observe(wanted), lambda seen: plan(seen, wanted), True)
    assert result["changed"] is False
    assert "is not a directory" in complaint
    assert "dgxspark_vllm_runtime_targets" in complaint
    others = [one for one in result["findings"] if one["check"] != "runtime_target"]
    assert {one["actual"] for one in others} == {"not assessed: see runtime_target"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"arch": "121"}, "arch: expected an architecture such as sm_121"),
        ({"gpu_name": "("}, "gpu_name: not a regular expression"),
        ({"timeout": 0}, "timeout: expected more than 0 seconds"),
        ({"venv": "relative"}, "venv: expected an absolute path"),
        ({"venv": None, "image": "--privileged"}, "image: expected the name or id"),
    ],
)
def test_parameters_that_cannot_be_meant(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        replace(WANTED, **parameters)


DOCKER = """#!/bin/sh
echo "$*" >>{root}/calls
case "$1" in
    image) echo sha256:5e71 ;;
    run) exec {root}/bin/python -B - ;;
esac
"""


@pytest.mark.parametrize("gpu", ["", "/dev/nvidiactl"], ids=["without a GPU", "with a GPU"])
def test_an_image_is_asked_without_network_and_with_the_gpu_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str
) -> None:
    venv(tmp_path)
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(root=tmp_path))
    docker.chmod(0o755)
    monkeypatch.setattr("%s.gpu_evidence" % observe.__module__, lambda: gpu)
    wanted = replace(WANTED, venv=None, image="serving:1", docker_bin=str(docker))
    found = asked(wanted)
    assert found["import"].status == "ok"
    started = next(one for one in (tmp_path / "calls").read_text().splitlines() if "run " in one)
    assert "--network none --read-only --tmpfs /tmp" in started
    assert "--label dgxspark.suite/probe=vllm_runtime" in started
    assert ("--gpus all" in started) == bool(gpu)


def test_a_gpu_is_known_by_the_bus_or_by_the_driver(tmp_path: Path) -> None:
    bus, control = tmp_path / "bus", tmp_path / "nvidiactl"
    for name, vendor, kind in (
        ("0000:01:00.0", "0x15b3", "0x020000"),
        ("0001:00:00.0", "0x10de", "0x060400"),
    ):
        device = bus / name
        device.mkdir(parents=True)
        (device / "vendor").write_text(vendor + "\n")
        (device / "class").write_text(kind + "\n")
    assert gpu_evidence(str(bus), str(control)) == ""
    control.touch()
    assert gpu_evidence(str(bus), str(control)) == str(control)
    device = bus / "000f:01:00.0"
    device.mkdir()
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    assert gpu_evidence(str(bus), str(control)) == "PCI device 000f:01:00.0"
