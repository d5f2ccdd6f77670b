# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in a directory: toolkits, a virtual environment and an engine, as far as the module looks.

The ptxas are scripts, the Triton is a package of one file; both behave as the real ones were seen
to. Interpreters and processes are real.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import Wanted

PTXAS = r"""#!/bin/sh
case "$1" in
    --version) echo 'Cuda compilation tools, release {release}, V{version}' ;;
    --gpu-name={known}|--gpu-name={known}a)
        printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\276\0' > "$4" ;;
    *)
        echo "ptxas fatal   : Value '${{1#*=}}' is not defined for option 'gpu-name'" >&2
        exit 255 ;;
esac
"""

TRITON = """
import os, re, subprocess, sys, types
__version__ = "@VERSION@"
SERIES = tuple(int(part) for part in __version__.split(".")[:2])
OWN = os.path.join(os.path.dirname(__file__), "backends", "nvidia", "bin")

def tool_at(path):
    try:
        said = subprocess.check_output([path, "--version"], stderr=subprocess.STDOUT)
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
    match = re.search(r"release (\\d+\\.\\d+)", said.decode("utf-8"))
    return types.SimpleNamespace(path=path, version=match[1]) if match else None

def tool(binary, key):
    for path in (os.environ.get(key), os.path.join(OWN, binary)):
        found = tool_at(path) if path is not None else None
        if found:
            return found
    raise RuntimeError("Cannot find " + binary)

def before_36():
    return tool("ptxas", "TRITON_PTXAS_PATH")

def from_36(arch):
    return tool("ptxas-blackwell", "TRITON_PTXAS_BLACKWELL_PATH")

def before_34(arch):
    found = tool("ptxas-blackwell", "TRITON_PTXAS-BLACKWELL_PATH")
    return found.path, found.version

get_ptxas = before_34 if SERIES < (3, 4) else before_36 if SERIES < (3, 6) else from_36

def jit(function):
    return function

def compile(source, target):
    print("Triton says a lot on stdout. <<<dgxspark {}")
    path = (get_ptxas() if get_ptxas is before_36 else get_ptxas(target[1]))
    path = path[0] if isinstance(path, tuple) else path.path
    if SERIES == (3, 4) and not tool_at(path).version.startswith("12."):
        raise RuntimeError("Triton only support CUDA 10.0 or higher, but got CUDA version: 13.0")
    cubin = os.path.join(os.environ["TRITON_CACHE_DIR"], "k.cubin")
    run = subprocess.run([path, "--gpu-name=sm_%da" % target[1], "k.ptx", "-o", cubin], stderr=-1)
    if run.returncode:
        raise RuntimeError("PTXAS error\\n" + run.stderr.decode() + "Repro command: ...")
    with open(cubin, "rb") as stream:
        return types.SimpleNamespace(asm={"cubin": stream.read()})

def module(name, **names):
    sys.modules["triton." + name] = types.SimpleNamespace(**names)

module("language")
module("compiler", ASTSource=lambda fn, signature: fn)
module("backends")
module("backends.compiler", GPUTarget=lambda *target: target)
module("backends.nvidia")
module("backends.nvidia.compiler", get_ptxas=get_ptxas)
"""

# As `docker` answers for the one image it has, whose python is this machine's.
DOCKER = """#!/bin/sh
echo "$*" >> {calls}
case "$1" in
    image)
        [ "$5" = serving:1 ] || {{ echo "Error response: No such image: $5" >&2; exit 1; }}
        echo sha256:5e71 ;;
    run)
        while [ "$1" != --entrypoint ]; do shift; done
        shift 3
        exec {python} "$@" ;;
esac
"""


def program(path: Path, text: str) -> str:
    """Write an executable file; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@dataclass(frozen=True)
class Node:
    """A node below one directory."""

    root: Path

    @property
    def paths_env(self) -> Path:
        return self.root / "etc" / "paths.env"

    @property
    def docker_calls(self) -> list[str]:
        path = self.root / "docker.calls"
        return path.read_text().splitlines() if path.exists() else []

    def write(self, text: str) -> None:
        self.paths_env.parent.mkdir(exist_ok=True)
        self.paths_env.write_text(text)
        self.paths_env.chmod(0o644)

    def ptxas(self, path: str, version: str) -> str:
        """A ptxas at a path below the node's root; from 12.9 on it knows sm_121."""
        major, minor = (int(part) for part in version.split(".")[:2])
        known = "sm_121" if (major, minor) >= (12, 9) else "sm_120"
        text = PTXAS.format(release="%d.%d" % (major, minor), version=version, known=known)
        return program(self.root / path, text)

    def toolkit(self, version: str) -> str:
        """A CUDA toolkit; the path of its ptxas."""
        return self.ptxas("cuda-%s/bin/ptxas" % version, version)

    def venv(self, triton: str, own: str, blackwell: str = "") -> None:
        """The virtual environment, with a Triton that brings these versions of ptxas."""
        site = self.root / "venv" / "site"
        (site / "triton").mkdir(parents=True)
        (site / "triton" / "__init__.py").write_text(TRITON.replace("@VERSION@", triton))
        self.ptxas("venv/site/triton/backends/nvidia/bin/ptxas", own)
        if blackwell:
            self.ptxas("venv/site/triton/backends/nvidia/bin/ptxas-blackwell", blackwell)
        python = 'PYTHONPATH=%s exec %s "$@"' % (shlex.quote(str(site)), sys.executable)
        program(self.root / "venv" / "bin" / "python", "#!/bin/sh\n%s\n" % python)

    def engine(self) -> str:
        """A Docker client whose image runs the virtual environment's python."""
        calls, python = self.root / "docker.calls", self.root / "venv" / "bin" / "python"
        return program(self.root / "docker", DOCKER.format(calls=calls, python=python))

    def wanted(self, **parameters: Any) -> Wanted:
        defaults: dict[str, Any] = {
            "venv": None if "image" in parameters else str(self.root / "venv"),
            "image": None,
            "arch": "sm_121",
            "cuda_home": str(self.root / "cuda-none"),
            "paths_file": str(self.paths_env),
            "timeout": 20,
            "docker_bin": None,
            "image_python": "python3",
            "manage_ptxas_bin": True,
        }
        return Wanted(**{**defaults, **parameters})


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)
