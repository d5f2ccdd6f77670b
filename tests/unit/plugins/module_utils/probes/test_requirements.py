# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned requirements, their markers and versions."""

from __future__ import annotations

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.requirements import (
    holds,
    normalized,
    parse,
    same_version,
)

SPARK = {
    "python_version": "3.12",
    "python_full_version": "3.12.3",
    "sys_platform": "linux",
    "platform_machine": "aarch64",
    "os_name": "posix",
    "implementation_name": "cpython",
}
LOCK = """\
# made by a tool
numpy==2.3.5 \\
    --hash=sha256:0a1b \\
    --hash=sha256:2c3d
Ray[default,serve] == 2.60.0
ruamel.yaml==0.18 ; python_version < "3.9"  # not here
uvloop==0.23.0 ; sys_platform != 'win32' and implementation_name == "cpython"

torch===2.13.0+cpu
"""


def test_a_lock_file_gives_the_pins_that_hold_here() -> None:
    pins = parse(LOCK, SPARK)
    assert [(pin.name, pin.version, pin.hashed) for pin in pins] == [
        ("numpy", "2.3.5", True),
        ("ray", "2.60.0", False),
        ("torch", "2.13.0+cpu", False),
        ("uvloop", "0.23.0", False),
    ]
    assert pins[0].line == "numpy==2.3.5 --hash=sha256:0a1b --hash=sha256:2c3d"
    assert pins[1].line == "Ray[default,serve]==2.60.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a==1\nnumpy>=2\n", "line 2: expected an exact pin"),
        ("numpy\n", "line 1: expected an exact pin"),
        ("-r other.txt\n", "line 1: expected an exact pin"),
        ("--index-url http://192.0.2.1/simple\n", "line 1: expected an exact pin"),
        ("a @ http://192.0.2.1/a.whl\n", "line 1: expected an exact pin"),
        ("numpy==2.*\n", "line 1: expected an exact pin"),
        ("a==1\n\nA==2\n", "line 3: a is pinned to two versions"),
        ("a==1 ; shoe_size == '44'\n", "line 1: marker not understood: .*shoe_size"),
        ("a==1 ; python_version\n", "line 1: marker not understood"),
        ("a==1 ; (os_name == 'posix'\n", "line 1: marker not understood"),
        ("a==1 ; os_name == 'posix' os_name\n", "line 1: marker not understood"),
        ("a==1; rm -rf /\n", "line 1: marker not understood"),
        ("a==1 --config-settings=x\n", "line 1: expected an exact pin"),
        ("\x00\ufffd\n", "line 1: expected an exact pin"),
    ],
)
def test_what_does_not_say_what_should_be_there_is_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text, SPARK)


@pytest.mark.parametrize(
    ("marker", "value"),
    [
        ("python_version >= '3.9'", True),
        ("python_version < '3.9'", False),
        ("python_version == '3.12.*'", True),
        ("'3.10' <= python_version", True),
        ("python_full_version >= '3.12.0' and python_full_version < '3.12.4'", True),
        ("sys_platform == 'linux' and platform_machine == 'x86_64'", False),
        ("sys_platform == 'win32' or platform_machine == 'aarch64'", True),
        ("os_name == 'nt' and os_name == 'nt' or os_name == 'posix'", True),
        ("os_name == 'nt' and (os_name == 'nt' or os_name == 'posix')", False),
        ("platform_machine in 'aarch64 arm64'", True),
        ("platform_machine not in 'x86_64'", True),
        ("extra == 'dev'", False),
        ("sys_platform != 'linux'", False),
    ],
)
def test_markers(marker: str, value: bool) -> None:
    assert holds(marker, SPARK) is value


@pytest.mark.parametrize(
    ("installed", "wanted", "same"),
    [
        ("2.13.0", "2.13.0", True),
        ("2.13.0+cpu", "2.13.0", True),
        ("2.13.0+cpu", "2.13.0+cpu", True),
        ("2.13.0", "2.13.0+cpu", False),
        ("2.13.0+cu130", "2.13.0+cpu", False),
        ("1.0", "1.0.0", True),
        ("1.0.1", "1.0", False),
        ("10", "1", False),
        ("1.0rc1", "1.0.rc1", True),
        ("1.0rc1", "1.0-RC-1", True),
        ("1.0rc1", "1.0", False),
        ("1.0a1", "1.0alpha1", True),
        ("0.1.15.post2", "0.1.15.post2", True),
        ("0.1.15.post2", "0.1.15", False),
        ("1!2.0", "2.0", False),
        ("v1.0", "1.0", True),
        ("2026.09.0", "2026.9.0", True),
        ("garbage", "1.0", False),
    ],
)
def test_versions_are_the_same_whatever_their_spelling(
    installed: str, wanted: str, same: bool
) -> None:
    assert same_version(installed, wanted) is same


def test_names_have_one_spelling() -> None:
    assert normalized("Ruamel.YAML__x") == "ruamel-yaml-x"
