# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech, redaction, a vector store and a bot beside the chat model: images that the nodes build.

The vector store is a stand-in over the client's local mode.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lab import (
    NODES,
    ROOT,
    address,
    answers,
    declared,
    minilm,
    on_node,
    playbook,
    run,
    serve,
    wait_for,
)

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
NODE_OF = {"hear": HEAD, "speak": WORKER, "store": HEAD, "redact": WORKER}
PORTS = {"hear": 8021, "speak": 8022, "store": 8023, "redact": 8024}
SENTENCE = "The meeting starts on Monday morning."
BOT = {
    "name": "herald",
    "kind": "bot",
    "checkout": "/home/spark/herald",
    "user": "spark",
    "container": "herald",
    "nodes": [HEAD],
}


def made() -> Path:
    """The folder with the recipes of the companions, and with what their images are built from."""
    done = run(sys.executable, str(ROOT / "tests/lab/lab.py"), "companions")
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.split()[-1])


def services(folder: Path) -> list[Mapping[str, object]]:
    return [
        {"name": "main", "recipe": "lab-tiny"},
        {"name": "embeddings", "recipe": "lab-minilm", "nodes": [WORKER]},
        *(
            {"name": name, "recipe": str(folder / f"lab-{name}.yaml"), "nodes": [node]}
            for name, node in NODE_OF.items()
        ),
    ]


@pytest.fixture(scope="module")
def companions() -> Iterator[Path]:
    """All of them, proven; the folder of their recipes."""
    folder = made()
    minilm()
    began = time.monotonic()
    serve(services(folder))
    print(f"all services from nothing: {time.monotonic() - began:.0f} s")
    yield folder
    made()
    status, said = playbook("stop", "-e", "confirm=all")
    assert status == 0, said


def ask(name: str, path: str, body: bytes, content_type: str = "application/json") -> bytes:
    url = f"http://{address(NODE_OF[name])}:{PORTS[name]}{path}"
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=120) as answer:
        return bytes(answer.read())


def ids() -> dict[str, str]:
    """Companion -> the container that runs."""
    label = "--filter label=dgxspark.suite/service"
    return {
        name: on_node(node, f"docker ps --quiet --no-trunc {label}={name}").strip()
        for name, node in NODE_OF.items()
    }


def check(folder: Path) -> str:
    status, said = playbook("services", *declared(services(folder)), "--check")
    assert status == 0, said
    return said


def words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def test_all_are_proven_by_their_kind_within_their_memory(companions: Path) -> None:
    began = time.monotonic()
    status, said = playbook("health", "-e", "deep=true", *declared(services(companions)))
    print(f"deep health of six services: {time.monotonic() - began:.0f} s")
    assert status == 0, said
    # Two for each companion about its packages.
    assert "Checks: 14 ok" in check(companions)
    stats = "docker stats --no-stream --format '{{.Name}} {{.MemUsage}}'"
    print(*(on_node(node, stats) for node in NODES), sep="\n")


def test_a_spoken_sentence_comes_back_word_for_word(companions: Path) -> None:
    assert companions
    speech = {"model": "lab-speak", "input": SENTENCE, "response_format": "wav"}
    spoken = ask("speak", "/v1/audio/speech", json.dumps(speech).encode())
    assert spoken[:4] == b"RIFF"
    head = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    form = b"--x\r\n" + head.encode() + spoken + b"\r\n--x--\r\n"
    said = ask("hear", "/v1/audio/transcriptions", form, "multipart/form-data; boundary=x")
    assert words(json.loads(said)["text"]) == words(SENTENCE)


def test_the_chat_model_is_swapped_and_the_companions_stay(companions: Path) -> None:
    assert companions
    before = ids()
    assert all(before.values())
    for recipe in ("lab-tiny-2", "lab-tiny"):
        status, said = playbook("launch", "-e", f"recipe={recipe}")
        assert status == 0, said
        assert answers(recipe)
    assert ids() == before


def test_redaction_needs_no_way_out_and_logs_no_name(companions: Path) -> None:
    assert companions
    rule = "DOCKER-USER -i docker0 -m conntrack --ctstate NEW -j DROP"
    on_node(WORKER, f"iptables -I {rule}")
    try:
        text = "Alice Example met Bob in Berlin, alice@example.org."
        question: dict[str, Any] = {"task_id": "t1", "items": [{"id": "1", "text": text}]}
        scrubbed = json.loads(ask("redact", "/scrub", json.dumps(question).encode()))
        hidden = scrubbed["items"][0]["scrubbed_text"]
        assert "Alice" not in hidden
        assert "alice@example.org" not in hidden
        back = {
            "task_id": "t1",
            "map_handle": scrubbed["map_handle"],
            "items": [{"id": "1", "text": hidden}],
        }
        restored = json.loads(ask("redact", "/rehydrate", json.dumps(back).encode()))
        assert restored["items"][0]["text"] == text
        status, said = playbook("health", "-e", "deep=true", "--limit", WORKER)
        assert status == 0, said
    finally:
        on_node(WORKER, f"iptables -D {rule}")
    assert "Alice" not in on_node(WORKER, "docker logs dgxspark-redact-0 2>&1")


def toy(folder: Path, name: str, version: str) -> Path:
    """An empty wheel."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"{stem}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


def test_a_changed_overlay_is_drift_until_it_is_applied(companions: Path) -> None:
    before = ids()
    with (companions / "hear/files/opt/companion/hear.py").open("a") as program:
        program.write("# changed\n")
    assert "service_hear: drift" in check(companions)
    assert ids() == before
    serve(services(companions))
    assert "Checks: 14 ok" in check(companions)
    after = ids()
    assert after.pop("hear") != before.pop("hear")
    assert after == before


@pytest.mark.parametrize(
    ("name", "version", "refused"),
    [
        ("numpy", "99.0", "it replaces numpy"),
        ("cuda-python", "12.9.0", "it brings cuda-python 12.9.0, which the recipe forbids"),
    ],
)
def test_an_overlay_that_moves_or_brings_what_it_must_not_is_refused_by_name(
    companions: Path, name: str, version: str, refused: str
) -> None:
    before = ids()
    requirements = companions / "hear" / "requirements.txt"
    text = requirements.read_text()
    wheel = toy(companions / "hear" / "wheels", name, version)
    try:
        requirements.write_text(f"{text}{name}>={version}\n")
        status, said = playbook("services", *declared(services(companions)))
        assert status != 0
        assert refused in said
        assert ids() == before
    finally:
        requirements.write_text(text)
        wheel.unlink()
    assert "Checks: 14 ok" in check(companions)


def test_what_is_installed_by_hand_is_drift_and_gone_after_the_next_run(
    companions: Path, tmp_path: Path
) -> None:
    wheel = toy(tmp_path, "cuda-python", "12.9.0")
    assert run("docker", "cp", str(wheel), f"{HEAD}:/run/{wheel.name}").returncode == 0
    name = "dgxspark-hear-0"
    pip = f"docker exec {name} python3 -m pip install --no-index --no-deps /tmp/{wheel.name}"
    on_node(HEAD, f"docker cp /run/{wheel.name} {name}:/tmp; {pip}")
    before = ids()
    said = check(companions)
    assert "overlay_hear: drift" in said
    assert "cuda_python-12.9.0" in said
    assert "forbidden_hear: blocked" in said
    serve(services(companions))
    after = ids()
    assert after.pop("hear") != before.pop("hear")
    assert after == before
    assert "Checks: 14 ok" in check(companions)


def test_a_crash_loop_is_given_up_and_a_person_starts_it_again(companions: Path) -> None:
    assert companions
    name = "dgxspark-hear-0"
    kills = 0

    def failed() -> bool:
        nonlocal kills
        if run("docker", "exec", HEAD, "systemctl", "is-failed", "--quiet", name).returncode == 0:
            return True
        if run("docker", "exec", HEAD, "docker", "kill", name).returncode == 0:
            kills += 1
        return False

    wait_for(failed, 300)
    print(f"given up after {kills} kills")
    # What runs is supervised again by the next launch of what is declared.
    status, said = playbook(
        "services", "-e", "again=reapply", "-e", "service=hear", *declared(services(companions))
    )
    assert status == 0, said
    assert "Checks: 14 ok" in check(companions)


def test_an_image_that_is_gone_is_built_again(companions: Path) -> None:
    status, said = playbook("stop", "-e", "service=store")
    assert status == 0, said
    on_node(HEAD, "docker images --quiet dgxspark-overlay/lab-store | xargs docker rmi --force")
    serve(services(companions))
    assert "Checks: 14 ok" in check(companions)


@pytest.fixture
def herald() -> Iterator[None]:
    """A repository on the first node, and a checkout of it that belongs to spark."""
    subprocess.run([sys.executable, ROOT / "tests/lab/lab.py", "compose"], check=True)
    on_node(HEAD, "rm -rf /home/spark/herald /home/spark/herald-origin")
    on_node(HEAD, "install -d -o spark -g spark /home/spark/herald-origin")
    as_spark("git init --quiet --initial-branch=main /home/spark/herald-origin")
    commit("1")
    as_spark("git clone --quiet /home/spark/herald-origin /home/spark/herald")
    yield
    run("docker", "exec", HEAD, "docker", "rm", "--force", "herald")


def as_spark(script: str) -> str:
    return on_node(HEAD, f"su spark -c {json.dumps(script)}").strip()


def commit(text: str) -> None:
    compose = {
        "services": {
            "herald": {
                "image": "dgxspark-lab/vllm:cpu",
                "container_name": "herald",
                "pull_policy": "never",
                "entrypoint": ["python3", "-c", "import time; time.sleep(1000000)"],
                "environment": {"HERALD": text},
                "healthcheck": {"test": ["CMD", "true"], "interval": "2s"},
            }
        }
    }
    on_node(
        HEAD,
        f"""cat > /home/spark/herald-origin/compose.yml <<'TEXT'
{json.dumps(compose)}
TEXT
chown spark: /home/spark/herald-origin/compose.yml""",
    )
    named = "-c user.name=Spark -c user.email=spark@example.org"
    as_spark(f"cd /home/spark/herald-origin && git add . && git {named} commit --quiet -m {text}")


def started() -> str:
    return on_node(HEAD, "docker inspect --format '{{.State.StartedAt}}' herald").strip()


@pytest.mark.usefixtures("herald")
def test_a_bot_is_updated_from_a_new_commit_as_its_user() -> None:
    options = declared([BOT])
    status, said = playbook("bot", *options)
    assert status == 0, said
    first, since = as_spark("git -C /home/spark/herald rev-parse HEAD"), started()
    commit("2")
    status, said = playbook("bot", *options)
    assert status == 0, said
    second = as_spark("git -C /home/spark/herald rev-parse HEAD")
    assert f"{first[:12]} to {second[:12]}" in said
    assert started() != since
    assert on_node(HEAD, "find /home/spark/herald ! -user spark") == ""
    status, said = playbook("health", *options)
    assert status == 0, said
    assert "herald" in said
    as_spark("echo '# by hand' >> /home/spark/herald/compose.yml")
    status, said = playbook("bot", *options)
    assert status != 0
    assert "has changes of its own" in said
    status, said = playbook("bot", *options, "-e", "discard=herald")
    assert status == 0, said
    assert as_spark("git -C /home/spark/herald status --porcelain") == ""
