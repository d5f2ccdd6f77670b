# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Reach the Python that will serve, in a virtual environment or an image, and ask it.

What is asked is the business of the probe that is carried there; ask() is about Triton.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.host.fingerprint import venv_state
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import ptxas, triton

# What the other interpreter is given; each finds its imports among those before it.
TRITON_PROBE = tuple(module.__name__ for module in (command, ptxas, interpreter, triton))

# Not the owner's label: no launch and no stop is to take a probe for one of its own.
_LABEL = LABEL + "probe=%s"

# What --mount, a line of comma-separated values, takes for its own.
_UNMOUNTABLE = ',"\r\n'

# Starting a container, on top of what runs in it, in seconds.
_CONTAINER_SECONDS = 60.0


@dataclass(frozen=True)
class Problem:
    """Why a target cannot be asked, and what a person can do about it.

    left_out: nobody tried. no_python: it is an image that has no such interpreter at all.
    """

    actual: str
    hint: str
    left_out: bool = False
    no_python: bool = False


@dataclass(frozen=True)
class Change:
    """One environment to try: changes to that of the launchers, None removes a name.

    expect is the path that Triton must choose for a compile to be worth its time; empty for any.
    """

    changes: Mapping[str, str | None] = field(default_factory=dict)
    expect: str = ""


@dataclass(frozen=True)
class Trial:
    """What Triton did in one environment.

    path is what it chose and binary what that is; both are empty where error says that it could
    not choose. compiled tells whether a kernel became a cubin; error, then, why not.
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
class Report:
    """A target's answer: Triton's version, where its package lies, and what was found and tried.

    image is the id of the image, empty for a virtual environment.
    """

    python: str
    version: str
    root: str
    binaries: tuple[ptxas.Binary, ...]
    trials: tuple[Trial, ...]
    image: str


@dataclass(frozen=True)
class Venv:
    """The interpreter of a virtual environment on this node.

    spec names the asker: its role's variable lists the targets.
    """

    path: str
    spec: str = "ptxas"

    isolated = False

    @property
    def place(self) -> str:
        """What its state is a state of, whoever asks."""
        return self.path

    def state(self) -> str:
        """What changes with any file of it; empty where that cannot be told, or raises OSError."""
        return venv_state(self.path)

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | Problem:
        """The answer to the request of the last of the modules in probe, within timeout seconds."""
        python = os.path.join(self.path, "bin", "python")
        # Made here so that nothing remains even if the interpreter has to be killed.
        with tempfile.TemporaryDirectory(prefix="dgxspark-venv-") as private:
            env = {"HOME": private, "TMPDIR": private}
            sources = interpreter.sources_of(probe)
            answer, result = interpreter.ask([python], sources, request, timeout, env)
        if answer:
            return answer
        if not os.path.isdir(self.path):
            return Problem(
                "%s is not a directory" % self.path,
                "Create the virtual environment there, or correct venv (role: dgxspark_%s_targets)."
                % self.spec,
            )
        return Problem(
            "%s gives no answer: %s" % (python, result.describe()),
            "Repair or rebuild the virtual environment, until `%s -V` answers." % python,
        )


@dataclass(frozen=True)
class Image:
    """The interpreter in a container image, by the Docker engine of this node.

    spec names the asker: its role's variable lists the targets, and its containers are labelled so.
    gpus is what the engine's option of that name is given; empty for none.
    """

    name: str
    docker: str
    python: str
    spec: str = "ptxas"
    gpus: str = ""

    isolated = True

    @property
    def place(self) -> str:
        """As of a virtual environment, and how it is started."""
        return " ".join((self.name, self.docker, self.python, self.gpus))

    def state(self) -> str:
        """The id of the image, which is made of its content, and how it is started."""
        inspected = self._inspect()
        ours = (inspected.stdout.strip(), self.python, self.gpus)
        return " ".join(ours) if inspected.ok else ""

    def _inspect(self) -> command.Result:
        argv = [self.docker, "image", "inspect", "--format", "{{.Id}}", self.name]
        return command.run(argv, _CONTAINER_SECONDS)

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | Problem:
        """The answer as Venv.put gives it, within timeout seconds and the start-up.

        The request's mounted are the files of the node that the container gets to see.
        """
        inspected = self._inspect()
        if not inspected.ok:
            return self._why_absent(inspected)
        mounts = {path: os.path.realpath(path) for path in request["mounted"]}
        for path, source in mounts.items():
            if any(char in _UNMOUNTABLE for char in path + source):
                return _why_unmountable(path, source)
        container = "dgxspark-probe-" + uuid.uuid4().hex[:12]
        # Nothing is pulled, nothing can be written, and the container goes when it ends.
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
            # Where only the client has ended, the container runs on; mostly there is none.
            command.run([self.docker, "rm", "--force", container], _CONTAINER_SECONDS)
        if answer:
            return {**answer, "image": inspected.stdout.strip()}
        trial = "docker run --rm --entrypoint %s %s -V" % (self.python, self.name)
        # The engine's own complaints begin so, and end with an advertisement of its help.
        complaints = [line for line in result.stderr.splitlines() if line.startswith("docker: ")]
        why = complaints[0] if complaints else result.describe()
        return Problem(
            "%s in %s gives no answer: %s" % (self.python, self.name, why),
            "See that `%s` answers, or name another interpreter by image_python (role: in"
            " dgxspark_%s_targets)." % (trial, self.spec),
            # The engine's own status for a program that is not in the image.
            no_python=(result.outcome, result.code) == (command.EXITED, 127),
        )

    def _why_absent(self, inspected: command.Result) -> Problem:
        if "no such image" in inspected.stderr.lower():
            return Problem(
                "%s is not on this node" % self.name,
                "Bring the image here first (docker pull, docker load): a check pulls nothing.",
            )
        return Problem(
            "%s: %s" % (self.docker, inspected.describe()),
            "See that the Docker engine is installed and runs, and that this user may use it;"
            " docker_bin, or DOCKER_BIN in paths.env, names another client.",
        )


def _why_unmountable(path: str, source: str) -> Problem:
    shown = path if path == source else "%s -> %s" % (path, source)
    return Problem(
        "no container can be given %r: a comma, a quote or a line end is in the path" % shown,
        "Name a ptxas whose path has none of these: in paths.env where this one is pinned there, or"
        " by cuda_home (role: dgxspark_ptxas_cuda_home).",
    )


class Target(Protocol):
    """A Venv, an Image, or who stands before one."""

    @property
    def isolated(self) -> bool: ...

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | Problem: ...


def find_docker(named: str = "") -> str:
    """The Docker client: the one that was named, or else the one in a standard directory."""
    standard = command.BASE_ENVIRONMENT["PATH"]
    return named or shutil.which("docker", path=standard) or "/usr/bin/docker"


def ask(
    target: Target,
    arch: str,
    env: Mapping[str, str],
    changes: Sequence[Change],
    timeout: float,
    until: bool = False,
    lent: Sequence[str] = (),
) -> Report | Problem:
    """What Triton does in the target, in each of the environments that changes make of env.

    With until, trials end with the first that works. lent are files of this node that an image
    gets to see at the same place. timeout is in seconds, for each trial.
    """
    answer = tell(target, arch, env, changes, timeout, until, lent)
    return answer if isinstance(answer, Problem) else read(answer, changes)


def tell(
    target: Target,
    arch: str,
    env: Mapping[str, str],
    changes: Sequence[Change],
    timeout: float,
    until: bool = False,
    lent: Sequence[str] = (),
    packages: Sequence[str] = (),
) -> dict[str, Any] | Problem:
    """The probe's own words for `read`, with the versions of these packages; see ask."""
    request = {
        "arch": arch,
        "env": dict(env),
        "trials": [
            {"changes": dict(change.changes), "expect": change.expect} for change in changes
        ],
        "until": until,
        "timeout": timeout,
        "isolated": target.isolated,
        "mounted": [path for path in lent if os.path.isfile(path)] if target.isolated else [],
        "packages": list(packages),
    }
    try:
        return target.put(TRITON_PROBE, request, timeout * (len(changes) + 1))
    except OSError as error:
        return Problem("no room to work in: %s" % error, "See that /tmp can be written.")


def read(answer: Mapping[str, Any], changes: Sequence[Change]) -> Report | Problem:
    """What the probe's words say of Triton."""
    if not answer["root"]:
        return Problem(
            "its Python %s has no Triton" % answer["python"],
            "Install Triton (vLLM and PyTorch bring it), or name another venv or image (role:"
            " dgxspark_ptxas_targets).",
        )
    trials = tuple(
        _trial(change.changes, trial) for change, trial in zip(changes, answer["trials"])
    )
    versions = [trial["version"] for trial in answer["trials"] if trial.get("version")]
    if not any(trial.get("imported") for trial in answer["trials"]):
        why = trials[0].error if trials else "nothing was tried"
        return Problem(
            "Triton %s in %s cannot be used: %s"
            % (versions[0] if versions else "", answer["root"], why),
            "Repair or reinstall Triton there; a CUDA build with its NVIDIA backend is needed.",
        )
    return Report(
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
