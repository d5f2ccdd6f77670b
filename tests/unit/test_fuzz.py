# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fuzzer of tests/fuzz with a fixed seed, for DGXSPARK_FUZZ_SECONDS of processor in all."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fuzz"))
fuzz: Any = importlib.import_module("fuzz")
targets: Any = importlib.import_module("fuzz_targets")

SEED = 17
SECONDS = float(os.environ.get("DGXSPARK_FUZZ_SECONDS", "20"))


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: target.name)
def test_whatever_it_reads_it_raises_only_what_it_declares(target: Any) -> None:
    seconds = SECONDS / len(targets.TARGETS)
    assert list(map(str, fuzz.fuzz(target, SEED, seconds, set()))) == []


# What has been a fault once: (target, input).
FAULTS: list[tuple[str, Any]] = [
    ("addresses.facts_of", '[{"ifname": {}, "addr_info": [{"scope": "global", "local": null}]}]'),
    ("bandwidth.parse_iperf", '{"end": {"sum_received": {"bits_per_second": 1%s}}}' % ("0" * 400)),
    ("bandwidth.parse_ping", "rtt min/avg/max/mdev = 0.1/1.5.2/0.3/0 ms"),
    ("bandwidth.parse_write_bw", " 65536 5000 110.0 109.0.0 0.17\n"),
    ("bandwidth.parse_nccl", "# Avg bus bandwidth    : 1.5.1.5\n"),
    ("links.parse_links", '[{"ifname": "a", "flags": 9, "mtu": "x", "addr_info": -1}]'),
    ("links.parse_routes", '[{"dev": "a", "metric": "x"}, {"dev": "b", "metric": []}]'),
    ("manifest", {**targets._MANIFEST, "entries": [{"path": "a", "size": float("inf")}]}),
    ("meminfo.parse_meminfo", "MemTotal: %s kB\n" % ("1" * 5000)),
    ("requirements.parse", "ray==1 ; " + "(" * 5000),
    ("sockets.parse_bound", "head\n 0: 0100007F:1F-1 00000000:0000 0A 0 0 0 0 0 7071 1\n"),
    ("sockets.parse_peers", "head\n 0: 0100007F:1F40 020007F:D431 01 0\n"),
    ("versions", "2.9" + "1" * 5000),
    ("workloads", {"dgxspark.suite/rank": "²", "dgxspark.suite/ranks": "x"}),
    ("workloads", None),
    ("zfs.comparable", "1" * 5000),
]


@pytest.mark.parametrize(("name", "given"), FAULTS, ids=[name for name, _given in FAULTS])
def test_what_has_been_a_fault_is_none(name: str, given: Any) -> None:
    (target,) = (one for one in targets.TARGETS if one.name == name)
    assert fuzz.attempt(target, given) is None


def test_valid_input_is_read() -> None:
    """Seeds that are refused would test nothing but refusals."""
    for target in targets.TARGETS:
        for seed in target.seeds:
            target.read(seed)


def _target(read: Any, seed: object = '{"a": 1}', **more: Any) -> Any:
    return targets.Target("t", read, [seed], **more)


def test_an_exception_that_is_not_declared_is_found_once() -> None:
    faults = list(fuzz.fuzz(_target(lambda text: text[1000]), SEED, 0.2, set()))
    assert [fault.exception for fault in faults] == ["IndexError"]
    declared = _target(lambda text: text[1000], allowed=(IndexError,))
    assert list(fuzz.fuzz(declared, SEED, 0.2, set())) == []


def test_an_input_that_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LIMIT", 1)
    fault = fuzz.attempt(_target(lambda _text: time.sleep(10), allowed=(Exception,)), "")
    assert fault.exception == "TooSlow"


@pytest.mark.parametrize("more", [{}, {"syntax": "json"}, {"syntax": "yaml"}, {"documents": True}])
def test_the_same_seed_makes_the_same_inputs(more: dict[str, Any]) -> None:
    seed = {"a": [1, "x"]} if more.get("documents") else '{"a": [1, "x"]}'
    target = _target(str, seed, **more)
    first, again, other = (
        list(map(repr, itertools.islice(fuzz.inputs(target, number), 200)))
        for number in (SEED, SEED, SEED + 1)
    )
    assert first == again != other
    assert len(set(first)) > 100


def test_it_is_a_program(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *_limits: None)
    assert fuzz.main(["--seconds", "0.1", "--seed", "5", "zfs.parse_pools"]) == 0
    assert "seed 5" in capsys.readouterr().out
    monkeypatch.setattr(fuzz, "TARGETS", [_target(lambda text: text[1000])])
    assert fuzz.main(["--seconds", "0.1"]) == 1
    assert "IndexError" in capsys.readouterr().out
