# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an update is told to be, and when it is not made. Pure, but for one run of a stand-in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs import packages
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.updates import (
    FullUpgrade,
    Observed,
    Wanted,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.file_lock import Holder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    OK,
    SKIPPED,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import (
    PackageChange,
    Upgrade,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import Package
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.fwupd import Firmware

WANTED = Wanted(False, 7200)
DOCKER = PackageChange("docker-ce", "29.1.3", "29.2.1")
RUNNING = "6.17.0-1014-nvidia"
# Kernels 7.0.0 have Kexec Handover on by default.
HANDOVER = "7.0.0-1019-nvidia"


def package(name: str, state: str = "installed") -> Package:
    return Package(name, "1", "install", "ok", state)


def seen(*changes: PackageChange, **more: object) -> Observed:
    there = {name: package(name) for name in ("docker-ce", f"linux-image-{RUNNING}")}
    dpkg = packages.Observed(there, False, None, 2 * 86400.0, "/usr/bin/apt-get")
    observed = Observed(
        *(dpkg, Upgrade(changes), Firmware(problem="there is no fwupdmgr"), RUNNING, "quiet"),
        *("", False, True, "/usr/bin/systemd-run"),
    )
    return replace(observed, **more)  # type: ignore[arg-type]


def found(made: Plan, check: str) -> Finding:
    return next(finding for finding in made.findings if finding.check == check)


def statuses(made: Plan) -> dict[str, str]:
    return {finding.check: finding.status for finding in made.findings}


def test_a_current_node() -> None:
    made = plan(seen(), WANTED)
    assert statuses(made) == {
        "dpkg_lock": OK,
        "dpkg_whole": OK,
        "coming_packages": OK,
        "next_kernel": OK,
        "packages_current": OK,
        "firmware_current": SKIPPED,
    }
    assert made.actions == ()
    assert (made.facts["reboot_needed"], made.facts["lists_days"]) == (False, 2.0)


def test_what_comes_is_told_with_versions_and_done_whole() -> None:
    made = plan(seen(DOCKER, PackageChange("new", "", "1")), WANTED)
    current = found(made, "packages_current")
    assert (current.status, current.actual) == (
        DRIFT,
        "2 packages: docker-ce 29.1.3 -> 29.2.1; new 1",
    )
    assert "lists 2 days old" in current.expected
    (action,) = made.actions
    assert isinstance(action, FullUpgrade)
    assert (action.before, action.after) == ("docker-ce 29.1.3\n", "docker-ce 29.2.1\nnew 1\n")
    assert action.argv[-2:] == ("--no-remove", "dist-upgrade")
    assert "upgrade" not in action.argv
    assert made.facts["reboot_needed"] is False


@pytest.mark.parametrize(
    ("more", "check", "message"),
    [
        (
            {"packages": replace(seen().packages, lock=Holder(7, "apt-get upgrade"))},
            "dpkg_lock",
            "process 7 (apt-get upgrade)",
        ),
        (
            {"packages": replace(seen().packages, packages={"x": package("x", "unpacked")})},
            "dpkg_whole",
            "x is unpacked",
        ),
        (
            {"packages": replace(seen().packages, interrupted=True)},
            "dpkg_whole",
            "interrupted",
        ),
        (
            {"upgrade": Upgrade((PackageChange("nvidia-driver-590-open", "", "590.1"),))},
            "coming_packages",
            "driver series 590",
        ),
        (
            {"upgrade": Upgrade((PackageChange(f"linux-image-{HANDOVER}", "", "1"),))},
            "next_kernel",
            "Kexec Handover",
        ),
    ],
)
def test_what_stands_against_an_update(more: dict[str, object], check: str, message: str) -> None:
    observed = seen(DOCKER, **more)
    made = plan(observed, WANTED)
    assert found(made, check).status == BLOCKED
    assert message in found(made, check).actual
    assert made.actions == ()
    current = found(made, "packages_current")
    assert (current.status, current.hint) == (BLOCKED, f"Blocked by: {check}.")
    exempt = plan(observed, replace(WANTED, exempt=frozenset({check})))
    assert len(exempt.actions) == 1


def test_a_kernel_that_panics_is_held_back() -> None:
    comes = PackageChange("linux-image-6.17.0-1008-nvidia", "", "1")
    # Older than the one that runs, it does not boot.
    assert found(plan(seen(comes), WANTED), "next_kernel").status == OK
    old = seen(comes, release="6.14.0-1", packages=replace(seen().packages, packages={}))
    kernel = found(plan(old, WANTED), "next_kernel")
    assert (kernel.status, "panics" in kernel.actual) == (BLOCKED, True)
    assert "apt-mark hold linux-image-6.17.0-1008-nvidia" in kernel.hint


@pytest.mark.parametrize(
    "more",
    [
        {"command_line": "quiet kho=off"},
        {"grub": 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX kho=off"\n'},
    ],
)
def test_a_kernel_with_handover_may_come_where_it_is_turned_off(more: dict[str, str]) -> None:
    comes = PackageChange(f"linux-image-{HANDOVER}", "", "1")
    made = plan(seen(comes, **more), WANTED)
    assert (found(made, "next_kernel").status, made.facts["next_kernel"]) == (OK, HANDOVER)
    assert made.facts["reboot_reasons"] == [
        f"kernel {RUNNING} runs, {HANDOVER} is newer",
        f"linux-image-{HANDOVER} would be updated",
    ]


def test_nothing_is_removed_unless_that_is_allowed() -> None:
    observed = seen(DOCKER, PackageChange("docker-compose", "1", ""))
    current = found(plan(observed, WANTED), "packages_current")
    assert current.status == BLOCKED
    assert "It would remove docker-compose." in current.hint
    assert "dgxspark_updates_allow_removals=true" in current.hint
    (action,) = plan(observed, replace(WANTED, allow_removals=True)).actions
    assert isinstance(action, FullUpgrade)
    assert "--no-remove" not in action.argv


@pytest.mark.parametrize(
    ("more", "hint"),
    [({"root": False}, "Run as root"), ({"systemd_run": ""}, "systemd-run")],
)
def test_what_it_takes(more: dict[str, object], hint: str) -> None:
    current = found(plan(seen(DOCKER, **more), WANTED), "packages_current")
    assert (current.status, hint in current.hint) == (BLOCKED, True)


def test_no_answer_of_apt_is_no_current_node() -> None:
    made = plan(seen(upgrade=Upgrade(problem="exit status 100: E: held broken")), WANTED)
    assert found(made, "packages_current").status == BLOCKED
    assert found(made, "coming_packages").status == SKIPPED


def test_an_installed_kernel_is_judged_by_its_build() -> None:
    off = "CONFIG_KEXEC_HANDOVER=y\n"
    on = off + "CONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT=y\n"
    for build, status in ((off, OK), (on, BLOCKED), (None, BLOCKED)):
        nothing = replace(seen().packages, packages={})
        observed = seen(release="7.0.0-1030-nvidia", packages=nothing, build=build)
        made = plan(observed, WANTED)
        assert found(made, "next_kernel").status == status


def test_firmware_is_told_and_left_to_a_person() -> None:
    waits = Firmware((("UEFI", "1.0", "1.2"),))
    firmware = found(plan(seen(firmware=waits), WANTED), "firmware_current")
    assert (firmware.status, firmware.actual) == (
        SKIPPED,
        "not applied automatically: UEFI 1.0 -> 1.2",
    )
    assert "fwupdmgr upgrade" in firmware.hint


def test_what_waits_for_a_reboot() -> None:
    made = plan(seen(reboot_file=True), WANTED)
    assert made.facts["reboot_reasons"] == ["an earlier update requires it"]
    made = plan(seen(PackageChange("libc6", "1", "2")), WANTED)
    assert made.facts["reboot_reasons"] == ["libc6 would be updated"]


def test_an_upgrade_that_fails_says_where_the_rest_is(tmp_path: Path) -> None:
    stand_in = tmp_path / "systemd-run"
    stand_in.write_text("#!/bin/sh\necho E: broken >&2\nexit 100\n")
    stand_in.chmod(0o755)
    with pytest.raises(Blocked, match="E: broken") as raised:
        FullUpgrade(str(stand_in), "/usr/bin/apt-get", (DOCKER,), False, 10).apply()
    assert "journalctl -u dgxspark-updates" in raised.value.hint


NEXT = "6.17.0-1032-nvidia"
SIGNED = "linux-modules-nvidia-580-open-"


@pytest.mark.parametrize(
    ("present", "coming", "blocked"),
    [
        ([SIGNED + RUNNING], [f"linux-image-{NEXT}"], True),
        ([SIGNED + RUNNING], [f"linux-image-{NEXT}", SIGNED + NEXT], False),
        ([SIGNED + RUNNING, "nvidia-dkms-580-open"], [f"linux-image-{NEXT}"], False),
        ([SIGNED + RUNNING], [], False),
        # Nothing of the driver is known to be packaged for the running kernel.
        ([], [f"linux-image-{NEXT}"], False),
    ],
)
def test_a_kernel_that_would_boot_without_the_driver(
    present: list[str], coming: list[str], blocked: bool
) -> None:
    observed = seen(*(PackageChange(name, "", "1") for name in coming))
    there = {**observed.packages.packages, **{name: package(name) for name in present}}
    observed = replace(observed, packages=replace(observed.packages, packages=there))
    kernel = found(plan(observed, WANTED), "next_kernel")
    assert (kernel.status == BLOCKED) is blocked
    assert not blocked or SIGNED + NEXT in kernel.hint


def test_the_series_of_coming_packages_is_a_parameter() -> None:
    observed = seen(PackageChange("libnvidia-compute-590", "", "590.1"))
    assert found(plan(observed, WANTED), "coming_packages").status == BLOCKED
    assert found(plan(observed, replace(WANTED, driver=">=580")), "coming_packages").status == OK
