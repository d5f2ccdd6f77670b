# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an overlay may do, judged by the reports of a real pip over toy wheels."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.host import interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    overlay,
    overlay_drift,
    overlay_inside,
)

SECONDS = 120
# NVIDIA's torch is an alpha of the release that it is built for.
TORCH = "2.9.0a0+nv25.10"


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """Make an empty wheel. needs: requirements."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"{stem}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    files = {
        f"{name.replace('-', '_')}.py": "",
        f"{about}/METADATA": "\n".join([*lines, ""]),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an image that has NVIDIA's torch."""
    venv = tmp_path_factory.mktemp("base")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wheels = tmp_path_factory.mktemp("wheels")
    wheel(wheels, "torch", TORCH)
    wheel(wheels, "num2words", "0.5")
    python = venv / "bin" / "python"
    offline = ["-m", "pip", "install", "--no-index", "--find-links", str(wheels)]
    subprocess.run([python, *offline, f"torch=={TORCH}", "num2words"], check=True)
    return python


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An overlay without requirements, whose wheels are all that pip finds."""
    wheels = tmp_path / overlay.WHEELS
    wheel(wheels, "torch", "2.10.0")
    wheel(wheels, "num2words", "0.6")
    wheel(wheels, "diarize", "1.0", "torch>=2.0")
    wheel(wheels, "wants-new", "1.0", "torch>=2.9")
    wheel(wheels, "brings-cuda", "1.0", "cuda-python")
    wheel(wheels, "cuda-python", "12.9.0")
    return tmp_path


def ask(python: Path, step: str, folder: Path, requirements: str) -> dict[str, t.Any]:
    (folder / overlay.REQUIREMENTS).write_text(requirements)
    sources = interpreter.sources_of(interpreter.imports_of(overlay_inside.__name__))
    request = {"step": step, "folder": str(folder), "seconds": SECONDS}
    answer, result = interpreter.ask([str(python)], sources, request, SECONDS)
    assert answer is not None, result.describe() + result.stderr
    return answer


def judged(
    python: Path, folder: Path, requirements: str, *forbid: str
) -> tuple[overlay.Judgement, dict[str, t.Any]]:
    answer = ask(python, overlay_inside.JUDGE, folder, requirements)
    listing = overlay.listing_of(answer["base"])
    return overlay.judge(listing, overlay.pairs_of(answer["installs"]), forbid), answer


def test_what_the_image_satisfies_stays_and_the_rest_is_added(base: Path, folder: Path) -> None:
    judgement, answer = judged(base, folder, "diarize\nnum2words\n", "cuda-python")
    assert answer["base"]["torch"] == TORCH
    assert (judgement.adds, judgement.refused, answer["held"]) == ({"diarize": "1.0"}, (), True)


@pytest.mark.parametrize("requirement", ["wants-new", "torch>=2.9", "torch==2.10.0"])
def test_a_requirement_that_replaces_a_package_of_the_image_is_refused_by_name(
    base: Path, folder: Path, requirement: str
) -> None:
    judgement, answer = judged(base, folder, requirement)
    assert f"it replaces torch {TORCH} of the image by 2.10.0" in judgement.refused
    assert not answer["held"]


def test_another_build_of_the_same_version_is_refused_too() -> None:
    assert overlay.judge({"a": "1"}, [("a", "1")]).refused == (
        "it replaces a 1 of the image by another build of it",
    )


def test_a_forbidden_distribution_is_refused_also_as_a_dependency(base: Path, folder: Path) -> None:
    judgement, answer = judged(base, folder, "brings-cuda", "CUDA_Python")
    assert judgement.refused == ("it brings cuda-python 12.9.0, which the recipe forbids",)
    assert answer["held"]
    assert judged(base, folder, "brings-cuda")[0].refused == ()


def test_an_image_that_has_what_is_forbidden_is_refused(base: Path, folder: Path) -> None:
    judgement, _answer = judged(base, folder, "", "num2words")
    assert judgement.refused == ("the image has num2words 0.5, which the recipe forbids",)


def test_the_reason_of_pip_is_returned_where_nothing_can_be_judged(
    base: Path, folder: Path
) -> None:
    _judgement, answer = judged(base, folder, "no-such-package")
    assert "no-such-package" in answer["error"]
    assert not answer["held"]


def test_constraints_that_the_image_has_itself_hold(
    base: Path, folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "constraint.txt"
    own.write_text("diarize==0.9\n")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexport PIP_CONSTRAINT={own}; exec {base} "$@"\n')
    script.chmod(0o755)
    judgement, answer = judged(script, folder, "diarize")
    assert "diarize" in answer["error"]
    assert (judgement.refused, answer["held"]) == ((), False)


def test_what_is_installed_is_what_was_judged(base: Path, folder: Path) -> None:
    (folder / overlay.SCRIPT).write_text('cp requirements.txt "$HOME/ran"\n')
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexport HOME={folder}; exec {base} "$@"\n')
    script.chmod(0o755)
    judgement, _answer = judged(script, folder, "diarize")
    done = ask(script, overlay_inside.INSTALL, folder, "diarize")
    assert done["error"] == ""
    before, after = overlay.listing_of(done["base"]), overlay.listing_of(done["after"])
    assert overlay.added(before, after) == judgement.adds
    assert overlay.changed(before, after) == []
    assert (folder / "ran").is_file()
    failing = folder / overlay.SCRIPT
    failing.write_text("echo no such thing >&2; false\n")
    done = ask(script, overlay_inside.INSTALL, folder, "diarize")
    assert "no such thing" in done["error"]


def test_versions_that_pip_does_not_read_are_no_constraints() -> None:
    assert overlay_inside.constraints({"a": "1.0+nv1", "b": "unknown-0", "c": "2.9.0a0"}) == (
        "a==1.0+nv1\nc==2.9.0a0\n"
    )


@pytest.mark.parametrize(
    ("observed", "build", "problem"),
    [
        (("", "", "sha256:b"), True, False),
        (("sha256:i", overlay.overlay_hash("d", "sha256:b"), "sha256:b"), False, False),
        (("sha256:i", overlay.overlay_hash("d", "sha256:b"), "sha256:c"), True, False),
        (("sha256:i", overlay.overlay_hash("e", "sha256:b"), "sha256:b"), True, False),
        (("sha256:i", "", "sha256:b"), True, False),
        # A node that has received a copy does not have the base.
        (("sha256:i", "any", ""), False, False),
        (("sha256:i", "", ""), False, True),
        (("", "", ""), False, True),
    ],
)
def test_an_image_is_built_where_its_label_is_another(
    observed: tuple[str, str, str], build: bool, problem: bool
) -> None:
    step = overlay.plan(overlay.Observed(*observed), overlay.Wanted("i:1", "d"))
    assert (step.build, bool(step.problem)) == (build, problem)


def test_a_listing_shows_what_moved_and_what_is_gone() -> None:
    lines = overlay.changed({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert lines == ["b 1 of the image became 2", "c 1 of the image is gone"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
)
ENTRY = st.one_of(
    JSON,
    st.fixed_dictionaries({"metadata": JSON}),
    st.fixed_dictionaries(
        {"metadata": st.fixed_dictionaries({"name": JSON, "version": JSON})},
    ),
)
REPORT = st.one_of(
    JSON, st.fixed_dictionaries({"version": st.sampled_from(["1", "2", 1]), "install": JSON})
)


@given(st.one_of(REPORT.map(json.dumps), st.text(max_size=200)))
def test_any_text_is_read_as_a_report_or_refused(text: str) -> None:
    try:
        found = overlay.read_report(text)
    except overlay.Unreadable:
        return
    assert all(name and version for name, version in found)


@given(st.lists(ENTRY, max_size=5))
def test_every_entry_of_a_report_is_read_or_the_report_is_refused(entries: list[t.Any]) -> None:
    text = json.dumps({"version": "1", "install": entries})
    try:
        found = overlay.read_report(text)
    except overlay.Unreadable:
        return
    assert len(found) == len(entries)
    assert all(one.isprintable() for pair in found for one in pair)


@given(JSON)
def test_what_a_container_returns_is_checked(value: t.Any) -> None:
    for read in (overlay.listing_of, overlay.pairs_of):
        try:
            found = list(read(value))
        except overlay.Unreadable:
            continue
        assert len(found) <= len(value)


SITE = "/usr/local/lib/python3.12/site-packages"


def test_a_change_by_hand_is_named_by_its_distribution() -> None:
    lines = [
        f"C {SITE}",
        f"A {SITE}/cuda_python-12.9.0.dist-info",
        f"A {SITE}/cuda_python-12.9.0.dist-info/METADATA",
        f"A {SITE}/cuda.py",
        f"C {SITE}/vllm/engine.py",
        f"A {SITE}/vllm/__pycache__/engine.cpython-312.pyc",
        f"A {SITE}/flashinfer/data/cubin.bin",
        "A /root/.cache/x.py",
        "garbage",
        "",
    ]
    assert overlay_drift.changes("\n".join(lines)) == [
        "cuda_python-12.9.0",
        f"{SITE}/cuda.py",
        f"{SITE}/vllm/engine.py",
    ]
