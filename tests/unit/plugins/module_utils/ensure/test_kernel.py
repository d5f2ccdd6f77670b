# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel, swap and settings on a node that is a folder."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel import (
    GRUB_TEXT,
    Places,
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel_log import (
    MEANINGS,
    recent,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel_log import KernelEvent

TRAPPED = "CmaTotal: 0 kB\nCmaFree: 9961472 kB\n"
# Makes what update-grub makes: the command line with what is in the folder of additions.
UPDATE_GRUB = """#!/bin/sh
for file in {root}/grub.d/*.cfg; do . "$file"; done
echo "linux /vmlinuz ro quiet $GRUB_CMDLINE_LINUX" > {root}/grub.cfg
echo "linux /vmlinuz ro recovery $GRUB_CMDLINE_LINUX" >> {root}/grub.cfg
"""
SYSCTL = """#!/bin/sh
shift
for pair; do
    echo "${{pair#*=}}" > {root}/proc/sys/$(echo "${{pair%%=*}}" | tr . /)
done
"""


class Node:
    """A node below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "grub.d").mkdir()
        self.write("journal", "1790000000.000001 spark1 kernel: Linux version 6.17.0\n")
        self.write("grub.cfg", "linux /vmlinuz ro quiet\n")
        self.write("proc/sys/kernel/osrelease", "6.17.0-1032-nvidia\n")
        self.write("proc/cmdline", "ro quiet\n")
        self.write("proc/meminfo", "MemTotal: 127535104 kB\nCmaTotal: 0 kB\nCmaFree: 0 kB\n")
        self.write("proc/swaps", "Filename Type Size Used Priority\n")
        self.write("fstab", "UUID=1 / ext4 defaults 0 1\n")
        self.places = Places(
            proc=str(root / "proc"),
            fstab=str(root / "fstab"),
            grub_file=str(root / "grub.d" / "90-dgxspark.cfg"),
            generated_grub=str(root / "grub.cfg"),
            sysctl_file=str(root / "sysctl.d" / "90-dgxspark.conf"),
            reboot_file=str(root / "reboot-required.pkgs"),
            update_grub=self.program("update-grub", UPDATE_GRUB.format(root=root)),
            sysctl=self.program("sysctl", SYSCTL.format(root=root)),
            journalctl=self.program("journalctl", f"#!/bin/sh\ncat {root}/journal\n"),
            container=str(root / "container"),
            boot=str(root / "boot"),
            sysctl_folders=(str(root / "sysctl.d"), str(root / "lib" / "sysctl.d")),
            sysctl_main=str(root / "sysctl.conf"),
            units=(str(root / "units"), str(root / "lib" / "units")),
            systemd=(str(root / "systemd"), str(root / "lib" / "systemd")),
            generators=(str(root / "generators"),),
            swapoff=self.program(
                "swapoff", '#!/bin/sh\nsed -i "\\\\|^$1 |d" %s/proc/swaps\n' % root
            ),
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

    def run(self, act: bool, **parameters: Any) -> tuple[dict[str, Any], str]:
        wanted = Wanted(**{"kernel": "", "swap": "any", "sysctls": {}, **parameters})
        return converge(partial(observe, wanted, self.places), partial(plan, wanted=wanted), act)

    def repaired(self, *checks: str, **parameters: Any) -> dict[str, Any]:
        """Check and run announce and do the same; the next run is silent."""
        checked, _complaint = self.run(False, **parameters)
        assert having(checked, "drift") == set(checks)
        done, complaint = self.run(True, **parameters)
        assert having(done, "fixed") == set(checks), complaint
        assert (done["changed"], done["diff"]) == (checked["changed"], checked["diff"])
        again, _complaint = self.run(True, **parameters)
        assert (again["changed"], having(again, "drift")) == (False, set())
        return done


def having(result: dict[str, Any], status: str) -> set[str]:
    return {entry["check"] for entry in result["findings"] if entry["status"] == status}


def finding(result: dict[str, Any], check: str) -> dict[str, Any]:
    return next(entry for entry in result["findings"] if entry["check"] == check)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def trap(node: Node) -> None:
    node.write("proc/sys/kernel/osrelease", "7.0.0-1019-nvidia\n")
    node.write("proc/meminfo", TRAPPED)


def test_a_node_as_it_should_be_has_nothing_to_repair(node: Node) -> None:
    result, complaint = node.run(True)
    assert (result["changed"], complaint) == (False, "")
    assert {entry["status"] for entry in result["findings"]} == {"ok"}
    assert result["parity"] == {"kernel": "6.17.0-1032-nvidia"}


def test_the_handover_is_switched_off_for_the_next_boot_and_the_reboot_is_asked_for(
    node: Node,
) -> None:
    trap(node)
    checked, _complaint = node.run(False)
    assert having(checked, "drift") == {"kho_at_boot"}
    assert "9.5 GiB" in finding(checked, "kho_now")["actual"]
    assert not (node.root / "grub.d" / "90-dgxspark.cfg").exists()
    done, complaint = node.run(True)
    assert having(done, "fixed") == {"kho_at_boot"}
    assert "kho=off" in (node.root / "grub.cfg").read_text()
    assert "Reboot with kho=off" in complaint
    assert (done["changed"], done["diff"]) == (checked["changed"], checked["diff"])
    again, _complaint = node.run(True)
    assert (again["changed"], having(again, "blocked")) == (False, {"kho_now"})
    # After the reboot the memory is there again, and the setting is kept.
    node.write("proc/cmdline", "ro quiet kho=off\n")
    node.write("proc/meminfo", "CmaTotal: 0 kB\nCmaFree: 0 kB\n")
    rebooted, complaint = node.run(True)
    assert (rebooted["changed"], complaint) == (False, "")
    (node.root / "grub.d" / "90-dgxspark.cfg").unlink()
    node.write("grub.cfg", "linux /vmlinuz ro quiet\n")
    node.repaired("kho_at_boot")


@pytest.mark.parametrize("free", [0, 940604, 9961472])
def test_the_next_boot_is_not_judged_by_the_memory_of_the_moment(node: Node, free: int) -> None:
    trap(node)
    node.write("proc/meminfo", f"CmaTotal: 0 kB\nCmaFree: {free} kB\n")
    result, _complaint = node.run(False)
    assert having(result, "drift") == {"kho_at_boot"}
    assert finding(result, "kho_now")["status"] == ("blocked" if free else "skipped")


ON, OFF = "CONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT=y\n", "CONFIG_KEXEC_HANDOVER=y\n"


@pytest.mark.parametrize(
    ("release", "build", "free", "status"),
    [
        ("7.0.0-1030-nvidia", ON, 0, "drift"),
        ("7.0.0-1030-nvidia", OFF, 0, "ok"),
        ("7.0.0-1019-nvidia", OFF, 0, "ok"),
        # A build that nobody has looked into: only memory that is reserved now is a proof.
        ("7.0.0-1030-nvidia", None, 0, "skipped"),
        ("7.0.0-1030-nvidia", None, 940604, "drift"),
        ("8.1.0-2-generic", None, 0, "skipped"),
        ("6.17.0-1032-nvidia", None, 0, "ok"),
    ],
)
def test_kernel_and_build_decide(
    node: Node, release: str, build: str | None, free: int, status: str
) -> None:
    node.write("proc/sys/kernel/osrelease", release + "\n")
    node.write("proc/meminfo", f"CmaTotal: 0 kB\nCmaFree: {free} kB\n")
    if build:
        node.write(f"boot/config-{release}", build)
    result, _complaint = node.run(False)
    assert finding(result, "kho_at_boot")["status"] == status


def test_the_newest_installed_kernel_boots_next(node: Node) -> None:
    for release in ("6.17.0-1032-nvidia", "7.0.0-1019-nvidia"):
        node.write(f"boot/vmlinuz-{release}", "")
    result, _complaint = node.run(False)
    assert finding(result, "kho_at_boot")["actual"].startswith("7.0.0-1019-nvidia")
    assert finding(result, "kho_now")["status"] == "ok"
    assert having(result, "drift") == {"kho_at_boot"}


def test_every_entry_of_the_boot_loader_counts(node: Node) -> None:
    trap(node)
    entries = ("# kho=off", "linux /vmlinuz ro kho=off", "linux /vmlinuz ro kho=off kho=on")
    node.write("grub.cfg", "\n".join(entries))
    result, _complaint = node.run(False)
    assert having(result, "drift") == {"kho_at_boot"}


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        ("foreign", "does not belong"),
        ("directory", "is a directory"),
        ("no tool", "update-grub is not installed"),
        ("failing", "exit status 3"),
    ],
)
def test_a_boot_loader_that_cannot_be_told_is_blocked(
    node: Node, breaking: str, message: str
) -> None:
    trap(node)
    file = node.root / "grub.d" / "90-dgxspark.cfg"
    if breaking == "foreign":
        file.write_text('GRUB_CMDLINE_LINUX="mine"\n')
    elif breaking == "directory":
        file.mkdir()
    elif breaking == "no tool":
        node.places = Places(**{**vars(node.places), "update_grub": ""})
    else:
        node.program("update-grub", "#!/bin/sh\nexit 3\n")
    result, complaint = node.run(True)
    assert "kho_at_boot" in having(result, "blocked")
    assert message in complaint
    if breaking == "foreign":
        assert file.read_text() == 'GRUB_CMDLINE_LINUX="mine"\n'


def test_a_run_that_was_killed_before_update_grub_is_finished_by_the_next(node: Node) -> None:
    trap(node)
    node.write("grub.d/90-dgxspark.cfg", GRUB_TEXT).chmod(0o644)
    done, _complaint = node.run(True)
    assert having(done, "fixed") == {"kho_at_boot"}
    assert done["diff"]["after_header"] == str(node.root / "grub.cfg")


@pytest.mark.parametrize(
    ("release", "wanted", "status"),
    [
        ("6.17.0-1032-nvidia", ">=6.17,<7", "ok"),
        ("7.0.0-1019-nvidia", ">=6.17,<7", "blocked"),
        ("6.17.0-1008-nvidia", "", "blocked"),
    ],
)
def test_kernels_that_are_not_wanted_or_known_to_fail(
    node: Node, release: str, wanted: str, status: str
) -> None:
    node.write("proc/sys/kernel/osrelease", release + "\n")
    result, _complaint = node.run(False, kernel=wanted)
    assert finding(result, "kernel_version")["status"] == status


def test_swap_is_turned_off_now_and_for_the_next_boot(node: Node) -> None:
    node.write("proc/swaps", "Filename Type Size Used Priority\n/swap.img file 16 0 -2\n")
    fstab = "# comment\nUUID=1 / ext4 defaults 0 1\n/swap.img none swap sw 0 0\n"
    node.write("fstab", fstab).chmod(0o640)
    node.repaired("swap_now", "swap_at_boot", swap="off")
    text = (node.root / "fstab").read_text()
    assert text == fstab.replace("/swap.img", "# off by dgxspark.suite: /swap.img")
    assert os.stat(node.root / "fstab").st_mode & 0o777 == 0o640


def test_swap_that_cannot_be_emptied_is_told_of_and_the_rest_is_done(node: Node) -> None:
    node.write("proc/swaps", "Filename Type Size Used Priority\n/swap.img file 16 0 -2\n")
    node.write("fstab", "/swap.img none swap sw 0 0\n")
    node.program("swapoff", "#!/bin/sh\necho Cannot allocate memory >&2\nexit 255\n")
    result, complaint = node.run(True, swap="off")
    assert (having(result, "blocked"), having(result, "fixed")) == ({"swap_now"}, {"swap_at_boot"})
    assert "Cannot allocate memory" in complaint
    assert "Stop the running model" in complaint


def test_wanted_swap_that_is_not_there_is_for_a_person_to_make(node: Node) -> None:
    result, complaint = node.run(True, swap="present")
    assert having(result, "blocked") == {"swap_now"}
    assert "mkswap" in complaint
    node.write("proc/swaps", "Filename Type Size Used Priority\n/swap.img file 16 0 -2\n")
    node.write("fstab", "/swap.img none swap sw 0 0\n")
    assert node.run(True, swap="present")[1] == ""


def test_settings_are_set_now_and_for_the_next_boot(node: Node) -> None:
    node.write("proc/sys/net/core/rmem_max", "212992\n")
    node.write("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
    sysctls = {"net.core.rmem_max": 67108864, "net.ipv4.tcp_rmem": "4096 131072  6291456"}
    node.repaired("sysctl_file", "sysctl_values", sysctls=sysctls)
    assert (node.root / "proc/sys/net/core/rmem_max").read_text() == "67108864\n"
    node.write("sysctl.d/90-dgxspark.conf", "")
    node.repaired("sysctl_file", sysctls=sysctls)
    node.repaired("sysctl_file")
    assert not (node.root / "sysctl.d" / "90-dgxspark.conf").exists()


def test_a_setting_that_this_kernel_does_not_have_is_told_of(node: Node) -> None:
    result, complaint = node.run(True, sysctls={"net.core.nothing": 1})
    assert having(result, "blocked") == {"sysctl_values"}
    assert "net.core.nothing = unknown to this kernel" in complaint


def test_a_file_of_somebody_else_is_kept_and_the_settings_are_set(node: Node) -> None:
    node.write("proc/sys/net/core/rmem_max", "1\n")
    node.write("sysctl.d/90-dgxspark.conf", "theirs = 1\n")
    result, _complaint = node.run(True, sysctls={"net.core.rmem_max": 2})
    assert having(result, "blocked") == {"sysctl_file"}
    assert having(result, "fixed") == {"sysctl_values"}
    assert (node.root / "sysctl.d/90-dgxspark.conf").read_text() == "theirs = 1\n"


def test_a_node_that_tells_nothing_is_no_crash(node: Node) -> None:
    for name in ("sys/kernel/osrelease", "cmdline", "meminfo", "swaps"):
        (node.root / "proc" / name).write_bytes(b"\xff\xfe\x00")
    (node.root / "fstab").unlink()
    result, _complaint = node.run(False, swap="off")
    assert result["changed"] is False


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kernel": "newest"}, "kernel: expected versions"),
        ({"sysctls": {"../../etc/passwd": 1}}, "sysctls: expected a name"),
        ({"sysctls": {"vm": 1}}, "sysctls: expected a name"),
        ({"sysctls": {"vm.swappiness": "1\nkernel.x = 2"}}, "sysctls: vm.swappiness"),
        ({"sysctls": {"vm.swappiness": [1]}}, "sysctls: vm.swappiness"),
    ],
)
def test_what_cannot_be_meant_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wanted(**{"kernel": "", "swap": "any", "sysctls": {}, **parameters})


RMEM = {"net.core.rmem_max": 67108864}


@pytest.mark.parametrize(
    ("path", "text", "rival"),
    [
        ("sysctl.d/99-other.conf", "net.core.rmem_max = 212992\n", True),
        ("lib/sysctl.d/99-other.conf", "-net/core/rmem_max=212992\n", True),
        ("sysctl.conf", "net.core.rmem_max=212992\n", True),
        ("sysctl.d/99-other.conf", "net.core.rmem_max = 67108864\n", False),
        ("sysctl.d/99-other.conf", "# net.core.rmem_max = 1\nnet.core.wmem_max = 1\n", False),
        # Ours is explicit, and no pattern overrules that.
        ("sysctl.d/99-other.conf", "net.core.*mem_max = 1\n-net.core.rmem_max\n", False),
        ("sysctl.d/10-early.conf", "net.core.rmem_max = 212992\n", False),
        ("sysctl.d/99-other.txt", "net.core.rmem_max = 212992\n", False),
    ],
)
def test_a_file_that_is_read_after_ours_decides_about_the_next_boot(
    node: Node, path: str, text: str, rival: bool
) -> None:
    node.write("proc/sys/net/core/rmem_max", "67108864\n")
    node.run(True, sysctls=RMEM)
    node.write(path, text)
    result, _complaint = node.run(False, sysctls=RMEM)
    assert having(result, "blocked") == ({"sysctl_at_boot"} if rival else set())
    actual = finding(result, "sysctl_at_boot")["actual"]
    if rival:
        assert str(node.root / path) in actual
        assert node.places.sysctl_file in actual


def test_the_last_of_several_later_files_decides(node: Node) -> None:
    node.write("proc/sys/net/core/rmem_max", "67108864\n")
    node.run(True, sysctls=RMEM)
    node.write("sysctl.d/95-a.conf", "net.core.rmem_max = 1\n")
    node.write("sysctl.conf", "net.core.rmem_max = 67108864\n")
    (node.root / "sysctl.d" / "99-sysctl.conf").symlink_to(node.root / "sysctl.conf")
    assert not having(node.run(False, sysctls=RMEM)[0], "blocked")
    (node.root / "sysctl.d" / "99-sysctl.conf").unlink()
    (node.root / "sysctl.d" / "95-a.conf").unlink()
    # A file hides the one of its name in a later folder.
    node.write("lib/sysctl.d/95-a.conf", "net.core.rmem_max = 1\n")
    (node.root / "sysctl.d" / "95-a.conf").symlink_to("/dev/null")
    assert not having(node.run(False, sysctls=RMEM)[0], "blocked")


@pytest.mark.parametrize(
    ("text", "rival"),
    [
        ('GRUB_CMDLINE_LINUX="quiet"\n', True),
        ("GRUB_CMDLINE_LINUX=\n", True),
        ('GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX quiet"\n', False),
        ('GRUB_CMDLINE_LINUX="${GRUB_CMDLINE_LINUX} kho=on"\n', True),
        ('GRUB_CMDLINE_LINUX+=" quiet"\n', False),
        ('GRUB_CMDLINE_LINUX="quiet kho=off"\n', False),
        ('export GRUB_CMDLINE_LINUX="quiet"\n', True),
        ('GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\n', False),
        ('GRUB_CMDLINE_LINUX_DEFAULT="kho=on"\n', True),
        ('#GRUB_CMDLINE_LINUX="quiet"\nGRUB_TIMEOUT=1\nbroken "\n', False),
    ],
)
def test_a_later_file_of_grub_decides_about_the_next_update_grub(
    node: Node, text: str, rival: bool
) -> None:
    trap(node)
    node.run(True)
    assert "kho=off" in (node.root / "grub.cfg").read_text()
    node.write("grub.d/99-other.cfg", text)
    result, _complaint = node.run(False)
    kho = finding(result, "kho_at_boot")
    assert kho["status"] == ("blocked" if rival else "ok")
    if rival:
        assert "99-other.cfg" in kho["actual"]
        assert "90-dgxspark.cfg" in kho["actual"]


def test_swap_comes_back_by_units_and_generators_as_well(node: Node) -> None:
    assert finding(node.run(False, swap="off")[0], "swap_units")["status"] == "ok"
    node.write("units/swap.target.wants/dev-sdb1.swap", "[Swap]\n")
    node.write("lib/systemd/zram-generator.conf", "[zram0]\n")
    result, _complaint = node.run(False, swap="off")
    assert having(result, "blocked") == {"swap_units"}
    assert "systemctl mask dev-sdb1.swap" in finding(result, "swap_units")["hint"]
    assert "zram" not in finding(result, "swap_units")["actual"]
    node.write("generators/zram-generator", "")
    (node.root / "units" / "dev-sdb1.swap").symlink_to("/dev/null")
    result, _complaint = node.run(False, swap="off")
    assert "lib/systemd/zram-generator.conf" in finding(result, "swap_units")["actual"]
    assert "sdb1" not in finding(result, "swap_units")["actual"]
    assert finding(node.run(False, swap="any")[0], "swap_units")["status"] == "ok"


def test_swap_that_nothing_brings_up_at_boot_is_not_present(node: Node) -> None:
    node.write("proc/swaps", "Filename Type Size Used Priority\n/swapfile file 16777212 0 -2\n")
    result, _complaint = node.run(False, swap="present")
    assert having(result, "blocked") == {"swap_units"}
    assert "/swapfile is in use now" in finding(result, "swap_units")["actual"]
    node.write("fstab", "/swapfile none swap sw 0 0\n")
    assert not having(node.run(False, swap="present")[0], "blocked")


# Messages as owners of Sparks have posted them (NVIDIA/dgx-spark-playbooks 97,
# NVIDIA/open-gpu-kernel-modules 1358, vllm-project/vllm PR 45179).
MESSAGES = {
    "NVRM: Xid (PCI:000f:01:00): 119, pid=4711, name=python3, Timeout after 6s": "kernel_log_gpu",
    "NVRM: Out of memory [NV_ERR_NO_MEMORY] (0x00000051) returned from"
    " _memdescAllocInternal(pMemDesc)": "kernel_log_gpu_memory",
    "NVRM: kgspHealthCheck_TU102: 0xbadf5600": "kernel_log_gpu_start",
    "pcieport 0000:00:00.0: AER: Uncorrectable (Fatal) error message received": "kernel_log_card",
    "mlx5_core 0000:01:00.0: mlx5_pci_slot_reset was called": "kernel_log_card",
    "thermal thermal_zone0: acpitz: critical temperature reached": "kernel_log_thermal",
    "Out of memory: Killed process 812 (VLLM::EngineCor) total-vm:1kB": "kernel_log_oom",
    "EXT4-fs error (device nvme0n1p2): ext4_lookup:1855: inode #2": "kernel_log_storage",
    "nvme nvme0: controller is down; will reset": "kernel_log_storage",
}
BENIGN = (
    "mlx5_core 0000:01:00.0: Detected insufficient power on the PCIe slot (27W).",
    "mlx5_core 0000:01:00.0 enp1s0f0np0: Link up",
    "NVRM: loading NVIDIA UNIX Open Kernel Module for aarch64  580.142  Release Build",
    "oom_reaper: reaped process 812 (python3)",
    "usb 1-1: new device",
)


def journal(node: Node, *lines: str, age: float = 60) -> None:
    start = "1700000000.000001 spark1 kernel: Linux version 6.17.0\n"
    stamp = time.time() - age
    node.write("journal", start + "".join(f"{stamp:.6f} spark1 kernel: {one}\n" for one in lines))


@pytest.mark.parametrize(("message", "check"), MESSAGES.items())
def test_a_message_of_the_kernel_has_its_own_finding_and_remedy(
    node: Node, message: str, check: str
) -> None:
    journal(node, message, message)
    result, _complaint = node.run(False)
    assert having(result, "blocked") == {check}
    assert finding(result, check)["actual"].startswith("2")
    assert "last 20" in finding(result, check)["actual"]


def test_no_remedy_serves_two_kinds_of_messages() -> None:
    hints = [meaning.hint for meaning in MEANINGS]
    assert len(set(hints)) == len(hints)


def test_messages_that_mean_nothing(node: Node) -> None:
    journal(node, *BENIGN)
    assert not having(node.run(False)[0], "blocked")


def test_a_link_that_is_plugged_goes_down_a_few_times(node: Node) -> None:
    down = "mlx5_core 0000:01:00.0 enp1s0f0np0: Link down"
    journal(node, *[down] * 4)
    assert not having(node.run(False)[0], "blocked")
    journal(node, *[down] * 30)
    result, _complaint = node.run(False)
    assert having(result, "blocked") == {"kernel_log_link"}
    assert "30 (enp1s0f0np0: 30)" in finding(result, "kernel_log_link")["actual"]


def test_the_kernel_of_a_container_is_that_of_its_host(node: Node) -> None:
    journal(node, *MESSAGES)
    node.write("container", "docker\n")
    assert not having(node.run(False)[0], "blocked")


def test_what_is_over_is_reported_and_is_no_fault(node: Node) -> None:
    killed, failed = list(MESSAGES)[6], list(MESSAGES)[1]
    journal(node, killed, failed, age=3 * 86400)
    result, _complaint = node.run(False)
    # Lost memory stays lost until a reboot.
    assert having(result, "blocked") == {"kernel_log_gpu_memory"}
    assert "VLLM::EngineCor" in finding(result, "kernel_log_oom")["actual"]


def test_errors_of_programs_are_none_of_the_gpu(node: Node) -> None:
    journal(node, "NVRM: Xid (PCI:000f:01:00): 31, pid=1, name=python3, MMU Fault")
    result, _complaint = node.run(False)
    assert finding(result, "kernel_log_gpu")["status"] == "ok"
    assert "31: 1" in finding(result, "kernel_log_gpu")["actual"]


@pytest.mark.parametrize("text", ["", "-- No entries --\n", "\x00garbage\n1 2 3\n"])
def test_a_journal_that_this_user_may_not_read_is_skipped(node: Node, text: str) -> None:
    node.write("journal", text)
    result, _complaint = node.run(False)
    checks = {meaning.check for meaning in MEANINGS}
    assert {check: finding(result, check)["status"] for check in checks} == dict.fromkeys(
        checks, "skipped"
    )


def test_what_was_reported_in_the_time_of_a_failure_explains_it() -> None:
    events = [
        KernelEvent("oom", 900, "python3"),
        KernelEvent("gpu", 1000, "31"),
        KernelEvent("link", 1001, "enp1s0f0np0"),
    ]
    found = recent(events, 1000)
    assert len(found) == 2
    assert "1 (31: 1), last 1970-01-01 00:16 UTC" in found[0]
    assert "enp1s0f0np0" in found[1]
    assert recent(events, 2000) == []
