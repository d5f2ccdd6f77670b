# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Run probes in the Python that will serve: that of a virtual environment or of an image.

The probe is sent along; ask() is about Triton.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner import (
    code_owner,
    venv_parts,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.fingerprint import venv_state
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import ptxas, triton

# The modules that are sent to the other interpreter, each after the ones it imports.
TRITON_PROBE = tuple(module.__name__ for module in (command, ptxas, interpreter, triton))

# Not the owner label, so that no launch or stop takes a probe for a workload.
_LABEL = LABEL + "probe=%s"

# Characters with a meaning in --mount, a line of comma-separated values.
_UNMOUNTABLE = ',"\r\n'

# Time to start a container, added to that of the probe, in seconds.
_CONTAINER_SECONDS = 60.0


@dataclass(frozen=True)
class TargetProblem:
    """Why a target cannot be asked, and a hint.

    left_out: it was not tried. no_python: the image has no such interpreter.
    """

    actual: str
    hint: str
    left_out: bool = False
    no_python: bool = False


@dataclass(frozen=True)
class EnvironmentChange:
    """An environment to try: changes of the launchers' one; None removes a variable.

    A kernel is compiled only if Triton chooses the path expect; empty for any.
    """

    changes: Mapping[str, str | None] = field(default_factory=dict)
    expect: str = ""


@dataclass(frozen=True)
class Trial:
    """What Triton did in one environment.

    path and binary are its choice; both are empty if error says why there is none. compiled:
    whether a kernel became a cubin; if not, error says why.
    """

    changes: Mapping[str, str | None]
    path: str = ""
    binary: ptxas.Binary | None = None
    compiled: bool = False
    error: str = ""

    @property
    def works(self) -> bool:
        return self.compiled and self.binary is not None and self.binary.works


@dataclass(frozen=True)
class TritonReport:
    """A target's answer: the version and folder of Triton, its binaries, and the trials.

    image is the id of the image, empty for a virtual environment.
    """

    python: str
    version: str
    root: str
    binaries: tuple[ptxas.Binary, ...]
    trials: tuple[Trial, ...]
    image: str


@dataclass(frozen=True)
class VenvTarget:
    """The interpreter of a virtual environment on this node.

    spec is the name of the asking spec; its role variable lists the targets.
    """

    path: str
    spec: str = "ptxas"

    isolated = False

    @property
    def place(self) -> str:
        """Identifies the target, independent of the spec."""
        return self.path

    def state(self) -> str:
        """A text that changes with any file of it; empty if unknown. Raises OSError."""
        return venv_state(self.path)

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | TargetProblem:
        """Send the request to the last module of probe: its answer, within timeout seconds."""
        python = os.path.join(self.path, "bin", "python")
        try:
            owner = code_owner((*venv_parts(self.path), *_programs(request)))
        except Blocked as blocked:
            return TargetProblem("%s: %s" % (self.path, blocked), blocked.hint)
        # Created here, so that it is removed even if the interpreter has to be killed.
        with tempfile.TemporaryDirectory(prefix="dgxspark-venv-") as private:
            owner.give(private)
            env = {"HOME": private, "TMPDIR": private}
            sources = interpreter.sources_of(probe)
            argv = owner.command([python])
            answer, result = interpreter.ask(argv, sources, request, timeout, env)
        if answer:
            return answer
        if not os.path.isdir(self.path):
            return TargetProblem(
                "%s is not a directory" % self.path,
                "Create the virtual environment, or correct venv (role: dgxspark_%s_targets)."
                % self.spec,
            )
        return TargetProblem(
            "%s does not answer: %s" % (python, result.describe()),
            "Repair or rebuild the virtual environment until `%s -V` works." % python,
        )


@dataclass(frozen=True)
class Image:
    """The interpreter in a container image, by the Docker engine of this node.

    spec is the name of the asking spec; its role variable lists the targets, and its containers
    have it as a label. gpus is the value of the engine's option --gpus; empty for none. An optional
    image may be missing: a launch brings it.
    """

    name: str
    docker: str
    python: str
    spec: str = "ptxas"
    gpus: str = ""
    optional: bool = False

    isolated = True

    @property
    def place(self) -> str:
        """Identifies the image and how it is started."""
        return " ".join((self.name, self.docker, self.python, self.gpus))

    def state(self) -> str:
        """The id of the image, a digest of its content, and how it is started."""
        if self._refused():
            return ""
        inspected = self._inspect()
        ours = (inspected.stdout.strip(), self.python, self.gpus)
        return " ".join(ours) if inspected.ok else ""

    def _refused(self) -> TargetProblem | None:
        """Why the Docker client is not run."""
        try:
            owner = code_owner([self.docker])
        except Blocked as blocked:
            return TargetProblem("%s: %s" % (self.docker, blocked), blocked.hint)
        if owner.is_another:
            return TargetProblem(
                "%s is not run as root, since it belongs to user %d" % (self.docker, owner.uid),
                "Set docker_bin, or DOCKER_BIN in paths.env, to a Docker client of root's.",
            )
        return None

    def _inspect(self) -> command.Result:
        argv = [self.docker, "image", "inspect", "--format", "{{.Id}}", self.name]
        return command.run(argv, _CONTAINER_SECONDS)

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | TargetProblem:
        """The answer as VenvTarget.put gives it, within timeout seconds and the start-up.

        request["mounted"] are the files of the node that are mounted in the container.
        """
        refused = self._refused()
        if refused:
            return refused
        inspected = self._inspect()
        if not inspected.ok:
            return self._why_absent(inspected)
        mounts = {path: os.path.realpath(path) for path in request["mounted"]}
        for path, source in mounts.items():
            if any(char in _UNMOUNTABLE for char in path + source):
                return _why_unmountable(path, source)
        container = "dgxspark-probe-" + uuid.uuid4().hex[:12]
        # Nothing is pulled, nothing can be written, and the container is removed when it ends.
        argv = [self.docker, "run", "--rm", "--interactive", "--pull", "never", "--name", container]
        argv += ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--env", "TMPDIR=/tmp"]
        for path, source in mounts.items():
            argv += ["--mount", "type=bind,source=%s,target=%s,readonly" % (source, path)]
        if self.gpus:
            argv += ["--gpus", self.gpus]
        argv += ["--label", _LABEL % self.spec, "--workdir", "/"]
        argv += ["--entrypoint", self.python, self.name]
        sources = interpreter.sources_of(probe)
        limit = timeout + _CONTAINER_SECONDS
        try:
            answer, result = interpreter.ask(argv, sources, request, limit)
        finally:
            # If only the client has ended, the container is still running.
            command.run([self.docker, "rm", "--force", container], _CONTAINER_SECONDS)
        if answer:
            return {**answer, "image": inspected.stdout.strip()}
        trial = "docker run --rm --entrypoint %s %s -V" % (self.python, self.name)
        # Errors of the engine begin with this prefix; its last line only refers to the help.
        errors = [line for line in result.stderr.splitlines() if line.startswith("docker: ")]
        why = errors[0] if errors else result.describe()
        return TargetProblem(
            "%s in %s does not answer: %s" % (self.python, self.name, why),
            "Check that `%s` works, or set image_python to another interpreter (role: in"
            " dgxspark_%s_targets)." % (trial, self.spec),
            # The engine's exit status if the program is not in the image.
            no_python=(result.outcome, result.code) == (command.EXITED, 127),
        )

    def _why_absent(self, inspected: command.Result) -> TargetProblem:
        if "no such image" in inspected.stderr.lower():
            return TargetProblem(
                "%s is not on this node" % self.name,
                "Transfer the image first (docker pull, docker load): a check pulls nothing.",
                left_out=self.optional,
            )
        return TargetProblem(
            "%s: %s" % (self.docker, inspected.describe()),
            "Check that the Docker engine is installed and runs, and that this user may use it."
            " Another client can be set by docker_bin, or DOCKER_BIN in paths.env.",
        )


def _why_unmountable(path: str, source: str) -> TargetProblem:
    shown = path if path == source else "%s -> %s" % (path, source)
    return TargetProblem(
        "%r cannot be mounted: the path has a comma, a quote or a line end" % shown,
        "Use a ptxas with another path: in paths.env if it is pinned there, or by cuda_home (role:"
        " dgxspark_ptxas_cuda_home).",
    )


def _programs(request: Mapping[str, Any]) -> Iterator[str]:
    """The paths that the environments of a request name: programs that the target may start."""
    trials = [trial["changes"] for trial in request.get("trials", ())]
    for environment in (request["env"], *trials):
        for name, value in environment.items():
            if name not in triton.PRIVATE and value and os.path.isabs(value):
                yield value


class Target(Protocol):
    """A VenvTarget, an Image, or a CachedTarget."""

    @property
    def isolated(self) -> bool: ...

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | TargetProblem: ...


def find_docker(named: str = "") -> str:
    """The Docker client: the configured one, or else that in a standard directory."""
    standard = command.BASE_ENVIRONMENT["PATH"]
    return named or shutil.which("docker", path=standard) or "/usr/bin/docker"


def ask(
    target: Target,
    arch: str,
    env: Mapping[str, str],
    changes: Sequence[EnvironmentChange],
    timeout: float,
    until: bool = False,
    mounted: Sequence[str] = (),
) -> TritonReport | TargetProblem:
    """Ask Triton in the target, in env with each of the changes.

    With until, the first trial that works is the last. mounted are files of this node that an image
    gets at the same path. timeout is in seconds, for each trial.
    """
    answer = ask_raw(target, arch, env, changes, timeout, until, mounted)
    return answer if isinstance(answer, TargetProblem) else read(answer, changes)


def ask_raw(
    target: Target,
    arch: str,
    env: Mapping[str, str],
    changes: Sequence[EnvironmentChange],
    timeout: float,
    until: bool = False,
    mounted: Sequence[str] = (),
    packages: Sequence[str] = (),
) -> dict[str, Any] | TargetProblem:
    """The raw answer of the probe for read(), with the versions of these packages; see ask."""
    request = {
        "arch": arch,
        "env": dict(env),
        "trials": [
            {"changes": dict(change.changes), "expect": change.expect} for change in changes
        ],
        "until": until,
        "timeout": timeout,
        "isolated": target.isolated,
        "mounted": [path for path in mounted if os.path.isfile(path)] if target.isolated else [],
        "packages": list(packages),
    }
    try:
        return target.put(TRITON_PROBE, request, timeout * (len(changes) + 1))
    except OSError as error:
        return TargetProblem("no temporary folder: %s" % error, "Check that /tmp is writable.")


def read(
    answer: Mapping[str, Any], changes: Sequence[EnvironmentChange]
) -> TritonReport | TargetProblem:
    """The report in a raw answer of the probe."""
    if not answer["root"]:
        return TargetProblem(
            "Python %s has no Triton" % answer["python"],
            "Install Triton (part of vLLM and PyTorch), or use another venv or image (role:"
            " dgxspark_ptxas_targets).",
        )
    trials = tuple(
        _trial(change.changes, trial) for change, trial in zip(changes, answer["trials"])
    )
    versions = [trial["version"] for trial in answer["trials"] if trial.get("version")]
    if not any(trial.get("imported") for trial in answer["trials"]):
        why = trials[0].error if trials else "no trial was made"
        return TargetProblem(
            "Triton %s in %s does not work: %s"
            % (versions[0] if versions else "", answer["root"], why),
            "Repair or reinstall Triton; it needs its NVIDIA backend.",
        )
    return TritonReport(
        answer["python"],
        versions[0],
        answer["root"],
        tuple(ptxas.Binary(**trial) for trial in answer["binaries"]),
        trials,
        answer.get("image", ""),
    )


def _trial(changes: Mapping[str, str | None], answer: Mapping[str, Any]) -> Trial:
    binary = answer.get("binary")
    return Trial(
        changes,
        answer.get("path", ""),
        ptxas.Binary(**binary) if binary else None,
        bool(answer.get("compiled")),
        answer.get("error", ""),
    )
