# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether vLLM works: import, GPU, compile and run a kernel, `vllm serve --help`.

Nothing is repaired: the causes are packages, pins or the driver, which have their own specs, named
in the hints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.cached_answers import (
    CACHED,
    FOLDER,
    OPTIONS,
    CachedTarget,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    PINS,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import (
    SERVE_FROM,
    Spec,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    TRITON_PROBE,
    Image,
    TargetProblem,
    VenvTarget,
    find_docker,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    OK,
    SKIPPED,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import vllm
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import gpu_evidence
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import capability

_NAME = "vllm_runtime"
_PROBE = (*TRITON_PROBE, vllm.__name__)

_TARGET = "runtime_target"
_IMPORT = "runtime_import"
_DEVICE = "runtime_device"
_COMPILE = "runtime_compile"
_KERNEL = "runtime_kernel"
_SERVE = "runtime_serve"
# Step of the probe -> check id.
_STEPS = {"import": _IMPORT, "device": _DEVICE, "compile": _COMPILE, "run": _KERNEL}

_PACKAGES = {
    True: "Use another image, or rebuild it.",
    False: "Repair the environment: run ansible-playbook dgxspark.suite.site --tags vllm_venv.",
}
_NO_GPU = "no NVIDIA GPU on this node"


@dataclass(frozen=True)
class Wanted:
    """The module's parameters; exactly one of venv and image. timeout is in seconds."""

    venv: str | None
    image: str | None
    arch: str
    gpu_name: str
    gpus: str
    paths_file: str
    timeout: float
    docker_bin: str | None
    image_python: str
    optional: bool = False
    costly: str = CACHED
    cache_folder: str = FOLDER

    @property
    def target(self) -> str:
        """The virtual environment or the image, whichever it is."""
        return self.image or self.venv or ""

    @property
    def capability(self) -> str:
        """The compute capability of arch: 12.1 for sm_121."""
        number = capability(self.arch)
        return "%d.%d" % divmod(number, 10)

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        try:
            capability(self.arch)
        except ValueError as error:
            raise ValueError("arch: %s" % error) from error
        try:
            re.compile(self.gpu_name)
        except re.error as error:
            raise ValueError("gpu_name: not a regular expression: %s" % error) from error
        if self.timeout <= 0:
            raise ValueError("timeout: expected more than 0 seconds, found %g" % self.timeout)
        if self.image is not None and not re.match(r"[A-Za-z0-9]", self.image):
            raise ValueError("image: expected the name or id of an image, found %r" % self.image)
        for name in ("venv", "paths_file", "docker_bin", "cache_folder"):
            path = getattr(self, name)
            if path is not None and not os.path.isabs(path):
                raise ValueError("%s: expected an absolute path, found %r" % (name, path))


@dataclass(frozen=True)
class Observed:
    """The input of the plan.

    gpu is the evidence of a GPU on this node, empty if there is none. answer is the reply of
    probes.vllm in the launchers' environment, or why it cannot be asked; target caches it.
    """

    gpu: str
    answer: Mapping[str, Any] | TargetProblem
    target: CachedTarget | None = None


def observe(wanted: Wanted) -> Observed:
    """Ask the target. Changes nothing."""
    try:
        values = EnvFile.read(wanted.paths_file).values()
    except Blocked:
        values = {}  # ensure_ptxas reports what is wrong with the file
    gpu = gpu_evidence()
    reached: VenvTarget | Image = VenvTarget(wanted.target, _NAME)
    if wanted.image:
        docker = find_docker(wanted.docker_bin or values.get("DOCKER_BIN", ""))
        gpus = wanted.gpus if gpu else ""
        reached = Image(wanted.image, docker, wanted.image_python, _NAME, gpus, wanted.optional)
    target = CachedTarget(reached, wanted.cache_folder, wanted.costly)
    pins = {key: values[key] for key in PINS if key in values}
    request = {
        "arch": wanted.arch,
        "env": pins,
        "timeout": wanted.timeout,
        "mounted": [path for path in pins.values() if os.path.isfile(path)],
    }
    try:
        # Twice: the child process may take all of the time, and its parent has to end as well.
        answer = target.put(_PROBE, request, 2 * wanted.timeout)
    except OSError as error:
        answer = TargetProblem("no temporary folder: %s" % error, "Check that /tmp is writable.")
    return Observed(gpu, answer, target)


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings for an observation. Pure, without actions."""
    answer = observed.answer
    if isinstance(answer, TargetProblem):
        expected = _expected(wanted)
        why = Finding(
            _TARGET, BLOCKED, expected[_TARGET], answer.actual, CRITICAL, hint=answer.hint
        )
        if answer.left_out:
            why = Finding(_TARGET, SKIPPED, expected[_TARGET], "not assessed: " + answer.actual)
        others = [
            Finding(check, SKIPPED, expected[check], "not assessed: see %s" % _TARGET)
            for check in (*_STEPS.values(), _SERVE)
        ]
        return Plan((why, *others), facts=_facts({}, wanted))
    case = _Case(wanted, observed.gpu, answer)
    seconds = {_STEPS[step]: float(took) for step, took in answer.get("seconds", {}).items()}
    seconds[_SERVE] = float(answer["serve"]["seconds"])
    return Plan(
        case.findings(), facts=_facts(answer, wanted), parity=case.parity(), seconds=seconds
    )


def _expected(wanted: Wanted) -> dict[str, str]:
    where = wanted.target
    device = "a GPU of compute capability %s" % wanted.capability
    if wanted.gpu_name:
        device += " whose name matches %s" % wanted.gpu_name
    return {
        _TARGET: "the Python of %s runs" % where,
        _IMPORT: "vLLM, its compiled extensions and torch can be imported in %s" % where,
        _DEVICE: "torch in %s sees %s" % (where, device),
        _COMPILE: "Triton compiles a kernel for %s with vLLM loaded" % wanted.arch,
        _KERNEL: "a kernel compiled by Triton runs on the GPU",
        _SERVE: "`vllm serve --help` answers in %s" % where,
    }


def _facts(answer: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    target = {"image" if wanted.image else "venv": wanted.target}
    if answer.get("image"):
        target["id"] = answer["image"]
    names = ("python", "torch", "cuda", "vllm")
    return {
        "target": target,
        "versions": {name: answer[name] for name in names if answer.get(name)},
        "devices": list(answer.get("devices", [])),
    }


@dataclass(frozen=True)
class _Case:
    """The usual case: the target has answered."""

    wanted: Wanted
    gpu: str
    answer: Mapping[str, Any]

    def findings(self) -> tuple[Finding, ...]:
        python = "Python %s" % self.answer.get("python", "(unknown version)")
        return (
            self._finding(_TARGET, python),
            self._import(),
            self._device(),
            self._compile(),
            self._kernel(),
            self._serve(),
        )

    def parity(self) -> dict[str, str]:
        parity = {name: self.answer[name] for name in ("vllm", "torch") if self.answer.get(name)}
        return {"%s in %s" % (name, self.wanted.target): text for name, text in parity.items()}

    def _finding(self, check: str, actual: str, status: str = OK, hint: str = "") -> Finding:
        severity = CRITICAL if status == BLOCKED else "info"
        expected = _expected(self.wanted)[check]
        return Finding(check, status, expected, actual, severity, hint=hint)

    def _failure(self, step: str) -> str:
        """Why a step failed; empty if it succeeded or did not start."""
        error = self.answer.get("errors", {}).get(step, "")
        if not error and self.answer.get("step") == step:
            error = self.answer.get("died", "the process ended without an error message")
        return " ".join(str(error).split())[:500]

    def _unassessed(self, step: str) -> Finding | None:
        """The finding of a step that did not start because an earlier one failed."""
        if step in self.answer.get("seconds", {}) or step == self.answer.get("step"):
            return None
        reached = self.answer.get("step") or ("device" if self.answer.get("vllm") else "import")
        check = _STEPS[step]
        return self._finding(check, "not assessed: see %s" % _STEPS[reached], SKIPPED)

    def _import(self) -> Finding:
        failure = self._failure("import")
        if failure:
            return self._finding(_IMPORT, failure, BLOCKED, _PACKAGES[bool(self.wanted.image)])
        built = self.answer.get("cuda")
        torch = "torch %s (%s)" % (self.answer["torch"], "CUDA %s" % built if built else "no CUDA")
        return self._finding(_IMPORT, "vLLM %s, %s" % (self.answer["vllm"], torch))

    def _device(self) -> Finding:
        if not self.gpu:
            return self._finding(_DEVICE, _NO_GPU, SKIPPED)
        unassessed = self._unassessed("device")
        if unassessed:
            return unassessed
        devices = self.answer.get("devices")
        if not devices:
            failure = self._failure("device") or "torch sees no GPU"
            hint = "Check nvidia-smi (ansible-playbook dgxspark.suite.site --tags cuda_toolchain)"
            hint += " and that this torch is a CUDA build."
            actual = "%s, although the node has one: %s" % (failure, self.gpu)
            return self._finding(_DEVICE, actual, BLOCKED, hint)
        actual = "; ".join(
            "%(name)s, compute capability %(capability)s" % device for device in devices
        )
        fits = [
            device["capability"] == self.wanted.capability
            and re.search(self.wanted.gpu_name, device["name"])
            for device in devices
        ]
        if any(fits):
            return self._finding(_DEVICE, actual)
        hint = "If this GPU is intended, correct arch or gpu_name"
        hint += " (role: dgxspark_vllm_runtime_arch, dgxspark_vllm_runtime_gpu_name)."
        return self._finding(_DEVICE, actual, BLOCKED, hint)

    def _compile(self) -> Finding:
        unassessed = self._unassessed("compile")
        if unassessed:
            return unassessed
        failure = self._failure("compile")
        if failure:
            hint = (
                "See the findings of ensure_ptxas: run ansible-playbook dgxspark.suite.site"
                " --tags ptxas."
            )
            return self._finding(_COMPILE, failure, BLOCKED, hint)
        return self._finding(_COMPILE, "as expected")

    def _kernel(self) -> Finding:
        if not self.gpu:
            return self._finding(_KERNEL, _NO_GPU, SKIPPED)
        unassessed = self._unassessed("run")
        if unassessed:
            return unassessed
        failure = self._failure("run")
        if not failure and not self.answer.get("ran"):
            failure = "the kernel ran and wrote a wrong result"
        if failure:
            hint = "See the findings of ensure_cuda_toolchain and ensure_ptxas, and dmesg."
            return self._finding(_KERNEL, failure, BLOCKED, hint)
        return self._finding(_KERNEL, "as expected")

    def _serve(self) -> Finding:
        serve = self.answer["serve"]
        if serve["ok"]:
            return self._finding(_SERVE, "%s answers" % serve["path"])
        hint = _PACKAGES[bool(self.wanted.image)]
        return self._finding(_SERVE, serve["error"], BLOCKED, hint)


SPEC = Spec(
    name=_NAME,
    options={
        "venv": {"type": "path"},
        "image": {"type": "str"},
        "arch": {"type": "str", "default": "sm_121"},
        "gpu_name": {"type": "str", "default": "GB10"},
        "gpus": {"type": "str", "default": "all"},
        "paths_file": {"type": "path", "default": "/etc/dgxspark/paths.env"},
        "timeout": {"type": "int", "default": 180},
        "docker_bin": {"type": "path"},
        "image_python": {"type": "str", "default": "python3"},
        **OPTIONS,
        "optional": {"type": "bool", "default": False},
        **SERVE_FROM,
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
    either=("venv", "image"),
    costly=True,
    store=lambda observed: observed.target and observed.target.store(),
)
