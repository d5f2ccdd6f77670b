# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of units as systemd reads them, and how much the units of this collection may do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_texts import (
    quoted,
    value,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launcher_texts import units
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.units import unit_text

# The worst that a unit may have, of 100: "OK" for systemd.
_EXPOSURE = 40


def test_words_of_a_command_stay_the_words_they_are() -> None:
    assert quoted(["/bin/a", "-M", "1,2"]) == "/bin/a -M 1,2"
    assert quoted(["/a b", 'c"d', "e\\f", "100%", "$x", ""]) == (
        '"/a b" "c\\"d" "e\\\\f" 100%% $$x ""'
    )
    # No variable is replaced in the path of the program.
    assert quoted(["/$x/50%", "a\nExecStart=/b"]) == '/$x/50%% "a\\x0aExecStart=/b"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% off", "50%% off"),
        ("$HOME", "$HOME"),
        ("a\\b", "a\\b"),
        ("end\\", "end\\\\"),
        ("end\\\\", "end\\\\"),
    ],
)
def test_a_value_is_one_line_with_nothing_to_replace(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize("text", ["a\nb", "a\x85b", "a\u2028b", "\x1b[2J"])
def test_a_value_that_would_add_a_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not allowed in a systemd unit"):
        value(text)


def written() -> dict[str, str]:
    """Name -> text of all units that run what needs no rights of root's."""
    spec = {
        "recipe": "50%-off\\",
        "plan": "a" * 64,
        "rank": "0",
        "members": ["127.0.0.1"],
        "port": 25010,
        "starts": 3,
    }
    name = "dgxspark-x-0"
    limits = {"MEMLOCK": "infinity"}
    texts = units("/opt/bin", "/etc/work", "/etc/ray.env", "dgxspark", 3, 60, limits, ["/ai"])
    return {
        **texts,
        name + ".service": unit_text(name, spec, "/usr/bin/docker", "/usr/bin/python3"),
    }


@pytest.mark.parametrize("name", sorted(written()))
def test_a_unit_is_sandboxed_and_keeps_what_its_program_needs(name: str) -> None:
    lines = written()[name].splitlines()
    for line in (
        *(
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "ProtectSystem=strict",
            "PrivateTmp=yes",
        ),
        *("RestrictSUIDSGID=yes", "ProtectControlGroups=yes", "UMask=0077"),
    ):
        assert lines.count(line) == 1
    of_launchers = name != "dgxspark-x-0.service"
    # All of these keep CUDA from working.
    denied = re.compile("DevicePolicy|DeviceAllow|PrivateDevices|ProtectClock|MemoryDeny")
    assert any(map(denied.match, lines)) is not of_launchers
    assert ("LimitMEMLOCK=infinity" in lines) is of_launchers
    writable = "/ai" if of_launchers else supervisor.STATE
    assert f"ReadWritePaths=-{writable}" in lines


def test_vllm_and_ray_have_one_folder_for_their_sockets() -> None:
    joined = {
        name: set(re.findall("^JoinsNamespaceOf=(.*)$", text, re.MULTILINE)[0].split())
        for name, text in units("/b", "/w", "/r", "u", 3, 60, {}).items()
    }
    for name, others in joined.items():
        assert others == {
            "dgxspark-ray-head.service",
            "dgxspark-ray-worker.service",
        } - {name}


def test_a_backslash_at_the_end_of_a_recipe_swallows_no_line() -> None:
    text = written()["dgxspark-x-0.service"]
    joined = re.sub(r"(?<!\\)((?:\\\\)*)\\\n", r"\1 ", text.partition("[X-")[0])
    assert "\nWants=network-online.target docker.service\n" in joined
    assert "\nDescription=Rank 0 of 50%%-off\\\\\n" in joined


@pytest.mark.parametrize("name", sorted(written()))
def test_systemd_rates_a_unit_as_contained(tmp_path: Path, name: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / name).write_text(written()[name])
    rate = [analyze, "security", "--offline=true", f"--threshold={_EXPOSURE}", str(tmp_path / name)]
    done = subprocess.run(rate, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
