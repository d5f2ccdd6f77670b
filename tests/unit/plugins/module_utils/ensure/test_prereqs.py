# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node builds upon, on a node that is a folder, with tools that are scripts."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs import (
    docker,
    prereqs,
    timekeeping,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    Places,
    Wanted,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.clock import Clock
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_config import (
    start_problem,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_engine import (
    DockerEngine,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import (
    in_series,
    why_unsupported,
)

# Knows the packages in `known`, and those in `new` once it has looked for them.
APT = """#!/bin/sh
cd {root}
echo "$*" >>apt.calls
case "$*" in
    *' update '*)
        if [ -e busy ]; then
            echo 'E: Could not get lock /l/lock. It is held by process 81 (packagekitd)' >&2
            exit 100
        fi
        touch lists
        [ -e offline ] && {{ echo 'E: Failed to fetch: could not connect' >&2; exit 100; }}
        cat new >>known 2>/dev/null
        exit 0 ;;
    *--simulate*)
        cat steps 2>/dev/null
        while [ "$1" != -- ]; do shift; done; shift
        for name; do
            grep -qx -e "$name" known && echo "Inst $name (1 Debian [arm64])" && continue
            echo "E: Unable to locate package $name" >&2; bad=1
        done
        exit ${{bad:+100}} ;;
    *--download-only*)
        [ ! -e offline ] || {{ echo 'E: Failed to fetch x.deb' >&2; exit 100; }} ;;
    *--no-download*)
        sh ./dpkg.sh || exit
        while [ "$1" != -- ]; do shift; done; shift
        for name; do
            printf 'Package: %s\\nStatus: install ok installed\\nVersion: 1\\n\\n' "$name" >>status
            [ "$name" = nvidia-container-toolkit ] && ln -s ../nvidia-ctk bin/nvidia-ctk
            [ "$name" = chrony ] && echo loaded >units/chrony.service
            [ "$name" = docker-ce ] && echo loaded >units/docker.service
        done; exit 0 ;;
esac
"""
# A unit is a file of the words loaded, active, enabled.
SYSTEMCTL = """#!/bin/sh
cd {root}/units
case $1 in
    show)
        shift 3
        for unit; do
            echo "Id=$unit"
            grep -qsx loaded $unit && echo LoadState=loaded ||
                echo LoadState=$(cat $unit || echo not-found)
            grep -qsx active $unit && echo ActiveState=active || echo ActiveState=inactive
            grep -qsx enabled $unit && echo UnitFileState=enabled || echo UnitFileState=disabled
            echo
        done 2>/dev/null ;;
    enable) printf 'active\\nenabled\\n' >>$3 ;;
    kill) ! grep -qs RemoveIPC=no {root}/systemd/logind.conf.d/* || echo false >../removes ;;
esac
"""
BUSCTL = "#!/bin/sh\necho b $(cat {root}/removes)\n"
LOGINCTL = "#!/bin/sh\nshift; mkdir -p {root}/linger; cd {root}/linger && touch $@\n"
USERMOD = "#!/bin/sh\necho $4 >>{root}/docker.group\n"
CTK = """#!/bin/sh
driver=$(cat {root}/driver)
printf 'kind: nvidia.com/gpu\\nx: /usr/lib/libcuda.so.%s\\n' $driver >"${{3#*=}}"
"""
IP = """#!/bin/sh
echo '[{{"ifname": "eth0", "addr_info":'
echo '[{{"local": "192.0.2.1", "prefixlen": 24, "scope": "global"}}]}}]'
"""
TOOLS = {
    "apt-get": APT,
    "systemctl": SYSTEMCTL,
    "busctl": BUSCTL,
    "loginctl": LOGINCTL,
    "usermod": USERMOD,
    "groupadd": "#!/bin/sh\n",
    "ip": IP,
}
PACKAGES = ("curl", "git", "jq")


class Node:
    """A node below one folder, as it should be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock: Clock | None = Clock(True, 0.01)
        for name, text in TOOLS.items():
            self.program("bin/" + name, text.format(root=root))
        self.program("nvidia-ctk", CTK.format(root=root))
        self.write("dpkg.sh", "")
        self.write("known", "\n".join((*PACKAGES, "chrony", "docker-ce")) + "\n")
        self.write("status", "")
        self.installed(*PACKAGES, "docker-ce")
        self.write("os-release", 'ID=ubuntu\nVERSION_ID="24.04"\n')
        self.write("dgx-release", 'DGX_SWBUILD_VERSION="7.2.3"\nDGX_OTA_VERSION="7.5.0"\n')
        self.write("units/chrony.service", "loaded\nactive\nenabled\n")
        self.write("units/docker.service", "loaded\nactive\nenabled\n")
        self.write("units/systemd-logind.service", "loaded\nactive\n")
        self.write("removes", "false\n")
        self.write("docker.group", "alice\n")
        self.write("systemd/logind.conf.d/90-dgxspark.conf", sessions_text()).chmod(0o644)
        self.write("proc/self/status", "CapBnd:\t000001ffffffffff\n")
        self.write("proc/sys/fs/nr_open", "1073741816\n")
        self.limits = self.write(
            "security/limits.d/90-dgxspark.conf",
            limits_text("* soft nofile 1048576", "* hard nofile 1048576"),
        )
        self.limits.chmod(0o644)
        self.write("security/limits.d/99-nv-spark-limits.conf", "* - memlock unlimited\n")
        self.places = Places(
            proc=str(root / "proc"),
            dpkg_status=str(root / "status"),
            dpkg_updates=str(root / "updates"),
            dpkg_locks=(str(root / "lock"),),
            apt_lists=str(root / "lists"),
            machine_id=str(root / "machine-id"),
            os_release=str(root / "os-release"),
            dgx_release=str(root / "dgx-release"),
            fastos_release=str(root / "fastos-release"),
            limits_file=str(self.limits),
            systemd=(str(root / "systemd"),),
            logind_file=str(root / "systemd" / "logind.conf.d" / "90-dgxspark.conf"),
            linger=str(root / "linger"),
            snaps=str(root / "snaps"),
            docker_socket=str(root / "docker.sock"),
            docker_file=str(root / "daemon.json"),
            run_users=str(root / "run-user"),
            runtime_file=str(root / "config.toml"),
            driver=(str(root / "driver"),),
            cdi=(str(root / "cdi"), str(root / "run-cdi")),
            cdi_file=str(root / "cdi" / "nvidia.yaml"),
            tools=(str(root / "bin"),),
            root=True,
        )

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, name: str, text: str) -> None:
        self.write(name, text).chmod(0o755)

    def installed(self, *names: str, status: str = "install ok installed") -> None:
        with (self.root / "status").open("a") as stream:
            for name in names:
                stream.write("Package: %s\nStatus: %s\nVersion: 1\n\n" % (name, status))

    def removed(self, name: str) -> None:
        text = (self.root / "status").read_text().split("\n\n")
        kept = [entry for entry in text if not entry.startswith("Package: %s\n" % name)]
        self.write("status", "\n\n".join(kept))

    def calls(self, *words: str) -> list[str]:
        path = self.root / "apt.calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if all(word in line for word in words)]

    def run(self, act: bool, patience: float = 0, **parameters: Any) -> tuple[dict[str, Any], str]:
        wanted = Wanted(
            **{
                "packages": PACKAGES,
                "extra_packages": [],
                "lock_timeout": patience or 1,
                "dgx_os": ">=7,<8",
                "time_package": "chrony",
                "clock_timeout": 0,
                "memlock": "unlimited",
                "nofile": "1048576",
                "keep_ipc": True,
                "linger_users": [],
                "docker_packages": [],
                "docker_users": ["alice"],
                **parameters,
                "act": bool(patience),
            }
        )
        observe = partial(prereqs.observe, wanted, self.places)
        return converge(observe, partial(prereqs.plan, wanted=wanted), act)

    def repaired(self, *checks: str, **parameters: Any) -> dict[str, Any]:
        """Check and run announce and do the same; the next run is silent."""
        before = self.files()
        checked, _complaint = self.run(False, **parameters)
        assert (having(checked, "drift"), self.files()) == (set(checks), before)
        done, complaint = self.run(True, **parameters)
        assert having(done, "fixed") == set(checks), complaint
        assert (complaint, done["changed"], done["diff"]) == ("", True, checked["diff"])
        again, complaint = self.run(True, **parameters)
        assert (again["changed"], complaint) == (False, "")
        return done

    def files(self) -> dict[str, bytes]:
        """Everything on the node but the notes of the scripts."""
        files = {path for path in self.root.rglob("*") if path.is_file()}
        return {str(path): path.read_bytes() for path in files - {self.root / "apt.calls"}}


def limits_text(*lines: str) -> str:
    first = "# Managed by dgxspark.suite: changes made here are overwritten.\n"
    return first + "".join(line + "\n" for line in lines)


def sessions_text() -> str:
    from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs import sessions

    return sessions.FILE_TEXT


def having(result: dict[str, Any], status: str) -> set[str]:
    return {entry["check"] for entry in result["findings"] if entry["status"] == status}


def finding(result: dict[str, Any], check: str) -> dict[str, Any]:
    return next(entry for entry in result["findings"] if entry["check"] == check)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node(tmp_path)

    def user(name: str) -> Any:
        if name not in ("alice", "bob"):
            raise KeyError(name)
        return SimpleNamespace(pw_name=name, pw_gid=1000)

    def group(name: str) -> Any:
        assert name == "docker"
        return SimpleNamespace(gr_gid=999, gr_mem=(tmp_path / "docker.group").read_text().split())

    def engine(_path: str, _timeout: float) -> DockerEngine:
        problem, unit = tmp_path / "problem", tmp_path / "units" / "docker.service"
        if problem.exists():
            return DockerEngine(problem=problem.read_text())
        version = tmp_path / "engine"
        if version.exists():
            name, _space, number = version.read_text().rpartition(" ")
            return DockerEngine(number, podman=bool(name))
        runs = unit.exists() and "active" in unit.read_text()
        return DockerEngine("29.2.1") if runs else DockerEngine(problem="it is not there")

    monkeypatch.setattr(pwd, "getpwnam", user)
    monkeypatch.setattr(grp, "getgrnam", group)
    monkeypatch.setattr(docker, "ask_engine", engine)
    monkeypatch.setattr(prereqs, "kernel_clock", lambda: made.clock)
    monkeypatch.setattr(timekeeping, "kernel_clock", lambda: made.clock)
    return made


def test_a_node_as_it_should_be(node: Node) -> None:
    result, complaint = node.run(True)
    assert (result["changed"], complaint) == (False, "")
    assert having(result, "skipped") == {"container_toolkit", "cdi_spec"}
    assert having(result, "drift") | having(result, "blocked") == set()
    assert result["parity"] == {"os": "ubuntu 24.04", "dgx_os": "7.5.0", "docker": "29.2.1"}
    assert result["addresses"] == [{"interface": "eth0", "address": "192.0.2.1", "prefix": 24}]
    assert node.calls() == []


def test_all_that_is_missing_is_installed_by_one_call(node: Node) -> None:
    node.removed("jq")
    node.removed("git")
    (node.root / "units/chrony.service").unlink()
    node.write("driver", "580.159.03\n")
    node.write("known", "git\njq\nchrony\nnvidia-container-toolkit\n")
    done = node.repaired("packages", "time_service", "container_toolkit", "cdi_spec")
    assert len(node.calls("--no-download")) == 1
    assert node.calls("--no-download")[0].endswith("-- chrony git jq nvidia-container-toolkit")
    assert "DPkg::Lock::Timeout=1" in node.calls("--no-download")[0]
    assert node.calls(" update ") == []
    assert "jq installed" in done["diff"]["after"]


def test_what_is_exempt_is_not_installed_along_with_the_rest(node: Node) -> None:
    node.removed("jq")
    (node.root / "units/chrony.service").unlink()
    result, _complaint = node.run(False, exempt=frozenset({"time_service"}))
    assert [call.rpartition("-- ")[2] for call in node.calls("--simulate")] == ["jq"]
    assert {"packages", "time_service"} <= having(result, "drift")


def test_something_that_provides_a_package_will_do(node: Node) -> None:
    node.removed("jq")
    with (node.root / "status").open("a") as stream:
        stream.write("Package: gojq\nStatus: install ok installed\nVersion: 1\nProvides: jq\n")
    result, _complaint = node.run(False)
    assert finding(result, "packages")["status"] == "ok"


def test_lists_are_looked_for_only_where_a_name_is_unknown(node: Node) -> None:
    node.removed("jq")
    node.write("known", "")
    node.write("new", "jq\n")
    done = node.repaired("packages")
    assert finding(done, "packages")["fix"] == "update the package lists, then install jq"
    assert len(node.calls(" update ")) == 1


def test_a_package_that_nobody_has_is_named_and_not_looked_for_again_and_again(node: Node) -> None:
    result, complaint = node.run(True, extra_packages=["nosuch"])
    assert (result["changed"], having(result, "blocked")) == (False, {"packages"})
    assert "apt has no candidate for nosuch" in complaint
    checked, _complaint = node.run(False, extra_packages=["nosuch"])
    assert (checked["changed"], having(checked, "blocked")) == (False, {"packages"})
    _again, complaint = node.run(True, extra_packages=["nosuch"])
    assert "apt has no candidate for nosuch" in complaint
    assert len(node.calls(" update ")) == 1
    assert node.calls("--no-download") == []


@pytest.mark.parametrize(
    ("known", "message"), [("", "no package lists: E: Failed"), ("jq\n", "the download failed")]
)
def test_without_a_network_nothing_is_begun(node: Node, known: str, message: str) -> None:
    node.removed("jq")
    node.write("known", known)
    node.write("offline", "")
    result, complaint = node.run(True)
    assert (result["changed"], having(result, "blocked")) == (False, {"packages"})
    assert message in complaint
    assert "package sources" in complaint
    assert node.calls("--no-download") == []


def test_a_lock_of_the_lists_is_no_fault_of_the_network(node: Node) -> None:
    node.removed("jq")
    node.write("known", "")
    node.write("busy", "")
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"packages"}
    assert "/l/lock is held by process 81 (packagekitd)" in complaint
    assert "Wait for it to end" in complaint
    assert "package sources" not in complaint


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("Inst libc6 [1] (2 Debian [arm64])\n", "apt would also upgrade libc6"),
        ("Remv systemd-timesyncd [252]\n", "apt would also remove systemd-timesyncd"),
    ],
)
def test_nothing_else_is_upgraded_or_removed(node: Node, steps: str, message: str) -> None:
    node.removed("jq")
    node.write("steps", steps)
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"packages"}
    assert message in complaint


@pytest.mark.parametrize(
    "status", ["install ok half-configured", "install ok unpacked", "install reinstreq installed"]
)
def test_nothing_is_installed_upon_torn_packages(node: Node, status: str) -> None:
    node.removed("jq")
    node.installed("nvidia-dkms-580-open", status=status)
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"dpkg_whole", "packages"}
    assert "nvidia-dkms-580-open" in finding(result, "dpkg_whole")["actual"]
    assert "dpkg --configure -a" in complaint
    assert node.calls() == []


def test_an_interrupted_dpkg_is_told(node: Node) -> None:
    node.write("updates/0003", "")
    result, _complaint = node.run(False)
    assert having(result, "blocked") == {"dpkg_whole"}


HOLD = """
import fcntl, sys, time
stream = open(sys.argv[1], "w")
fcntl.lockf(stream, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.mark.parametrize(("seconds", "done"), [(60, False), (0.5, True)])
def test_a_run_waits_for_whoever_is_at_work_with_dpkg_and_says_who(
    node: Node, seconds: float, done: bool
) -> None:
    node.removed("jq")
    argv = [sys.executable, "-c", HOLD, str(node.root / "lock"), str(seconds)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        checked, _complaint = node.run(False)
        assert having(checked, "blocked") == {"dpkg_lock", "packages"}
        assert "process %d" % process.pid in finding(checked, "dpkg_lock")["actual"]
        result, _complaint = node.run(True, patience=2 if done else 0.3)
        process.kill()
    assert result["changed"] == done
    assert having(result, "fixed") == ({"packages"} if done else set())


def test_dpkg_is_not_ended_by_what_ends_a_run(node: Node) -> None:
    node.removed("jq")
    node.write("dpkg.sh", "kill -TERM %d; kill -HUP %d; sleep 0.2\n" % (os.getpid(), os.getpid()))
    before = signal.getsignal(signal.SIGTERM)
    node.repaired("packages")
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("end", ["exit 100", "kill -SEGV $$", "printf '\\377'; exit 1"])
def test_an_installation_that_fails_is_told_of(node: Node, end: str) -> None:
    node.removed("jq")
    node.write("dpkg.sh", end + "\n")
    result, complaint = node.run(True)
    assert (result["changed"], having(result, "blocked")) == (False, {"packages"})
    assert "/var/log/apt/term.log" in complaint


def test_an_apt_that_prints_garbage_installs_nothing(node: Node) -> None:
    node.removed("jq")
    node.program("bin/apt-get", "#!/bin/sh\nprintf '\\377\\376'; exit 3\n")
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"packages"}
    assert "exit status 3" in complaint


def test_docker_io_is_never_installed_over_docker_ce(node: Node) -> None:
    result, complaint = node.run(True, extra_packages=["docker.io"])
    assert having(result, "blocked") == {"packages"}
    assert "docker.io conflicts with docker-ce" in complaint
    assert node.calls() == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nvidia-driver-570-server", "data centre"),
        ("nvidia-dkms-580-server-open", "data centre"),
        ("nvidia-driver-580", "proprietary"),
        ("linux-modules-nvidia-580-6.17.0-1014-nvidia", "proprietary"),
        ("nvidia-driver-590-open", "590 has a deadlock"),
        ("nvidia-dkms-595-open", "driver series 595"),
        ("linux-modules-nvidia-595-open-nvidia-hwe-24.04", "driver series 595"),
        ("linux-modules-nvidia-590-open-6.17.0-1031-nvidia", "driver series 590"),
        ("linux-objects-nvidia-610-open-6.17.0-1031-nvidia", "driver series 610"),
        ("nvidia-driver-610-open", "driver series 610"),
        ("nvidia-open-610", "driver series 610"),
        ("libnvidia-compute-610", "driver series 610"),
        ("cuda-drivers-590", "proprietary"),
        ("nvidia-driver-570-open", "driver series 570"),
        ("nvidia-open", "newest series"),
        ("nvidia-fabricmanager-580", "NVSwitch"),
        ("libnvidia-nscq-580", "NVSwitch"),
        ("nvidia-driver-580-open", ""),
        ("nvidia-dkms-580-open", ""),
        ("linux-modules-nvidia-580-open-6.17.0-1014-nvidia", ""),
        ("nvidia-container-toolkit", ""),
        ("nvidia-kernel-common-580", ""),
        ("nvidia-firmware-580-580.142", ""),
        ("nvidia-spark-fstab-config", ""),
        ("linux-image-6.17.0-1032-nvidia", ""),
        ("linux-modules-nvidia-fs-6.17.0-1032-nvidia", ""),
        ("nvidia-settings", ""),
        ("libnvidia-container1", ""),
        ("cuda-toolkit-13-0", ""),
    ],
)
def test_packages_that_do_not_belong_on_a_spark(node: Node, name: str, message: str) -> None:
    assert bool(why_unsupported(name)) == bool(message)
    assert message in why_unsupported(name)
    node.installed(name)
    result, _complaint = node.run(False)
    assert having(result, "blocked") == ({"unsupported_packages"} if message else set())
    node.removed(name)
    node.installed(name, status="deinstall ok config-files")
    result, _complaint = node.run(False)
    assert having(result, "blocked") == set()


@pytest.mark.parametrize(
    ("driver", "series", "fits"),
    [
        ("", 610, True),
        (">=580,<590", 580, True),
        (">=580,<590", 590, False),
        (">=580.142,<580.200", 580, True),
        (">=580.142,<580.200", 590, False),
        ("580.159.03", 580, True),
        ("580.159.03", 590, False),
        (">580", 580, False),
        ("<=580", 580, True),
        ("!=590", 590, False),
        ("!=580.95", 580, True),
    ],
)
def test_a_series_is_compared_with_the_versions_that_are_wanted(
    driver: str, series: int, fits: bool
) -> None:
    assert in_series(series, driver) is fits


def test_the_version_of_a_package_without_a_series_is_that_of_the_driver(node: Node) -> None:
    assert "driver series 590" in why_unsupported("nvidia-driver-cuda", "590.44.01-1")
    assert not why_unsupported("nvidia-driver-cuda", "580.95.05-1")
    node.installed("libnvidia-gl-610", "libnvidia-compute-610")
    result, _complaint = node.run(False)
    actual = finding(result, "unsupported_packages")["actual"]
    assert "libnvidia-compute-610 1, libnvidia-gl-610 1: driver series 610" in actual
    assert having(node.run(False, driver=">=580")[0], "blocked") == set()


@pytest.mark.parametrize(
    ("text", "status", "actual"),
    [
        ('DGX_OTA_VERSION="7.3.1"\nDGX_OTA_VERSION="7.6.0"\n', "ok", "7.6.0"),
        ('DGX_SWBUILD_VERSION="6.1"\n', "blocked", "6.1"),
        ("garbage", "blocked", "has no version"),
        (None, "skipped", "not a DGX OS"),
    ],
)
def test_the_release_of_dgx_os(node: Node, text: str | None, status: str, actual: str) -> None:
    if text is None:
        (node.root / "dgx-release").unlink()
    else:
        node.write("dgx-release", text)
    result, _complaint = node.run(False)
    found = finding(result, "dgx_os_release")
    assert found["status"] == status
    assert actual in found["actual"]


def test_a_time_service_that_does_not_run_is_started(node: Node) -> None:
    node.write("units/chrony.service", "loaded\n")
    node.repaired("time_service")
    node.write("units/chrony.service", "loaded\nactive\n")
    node.repaired("time_service")


@pytest.mark.parametrize("there", [True, False])
def test_a_clock_that_is_not_set_in_time_is_told_of(node: Node, there: bool) -> None:
    node.clock = Clock(False, 16.0)
    if there:
        node.write("units/chrony.service", "loaded\n")
    else:
        (node.root / "units/chrony.service").unlink()
    checked, _complaint = node.run(False)
    assert having(checked, "drift") == {"time_service", "time_synchronised"}
    result, complaint = node.run(True)
    assert (having(result, "fixed"), having(result, "blocked")) == (
        {"time_service"},
        {"time_synchronised"},
    )
    assert "UDP port 123" in complaint
    again, _complaint = node.run(True)
    assert (again["changed"], having(again, "blocked")) == (False, {"time_synchronised"})


@pytest.mark.parametrize(
    ("unit", "package", "message"),
    [("masked\n", "chrony", "masked"), (None, "", "time_package is empty")],
)
def test_a_time_service_that_may_not_be(
    node: Node, unit: str | None, package: str, message: str
) -> None:
    (node.root / "units/chrony.service").unlink()
    if unit:
        node.write("units/chrony.service", unit)
    result, complaint = node.run(True, time_package=package)
    assert having(result, "blocked") == {"time_service"}
    assert message in complaint


def test_a_kernel_that_does_not_tell_its_clock_is_not_assessed(node: Node) -> None:
    node.clock = None
    result, _complaint = node.run(False)
    assert "time_synchronised" in having(result, "skipped")


def test_limits_that_nobody_else_gives_are_ours(node: Node) -> None:
    (node.root / "security/limits.d/99-nv-spark-limits.conf").unlink()
    node.repaired("limits_file", "memlock_limit")
    assert "* hard memlock unlimited\n" in node.limits.read_text()
    node.write("security/limits.d/99-nv-spark-limits.conf", "* - memlock unlimited\n")
    node.repaired("limits_file")
    node.limits.write_text(node.limits.read_text() + "* hard nofile 64\n")
    node.repaired("limits_file", "nofile_limit")
    node.repaired("limits_file", nofile="")
    assert not node.limits.exists()


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        ("directory", "is a directory"),
        ("foreign", "does not belong"),
        ("later", "zz.conf sets a lower limit"),
        ("nr_open", "fs.nr_open: 4096"),
        ("container", "this container"),
    ],
)
def test_a_limit_that_cannot_be_set_is_blocked_and_nothing_is_lost(
    node: Node, breaking: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.limits.unlink()
    if breaking == "directory":
        node.limits.mkdir()
    elif breaking == "foreign":
        node.limits.write_text("* hard nofile 64\n")
    elif breaking == "later":
        node.write("security/limits.d/zz.conf", "* hard nofile 64\n")
    elif breaking == "nr_open":
        node.write("proc/sys/fs/nr_open", "4096\n")
    else:
        node.write("proc/self/status", "CapBnd:\t00000000a80425fb\n")
        monkeypatch.setattr("resource.getrlimit", lambda _number: (1024, 4096))
    result, complaint = node.run(True)
    assert "nofile_limit" in having(result, "blocked")
    assert message in complaint
    if breaking == "foreign":
        assert node.limits.read_text() == "* hard nofile 64\n"
    if breaking in ("nr_open", "container"):
        # A limit too high would lock everybody out.
        assert not node.limits.exists() or "nofile" not in node.limits.read_text()


def test_shared_memory_outlives_a_logout(node: Node) -> None:
    file = node.root / "systemd/logind.conf.d/90-dgxspark.conf"
    file.unlink()
    node.write("removes", "true\n")
    node.repaired("remove_ipc", "remove_ipc_now")
    file.write_text(file.read_text().replace("=no", "=yes"))
    node.repaired("remove_ipc")
    # As a run that was killed after it had written the file.
    node.write("removes", "true\n")
    node.repaired("remove_ipc_now")
    # Somebody else says so: ours is not needed, and stays.
    node.write("systemd/logind.conf", "[Login]\nRemoveIPC=no\n")
    assert not node.run(True)[0]["changed"]
    file.unlink()
    assert not node.run(True)[0]["changed"]
    node.write("systemd/logind.conf.d/90-dgxspark.conf", sessions_text()).chmod(0o644)
    node.repaired("remove_ipc", keep_ipc=False)
    assert not file.exists()


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        ("later", "99-late.conf sets RemoveIPC=yes"),
        ("foreign", "does not belong"),
        ("directory", "is a directory"),
    ],
)
def test_a_logind_that_cannot_be_told(node: Node, breaking: str, message: str) -> None:
    file = node.root / "systemd/logind.conf.d/90-dgxspark.conf"
    node.write("removes", "true\n")
    if breaking == "later":
        node.write("systemd/logind.conf.d/99-late.conf", "[Login]\nRemoveIPC=yes\n")
    elif breaking == "foreign":
        file.write_text("[Login]\nRemoveIPC=yes\n")
    else:
        file.unlink()
        file.mkdir()
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"remove_ipc", "remove_ipc_now"}
    assert message in complaint


@pytest.mark.parametrize("script", ["echo garbage", "kill -KILL $$", "printf '\\377'", "exit 1"])
def test_a_logind_that_does_not_tell_is_not_assessed(node: Node, script: str) -> None:
    node.program("bin/busctl", "#!/bin/sh\n%s\n" % script)
    result, _complaint = node.run(False)
    assert "remove_ipc_now" in having(result, "skipped")


def test_users_linger_and_use_docker(node: Node) -> None:
    node.repaired("linger", "docker_group", linger_users=["alice"], docker_users=["alice", "bob"])
    assert (node.root / "docker.group").read_text().split() == ["alice", "bob"]


def test_a_user_who_does_not_exist_is_named(node: Node) -> None:
    result, complaint = node.run(True, linger_users=["eve"], docker_users=["eve"])
    assert having(result, "blocked") == {"linger", "docker_group"}
    assert "eve" in complaint


@pytest.mark.parametrize(
    ("packages", "snap", "message"),
    [
        ((), False, "none is installed"),
        ((), True, "snap docker"),
        (("docker-ce",), True, "docker-ce and snap docker"),
        (("docker-ce", "docker.io"), False, "docker-ce and docker.io"),
    ],
)
def test_engines_that_are_none_wrong_or_too_many(
    node: Node, packages: tuple[str, ...], snap: bool, message: str
) -> None:
    node.removed("docker-ce")
    node.installed(*packages)
    if snap:
        node.write("snaps/docker_3265.snap", "")
    result, _complaint = node.run(True)
    assert "docker_engine" in having(result, "blocked")
    assert message in finding(result, "docker_engine")["actual"]


def test_a_missing_engine_is_installed_where_that_is_wanted(node: Node) -> None:
    node.removed("docker-ce")
    (node.root / "units/docker.service").unlink()
    done = node.repaired(
        "docker_engine", "docker_running", docker_packages=["docker-ce"], docker_users=[]
    )
    assert done["docker"]["engines"] == ["docker-ce"]


def test_an_engine_that_was_stopped_is_started_but_none_that_hangs(node: Node) -> None:
    node.write("units/docker.service", "loaded\nenabled\n")
    node.repaired("docker_running")
    node.write("units/docker.service", "loaded\nactive\n")
    node.repaired("docker_running")
    node.write("problem", "no answer within 10 s")
    result, complaint = node.run(True)
    assert (result["changed"], having(result, "blocked")) == (False, {"docker_running"})
    assert "journalctl --unit docker" in complaint


SPEC = "kind: nvidia.com/gpu\nhostPath: /usr/lib/libcuda.so.%s\n"


@pytest.mark.parametrize("text", [None, SPEC % "580.142", "kind: nvidia.com/gpu\n", ""])
@pytest.mark.parametrize("folder", ["cdi", "run-cdi"])
def test_the_gpus_are_described_for_the_driver_that_runs(
    node: Node, folder: str, text: str | None
) -> None:
    node.write("driver", "580.159.03\n")
    (node.root / "bin/nvidia-ctk").symlink_to(node.root / "nvidia-ctk")
    if text is not None:
        node.write(folder + "/nvidia.yaml", text)
    node.repaired("cdi_spec")
    assert not node.run(True)[0]["changed"]


@pytest.mark.parametrize("script", ["exit 1", "kill -ABRT $$", "printf '\\377'; exit 2", "exit 0"])
def test_a_tool_that_describes_nothing_is_told_of(node: Node, script: str) -> None:
    node.write("driver", "580.159.03\n")
    node.program("bin/nvidia-ctk", "#!/bin/sh\n%s\n" % script)
    result, complaint = node.run(True)
    assert having(result, "drift") | having(result, "blocked") == {"cdi_spec"}
    assert "nvidia-ctk cdi generate" in complaint


def test_a_folder_where_the_description_belongs_is_left_alone(node: Node) -> None:
    node.write("driver", "580.159.03\n")
    (node.root / "bin/nvidia-ctk").symlink_to(node.root / "nvidia-ctk")
    (node.root / "cdi/nvidia.yaml").mkdir(parents=True)
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"cdi_spec"}
    assert "not a regular file" in complaint


@pytest.mark.parametrize("script", ["kill -KILL $$", "printf '\\377'", "exit 1"])
def test_without_a_systemd_what_it_knows_is_not_assessed(node: Node, script: str) -> None:
    node.program("bin/systemctl", "#!/bin/sh\n%s\n" % script)
    result, complaint = node.run(True)
    assert (result["changed"], complaint) == (False, "")
    assert {"time_service", "remove_ipc_now"} <= having(result, "skipped")


def test_without_root_what_takes_root_is_blocked_by_name(node: Node) -> None:
    node.places = replace(node.places, root=False)
    node.removed("jq")
    node.write("removes", "true\n")
    node.write("units/chrony.service", "loaded\n")
    result, complaint = node.run(True, docker_users=["bob"], linger_users=["alice"])
    assert result["changed"] is False
    assert having(result, "blocked") == {
        *("packages", "time_service", "remove_ipc_now", "docker_group", "linger"),
    }
    assert complaint.count("Run as root (become).") == 5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"packages": ["jq; id"]}, "packages: expected the name of a package"),
        ({"extra_packages": ["--help"]}, "extra_packages: expected"),
        ({"docker_packages": ["-y"]}, "docker_packages: expected"),
        ({"docker_users": ["alice,bob"]}, "docker_users: expected the name of a user"),
        ({"linger_users": ["../etc"]}, "linger_users: expected"),
        ({"lock_timeout": -1}, "lock_timeout: expected no less than 0"),
        ({"dgx_os": "seven"}, "dgx_os: expected versions"),
        ({"memlock": "lots"}, "memlock: expected unlimited"),
        ({"nofile": "unlimited"}, "nofile: expected a number"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    node: Node, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        node.run(False, **parameters)


def test_what_lies_on_a_file_system_that_is_read_only_is_blocked_by_name(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.limits.unlink()
    (node.root / "systemd/logind.conf.d/90-dgxspark.conf").unlink()
    monkeypatch.setattr(os, "access", lambda *_given, **_more: False)
    result, complaint = node.run(True)
    assert result["changed"] is False
    assert having(result, "blocked") == {"limits_file", "nofile_limit", "remove_ipc"}
    assert "on a file system that is not read-only" in complaint


def gpu_node(node: Node, *tools: str) -> None:
    """A driver, the toolkit's programs of these names, and a fitting CDI specification."""
    node.write("driver", "580.159.03\n")
    for tool in tools:
        node.program("bin/" + tool, CTK.format(root=node.root))
    node.write("cdi/nvidia.yaml", "kind: nvidia.com/gpu\nx: /usr/lib/libcuda.so.580.159.03\n")


HOOK = "nvidia-container-runtime-hook"


@pytest.mark.parametrize(
    ("tools", "docker_version", "config", "status", "message"),
    [
        (("nvidia-ctk", HOOK), "28.3.3", "", "ok", ""),
        (("nvidia-ctk",), "28.3.3", "", "drift", HOOK),
        (("nvidia-ctk",), "", "", "drift", HOOK),
        # Docker 29 takes the CDI specification where it finds no hook.
        (("nvidia-ctk",), "29.2.1", "", "ok", ""),
        (
            ("nvidia-ctk", HOOK),
            "28.3.3",
            '[nvidia-container-runtime]\nmode = "cdi"\n',
            "blocked",
            "cdi",
        ),
        (
            ("nvidia-ctk", HOOK),
            "29.2.1",
            "[nvidia-container-runtime]\nmode = 'cdi'\n",
            "blocked",
            "cdi",
        ),
        (("nvidia-ctk",), "29.2.1", '[nvidia-container-runtime]\nmode = "cdi"\n', "ok", ""),
        (("nvidia-ctk", HOOK), "28.3.3", '[nvidia-container-runtime]\nmode = "auto"\n', "ok", ""),
        (
            ("nvidia-ctk", HOOK),
            "28.3.3",
            '[nvidia-container-runtime]\n#mode = "cdi"\n[other]\nmode = "cdi"\n',
            "ok",
            "",
        ),
    ],
)
def test_gpus_for_containers_need_more_than_one_program(
    node: Node, tools: tuple[str, ...], docker_version: str, config: str, status: str, message: str
) -> None:
    gpu_node(node, *tools)
    node.write("engine", docker_version)
    node.write("config.toml", config)
    node.write("known", "nvidia-container-toolkit\n")
    result, _complaint = node.run(False)
    toolkit = finding(result, "container_toolkit")
    assert toolkit["status"] == status
    assert message in toolkit["actual"]
    if status == "drift" and docker_version:
        assert "restarted" in toolkit["fix"]


def test_a_toolkit_that_lacks_its_program_is_not_installed_again_and_again(node: Node) -> None:
    gpu_node(node, "nvidia-ctk")
    node.write("engine", "28.3.3")
    node.installed("nvidia-container-toolkit")
    result, _complaint = node.run(True)
    assert having(result, "blocked") == {"container_toolkit"}
    assert node.calls("--no-download") == []


DEVICES = """\
cdiVersion: 0.5.0
containerEdits:
  hooks:
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  mounts:
  - hostPath: /usr/lib/libcuda.so.580.159.03
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: "0"
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
  name: all
kind: nvidia.com/gpu
"""


def test_a_cdi_specification_has_the_device_of_all_gpus(node: Node) -> None:
    gpu_node(node, "nvidia-ctk", HOOK)
    node.write("cdi/nvidia.yaml", DEVICES)
    assert not having(node.run(False)[0], "drift")
    node.write("cdi/nvidia.yaml", DEVICES.replace("name: all", "name: gpu0"))
    node.repaired("cdi_spec")


def test_two_specifications_of_one_folder_contradict_each_other(node: Node) -> None:
    gpu_node(node, "nvidia-ctk", HOOK)
    node.write("cdi/nvidia.yaml", DEVICES)
    node.write("cdi/old.yaml", DEVICES)
    result, _complaint = node.run(True)
    assert having(result, "blocked") == {"cdi_spec"}
    actual = finding(result, "cdi_spec")["actual"]
    assert ("cdi/nvidia.yaml" in actual, "cdi/old.yaml" in actual) == (True, True)
    (node.root / "cdi" / "old.yaml").unlink()
    node.write("run-cdi/nvidia.yaml", DEVICES)
    assert not having(node.run(False)[0], "blocked")


def test_podman_that_answers_as_docker_is_no_engine(node: Node) -> None:
    node.removed("docker-ce")
    node.write("engine", "podman 4.9.3")
    for packages in ([], ["docker-ce"]):
        result, _complaint = node.run(False, docker_packages=packages)
        assert having(result, "blocked") == {"docker_engine"}
        assert "Podman" in finding(result, "docker_engine")["actual"]
        assert finding(result, "docker_running")["status"] == "skipped"
        assert having(result, "drift") == set()


def test_an_engine_that_somebody_has_replaced_by_a_rootless_one_stays_off(node: Node) -> None:
    node.write("run-user/4999/docker.sock", "")
    result, _complaint = node.run(False)
    assert "rootless Docker of 4999" in finding(result, "docker_engine")["actual"]
    assert having(result, "blocked") == set()
    node.write("units/docker.service", "loaded\n")
    result, complaint = node.run(True)
    assert (result["changed"], having(result, "blocked")) == (False, {"docker_running"})
    assert "rootless Docker of 4999" in complaint


def test_a_masked_engine_is_for_a_person_to_unmask(node: Node) -> None:
    node.write("units/docker.service", "masked\n")
    result, complaint = node.run(True)
    assert having(result, "blocked") == {"docker_running"}
    assert "systemctl unmask docker.service" in complaint


@pytest.mark.parametrize(
    ("text", "argv", "message"),
    [
        ("", ["dockerd"], ""),
        ("{}", ["dockerd", "-H", "fd://"], ""),
        ('{"data-root": "/ai/docker"}', ["dockerd", "-H", "fd://"], ""),
        ('{"hosts": ["fd://"]}', ["dockerd", "-H", "fd://"], "both set host"),
        ('{"hosts": ["fd://"]}', ["dockerd", "--host=fd://"], "both set host"),
        ('{"data-root": "/a"}', ["dockerd", "--data-root", "/b"], "both set data-root"),
        ('{"runtimes": {}}', ["dockerd", "--runtimes=x"], ""),
        ('{"data-root": "/a",}', [], "is not JSON"),
        ("[]", [], "is not a JSON object"),
    ],
)
def test_the_file_of_the_engine_decides_about_its_next_start(
    node: Node, text: str, argv: list[str], message: str
) -> None:
    node.write("daemon.json", text)
    problem = start_problem(str(node.root / "daemon.json"), argv)
    assert message in problem
    assert bool(problem) == bool(message)
    if not argv:
        result, _complaint = node.run(False)
        assert having(result, "blocked") == {"docker_at_boot"}
        assert str(node.root / "daemon.json") in finding(result, "docker_at_boot")["actual"]


def test_a_machine_id_is_compared_by_a_digest(node: Node) -> None:
    node.write("machine-id", "5" * 32 + "\n")
    first = node.run(False)[0]["parity"]["machine_id"]
    assert (len(first), first in "5" * 32) == (16, False)
    node.write("machine-id", "6" * 32 + "\n")
    assert node.run(False)[0]["parity"]["machine_id"] != first


@pytest.mark.parametrize(
    ("text", "now", "blocked"),
    [
        ('{"data-root": "/ai/docker"}', "/var/lib/docker", True),
        ('{"data-root": "/var/lib/docker/"}', "/var/lib/docker", False),
        ('{"data-root": "/ai/docker"}', "", False),
        ('{"data-root": 3}', "/var/lib/docker", False),
        ("{}", "/var/lib/docker", False),
    ],
)
def test_an_engine_that_would_start_without_its_images(
    node: Node, monkeypatch: pytest.MonkeyPatch, text: str, now: str, blocked: bool
) -> None:
    monkeypatch.setattr(docker, "ask_data_root", lambda _path, _timeout: now)
    node.write("daemon.json", text)
    result, _complaint = node.run(False)
    assert having(result, "blocked") == ({"docker_at_boot"} if blocked else set())
    if blocked:
        actual = finding(result, "docker_at_boot")["actual"]
        assert ("/var/lib/docker" in actual, "/ai/docker" in actual) == (True, True)
