# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protection against running out of memory, on a node that is a folder."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.oom_protection import (
    Places,
    Wanted,
    observe,
    plan,
)

# As much of systemd as is asked: units are files of properties, earlyoom runs as its drop-in says.
SYSTEMCTL = """#!{python} -IS
import re, shlex, sys
from pathlib import Path
root = Path("{root}")
verb, *words = sys.argv[1:]
with (root / "calls").open("a") as calls:
    print(verb, *words, file=calls)
def change(name, **fields):
    path = root / "units" / name
    said = dict(line.split("=", 1) for line in path.read_text().splitlines())
    said.update(fields)
    path.write_text("".join("%s=%s\\n" % pair for pair in said.items()))
if verb == "show":
    for name in words[2:]:
        path = root / "units" / name
        print(path.read_text() if path.exists() else "LoadState=not-found\\nMainPID=0\\n")
elif verb == "list-units":
    for path in sorted((root / "units").glob(words[-1])):
        print(path.name, "loaded active running Some words")
elif verb == "daemon-reload":
    for path in (root / "units").iterdir():
        change(path.name, NeedDaemonReload="no")
elif verb == "enable":
    change(words[0], UnitFileState="enabled")
elif verb == "restart":
    change(words[0], ActiveState="active", MainPID="77")
    (root / "proc/77").mkdir(exist_ok=True)
    (root / "proc/77/oom_score_adj").write_text("-900\\n")
    drop_in = root / "system" / (words[0] + ".d") / "90-dgxspark.conf"
    lines = drop_in.read_text().splitlines() if drop_in.exists() else ["ExecStart=/bin/other"]
    line = [one for one in lines if one.startswith("ExecStart=/")][0]
    argv = [w.replace("$$", "$").replace("%%", "%") for w in shlex.split(line[10:])]
    (root / "proc/77/cmdline").write_text("".join(word + "\\0" for word in argv))
elif verb == "set-property":
    (root / "cgroups" / words[1] / "memory.min").write_text(words[2].partition("=")[2])
"""
APT_GET = """#!/bin/sh
case "$*" in
    --simulate*)
       [ -e {root}/lists ] || {{ echo "E: Unable to locate package $6" >&2; exit 100; }}
       exit ;;
esac
echo apt-get "$@" >> {root}/calls
case "$*" in
    *" update "*) touch {root}/lists ;;
    *--no-download*)
       printf '#!/bin/sh\\n' > {root}/earlyoom; chmod 0755 {root}/earlyoom
       cd {root}/units
       printf 'LoadState=loaded\\nActiveState=inactive\\nMainPID=0\\n' > earlyoom.service
esac
"""
CHOOM = """#!/bin/sh
echo "$2" > {root}/proc/$4/oom_score_adj
"""
PROTECTED = [
    {"unit": "ssh.service", "score": -900, "memory_mib": 512},
    {"unit": "docker.service", "score": -500, "memory_mib": 256},
    {"unit": "containerd.service", "score": -999, "memory_mib": None},
]
FILES = (
    "oom_earlyoom_config",
    "oom_slice",
    "oom_unit_ssh",
    "oom_unit_docker",
    "oom_page_cache_unit",
    "oom_page_cache",
)
MAIN = "oom_daemon_installed", "oom_daemon", "oom_memory_min"


class Node:
    """A node below one folder, as it comes: sshd has protected itself, nothing else is so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/1/status", "CapBnd:\t000001ffffffffff\n")
        self.write("proc/meminfo", "MemAvailable: 1000 kB\n")
        self.write("proc/pressure/memory", "some avg10=0.00\n")
        self.write("cgroups/cgroup.controllers", "memory\n")
        self.write("system/.keep", "")
        self.unit("system.slice", 0)
        self.unit("ssh.service", 10, score=-1000)
        self.unit("docker.service", 20, score=-500)
        self.places = Places(
            proc=str(root / "proc"),
            cgroups=str(root / "cgroups"),
            unit_folder=str(root / "system"),
            oomd_file=str(root / "oomd.conf.d" / "90-dgxspark.conf"),
            systemctl=self.program("systemctl", SYSTEMCTL.format(python=sys.executable, root=root)),
            choom=self.program("choom", CHOOM.format(root=root)),
            apt_get=self.program("apt-get", APT_GET.format(root=root)),
            oomd="",
            unit_roots=(str(root / "system"), str(root / "lib" / "system")),
            systemd=(str(root),),
            earlyoom_packaged=str(root / "earlyoom"),
        )

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, name: str, text: str) -> str:
        path = self.write(name, text)
        path.chmod(0o755)
        return str(path)

    def unit(self, name: str, pid: int, score: int = 0, **fields: str) -> None:
        said = {"LoadState": "loaded", "ActiveState": "active", "MainPID": str(pid)}
        said = {**said, "ControlGroup": "/" + name, "NeedDaemonReload": "no", **fields}
        self.write("units/" + name, "".join("%s=%s\n" % pair for pair in said.items()))
        self.write("cgroups/%s/memory.min" % name, "0\n")
        if pid:
            self.write("proc/%d/oom_score_adj" % pid, "%d\n" % score)
            self.write("proc/%d/cmdline" % pid, "a\0")

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not line.startswith(("show", "list-units"))]

    def run(self, act: bool, **parameters: Any) -> tuple[dict[str, Any], str]:
        wanted = Wanted(**{**DEFAULTS, **parameters})
        earlyoom = self.root / "earlyoom"
        text = str(earlyoom) if earlyoom.exists() else ""
        at = Places(**{**vars(self.places), "earlyoom": text})

        def look() -> Any:
            there = Places(**{**vars(at), "earlyoom": str(earlyoom) if earlyoom.exists() else ""})
            return observe(wanted, there)

        return converge(look, partial(plan, wanted=wanted), act)

    def repaired(self, *checks: str, **parameters: Any) -> dict[str, Any]:
        """Check and run announce and do the same; the next run is silent."""
        checked, _complaint = self.run(False, **parameters)
        assert having(checked, "drift") == set(checks)
        done, complaint = self.run(True, **parameters)
        assert having(done, "fixed") == set(checks), complaint
        assert (done["changed"], done["diff"]) == (checked["changed"], checked["diff"])
        again, complaint = self.run(True, **parameters)
        assert (again["changed"], complaint) == (False, "")
        return done


DEFAULTS: dict[str, Any] = {
    "daemon": "earlyoom",
    "term_mib": 4096,
    "kill_mib": 2048,
    "prefer": "^(VLLM::.*|python[0-9.]*)$",
    "avoid": "^sshd$",
    "pressure_percent": 60,
    "pressure_seconds": 20,
    "protected": PROTECTED,
    "release_page_cache": True,
}


def having(result: dict[str, Any], status: str) -> set[str]:
    return {entry["check"] for entry in result["findings"] if entry["status"] == status}


def finding(result: dict[str, Any], check: str) -> dict[str, Any]:
    return next(entry for entry in result["findings"] if entry["check"] == check)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture
def converged(node: Node) -> Node:
    assert node.run(True)[1] == ""
    return node


def test_a_fresh_node_gets_a_watcher_that_runs_as_wanted(node: Node) -> None:
    node.program("earlyoom", "#!/bin/sh\n")
    node.unit("earlyoom.service", 77, UnitFileState="enabled")
    node.write("proc/77/cmdline", "/usr/bin/earlyoom\0-r\0003600\0")
    result = node.repaired(*FILES, "oom_daemon", "oom_memory_min")
    argv = (node.root / "proc/77/cmdline").read_text().split("\0")[:-1]
    assert argv[1:] == [
        *("-M", "4194304,2097152", "-s", "100,100", "-r", "3600"),
        *("--prefer", "^(VLLM::.*|python[0-9.]*)$", "--avoid", "^sshd$"),
    ]
    assert finding(result, "oom_unit_containerd")["status"] == "skipped"
    assert result["scores"]["ssh.service"] == -1000


def test_a_package_that_is_missing_is_installed_after_its_settings_are_there(node: Node) -> None:
    checked, _complaint = node.run(False)
    assert having(checked, "drift") == {*FILES, *MAIN}
    assert node.calls == []
    done, _complaint = node.run(True)
    assert {*MAIN} <= having(done, "fixed")
    # apt knew no such name; so lists were fetched first, then all that is needed, then dpkg began.
    verbs = [call.split()[3] for call in node.calls if call.startswith("apt-get")]
    assert verbs == ["update", "install", "install"]
    assert node.calls.index("daemon-reload") < node.calls.index("restart earlyoom.service")


def test_a_package_that_cannot_be_had_is_told_of_and_the_rest_is_done(node: Node) -> None:
    node.program("apt-get", "#!/bin/sh\necho E: Unable to locate package earlyoom >&2\nexit 100\n")
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"oom_daemon_installed", "oom_daemon"}
    assert "Unable to locate package" in complaint
    checked, _complaint = node.run(False)
    assert "oom_daemon_installed" in having(checked, "drift")


def test_a_package_that_apt_would_not_install_alone_is_blocked_at_once(node: Node) -> None:
    simulated = "echo 'Inst earlyoom (1.7)'; echo 'Inst libc6 [2.36] (2.37)'"
    node.program("apt-get", f"#!/bin/sh\n{simulated}\n")
    result, _complaint = node.run(False)
    assert having(result, "blocked") == {"oom_daemon_installed", "oom_daemon"}
    assert "apt would also upgrade libc6" in finding(result, "oom_daemon_installed")["hint"]


def test_what_does_not_need_a_package_is_done_where_there_is_none(node: Node) -> None:
    node.program("apt-get", "#!/bin/sh\necho E: Unable to locate package earlyoom >&2\nexit 100\n")
    result, _complaint = node.run(True)
    assert {"oom_unit_ssh", "oom_slice", "oom_memory_min"} <= having(result, "fixed")


def test_sshd_is_promised_memory_and_its_sessions_stay_killable(converged: Node) -> None:
    text = (converged.root / "system/ssh.service.d/90-dgxspark.conf").read_text()
    assert "MemoryMin=512M" in text
    assert "OOMScoreAdjust" not in text
    docker = (converged.root / "system/docker.service.d/90-dgxspark.conf").read_text()
    assert "OOMScoreAdjust=-500" in docker
    total = (converged.root / "cgroups/system.slice/memory.min").read_text()
    assert int(total) == (512 + 256) << 20


def test_a_process_that_is_less_safe_than_wanted_is_made_safer_without_a_restart(
    converged: Node,
) -> None:
    converged.write("proc/20/oom_score_adj", "0\n")
    (converged.root / "calls").unlink()
    converged.repaired("oom_scores")
    assert (converged.root / "proc/20/oom_score_adj").read_text() == "-500\n"
    assert converged.calls == []


def test_a_container_that_may_not_lower_scores_says_so(converged: Node) -> None:
    converged.write("proc/1/status", "CapBnd:\t00000004e8ec75ff\n")
    converged.write("proc/20/oom_score_adj", "0\n")
    result, _complaint = converged.run(True)
    assert finding(result, "oom_scores")["status"] == "skipped"
    assert "CAP_SYS_RESOURCE" in finding(result, "oom_scores")["actual"]


def test_without_cgroup_v2_a_promise_is_not_said_to_hold(converged: Node) -> None:
    for path in (converged.root / "cgroups").glob("*/memory.min"):
        path.unlink()
    result, _complaint = converged.run(True)
    assert finding(result, "oom_memory_min")["status"] == "skipped"
    assert not result["changed"]


@pytest.mark.parametrize(
    ("script", "checks"),
    [
        ("echo x >> system/ssh.service.d/90-dgxspark.conf", {"oom_unit_ssh"}),
        ("rm system/earlyoom.service.d/90-dgxspark.conf", {"oom_earlyoom_config"}),
        ("printf 'x\\0' > proc/77/cmdline", {"oom_daemon"}),
        ("sed -i s/ActiveState=.*/ActiveState=failed/ units/earlyoom.service", {"oom_daemon"}),
        (
            "sed -i s/UnitFileState=.*/UnitFileState=disabled/ units/earlyoom.service",
            {"oom_daemon"},
        ),
        ("echo NeedDaemonReload=yes >> units/docker.service", {"oom_units_loaded"}),
        ("echo 0 > cgroups/ssh.service/memory.min", {"oom_memory_min"}),
        ("truncate -s 0 system/dgxspark-release-page-cache.service", {"oom_page_cache_unit"}),
    ],
)
def test_a_breakage_is_found_by_name_and_repaired(
    converged: Node, script: str, checks: set[str]
) -> None:
    subprocess.run(["sh", "-ec", script], cwd=converged.root, check=True)
    converged.repaired(*checks)


def test_other_thresholds_take_effect_at_once(converged: Node) -> None:
    converged.repaired("oom_earlyoom_config", "oom_daemon", term_mib=8192)
    assert "8388608,2097152" in (converged.root / "proc/77/cmdline").read_text()


def test_what_is_served_has_to_be_the_first_to_go(converged: Node) -> None:
    converged.unit("dgxspark-vllm@a.service", 30, score=500)
    result, _complaint = converged.run(False)
    assert finding(result, "oom_workloads")["status"] == "ok"
    converged.unit("dgxspark-vllm@b.service", 31, score=0)
    result, complaint = converged.run(True)
    assert finding(result, "oom_workloads")["status"] == "blocked"
    assert "dgxspark-vllm@b.service 0" in complaint


def test_a_file_of_somebody_else_is_left_alone(node: Node) -> None:
    file = node.write("system/ssh.service.d/90-dgxspark.conf", "[Service]\nNice=1\n")
    result, complaint = node.run(True)
    assert "oom_unit_ssh" in having(result, "blocked")
    assert "does not belong" in complaint
    assert file.read_text() == "[Service]\nNice=1\n"


def test_systemd_oomd_needs_a_kernel_that_tells_pressure(node: Node) -> None:
    (node.root / "cgroups/cgroup.controllers").unlink()
    result, complaint = node.run(True, daemon="systemd-oomd")
    assert {"oom_daemon_installed", "oom_daemon"} <= having(result, "blocked")
    assert "needs cgroup v2" in complaint
    assert [call for call in node.calls if call.startswith("apt-get")] == []


def test_systemd_oomd_is_configured_in_its_own_words(converged: Node) -> None:
    converged.unit("systemd-oomd.service", 40, UnitFileState="enabled")
    at = {**vars(converged.places), "oomd": "/usr/lib/systemd/systemd-oomd"}
    converged.places = Places(**at)
    parameters = {"daemon": "systemd-oomd", "pressure_percent": 50, "pressure_seconds": 10}
    converged.repaired(
        "oom_earlyoom_config", "oom_oomd_config", "oom_slice", "oom_daemon", **parameters
    )
    oomd = (converged.root / "oomd.conf.d/90-dgxspark.conf").read_text()
    assert "DefaultMemoryPressureLimit=50%" in oomd
    assert "DefaultMemoryPressureDurationSec=10s" in oomd
    text = (converged.root / "system/system.slice.d/90-dgxspark.conf").read_text()
    assert "ManagedOOMMemoryPressure=kill" in text
    assert not (converged.root / "system/earlyoom.service.d/90-dgxspark.conf").exists()


def test_no_watcher_is_no_silent_ok(converged: Node) -> None:
    result, _complaint = converged.run(True, daemon="none", release_page_cache=False)
    assert {"oom_daemon", "oom_daemon_installed"} <= having(result, "skipped")
    assert not (converged.root / "system/dgxspark-release-page-cache.service").exists()


def test_a_node_without_systemd_is_no_crash(node: Node) -> None:
    node.program("systemctl", "#!/bin/sh\necho System has not been booted >&2\nexit 1\n")
    result, _complaint = node.run(False)
    assert finding(result, "oom_daemon")["status"] == "skipped"
    assert "System has not been booted" in finding(result, "oom_daemon")["actual"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"term_mib": 1, "kill_mib": 2}, "kill_mib: expected"),
        ({"kill_mib": 0}, "kill_mib: expected"),
        ({"prefer": "("}, "prefer: "),
        ({"avoid": "a\nExecStart=/bin/b"}, "avoid: expected one line"),
        ({"pressure_percent": 0}, "pressure_percent: "),
        ({"pressure_seconds": 0}, "pressure_seconds: "),
        ({"protected": [{"unit": "../x.service"}]}, "protected: expected as ssh.service"),
        ({"protected": [{"unit": "a.service", "score": -1001}]}, "a.service: score"),
        ({"protected": [{"unit": "a.service", "memory_mib": 0}]}, "a.service: memory_mib"),
        ({"protected": [{"unit": "a.service"}, {"unit": "a.service"}]}, "twice"),
    ],
)
def test_what_cannot_be_meant_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wanted(**{**DEFAULTS, **parameters})


@pytest.mark.parametrize(
    ("path", "text", "rival"),
    [
        ("system/docker.service.d/99-x.conf", "[Service]\nOOMScoreAdjust=0\n", True),
        ("lib/system/docker.service.d/99-x.conf", "[Service]\nOOMScoreAdjust=\n", True),
        ("system/service.d/99-x.conf", "[Service]\nMemoryMin=0\n", True),
        ("system/docker.service.d/99-x.conf", "[Service]\nOOMScoreAdjust=-900\n", False),
        ("system/docker.service.d/99-x.conf", "[Service]\nMemoryMin=1G\n", False),
        ("system/docker.service.d/99-x.conf", "[Service]\nMemoryMin=128M\n", True),
        ("system/docker.service.d/10-x.conf", "[Service]\nOOMScoreAdjust=0\n", False),
        ("system/docker.service.d/99-x.conf", "[Service]\nRestart=always\n", False),
        ("system/earlyoom.service.d/99-x.conf", "[Service]\nExecStart=\nExecStart=/a\n", True),
        ("system/dgxspark-vllm@.service.d/99-x.conf", "[Unit]\nAfter=x.service\n", False),
        ("system/system.slice.d/99-x.conf", "[Slice]\nMemoryMin=1M\n", True),
    ],
)
def test_a_drop_in_that_is_read_after_ours_decides_about_the_next_start(
    node: Node, path: str, text: str, rival: bool
) -> None:
    node.run(True)
    assert not having(node.run(False)[0], "drift")
    node.write(path, text)
    result, _complaint = node.run(False)
    finding = next(entry for entry in result["findings"] if entry["check"] == "oom_at_boot")
    assert finding["status"] == ("blocked" if rival else "ok")
    if rival:
        assert str(node.root / path) in finding["actual"]
        assert "90-dgxspark.conf" in finding["actual"]


def test_a_drop_in_of_another_name_of_the_unit_counts(node: Node) -> None:
    node.run(True)
    path = node.write("system/sshd.service.d/99-x.conf", "[Service]\nMemoryMin=0\n")
    node.unit("ssh.service", 10, score=-1000, DropInPaths=str(path))
    result, _complaint = node.run(False)
    finding = next(entry for entry in result["findings"] if entry["check"] == "oom_at_boot")
    assert "sshd.service.d/99-x.conf" in finding["actual"]


def test_a_masked_daemon_is_for_a_person_to_unmask(node: Node) -> None:
    node.run(True)
    node.unit("earlyoom.service", 0, LoadState="masked", ActiveState="inactive")
    result, complaint = node.run(True)
    assert "oom_daemon" in having(result, "blocked")
    assert "systemctl unmask earlyoom.service" in complaint
