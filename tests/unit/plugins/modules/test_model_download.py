# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with a real huggingface_hub, against a model hub of the test on the loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import locked
from ansible_collections.dgxspark.suite.plugins.module_utils.models import cache, download, hub_venv
from ansible_collections.dgxspark.suite.plugins.modules import model_download

pytest.importorskip("huggingface_hub")

RunModule = t.Callable[..., dict[str, t.Any]]
ROOT = Path(__file__).resolve().parents[4]
NAME = "org/one"
WEIGHTS = bytes(range(256)) * 2000
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "sub/notes.txt": b"{}"}
TOKEN = "hf_0123456789"


@pytest.fixture
def hub(tmp_path: Path) -> t.Iterator[t.Any]:
    """A model hub with one model; `control` sets how it behaves."""
    path = ROOT / "tests" / "lab" / "hub.py"
    spec = importlib.util.spec_from_file_location("lab_hub", path)
    assert spec
    assert spec.loader
    lab_hub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab_hub)
    folder = tmp_path / "served"
    for name, data in FILES.items():
        (folder / NAME / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / NAME / name).write_bytes(data)
    shutil.copytree(folder / NAME, folder / "org/two")
    server = lab_hub.Hub(("127.0.0.1", 0), folder)
    server.endpoint = f"http://127.0.0.1:{server.server_port}"
    server.set = lambda **control: (folder / "control.json").write_text(json.dumps(control))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    for one in (server, server.cdn):
        one.shutdown()
        one.server_close()
    thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*download.PASSED, *map(str.lower, download.PASSED)):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home" / "hub").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str], home: Path, hub: t.Any) -> RunModule:
    def run(**arguments: t.Any) -> dict[str, t.Any]:
        given = {"hf_home": str(home), "name": NAME, "endpoint": hub.endpoint, **arguments}
        given.setdefault("python", sys.executable)
        with patch_module_args(given), pytest.raises(SystemExit):
            model_download.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def follow(run_module: RunModule, begun: dict[str, t.Any]) -> dict[str, t.Any]:
    assert begun.get("id"), begun
    while True:
        seen = run_module(id=begun["id"], revision=begun["revision"])
        if seen.get("failed") or seen["phase"] == "done":
            return seen
        time.sleep(0.1)


def stage(home: Path) -> Path:
    return home / "hub" / "models--org--one" / cache.STAGE


def sha256(home: Path) -> Path:
    manifest = json.loads((home / "manifest.json").read_text())
    return stage(home) / next(
        one["blob"] for one in manifest["entries"] if one["path"] == "model.safetensors"
    )


def test_check_then_download_then_nothing(run_module: RunModule, home: Path) -> None:
    checked = run_module(_ansible_check_mode=True)
    assert (checked["changed"], checked["files"], checked["total"]) == (True, 2, 512002)
    assert list((home / "hub").iterdir()) == []
    begun = run_module()
    assert (begun["changed"], begun["bytes"], begun["resumed"]) == (True, 512002, 0)
    ended = follow(run_module, begun)
    assert (ended["changed"], ended["problems"]) == (True, [])
    (model,) = cache.scan(str(home / "hub"), []).models
    assert model.current is not None
    assert (model.current.revision, model.current.refs) == (begun["revision"], ("main",))
    assert model.current.complete
    for name, data in FILES.items():
        assert Path(model.current.path, name).read_bytes() == data
    assert {path.name for path in Path(model.path).iterdir()} == {"blobs", "refs", "snapshots"}
    again = run_module()
    assert (again["changed"], again["files"], again["problems"]) == (False, 0, [])


def test_an_interrupted_download_is_resumed_within_the_file(
    run_module: RunModule, home: Path, hub: t.Any
) -> None:
    manifest = run_module(_ansible_check_mode=True)["manifest"]
    (home / "manifest.json").write_text(json.dumps(manifest))
    stage(home).mkdir(parents=True)
    sha256(home).write_bytes(WEIGHTS[:200_000])
    hub.set(token=TOKEN)
    begun = run_module(token=TOKEN)
    assert begun["resumed"] == 200_000
    assert follow(run_module, begun)["problems"] == []
    asked = [one[2:] for one in hub.cdn.seen if one[0] == "GET"]
    # Another host, which has no business with the token.
    assert asked == [("bytes=200000-", "")]


def test_a_damaged_file_is_not_moved_into_place(
    run_module: RunModule, home: Path, hub: t.Any
) -> None:
    hub.set(damaged=["model.safetensors"])
    ended = follow(run_module, run_module())
    assert ended["failed"] is True
    assert "model.safetensors arrived damaged" in ended["msg"]
    (model,) = cache.scan(str(home / "hub"), []).models
    assert model.revisions == ()
    hub.set()
    assert follow(run_module, run_module())["problems"] == []


def test_verify_detects_damage_on_the_disk(run_module: RunModule, home: Path) -> None:
    follow(run_module, run_module())
    blob = next((home / "hub").glob("*/snapshots/*/model.safetensors")).resolve()
    blob.write_bytes(b"x" + WEIGHTS[1:])
    assert run_module()["changed"] is False
    begun = run_module(verify=True)
    assert begun["files"] == 1
    assert follow(run_module, begun)["problems"] == []
    assert blob.read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("control", "arguments", "message"),
    [
        ({}, {"name": "org/none"}, "no model org/none that is accessible without a token"),
        ({"private": [NAME]}, {}, "no model org/one that is accessible without a token"),
        (
            {"token": TOKEN},
            {"name": "org/none", "token": TOKEN},
            "that is accessible with this token",
        ),
        ({"gated": [NAME]}, {}, "org/one is gated: ask for access on http://127.0.0.1"),
        ({"token": "hf_other"}, {"token": TOKEN}, "does not accept the token"),
        ({}, {"revision": "v9"}, "has no revision v9"),
        (
            {},
            {"endpoint": "http://127.0.0.1:9"},
            "not reachable from this node (ConnectionRefusedError",
        ),
        ({}, {"endpoint": "127.0.0.1"}, "the Hub's address is '127.0.0.1'"),
        ({}, {"quant": "Q4_K_M"}, "has no quantisation Q4_K_M; it has: none"),
        ({}, {"files": ["*.onnx"]}, "none of the 3 files of org/one is wanted"),
        ({}, {"name": "org/../one"}, "is not a Hub repository ID"),
        ({}, {"python": "/nowhere/python"}, "/nowhere/python is not executable"),
        ({}, {"python": None}, "requirements: expected the packages of /opt/dgxspark/download"),
        ({}, {"token": "hf_1\nX-Other: 1"}, "does not accept the token"),
    ],
)
def test_refusals_say_what_to_do(
    run_module: RunModule,
    home: Path,
    hub: t.Any,
    control: dict[str, t.Any],
    arguments: dict[str, t.Any],
    message: str,
) -> None:
    hub.set(**control)
    result = run_module(**arguments)
    assert result["failed"] is True
    assert message in result["msg"]
    assert TOKEN not in json.dumps(result)
    assert list((home / "hub").iterdir()) == []


def test_a_python_without_the_library_is_reported(run_module: RunModule, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    result = run_module(python=str(bare))
    assert "has no huggingface_hub" in result["msg"]
    assert "dgxspark_download_python" in result["msg"]


REQUIREMENTS = ROOT / "roles" / "model_download" / "files" / "requirements.txt"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the role's list, as a folder on the node has them."""
    folder: Path = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
    pip += ["--only-binary=:all:", "--dest", str(folder), "--requirement", str(REQUIREMENTS)]
    if subprocess.run(pip, check=False).returncode:
        pytest.skip("no package index is reachable")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> dict[str, t.Any]:
    """The arguments of a node that makes the environment."""
    return {
        "python": None,
        "venv": str(tmp_path / "opt" / "download"),
        "requirements": REQUIREMENTS.read_text(),
        "base_python": sys.executable,
        "log_file": str(tmp_path / "log" / "venv.log"),
    }


def test_the_environment_is_made_from_a_folder_and_downloads(
    run_module: RunModule, own: dict[str, t.Any], wheels: Path, tmp_path: Path
) -> None:
    own["wheels"] = str(wheels)
    checked = run_module(**own, _ansible_check_mode=True)
    assert (checked["changed"], checked["files"]) == (True, 2)
    assert checked["venv"] == f"{own['venv']} does not exist"
    assert not (tmp_path / "opt").exists()
    begun = run_module(**own)
    ended = follow(run_module, begun)
    assert (begun["venv"], ended["problems"]) == (checked["venv"], [])
    python = str(Path(own["venv"], "bin", "python"))
    program = "import huggingface_hub, hf_xet; print(huggingface_hub.__file__)"
    said = subprocess.run([python, "-I", "-c", program], check=True, capture_output=True, text=True)
    assert said.stdout.startswith(own["venv"])
    # Nothing to fetch: the environment is not inspected.
    assert run_module(**{**own, "venv": "/nowhere/venv"})["changed"] is False
    # Another list is another environment.
    pins = own["requirements"].replace("tqdm==4.70.1", "tqdm==4.70.0")
    changed = run_module(**{**own, "requirements": pins}, name="org/two", _ansible_check_mode=True)
    assert changed["venv"] == "tqdm is 4.70.1"


def test_an_environment_that_cannot_be_made_is_refused_before_anything_is_fetched(
    run_module: RunModule, own: dict[str, t.Any], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    result = run_module(**own, wheels=str(tmp_path / "empty"))
    assert "the environment" in result["msg"]
    for name in ("dgxspark_download_wheels", "dgxspark_download_env", "dgxspark_download_python"):
        assert name in result["msg"]
    assert own["log_file"] in result["msg"]
    assert list((home / "hub").iterdir()) == []
    assert list((tmp_path / "opt").iterdir()) == []


def test_two_downloads_do_not_make_the_environment_at_once(
    run_module: RunModule, own: dict[str, t.Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_venv, "PATIENCE", 0.0)
    with locked(str(tmp_path / "opt"), 0):
        result = run_module(**own)
    assert "has been locked by another run" in result["msg"]
    assert not (tmp_path / "opt").exists()


def test_a_file_that_the_hub_does_not_send_by_http_is_fetched_with_snapshot_download(
    run_module: RunModule, home: Path, hub: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "HTTP_BYTES", 1000)
    aside = stage(home) / ".aside" / "models--org--one" / "blobs"
    aside.mkdir(parents=True)
    (aside / "x.0123.incomplete").write_bytes(b"of a killed run")
    hub.set(rate=400_000, token=TOKEN)
    begun = run_module(token=TOKEN)
    progress = set()
    while (seen := run_module(id=begun["id"], revision=begun["revision"]))["phase"] != "done":
        progress.add(seen["progress"])
        time.sleep(0.1)
    assert seen["problems"] == []
    assert [number for number in progress if 2 < number < 512_000]
    (model,) = cache.scan(str(home / "hub"), []).models
    assert model.current is not None
    assert Path(model.current.path, "model.safetensors").read_bytes() == WEIGHTS
    assert {path.name for path in Path(model.path).iterdir()} == {"blobs", "refs", "snapshots"}
    assert {one[3] for one in hub.cdn.seen} == {""}


def test_a_python_without_hf_xet_is_refused_for_such_a_file(
    run_module: RunModule, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "HTTP_BYTES", 1000)
    hidden = tmp_path / "python"
    code = "import sys; sys.modules['hf_xet'] = None; exec(sys.stdin.read())"
    hidden.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    hidden.chmod(0o755)
    result = run_module(python=str(hidden))
    assert "model.safetensors by HTTP" in result["msg"]
    assert "has no hf_xet" in result["msg"]
    assert list((home / "hub").iterdir()) == []


def test_a_selection_of_files_is_downloaded(run_module: RunModule, home: Path) -> None:
    begun = run_module(files=["*.json", "sub/"], exclude=["*.txt"])
    assert (begun["files"], begun["total"]) == (1, 2)
    ended = follow(run_module, begun)
    assert ended.get("problems"), ended
    begun = run_module()
    assert begun["files"] == 1
    assert follow(run_module, begun)["problems"] == []


def test_missing_space_is_reported_before_anything_is_fetched(
    run_module: RunModule, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = os.statvfs_result((4096, 4096, 100, 100, 100, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: answer)
    result = run_module()
    assert "512002 bytes are needed, 409600 are free" in result["msg"]
    assert list((home / "hub").iterdir()) == []


def test_a_second_download_is_refused(run_module: RunModule, home: Path) -> None:
    folder = home / "hub" / "models--org--one"
    folder.mkdir()
    with locked(str(folder), 0):
        result = run_module()
    assert f"(process {os.getpid()})" in result["msg"]


def running(begun: dict[str, t.Any]) -> int:
    path = Path(begun["id"], "pid")
    return int(json.loads(path.read_text())["pid"])


def is_alive(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_killed_download_is_reported_and_leaves_no_process(
    run_module: RunModule, hub: t.Any
) -> None:
    hub.set(rate=100_000, token=TOKEN)
    begun = run_module(token=TOKEN)
    pid = running(begun)
    seen = run_module(id=begun["id"])
    assert seen["phase"] == "fetching"
    children = []
    while not children:
        assert is_alive(pid)
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        children = [int(word) for word in text.split()]
    for one in (pid, *children):
        for file in ("cmdline", "environ"):
            assert TOKEN.encode() not in Path(f"/proc/{one}/{file}").read_bytes()
    os.kill(pid, signal.SIGKILL)
    while any(map(is_alive, (pid, *children))):
        time.sleep(0.05)
    result = run_module(id=begun["id"])
    assert "without a result. Run again" in result["msg"]
    assert not Path(begun["id"]).exists()


def test_a_download_that_nobody_asks_for_ends(run_module: RunModule, hub: t.Any) -> None:
    hub.set(rate=100_000)
    begun = run_module()
    pid = running(begun)
    os.utime(Path(begun["id"], "pid"), (1, 1))
    while is_alive(pid):
        time.sleep(0.05)
    assert not Path(begun["id"]).exists()


def test_another_directory_is_not_a_job(run_module: RunModule) -> None:
    assert "/etc is not the directory of a background job" in run_module(id="/etc")["msg"]


def test_it_returns_what_it_documents(run_module: RunModule) -> None:
    begun = run_module()
    ended = follow(run_module, begun)
    known = set(yaml.safe_load(model_download.RETURN))
    assert (set(begun) | set(ended)) - {"changed", "invocation"} == known
