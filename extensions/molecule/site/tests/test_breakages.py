# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breakages of a converged node: found by name, repaired, clean after."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import zip_longest
from typing import NamedTuple

import pytest
from lab import mark, on_node, site, touched

NODE = "spark1"
PATHS = "/etc/dgxspark/paths.env"
VENV = "/opt/ai-tools/vllm-env"
SITE = f"{VENV}/lib/python3*/site-packages"
PIP = f"{VENV}/bin/pip --quiet --disable-pip-version-check"
OFFLINE = "--no-index --find-links /opt/wheelhouse --no-deps"
STALE = f"{SITE}/triton/backends/nvidia/bin/ptxas"
LIMITS = "/etc/security/limits.d/90-dgxspark.conf"
LOGIND = "/etc/systemd/logind.conf.d/90-dgxspark.conf"
PINNED = {"triton_ptxas_sm121", "triton_compile_sm121", "triton_ptxas_path"}


class Breakage(NamedTuple):
    """tags: the specs that look. script breaks the node. drifts: the checks that say so."""

    tags: str
    script: str
    drifts: set[str]
    options: tuple[str, ...] = ()


BREAKAGES = {
    "a system package is gone": Breakage("prereqs", "dpkg --remove jq", {"packages"}),
    "a system package is gone with what it needs": Breakage(
        "prereqs", "dpkg --purge jq libjq1 libonig5 ethtool", {"packages"}
    ),
    "the limits of logins were lowered": Breakage(
        "prereqs", f"echo '* hard nofile 4096' >>{LIMITS}", {"limits_file", "nofile_limit"}
    ),
    "the limits of logins are gone": Breakage(
        "prereqs", f"rm {LIMITS}", {"limits_file", "nofile_limit"}
    ),
    "logind's file is gone": Breakage("prereqs", f"rm {LOGIND}", {"remove_ipc"}),
    "shared memory is removed at a logout": Breakage(
        "prereqs",
        f"sed -i s/^RemoveIPC=no/RemoveIPC=yes/ {LOGIND};"
        " systemctl kill --signal=HUP systemd-logind; sleep 0.5",
        {"remove_ipc", "remove_ipc_now"},
    ),
    "a user no longer lingers": Breakage("prereqs", "loginctl disable-linger spark", {"linger"}),
    "a user is out of Docker's group": Breakage(
        "prereqs", "gpasswd --delete spark docker", {"docker_group"}
    ),
    "Docker was stopped": Breakage(
        "prereqs", "systemctl stop docker.socket docker.service", {"docker_running"}
    ),
    "Docker does not start with the node": Breakage(
        "prereqs", "systemctl disable docker.service", {"docker_running"}
    ),
    "a kernel setting was changed": Breakage(
        "kernel", "sysctl -qw net.ipv4.tcp_keepalive_time=7200", {"sysctl_values"}
    ),
    "the file of kernel settings was edited": Breakage(
        "kernel", "echo kernel.panic = 1 >>/etc/sysctl.d/90-dgxspark.conf", {"sysctl_file"}
    ),
    "the file of kernel settings was cut off": Breakage(
        "kernel", "truncate -s 0 /etc/sysctl.d/90-dgxspark.conf", {"sysctl_file"}
    ),
    "the CUDA link leads nowhere": Breakage(
        "cuda_toolchain", "ln -sfn /nowhere /usr/local/cuda", {"cuda_link"}
    ),
    "the CUDA link is gone": Breakage("cuda_toolchain", "rm /usr/local/cuda", {"cuda_link"}),
    "the shells' file was edited": Breakage(
        "cuda_toolchain", "echo PATH=/bin >>/etc/profile.d/dgxspark-cuda.sh", {"cuda_profile"}
    ),
    "the shells' file can be written by all": Breakage(
        "cuda_toolchain", "chmod 0666 /etc/profile.d/dgxspark-cuda.sh", {"cuda_profile"}
    ),
    "the services' file is gone": Breakage(
        "cuda_toolchain", "rm /etc/dgxspark/cuda.env", {"cuda_environment"}
    ),
    "nvcc is named where it is not": Breakage(
        "cuda_toolchain", f"sed -i s,^NVCC_BIN=.*,NVCC_BIN=/gone/nvcc, {PATHS}", {"nvcc_bin"}
    ),
    "a wrong ptxas is named": Breakage(
        "cuda_toolchain",
        f"sed -i s,^PTXAS_BIN=.*,PTXAS_BIN=$(echo {STALE}), {PATHS}",
        {"cuda_ptxas_bin"},
    ),
    "the file of paths was cut off": Breakage(
        "cuda_toolchain,vllm_venv,ptxas",
        f"truncate -s 0 {PATHS}",
        {"nvcc_bin", "cuda_ptxas_bin", "vllm_bin", "ray_bin", "py_bin", "pip_bin", *PINNED},
    ),
    # With one target: each would announce what the first repairs.
    "the file of paths is hidden": Breakage(
        "ptxas",
        f"chmod 0600 {PATHS}",
        {"paths_file"},
        ("--extra-vars", json.dumps({"dgxspark_ptxas_targets": [{"venv": VENV}]})),
    ),
    "a launcher was edited": Breakage(
        "launchers",
        "echo echo mine >>/opt/dgxspark/bin/dgxspark-vllm",
        {"launcher_dgxspark_vllm"},
    ),
    "Ray's token can be read by everybody": Breakage(
        "launchers", "chmod 0644 /etc/dgxspark/ray-token", {"ray_token"}
    ),
    "Ray's token is root's": Breakage(
        "launchers", "chown root /etc/dgxspark/ray-token", {"ray_token"}
    ),
    "a launcher is gone": Breakage(
        "launchers", "rm /opt/dgxspark/bin/dgxspark", {"launcher_dgxspark"}
    ),
    "a unit was edited": Breakage(
        "launchers",
        "sed -i s/^StartLimitBurst=.*/StartLimitBurst=9/"
        " /etc/systemd/system/dgxspark-vllm@.service; systemctl daemon-reload",
        {"unit_dgxspark_vllm"},
    ),
    "Ray has another address": Breakage(
        "launchers", "sed -i s/^RAY_PORT=.*/RAY_PORT=1/ /etc/dgxspark/ray.env", {"ray_config"}
    ),
    "vLLM is not named": Breakage("vllm_venv", f"sed -i /^VLLM_BIN=/d {PATHS}", {"vllm_bin"}),
    "a package is gone": Breakage("vllm_venv", f"{PIP} uninstall --yes einops", {"venv_packages"}),
    # Not in a round with a pin: this Triton would need none.
    "a package has another version": Breakage(
        "vllm_venv", f"{PIP} install {OFFLINE} triton==3.9.0", {"venv_packages"}
    ),
    "a file of a package is gone": Breakage(
        "vllm_venv", f"rm {SITE}/yaml/loader.py", {"venv_packages"}
    ),
    "a file of a package was cut off": Breakage(
        "vllm_venv", f"for f in {SITE}/einops/einops.py; do : >$f; done", {"venv_packages"}
    ),
    "a killed run has left its half": Breakage(
        "vllm_venv",
        "mkdir /opt/ai-tools/.vllm-env.0a1b2c3d.1;"
        " touch /opt/ai-tools/.vllm-env.0a1b2c3d.1/.dgxspark-building",
        {"venv_leftovers"},
    ),
    "the environment's Python is gone": Breakage(
        "vllm_venv",
        f"ln -sfn /nowhere {VENV}/bin/python; ln -sfn /nowhere {VENV}/bin/python3",
        {"venv_python", "venv_packages"},
    ),
    "the environment is gone": Breakage(
        "vllm_venv", f"rm {VENV}", {"venv_python", "venv_packages"}
    ),
    "the pin is gone": Breakage("ptxas", f"sed -i /^TRITON_PTXAS_PATH=/d {PATHS}", PINNED),
    "a ptxas is pinned that does not know the GPU": Breakage(
        "ptxas",
        f"sed -i s,^TRITON_PTXAS_PATH=.*,TRITON_PTXAS_PATH=$(echo {STALE}), {PATHS}",
        PINNED,
    ),
}


def rounds() -> list[tuple[str, ...]]:
    """All breakages, by name: of several specs at once, which is quicker and no less telling.

    Never two of one spec, and those alone that concern several or need options.
    """
    alone, by_spec = [], defaultdict(list)
    for name, broken in BREAKAGES.items():
        if "," in broken.tags or broken.options:
            alone.append((name,))
        else:
            by_spec[broken.tags].append(name)
    together = zip_longest(*by_spec.values())
    return [*(tuple(name for name in names if name) for names in together), *alone]


# The first round breaks every spec; the others come with `make test-all`.
ROUNDS = [
    pytest.param(names, marks=[pytest.mark.long] if number else [])
    for number, names in enumerate(rounds())
]


@pytest.mark.parametrize("names", ROUNDS, ids="; ".join)
def test_breakages_are_found_by_name_repaired_and_clean_after(names: tuple[str, ...]) -> None:
    broken = [BREAKAGES[name] for name in names]
    tags = ",".join(one.tags for one in broken)
    drifts = set().union(*(one.drifts for one in broken))
    options = broken[0].options
    for one in broken:
        on_node(NODE, one.script)
    mark(NODE)
    found = site(NODE, tags, *options, "--check")
    assert touched(NODE) == []
    assert found.having("drift") == drifts
    assert found.having("blocked") == set()
    repaired = site(NODE, tags, *options)
    assert repaired.having("fixed") == drifts
    assert repaired.having("drift") | repaired.having("blocked") == set()
    assert (repaired.changed, repaired.diff) == (True, found.diff)
    again = site(NODE, tags, *options)
    assert not again.changed
    assert again.having("drift") | again.having("blocked") | again.having("fixed") == set()


class Obstacle(NamedTuple):
    """What only a person ends. check: the one that is blocked, and names each of `named`."""

    tags: str
    script: str
    undo: str
    check: str
    named: tuple[str, ...]


DROP_IN = "/etc/systemd/system/docker.service.d/99-other.conf"
DAEMON = "/etc/docker/daemon.json"
OBSTACLES = {
    "a later file sets a kernel setting": Obstacle(
        "kernel",
        "echo net.ipv4.tcp_keepalive_time=7200 >/etc/sysctl.d/99-other.conf",
        "rm /etc/sysctl.d/99-other.conf",
        "sysctl_at_boot",
        ("/etc/sysctl.d/99-other.conf", "/etc/sysctl.d/90-dgxspark.conf"),
    ),
    "a later drop-in takes the protection of Docker away": Obstacle(
        "oom_protection",
        f"printf '[Service]\\nOOMScoreAdjust=0\\n' >{DROP_IN}; systemctl daemon-reload",
        f"rm {DROP_IN}; systemctl daemon-reload",
        "oom_at_boot",
        (DROP_IN, "/etc/systemd/system/docker.service.d/90-dgxspark.conf"),
    ),
    "the daemon is masked": Obstacle(
        "oom_protection",
        "systemctl mask --now earlyoom",
        "systemctl unmask earlyoom; systemctl start earlyoom",
        "oom_daemon",
        ("systemctl unmask earlyoom",),
    ),
    "Docker would not start again": Obstacle(
        "prereqs",
        f"mkdir -p /etc/docker; test ! -e {DAEMON} || mv {DAEMON} /run/daemon.json;"
        f" echo '{{' >{DAEMON}",
        f"rm {DAEMON}; test ! -e /run/daemon.json || mv /run/daemon.json {DAEMON}",
        "docker_at_boot",
        (DAEMON,),
    ),
    "a later profile sets another cache": Obstacle(
        "storage",
        "echo export HF_HOME=/var/tmp/hf >/etc/profile.d/zz-other.sh",
        "rm /etc/profile.d/zz-other.sh",
        "hf_home_at_login",
        ("/etc/profile.d/zz-other.sh", "/etc/profile.d/dgxspark-storage.sh"),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if number else [])
        for number, name in enumerate(OBSTACLES)
    ],
)
def test_what_will_count_at_the_next_start_is_reported_and_left_alone(name: str) -> None:
    obstacle = OBSTACLES[name]
    on_node(NODE, obstacle.script)
    try:
        found = site(NODE, obstacle.tags, "--check")
        assert found.having("blocked") == {obstacle.check}
        (finding,) = [entry for entry in found.findings if entry["check"] == obstacle.check]
        for word in obstacle.named:
            assert word in finding["actual"] + finding["hint"]
        assert not site(NODE, obstacle.tags).changed
    finally:
        on_node(NODE, obstacle.undo)
    clean = site(NODE, obstacle.tags)
    assert clean.having("drift") | clean.having("blocked") == set()


def test_torn_packages_are_told_of_and_nothing_is_installed_upon_them() -> None:
    status = "/var/lib/dpkg/status"
    torn = "/^Package: git$/,/^$/s/^Status: .*/Status: install ok half-configured/"
    # What an update leaves that was killed while it configured git.
    on_node(
        NODE,
        f"dpkg --remove jq; cp -p {status} /run/status.whole; sed -i '{torn}' {status}",
    )
    try:
        found = site(NODE, "prereqs", "--check")
        assert found.having("blocked") == {"dpkg_whole", "packages"}
        repaired = site(NODE, "prereqs")
        assert (repaired.changed, repaired.findings) == (False, found.findings)
    finally:
        on_node(NODE, f"mv /run/status.whole {status}")
    assert site(NODE, "prereqs").having("fixed") == {"packages"}


def test_nothing_is_installed_while_somebody_else_is_at_work_with_dpkg() -> None:
    hold = (
        "import fcntl, time; lock = open('/var/lib/dpkg/lock-frontend', 'w');"
        " fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(600)"
    )
    on_node(NODE, "dpkg --remove jq")
    on_node(NODE, f'systemd-run --unit=at-work python3 -c "{hold}"; sleep 1')
    pid = on_node(NODE, "systemctl show --property=MainPID --value at-work").strip()
    impatient = ("--extra-vars", "dgxspark_prereqs_lock_timeout=1")
    try:
        found = site(NODE, "prereqs", "--check")
        assert found.having("blocked") == {"dpkg_lock", "packages"}
        told = {finding["check"]: finding["actual"] for finding in found.findings}
        assert f"process {pid} (python3 -c" in told["dpkg_lock"].replace("/usr/bin/", "")
        repaired = site(NODE, "prereqs", *impatient)
        assert (repaired.changed, repaired.having("fixed")) == (False, set())
    finally:
        on_node(NODE, "systemctl stop at-work")
    assert site(NODE, "prereqs").having("fixed") == {"packages"}
