# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose program something is, and that root starts nobody else's as root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import (
    ptxas,
    vllm_runtime,
    vllm_venv,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    Image,
    TargetProblem,
    VenvTarget,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner import (
    FOLDERS,
    NONE,
    code_owner,
    python_parts,
    venv_parts,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, Finding
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models.download import DownloadError
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import (
    examine_as_owner,
    toolkits,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.distributions import (
    ask_interpreter,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import NOT_RUN
from ansible_collections.dgxspark.suite.plugins.modules.model_download import refuse_python

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act for another user")

PYTHON = "/usr/bin/python3"
NOBODY, OTHER = 65534, 1


def program(path: Path, uid: int, text: str = "#!/bin/sh\nid -u >&2\nexit 1\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    os.chown(path, uid, 0)
    return str(path)


def owned(*paths: str | Path) -> int:
    return code_owner([str(path) for path in paths]).uid


def test_a_program_is_that_of_whoever_may_write_it_or_a_folder_above(place: Path) -> None:
    tool = program(place / "home" / "bin" / "tool", 0)
    assert (owned(tool), owned(place / "absent")) == (0, 0)
    os.chown(tool, NOBODY, 0)
    assert owned(tool) == NOBODY
    os.chown(tool, 0, 0)
    os.chown(place / "home", NOBODY, 0)
    assert owned(tool) == NOBODY
    assert code_owner([tool]).gid != 0  # that of the folder is root's


def test_a_program_behind_a_link_is_judged_with_all_folders_on_the_way(place: Path) -> None:
    program(place / "theirs" / "tool", 0)
    os.chown(place / "theirs", NOBODY, 0)
    (place / "mine").mkdir()
    (place / "mine" / "tool").symlink_to("../theirs/tool")
    (place / "mine" / "loop").symlink_to("loop")
    assert owned(place / "mine" / "tool") == NOBODY
    assert owned(place / "mine" / "loop") == 0


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_what_everybody_may_write_is_run_by_nobody(place: Path, mode: int) -> None:
    tool = program(place / "bin" / "tool", 0)
    (place / "bin").chmod(mode)
    with pytest.raises(Blocked, match="bin") as refusal:
        code_owner([tool])
    assert refusal.value.hint
    (place / "bin").chmod(0o1777)  # as /tmp: the entry stays that of its owner
    assert owned(tool) == 0


def test_a_group_counts_by_its_members(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = program(place / "bin" / "tool", NOBODY)
    (place / "bin").chmod(0o775)
    module = "ansible_collections.dgxspark.suite.plugins.module_utils.host.code_owner"
    members: set[int] = set()
    monkeypatch.setattr(module + "._members", lambda _gid: members)
    assert owned(tool) == NOBODY
    members.add(NOBODY)  # a group of its own, as most users have
    assert owned(tool) == NOBODY
    members.add(OTHER)
    with pytest.raises(Blocked):
        code_owner([tool])


def test_two_users_are_one_too_many(place: Path) -> None:
    program(place / "home" / "tool", OTHER)
    os.chown(place / "home", NOBODY, 0)
    with pytest.raises(Blocked, match="nobody"):
        code_owner([str(place / "home" / "tool")])


def environment(place: Path, uid: int) -> Path:
    """A virtual environment of that user's whose packages record as whom they are loaded."""
    venv = place / "home" / "venv"
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    site = venv / "lib" / version / "site-packages"
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(PYTHON)
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    record = place / "ran_as"
    record.touch()
    record.chmod(0o666)
    (site / "record.pth").write_text(
        "import os; open(%r, 'a').write('%%d ' %% os.geteuid())\n" % str(record)
    )
    for path in (place / "home", *(place / "home").rglob("*")):
        os.lchown(path, uid, 0)
    return venv


def ran_as(place: Path) -> set[str]:
    return set((place / "ran_as").read_text().split())


def findings(spec: Spec, **options: Any) -> dict[str, Finding]:
    values = {name: option.get("default") for name, option in spec.options.items()}
    values.pop("serve_from", None)
    wanted = spec.wanted(**{**values, **options})
    return {finding.check: finding for finding in spec.plan(spec.observe(wanted), wanted).findings}


needs_python = pytest.mark.skipif(not os.path.exists(PYTHON), reason="no %s" % PYTHON)
SPECS = [
    (ptxas.SPEC, "venv", {}, "ptxas_target"),
    (vllm_runtime.SPEC, "venv", {}, "runtime_target"),
    (vllm_venv.SPEC, "path", {"requirements": "x==1"}, "venv_python"),
]


@needs_python
@pytest.mark.parametrize(("spec", "name", "options", "check"), SPECS)
@pytest.mark.parametrize("uid", [0, NOBODY])
def test_an_environment_is_asked_as_its_owner(
    place: Path, spec: Spec, name: str, options: dict[str, str], check: str, uid: int
) -> None:
    venv = environment(place, uid)
    paths = {"paths_file": str(place / "paths.env"), name: str(venv)}
    judged = findings(spec, **options, **paths)[check]
    assert "3." in judged.actual  # it has answered
    assert ran_as(place) <= {str(uid)}


@needs_python
@pytest.mark.parametrize(("spec", "name", "options", "check"), SPECS)
def test_an_environment_of_several_users_is_not_started(
    place: Path, spec: Spec, name: str, options: dict[str, str], check: str
) -> None:
    venv = environment(place, NOBODY)
    os.chown(place / "home", OTHER, 0)
    paths = {"paths_file": str(place / "paths.env"), name: str(venv)}
    judged = findings(spec, **options, **paths)[check]
    assert (judged.status, ran_as(place)) == ("blocked", set())
    assert str(place / "home") in judged.actual


@needs_python
def test_an_environment_of_roots_that_loads_a_users_file_is_the_users(place: Path) -> None:
    venv = environment(place, 0)
    (record,) = venv.glob("lib/*/site-packages/record.pth")
    os.chown(record, NOBODY, 0)
    assert owned(*venv_parts(str(venv))) == NOBODY
    assert owned(*venv_parts(str(venv), NONE)) == 0
    os.chown(record, 0, 0)
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, NOBODY, 0)
    record.write_text("%s\n" % elsewhere)
    assert owned(*venv_parts(str(venv))) == NOBODY
    record.unlink()
    deep = record.parent / "package" / "inside" / "module.py"
    deep.parent.mkdir(parents=True)
    deep.touch()
    assert owned(*venv_parts(str(venv))) == 0
    os.chown(deep, NOBODY, 0)
    assert owned(*venv_parts(str(venv))) == NOBODY


@needs_python
def test_a_download_uses_the_python_of_root_or_of_the_caches_owner(place: Path) -> None:
    python = str(environment(place, NOBODY) / "bin" / "python")
    refuse_python(PYTHON, Owner(OTHER, OTHER, root_acts=True))
    refuse_python(python, Owner(NOBODY, NOBODY, root_acts=True))
    for other in (0, OTHER):
        with pytest.raises(DownloadError, match=str(NOBODY)):
            refuse_python(python, Owner(other, other, root_acts=True))
    for path in (place / "home", *(place / "home").rglob("*")):
        os.lchown(path, 0, 0)
    (package,) = (place / "home").glob("venv/lib/*/site-packages/record.pth")
    os.chown(package, NOBODY, 0)
    assert owned(*python_parts(python, FOLDERS)) == NOBODY


@needs_python
def test_an_environment_of_roots_on_a_python_of_a_users_is_the_users(place: Path) -> None:
    venv = environment(place, 0)
    base = place / "base" / "bin"
    program(base / "python3", 0)
    os.chown(place / "base", NOBODY, 0)
    (venv / "pyvenv.cfg").write_text("home = %s\n" % base)
    assert owned(*venv_parts(str(venv), NONE)) == NOBODY
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert owned(*venv_parts(str(venv), NONE)) == 0
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to(base / "python3")
    assert owned(*python_parts(str(venv / "bin" / "python"))) == NOBODY


@needs_python
def test_a_pin_of_another_user_makes_the_whole_probe_that_users(place: Path) -> None:
    venv = environment(place, 0)
    pin = program(place / "pin" / "ptxas", NOBODY)
    request = {"env": {"TRITON_PTXAS_PATH": pin, "TRITON_CACHE_DIR": "/root"}, "trials": []}
    VenvTarget(str(venv)).put((vllm_runtime.__name__,), request, 20)
    assert ran_as(place) == {str(NOBODY)}
    os.chown(venv, OTHER, 0)
    answer = VenvTarget(str(venv)).put((vllm_runtime.__name__,), request, 20)
    assert isinstance(answer, TargetProblem)
    assert ran_as(place) == {str(NOBODY)}


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_tools_of_a_toolkit_run_as_their_owner(place: Path, uid: int) -> None:
    kit = place / "cuda-13.0"
    for name in ("nvcc", "ptxas"):
        program(kit / "bin" / name, uid)
    (found,) = toolkits(str(place / "cuda-*"), str(place / "cuda"), 20)
    binary = examine_as_owner(str(kit / "bin" / "ptxas"), "system", "sm_121", 20)
    assert found.problem.endswith(": %d" % uid)
    assert binary.detail.endswith(": %d [it is a script: #!/bin/sh]" % uid)
    assert ask_interpreter(str(kit / "bin" / "nvcc"), 20).problem.endswith(": %d" % uid)


def test_tools_of_several_users_are_not_run(place: Path) -> None:
    text = "#!/bin/sh\ntouch %s\n" % (place / "ran")
    kit = place / "cuda-13.0"
    for name in ("nvcc", "ptxas"):
        program(kit / "bin" / name, OTHER, text)
    os.chown(kit, NOBODY, 0)
    place.chmod(0o777)
    (found,) = toolkits(str(place / "cuda-*"), str(place / "cuda"), 20)
    binary = examine_as_owner(str(kit / "bin" / "ptxas"), "system", "sm_121", 20)
    assert (binary.verdict, binary.works, found.version) == (NOT_RUN, False, "")
    assert found.problem
    assert ask_interpreter(str(kit / "bin" / "nvcc"), 20).refused
    assert not (place / "ran").exists()


def test_a_docker_client_of_another_user_is_not_started(place: Path) -> None:
    docker = program(place / "bin" / "docker", NOBODY, "#!/bin/sh\ntouch %s\n" % (place / "ran"))
    place.chmod(0o777)
    image = Image("image", docker, "python3")
    answer = image.put((), {"mounted": []}, 20)
    assert isinstance(answer, TargetProblem)
    assert (image.state(), (place / "ran").exists()) == ("", False)


def test_a_pipe_in_place_of_a_cubin_is_not_waited_for(place: Path) -> None:
    text = (
        "#!/bin/sh\n[ \"$1\" != --version ] || { echo 'release 13.0, V13.0.1'; exit; }\n"
        'mkfifo "$4"\n'
    )
    tool = program(place / "bin" / "ptxas", NOBODY, text)
    binary = examine_as_owner(tool, "system", "sm_121", 20)
    assert (binary.works, binary.version) == (False, "13.0.1")
