# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One breakage after another on a converged node: found by name, repaired, clean after."""

from __future__ import annotations

import json
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
PINNED = {"triton_ptxas_sm121", "triton_compile_sm121", "triton_ptxas_path"}


class Breakage(NamedTuple):
    """tags: the specs that look. script breaks the node. drifts: the checks that say so."""

    tags: str
    script: str
    drifts: set[str]
    options: tuple[str, ...] = ()


BREAKAGES = {
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
    "a package has another version": Breakage(
        "vllm_venv", f"{PIP} install {OFFLINE} triton==3.9.0", {"venv_packages"}
    ),
    "a package is gone": Breakage("vllm_venv", f"{PIP} uninstall --yes einops", {"venv_packages"}),
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


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_breakage_is_found_by_name_repaired_and_clean_after(name: str) -> None:
    broken = BREAKAGES[name]
    on_node(NODE, broken.script)
    mark(NODE)
    found = site(NODE, broken.tags, *broken.options, "--check")
    assert touched(NODE) == []
    assert found.having("drift") == broken.drifts
    assert found.having("blocked") == set()
    repaired = site(NODE, broken.tags, *broken.options)
    assert repaired.having("fixed") == broken.drifts
    assert repaired.having("drift") | repaired.having("blocked") == set()
    assert (repaired.changed, repaired.diff) == (True, found.diff)
    again = site(NODE, broken.tags, *broken.options)
    assert not again.changed
    assert again.having("drift") | again.having("blocked") | again.having("fixed") == set()
