# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver and toolkits on a node that is a folder."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.cuda_toolchain import (
    Places,
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge

OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.159.03  Release Build\n"
SMI = "#!/bin/sh\necho 'NVIDIA GB10, 580.159.03'\n"
PTXAS = r"""#!/bin/sh
case "$1" in
    --version) echo 'Cuda compilation tools, release {release}, V{version}' ;;
    *) [ {known} = yes ] || {{ echo "Value is not defined for option 'gpu-name'" >&2; exit 255; }}
       printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\276\0' > "$4" ;;
esac
"""


class Node:
    """A node below one folder: a GB10 that is as it should be but for our own files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program("bin/nvidia-smi", SMI)
        self.write("driver", OPEN)
        self.write("status", "Package: libnccl2\nStatus: install ok installed\nVersion: 2.29.3-1\n")
        self.link = root / "local" / "cuda"
        self.toolkit("13.0.88")
        self.link.symlink_to(self.home("13.0"))
        self.kernel("6.17.0-1032-nvidia", "kernel/nvidia-580-open/nvidia.ko")
        self.places = Places(
            driver_file=str(root / "driver"),
            toolkits=str(root / "local" / "cuda-*"),
            dpkg_status=str(root / "status"),
            tools=(str(root / "bin"),),
            python=self.program("bin/python", "#!/bin/sh\necho 0\n"),
            boot=str(root / "boot"),
            modules=str(root / "modules"),
            modprobe=(str(root / "modprobe.d"),),
            secure_boot=str(root / "secure-boot"),
            alternatives=str(root / "alternatives"),
        )

    def home(self, release: str) -> Path:
        return self.root / "local" / f"cuda-{release}"

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, path: str, text: str) -> str:
        file = self.write(path, text)
        file.chmod(0o755)
        return str(file)

    def kernel(self, release: str, module: str) -> None:
        self.write(f"boot/vmlinuz-{release}", "")
        self.write(f"modules/{release}/modules.dep", f"kernel/a/nvidia-fs.ko:\n{module}:\n")

    def toolkit(self, version: str, known: str = "yes") -> None:
        release = version.rpartition(".")[0]
        home = f"local/cuda-{release}/bin"
        text = PTXAS.format(release=release, version=version, known=known)
        self.program(f"{home}/ptxas", text)
        self.program(f"{home}/nvcc", f"#!/bin/sh\necho 'release {release}, V{version}'\n")

    @property
    def paths(self) -> dict[str, str]:
        return EnvFile.read(str(self.root / "etc" / "paths.env")).values()

    def run(self, act: bool, **parameters: Any) -> tuple[dict[str, Any], str]:
        wanted = Wanted(
            **{
                "driver": ">=580,<590",
                "cuda": "",
                "cudnn": "",
                "nccl": "",
                "arch": "sm_121",
                "link": str(self.link),
                "paths_file": str(self.root / "etc" / "paths.env"),
                "profile_file": str(self.root / "etc" / "profile.d" / "cuda.sh"),
                "environment_file": str(self.root / "etc" / "cuda.env"),
                "timeout": 5,
                **parameters,
            }
        )
        return converge(partial(observe, wanted, self.places), partial(plan, wanted=wanted), act)

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


FIRST = ("cuda_profile", "cuda_environment", "nvcc_bin", "cuda_ptxas_bin", "nvidia_smi_bin")


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


def test_a_fresh_node_gets_its_binaries_named_and_its_files(node: Node) -> None:
    result = node.repaired(*FIRST)
    home = str(node.home("13.0"))
    assert node.paths == {
        "NVCC_BIN": f"{home}/bin/nvcc",
        "PTXAS_BIN": f"{home}/bin/ptxas",
        "NVIDIA_SMI_BIN": str(node.root / "bin" / "nvidia-smi"),
    }
    assert result["paths"] == node.paths
    assert result["parity"] == {"driver": "580.159.03", "cuda": "13.0.88", "nccl": "2.29.3"}


def test_the_file_for_shells_adds_to_the_path_once(converged: Node) -> None:
    profile = converged.root / "etc" / "profile.d" / "cuda.sh"
    script = f'PATH=/bin; . {profile}; . {profile}; echo "$CUDA_HOME $PATH"'
    told = subprocess.check_output(["/bin/sh", "-c", script], text=True)
    assert told == f"{converged.link} /bin:{converged.link}/bin\n"


def test_a_link_to_a_toolkit_that_fails_is_moved_to_one_that_works(converged: Node) -> None:
    converged.toolkit("12.8.93", known="no")
    converged.link.unlink()
    converged.link.symlink_to(converged.home("12.8"))
    converged.repaired("cuda_link")
    assert converged.link.resolve() == converged.home("13.0")


def test_a_missing_link_is_made_and_a_good_one_is_left_though_there_is_a_newer(
    converged: Node,
) -> None:
    converged.link.unlink()
    converged.repaired("cuda_link")
    converged.toolkit("13.1.80")
    result, _complaint = converged.run(True)
    assert (result["changed"], result["cuda_home"]) == (False, str(converged.home("13.0")))


def test_a_wanted_version_takes_the_link_and_the_compiler_with_it(converged: Node) -> None:
    converged.toolkit("13.1.80")
    converged.repaired("cuda_link", "nvcc_bin", cuda=">=13.1")
    assert converged.paths["NVCC_BIN"] == str(converged.home("13.1") / "bin" / "nvcc")
    # It works, and may be what Triton needs: it stays.
    assert converged.paths["PTXAS_BIN"] == str(converged.home("13.0") / "bin" / "ptxas")


def test_a_folder_in_place_of_the_link_is_left_alone(converged: Node) -> None:
    converged.link.unlink()
    converged.link.mkdir()
    result, complaint = converged.run(True)
    assert having(result, "blocked") == {"cuda_link"}
    assert "Move it away" in complaint
    assert converged.link.is_dir()


@pytest.mark.parametrize(
    ("path", "text", "check"),
    [
        ("etc/profile.d/cuda.sh", "", "cuda_profile"),
        ("etc/cuda.env", "# Managed by dgxspark.suite\nCUDA_HOME=/mine\n", "cuda_environment"),
        ("etc/paths.env", "NVCC_BIN=/gone\n", "nvcc_bin"),
    ],
)
def test_what_was_edited_or_cut_off_is_put_right(
    converged: Node, path: str, text: str, check: str
) -> None:
    kept = (converged.root / path).read_text()
    if path == "etc/paths.env":
        text = kept.replace(converged.paths["NVCC_BIN"], "/gone")
    converged.write(path, text)
    converged.repaired(check)


def test_a_ptxas_bin_that_fails_is_replaced(converged: Node) -> None:
    converged.toolkit("12.8.93", known="no")
    old = converged.home("12.8") / "bin" / "ptxas"
    converged.write("etc/paths.env", f"NVCC_BIN=x\nPTXAS_BIN={old}\n# theirs\n")
    converged.repaired("nvcc_bin", "cuda_ptxas_bin", "nvidia_smi_bin")
    assert converged.paths["PTXAS_BIN"] == str(converged.home("13.0") / "bin" / "ptxas")
    assert "# theirs" in (converged.root / "etc" / "paths.env").read_text()


@pytest.mark.parametrize("kind", ["foreign", "directory"])
def test_what_is_not_ours_is_not_written(converged: Node, kind: str) -> None:
    for path in ("etc/profile.d/cuda.sh", "etc/cuda.env"):
        (converged.root / path).unlink()
        if kind == "foreign":
            converged.write(path, "export CUDA_HOME=/opt/cuda\n")
        else:
            (converged.root / path).mkdir()
    result, _complaint = converged.run(True)
    assert having(result, "blocked") == {"cuda_profile", "cuda_environment"}
    assert result["changed"] is False


def test_a_paths_file_that_cannot_be_used_blocks_what_is_in_it_and_no_more(node: Node) -> None:
    node.write("etc/paths.env", "A='open\n")
    result, _complaint = node.run(True)
    assert having(result, "blocked") == {"nvcc_bin", "cuda_ptxas_bin", "nvidia_smi_bin"}
    assert having(result, "fixed") == {"cuda_profile", "cuda_environment"}
    assert (node.root / "etc" / "paths.env").read_text() == "A='open\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\necho 'No devices were found'\n", "No devices were found"),
        ("#!/bin/sh\nsleep 60\n", "did not end within 1 s"),
        ("#!/bin/sh\nkill -ABRT $$\n", "died by signal"),
        ("#!/bin/sh\nprintf '\\377\\376garbage'\n", "lists no GPU"),
        ("not a program", "not a program that this machine can run"),
    ],
)
def test_a_driver_that_does_not_answer_is_told_of(converged: Node, text: str, message: str) -> None:
    converged.program("bin/nvidia-smi", text)
    result, complaint = converged.run(True, timeout=1)
    assert having(result, "blocked") == {"cuda_driver"}
    assert message in finding(result, "cuda_driver")["actual"]
    assert "NVRM" in complaint


def test_an_unsupported_driver_and_proprietary_modules_are_told_of(converged: Node) -> None:
    converged.program("bin/nvidia-smi", "#!/bin/sh\necho 'NVIDIA GB10, 590.44'\n")
    converged.write(
        "driver", OPEN.replace("Open Kernel Module for aarch64", "aarch64 Kernel Module")
    )
    result, _complaint = converged.run(False)
    assert having(result, "blocked") == {"cuda_driver", "cuda_open_modules"}


def test_a_node_without_anything_of_nvidias_says_so_and_writes_nothing_wrong(node: Node) -> None:
    (node.root / "bin" / "nvidia-smi").unlink()
    (node.root / "driver").unlink()
    node.link.unlink()
    for name in ("nvcc", "ptxas"):
        (node.home("13.0") / "bin" / name).unlink()
    result, _complaint = node.run(True)
    assert having(result, "blocked") == {
        *("cuda_driver", "cuda_open_modules", "cuda_toolkit"),
        *("nvcc_bin", "cuda_ptxas_bin", "nvidia_smi_bin"),
    }
    assert having(result, "skipped") == {"cuda_link", "cuda_start", "driver_at_boot"}
    assert not (node.root / "etc" / "paths.env").exists()


def test_alternatives_are_used_where_the_link_goes_through_them(
    converged: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    converged.toolkit("12.8.93", known="no")
    alternative = converged.root / "alternatives-cuda"
    alternative.symlink_to(converged.home("12.8"))
    converged.link.unlink()
    converged.link.symlink_to(alternative)
    module = "ansible_collections.dgxspark.suite.plugins.module_utils.ensure.cuda_toolchain"
    monkeypatch.setattr(f"{module}._ALTERNATIVE", str(alternative))
    converged.program("bin/update-alternatives", f'#!/bin/sh\nln -sfn "$3" {alternative}\n')
    converged.repaired("cuda_link")
    assert os.readlink(converged.link) == str(alternative)


@pytest.mark.parametrize(("nccl", "status"), [("2.29", "ok"), (">=2.30", "blocked"), ("", "ok")])
def test_library_versions_are_compared_where_one_is_wanted(
    converged: Node, nccl: str, status: str
) -> None:
    result, _complaint = converged.run(False, nccl=nccl)
    assert finding(result, "nccl_version")["status"] == status


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"driver": "new"}, "driver: expected versions"),
        ({"arch": "121"}, "arch: expected"),
        ({"link": "cuda"}, "link: expected an absolute path"),
        ({"profile_file": '/etc/x";reboot'}, "profile_file: expected an absolute path"),
        ({"timeout": 0}, "timeout: expected more"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    node: Node, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        node.run(False, **parameters)


MISMATCH = """#!/bin/sh
echo 'Failed to initialize NVML: Driver/library version mismatch'
echo 'NVML library version: {version}'
exit 18
"""


def loaded(node: Node, version: str, library: str = "", packaged: str = "") -> None:
    """A loaded module, libraries of another version, and packages of the libraries."""
    node.write("driver", OPEN.replace("580.159.03", version))
    text = MISMATCH.format(version=library) if library else SMI.replace("580.159.03", version)
    node.program("bin/nvidia-smi", text)
    if packaged:
        entry = (
            "Package: libnvidia-compute-580\nStatus: install ok installed\nVersion: %s-0ubuntu1\n"
        )
        node.write("status", entry % packaged)


@pytest.mark.parametrize(
    ("module", "library", "packaged", "runfile", "words"),
    [
        # An update without a reboot.
        ("580.142", "580.159.03", "580.159.03", False, ("Reboot", "nvidia-uninstall")),
        ("590.48.01", "580.142", "580.142", False, ("Reboot", "nvidia-uninstall")),
        ("590.48.01", "580.142", "", False, ("Reboot", "nvidia-uninstall")),
        # A .run installation beside the packages: with other libraries, and with its own.
        ("590.48.01", "580.142", "580.142", True, ("Run `nvidia-uninstall`", "--reinstall")),
        ("590.48.01", "", "580.142", True, ("Run `nvidia-uninstall`", "--reinstall")),
        # Packages of a wanted series that wait for the reboot, and packages that do not.
        ("590.48.01", "", "580.142", False, ("Reboot",)),
        ("590.48.01", "", "590.48.01", False, ("Install a supported driver",)),
        ("590.48.01", "595.80", "595.80", False, ("Install a supported driver",)),
    ],
)
def test_module_libraries_packages_and_the_wanted_series_are_confronted(
    converged: Node,
    module: str,
    library: str,
    packaged: str,
    runfile: bool,
    words: tuple[str, ...],
) -> None:
    loaded(converged, module, library, packaged)
    if runfile:
        converged.program("bin/nvidia-uninstall", "#!/bin/sh\n")
    result, _complaint = converged.run(False)
    driver = finding(result, "cuda_driver")
    assert driver["status"] == "blocked"
    for version in filter(None, (module, library, packaged)):
        assert version in driver["actual"]
    for word in words:
        assert word in driver["hint"]
    assert "power" not in driver["hint"]
    others = {"cuda_open_modules"} if module.startswith("59") else set()
    assert having(result, "blocked") == {"cuda_driver", *others}


def test_the_newest_kernel_needs_a_module_of_the_driver(converged: Node) -> None:
    assert "6.17.0-1032-nvidia" in finding(converged.run(False)[0], "driver_at_boot")["actual"]
    converged.kernel("7.0.0-1019-nvidia", "kernel/b/other.ko")
    result, _complaint = converged.run(False)
    assert having(result, "blocked") == {"driver_at_boot"}
    hint = finding(result, "driver_at_boot")["hint"]
    assert "linux-modules-nvidia-580-open-7.0.0-1019-nvidia" in hint
    converged.kernel("7.0.0-1019-nvidia", "updates/dkms/nvidia.ko.zst")
    assert not having(converged.run(False)[0], "blocked")
    converged.kernel("7.0.0-1019-nvidia", "kernel/nvidia-590-open/nvidia.ko")
    assert having(converged.run(False)[0], "blocked") == {"driver_at_boot"}
    (converged.root / "modules/7.0.0-1019-nvidia/modules.dep").unlink()
    assert finding(converged.run(False)[0], "driver_at_boot")["status"] == "skipped"


@pytest.mark.parametrize(
    ("text", "forbidden"),
    [
        ("blacklist nvidia\n", True),
        ("install nvidia /bin/false\n", True),
        ("blacklist nvidia_drm\nblacklist nouveau\n#blacklist nvidia\n", False),
        ("options nvidia NVreg_EnableSystemMemoryPools=0\n", False),
    ],
)
def test_a_module_that_may_not_load_at_the_next_boot(
    converged: Node, text: str, forbidden: bool
) -> None:
    path = converged.write("modprobe.d/x.conf", text)
    result, _complaint = converged.run(False)
    assert having(result, "blocked") == ({"driver_at_boot"} if forbidden else set())
    if forbidden:
        assert str(path) in finding(result, "driver_at_boot")["actual"]


def test_secure_boot_is_named_where_no_module_is_loaded(node: Node) -> None:
    (node.root / "driver").unlink()
    (node.root / "secure-boot").write_bytes(b"\6\0\0\0\1")
    assert "Secure Boot" in finding(node.run(False)[0], "cuda_open_modules")["hint"]
    (node.root / "secure-boot").write_bytes(b"\6\0\0\0\0")
    assert "Secure Boot" not in finding(node.run(False)[0], "cuda_open_modules")["hint"]


@pytest.mark.parametrize(
    ("name", "text", "rival"),
    [
        ("zz.sh", "export CUDA_HOME=/usr/local/cuda-12.8\n", True),
        ("zz.sh", "CUDA_HOME='/usr/local/cuda-12.8'; export CUDA_HOME\n", True),
        ("zz.sh", 'export CUDA_HOME="${CUDA_HOME:-/usr/local/cuda-12.8}"\n', False),
        ("zz.sh", "# export CUDA_HOME=/usr/local/cuda-12.8\nMY_CUDA_HOME=/x\n", False),
        ("aa.sh", "export CUDA_HOME=/usr/local/cuda-12.8\n", False),
        ("zz.csh", "CUDA_HOME=/usr/local/cuda-12.8\n", False),
    ],
)
def test_a_profile_that_is_read_after_ours_gives_logins_another_toolkit(
    converged: Node, name: str, text: str, rival: bool
) -> None:
    converged.write(f"etc/profile.d/{name}", text)
    result, _complaint = converged.run(False)
    assert having(result, "blocked") == ({"cuda_at_login"} if rival else set())
    if rival:
        actual = finding(result, "cuda_at_login")["actual"]
        assert ("zz.sh" in actual, "cuda.sh" in actual) == (True, True)


def test_a_link_that_the_alternatives_will_set_back_is_drift(
    converged: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    converged.toolkit("12.8.93")
    alternative = converged.root / "alternatives-cuda"
    alternative.symlink_to(converged.home("12.8"))
    module = "ansible_collections.dgxspark.suite.plugins.module_utils.ensure.cuda_toolchain"
    monkeypatch.setattr(f"{module}._ALTERNATIVE", str(alternative))
    script = f'#!/bin/sh\nln -sfn "$3" {alternative}\nln -sfn {alternative} {converged.link}\n'
    converged.program("bin/update-alternatives", script)
    text = f"auto\n{converged.link}\n\n{converged.home('12.8')}\n128\n"
    converged.write("alternatives", text + "\n")
    result, _complaint = converged.run(False)
    assert having(result, "blocked") == {"cuda_link"}
    assert "update-alternatives --install" in finding(result, "cuda_link")["hint"]
    converged.write("alternatives", f"{text}{converged.home('13.0')}\n130\n\n")
    assert having(converged.run(False)[0], "drift") == {"cuda_link"}
    assert having(converged.run(True)[0], "fixed") == {"cuda_link"}
    assert not having(converged.run(True)[0], "drift")


@pytest.mark.parametrize(
    ("script", "actual", "hint"),
    [
        ("echo 100", "cuInit returns 100", "Reboot the node"),
        ("echo 803", "cuInit returns 803", "Module and libraries differ"),
        ("echo OSError: libcuda.so.1: cannot open >&2; exit 1", "libcuda.so.1", "libraries"),
        ("kill -SEGV $$", "signal", "libraries"),
    ],
)
def test_a_gpu_that_is_listed_need_not_start(
    converged: Node, script: str, actual: str, hint: str
) -> None:
    converged.program("bin/python", f"#!/bin/sh\n{script}\n")
    result, _complaint = converged.run(False)
    assert having(result, "blocked") == {"cuda_start"}
    assert actual in finding(result, "cuda_start")["actual"]
    assert hint in finding(result, "cuda_start")["hint"]
    assert "power" not in hint
