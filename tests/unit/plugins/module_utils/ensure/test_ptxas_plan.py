# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for every Triton and every pin, as a pure function of what was observed.

World says what each Triton was measured to do: which variable redirects it, what it falls back to,
and what it refuses. From that, the observation is made that observe() would make.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    PINS,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    TargetProblem,
    Trial,
    TritonReport,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.ptxas import (
    KEYS,
    Observed,
    Wanted,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import ptxas
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import Binary, version_key

OLD, BLACKWELL = PINS
BIN = "PTXAS_BIN"
ROOT = "/venv/site/triton"
CUDA_129 = "/usr/local/cuda-12.9/bin/ptxas"
CUDA_130 = "/usr/local/cuda-13.0/bin/ptxas"
CUDA_128 = "/usr/local/cuda-12.8/bin/ptxas"
FILES = {
    CUDA_128: ("12.8.93", ptxas.REJECTS),
    CUDA_129: ("12.9.86", ptxas.WORKS),
    CUDA_130: ("13.0.88", ptxas.WORKS),
    "/gone": ("", ptxas.MISSING),
    "/directory": ("", ptxas.NOT_A_FILE),
    "/plain": ("", ptxas.NOT_EXECUTABLE),
    "/script": ("", ptxas.NOT_PTXAS),
    "/unlucky": ("13.0.88", ptxas.FAILS),
}
# The ptxas that a Triton brings and uses for sm_121.
OWN = {
    "3.3.1": "12.8.61",
    "3.4.0": "12.8.93",
    "3.5.1": "12.8.93",
    "3.6.0": "12.9.86",
    "3.9.0": "13.4.59",
}

Env = Mapping[str, "str | None"]


@dataclass(frozen=True)
class World:
    """A Triton, what paths.env says, and the node's toolkits."""

    triton: str
    env: dict[str, str]
    toolkits: tuple[str, ...] = (CUDA_130,)
    own_works: bool = True

    def binary(self, path: str) -> Binary:
        if path.startswith(ROOT):
            version = OWN[self.triton]
            works = version_key(version) >= (12, 9) and self.own_works
            return Binary(path, "vendored", ptxas.WORKS if works else ptxas.REJECTS, version)
        version, verdict = FILES[path]
        return Binary(
            path, "system", verdict, version, detail="" if verdict == ptxas.WORKS else verdict
        )

    def trial(self, changes: Env) -> Trial:
        env = {**self.env, **changes}
        series = version_key(self.triton)[:2]
        key = "" if series < (3, 4) else OLD if series < (3, 6) else BLACKWELL
        path = env.get(key) or ""
        if path == "/plain":
            return Trial(changes, error="PermissionError: [Errno 13] Permission denied: '/plain'")
        if not path or not self.binary(path).is_ptxas:
            path = ROOT + ("/bin/ptxas" if key == OLD else "/bin/ptxas-blackwell")
        binary = self.binary(path)
        if not binary.works:
            return Trial(changes, path, binary, False, "PTXASError: %s" % binary.verdict)
        if series == (3, 4) and version_key(binary.version) >= (13,):
            return Trial(changes, path, binary, False, "RuntimeError: got CUDA version: 13.0")
        return Trial(changes, path, binary, series >= (3, 4), "")

    def observed(self) -> Observed:
        text = "".join("%s=%s\n" % item for item in self.env.items())
        pins = [key for key in PINS if key in self.env]
        changes: list[Env] = [{}, *({key: None} for key in pins)]
        if len(pins) > 1:
            changes.append(dict.fromkeys(pins))
        trials = tuple(self.trial(change) for change in changes)
        system = tuple(self.binary(path) for path in self.toolkits)
        retrials: tuple[Trial, ...] = ()
        if not any(trial.works for trial in trials):
            retrials = tuple(
                self.trial({key: toolkit.path})
                for toolkit in system
                if toolkit.works
                for key in PINS
            )
        return Observed(
            EnvFile("/etc/paths.env", text, owner=0),
            {key: self.binary(self.env[key]) for key in KEYS if key in self.env},
            system,
            TritonReport("3.12.3", self.triton, ROOT, (), trials, ""),
            retrials,
        )


WANTED = Wanted("/venv", None, "sm_121", None, "/etc/paths.env", 60, None, "python3", True)


def finding(planned: Plan, check: str) -> Finding:
    return next(entry for entry in planned.findings if entry.check == check)


def changes_of(planned: Plan) -> Env:
    return dict(planned.actions[0].changes) if planned.actions else {}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Case:
    """Once with what is to be written, or with the status of the check on compiling."""

    name: str
    world: World
    changes: Env
    status: str


def pinned(path: str = CUDA_130, key: str = OLD) -> Env:
    return {key: path, BIN: path}


CASES = [
    # Triton that works by itself
    Case("3.6 needs nothing", World("3.6.0", {}), {}, "ok"),
    Case("3.9 needs nothing", World("3.9.0", {}), {}, "ok"),
    Case("3.9 needs nothing, not even a toolkit", World("3.9.0", {}, ()), {}, "ok"),
    Case("3.9 does not read the old variable", World("3.9.0", {OLD: CUDA_128}), {}, "ok"),
    Case(
        "3.9 keeps an older pin that works",
        World("3.9.0", {BLACKWELL: CUDA_130, BIN: CUDA_130}),
        {},
        "ok",
    ),
    Case(
        "3.9 gets the binary's name with a pin",
        World("3.9.0", {BLACKWELL: CUDA_130}),
        {BIN: CUDA_130},
        "ok",
    ),
    Case(
        "3.9 loses a pin that is too old",
        World("3.9.0", {BLACKWELL: CUDA_128}),
        {BLACKWELL: None},
        "drift",
    ),
    Case(
        "3.9 loses only the pin it reads",
        World("3.9.0", {OLD: CUDA_130, BLACKWELL: CUDA_128}),
        {BLACKWELL: None},
        "drift",
    ),
    Case(
        "3.9 loses a pin that cannot be run",
        World("3.9.0", {BLACKWELL: "/plain"}),
        {BLACKWELL: None},
        "drift",
    ),
    Case(
        "3.9 loses a pin to nothing, though it falls back",
        World("3.9.0", {BLACKWELL: "/gone"}),
        {BLACKWELL: None},
        "ok",
    ),
    Case("3.9 loses an unread pin to nothing", World("3.9.0", {OLD: "/gone"}), {OLD: None}, "ok"),
    Case(
        "3.9 loses two pins to nothing",
        World("3.9.0", {OLD: "/gone", BLACKWELL: "/script"}),
        {OLD: None, BLACKWELL: None},
        "ok",
    ),
    Case(
        "3.9 keeps an unread pin that is out of luck", World("3.9.0", {OLD: "/unlucky"}), {}, "ok"
    ),
    # Triton whose own binary is broken
    Case(
        "3.9 broken is pinned by the new variable",
        World("3.9.0", {}, own_works=False),
        pinned(key=BLACKWELL),
        "drift",
    ),
    Case(
        "3.9 broken gets a bad pin replaced",
        World("3.9.0", {BLACKWELL: CUDA_128}, own_works=False),
        pinned(key=BLACKWELL),
        "drift",
    ),
    Case("3.9 broken without a toolkit", World("3.9.0", {}, (), own_works=False), {}, "blocked"),
    Case(
        "3.9 broken with an old toolkit",
        World("3.9.0", {}, (CUDA_128,), own_works=False),
        {},
        "blocked",
    ),
    # 3.5
    Case("3.5 is pinned", World("3.5.1", {}), pinned(), "drift"),
    Case(
        "3.5 is pinned to the first toolkit that works",
        World("3.5.1", {}, (CUDA_128, CUDA_129, CUDA_130)),
        pinned(CUDA_129),
        "drift",
    ),
    Case("3.5 pinned is left alone", World("3.5.1", dict(pinned())), {}, "ok"),
    Case(
        "3.5 pinned to another toolkit is left alone",
        World("3.5.1", dict(pinned(CUDA_129))),
        {},
        "ok",
    ),
    Case(
        "3.5 has its new variable left alone",
        World("3.5.1", {BLACKWELL: CUDA_130}),
        pinned(),
        "drift",
    ),
    Case(
        "3.5 gets a pin that is too old replaced",
        World("3.5.1", {OLD: CUDA_128}),
        pinned(),
        "drift",
    ),
    Case("3.5 gets a pin to nothing replaced", World("3.5.1", {OLD: "/gone"}), pinned(), "drift"),
    Case(
        "3.5 gets a pin to a directory replaced",
        World("3.5.1", {OLD: "/directory"}),
        pinned(),
        "drift",
    ),
    Case(
        "3.5 gets a pin that cannot be run replaced",
        World("3.5.1", {OLD: "/plain"}),
        pinned(),
        "drift",
    ),
    Case(
        "3.5 gets a pin to a script replaced", World("3.5.1", {OLD: "/script"}), pinned(), "drift"
    ),
    Case(
        "3.5 keeps a binary's name that works",
        World("3.5.1", {BIN: CUDA_129}),
        {OLD: CUDA_130},
        "drift",
    ),
    Case(
        "3.5 gets a name that is too old replaced",
        World("3.5.1", {BIN: CUDA_128}),
        pinned(),
        "drift",
    ),
    Case("3.5 without a toolkit", World("3.5.1", {}, ()), {}, "blocked"),
    Case(
        "3.5 without a toolkit loses a pin to nothing",
        World("3.5.1", {OLD: "/gone"}, ()),
        {OLD: None},
        "blocked",
    ),
    Case("3.5 with an old toolkit", World("3.5.1", {}, (CUDA_128,)), {}, "blocked"),
    # 3.4
    Case("3.4 is never pinned to 13", World("3.4.0", {}), {}, "blocked"),
    Case(
        "3.4 is pinned to 12.9", World("3.4.0", {}, (CUDA_130, CUDA_129)), pinned(CUDA_129), "drift"
    ),
    Case(
        "3.4 has a pin to 13 replaced by 12.9",
        World("3.4.0", dict(pinned()), (CUDA_130, CUDA_129)),
        {OLD: CUDA_129},
        "drift",
    ),
    Case(
        "3.4 keeps a pin to 13 that others may need", World("3.4.0", dict(pinned())), {}, "blocked"
    ),
    # 3.3
    Case("3.3 is helped by nothing", World("3.3.1", {}, (CUDA_129, CUDA_130)), {}, "blocked"),
    Case("3.3 has its pins left alone", World("3.3.1", dict(pinned())), {}, "blocked"),
    # The binary's name alone
    Case("a name of nothing is replaced", World("3.9.0", {BIN: "/gone"}), {BIN: CUDA_130}, "ok"),
    Case(
        "a name of nothing goes if there is no toolkit",
        World("3.9.0", {BIN: "/gone"}, ()),
        {BIN: None},
        "ok",
    ),
    Case(
        "a name that is too old is no matter without a pin",
        World("3.9.0", {BIN: CUDA_128}),
        {},
        "ok",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_plan(case: Case) -> None:
    planned = plan(case.world.observed(), WANTED)
    assert changes_of(planned) == case.changes
    assert finding(planned, "triton_compile_sm121").status == case.status
    checks = {OLD: "triton_ptxas_path", BLACKWELL: "triton_ptxas_blackwell_path", BIN: "ptxas_bin"}
    for key, check in checks.items():
        assert finding(planned, check).status == ("drift" if key in case.changes else "ok")
    for entry in planned.findings:
        assert bool(entry.fix) is (entry.status == "drift"), entry
        assert entry.hint or entry.status != "blocked", entry


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_after_the_plan_there_is_nothing_left_to_do(case: Case) -> None:
    env = {**case.world.env, **case.changes}
    after = replace(case.world, env={key: value for key, value in env.items() if value})
    planned = plan(after.observed(), WANTED)
    assert changes_of(planned) == {}
    expected = "blocked" if case.status == "blocked" else "ok"
    assert finding(planned, "triton_compile_sm121").status == expected


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_no_plan_makes_a_working_triton_fail(case: Case) -> None:
    env = {**case.world.env, **case.changes}
    after = replace(case.world, env={key: value for key, value in env.items() if value})
    assert after.trial({}).works or not case.world.trial({}).works


ADVICE = [
    (World("3.3.1", {}), "Upgrade Triton to 3.6 or later", "does not support sm_121"),
    (World("3.4.0", {}), "Upgrade Triton to 3.6 or later", "does not accept CUDA 13"),
    (
        World("3.4.0", {}),
        "(role: dgxspark_ptxas_cuda_home) to a CUDA 12.9 toolkit",
        "RuntimeError: got CUDA version: 13.0",
    ),
    (
        World("3.5.1", {}, ()),
        "install a CUDA toolkit 12.9 or later",
        "No CUDA toolkit was found",
    ),
    (World("3.5.1", {}, ()), "or set cuda_home", "(role: dgxspark_ptxas_cuda_home)"),
    (World("3.5.1", {}, (CUDA_128,)), "Tried: " + CUDA_128, "12.8.93"),
    (World("3.9.0", {}, (), own_works=False), "Reinstall Triton 3.9.0", "cuda_home"),
]


@pytest.mark.parametrize(("world", "what", "why"), ADVICE)
def test_what_cannot_be_repaired_comes_with_advice(world: World, what: str, why: str) -> None:
    hint = finding(plan(world.observed(), WANTED), "triton_ptxas_sm121").hint
    assert what in hint
    assert why in hint


def test_an_older_pin_over_a_newer_binary_is_a_warning_with_both_versions() -> None:
    world = World("3.9.0", {BLACKWELL: CUDA_130, BIN: CUDA_130})
    one = finding(plan(world.observed(), WANTED), "triton_ptxas_blackwell_path")
    assert (one.status, one.severity) == ("ok", "warning")
    assert "(13.0.88) instead of" in one.actual
    assert "(13.4.59)" in one.actual
    assert "Remove TRITON_PTXAS_BLACKWELL_PATH" in one.hint


def test_a_pin_that_this_triton_does_not_read_is_told_as_such() -> None:
    one = finding(plan(World("3.9.0", {OLD: CUDA_130}).observed(), WANTED), "triton_ptxas_path")
    assert (one.status, one.severity) == ("ok", "info")
    assert "Triton 3.9.0 does not use it for sm_121" in one.actual


def test_a_bad_pin_is_found_by_name() -> None:
    one = finding(
        plan(World("3.9.0", {BLACKWELL: "/plain"}).observed(), WANTED), "triton_ptxas_sm121"
    )
    assert (one.status, one.severity) == ("drift", "critical")
    assert "Permission denied: '/plain'" in one.actual
    assert one.fix == "remove TRITON_PTXAS_BLACKWELL_PATH in /etc/paths.env"


def test_facts_tell_what_triton_chooses_and_why() -> None:
    cases = [
        (World("3.9.0", {}), "Triton's own"),
        (World("3.9.0", {OLD: CUDA_130}), "Triton's own (ignores TRITON_PTXAS_PATH)"),
        (World("3.5.1", {OLD: CUDA_130}), "TRITON_PTXAS_PATH in /etc/paths.env"),
    ]
    for world, why in cases:
        facts = plan(world.observed(), WANTED).facts
        assert facts["chosen"]["why"] == why
        assert facts["chosen"]["path"] == world.trial({}).path
        assert facts["pins"] == world.env


def test_paths_are_those_that_hold_afterwards() -> None:
    assert plan(World("3.5.1", {}).observed(), WANTED).paths == pinned()
    assert plan(World("3.9.0", {OLD: "/gone"}).observed(), WANTED).paths == {}
    assert plan(World("3.9.0", {OLD: CUDA_128, BIN: CUDA_130}).observed(), WANTED).paths == {
        BIN: CUDA_130
    }


def test_a_target_that_cannot_be_asked_leaves_the_file_alone() -> None:
    observed = World("3.9.0", {OLD: "/gone", BLACKWELL: CUDA_130}).observed()
    planned = plan(replace(observed, report=TargetProblem("no python", "Make one.")), WANTED)
    assert planned.actions == ()
    assert [entry.status for entry in planned.findings] == [
        "blocked", "ok", "skipped", "skipped", "blocked", "skipped", "skipped",
    ]  # fmt: skip
    assert finding(planned, "ptxas_target").hint == "Make one."
    assert planned.facts["triton_version"] is None


def test_a_file_that_cannot_be_used_leaves_triton_unassessed() -> None:
    observed = World("3.5.1", {}).observed()
    planned = plan(replace(observed, file=Blocked("a directory", "Move it."), entries={}), WANTED)
    assert planned.actions == ()
    assert [entry.status for entry in planned.findings] == ["ok", "blocked", *["skipped"] * 5]
    assert finding(planned, "paths_file").hint == "Move it."


def test_a_file_out_of_reach_is_blocked_rather_than_drift() -> None:
    observed = World("3.5.1", {}).observed()
    out_of_reach = Blocked("/etc/paths.env cannot be written", "Run as root (become).")
    file = EnvFile("/etc/paths.env", unwritable=out_of_reach)
    planned = plan(replace(observed, file=file), WANTED)
    assert planned.actions == ()
    assert finding(planned, "triton_ptxas_path").status == "blocked"
    assert "become" in finding(planned, "triton_ptxas_path").hint


def test_a_wrong_mode_alone_is_drift() -> None:
    observed = World("3.9.0", {}).observed()
    file = EnvFile("/etc/paths.env", "X=1\n", mode=0o664, owner=0)
    planned = plan(replace(observed, file=file), WANTED)
    assert finding(planned, "paths_file").status == "drift"
    assert changes_of(planned) == {}
    assert len(planned.actions) == 1
    assert planned.actions[0].after == "# mode 0644, owner %d\n" % os.geteuid()


def test_a_wrong_mode_is_repaired_even_if_the_target_cannot_be_asked() -> None:
    observed = replace(
        World("3.9.0", {}).observed(), report=TargetProblem("no python", "Make one.")
    )
    file = EnvFile("/etc/paths.env", "X=1\n", mode=0o664, owner=0)
    planned = plan(replace(observed, file=file), WANTED)
    assert finding(planned, "paths_file").status == "drift"
    assert len(planned.actions) == 1
    assert changes_of(planned) == {}


def test_a_private_file_with_the_keys_of_others_is_blocked_and_triton_still_assessed() -> None:
    for world, blocked in (
        (World("3.9.0", {}), {"paths_file"}),
        (
            World("3.5.1", {}),
            {
                "paths_file",
                "triton_ptxas_sm121",
                "triton_compile_sm121",
                "triton_ptxas_path",
                "ptxas_bin",
            },
        ),
    ):
        file = EnvFile("/etc/paths.env", "HF_TOKEN=hf_secret\n", mode=0o600, owner=0)
        planned = plan(replace(world.observed(), file=file), WANTED)
        assert planned.actions == ()
        assert {entry.check for entry in planned.findings if entry.status == "blocked"} == blocked
        assert {entry.status for entry in planned.findings} == {"blocked", "ok"}
        hint = finding(planned, "paths_file").hint
        assert "has other entries: HF_TOKEN" in hint
        assert "chmod 0644 /etc/paths.env" in hint
        assert "hf_secret" not in str(planned)


IMAGE = replace(WANTED, venv=None, image="serving:1")

PINNED_IMAGES = [
    ("drift", World("3.5.1", {}), OLD),
    ("ok", World("3.5.1", dict(pinned())), OLD),
    ("ok", World("3.9.0", {BLACKWELL: CUDA_130, BIN: CUDA_130}), BLACKWELL),
    ("drift", World("3.9.0", {}, own_works=False), BLACKWELL),
]


@pytest.mark.parametrize(("status", "world", "key"), PINNED_IMAGES)
def test_a_pin_of_an_image_comes_with_how_to_start_it(status: str, world: World, key: str) -> None:
    one = finding(plan(world.observed(), IMAGE), "triton_compile_sm121")
    assert one.status == status
    mount = "--mount type=bind,source=%s,target=%s,readonly --env %s=%s."
    assert mount % (CUDA_130, CUDA_130, key, CUDA_130) in one.hint
    assert "dgxspark.suite.launch starts them so" in one.hint
    assert finding(plan(world.observed(), WANTED), "triton_compile_sm121").hint == ""


@pytest.mark.parametrize(
    "world",
    [
        World("3.9.0", {}),
        World("3.9.0", {OLD: CUDA_130}),
        World("3.9.0", {BLACKWELL: CUDA_128}),
        World("3.9.0", {OLD: CUDA_130, BLACKWELL: "/plain"}),
    ],
)
def test_an_image_that_uses_its_own_binary_is_started_as_ever(world: World) -> None:
    assert finding(plan(world.observed(), IMAGE), "triton_compile_sm121").hint == ""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_finding_about_a_target_names_it(case: Case) -> None:
    for wanted, name in ((WANTED, "/venv"), (IMAGE, "serving:1")):
        for entry in plan(case.world.observed(), wanted).findings:
            assert (name in entry.expected) is (entry.check != "paths_file"), entry


REFUSED = [
    ({"arch": "sm_121a"}, "arch: expected an architecture such as sm_121"),
    ({"timeout": 0}, "timeout: expected more than 0"),
    ({"venv": "vllm-env"}, "venv: expected an absolute path, found 'vllm-env'"),
    ({"paths_file": "paths.env"}, "paths_file: expected an absolute path"),
    ({"cuda_home": "cuda"}, "cuda_home: expected an absolute path"),
    ({"docker_bin": "docker"}, "docker_bin: expected an absolute path"),
    ({"venv": None, "image": "--privileged"}, "image: expected the name or id"),
    ({"venv": None, "image": ""}, "image: expected the name or id"),
]


@pytest.mark.parametrize(("parameters", "complaint"), REFUSED)
def test_parameters_that_cannot_be_meant_are_refused(
    parameters: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        replace(WANTED, **parameters)
