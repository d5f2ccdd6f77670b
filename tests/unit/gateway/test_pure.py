# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing, files, bodies, headers, caps and errors of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from gateway import addresses, config, endpoints, errors, guard, headers, waits
from gateway.body import Form, Json
from gateway.caps import Caps
from gateway.endpoints import EndpointsError, Service
from gateway.errors import Refusal
from gateway.routing import Live, Table
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import kinds
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import endpoints as written
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import Row

CHAT = "/v1/chat/completions"
EMBED = "/v1/embeddings"
T = TypeVar("T")


def service(name: str, model: str = "", kind: str = "chat", **other: Any) -> Service:
    paths = {"chat": {CHAT, "/v1/completions"}, "embeddings": {EMBED}}.get(kind, {CHAT, EMBED})
    kinds = (kind,) if kind else ()
    return Service(
        name=name,
        url="http://192.0.2.11:8000",
        paths=frozenset(paths),
        kind=kinds,
        model=model,
        **other,
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def refused(table: Table, path: str, model: str) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        table.route(path, model)
    return refusal.value


# Routing

TWO = (service("main", "big"), service("vectors", "small", "embeddings"))


@pytest.mark.parametrize(
    ("path", "wanted", "name", "asked"),
    [
        (CHAT, "big", "main", "big"),
        (CHAT, "", "main", "big"),
        (CHAT, "*chat", "main", "big"),
        (CHAT, "main", "main", "big"),
        (CHAT, "gpt-4o", "main", "big"),
        (EMBED, "", "vectors", "small"),
        (EMBED, "*embeddings", "vectors", "small"),
        (EMBED, "small", "vectors", "small"),
    ],
)
def test_a_model_a_service_an_alias_and_a_kind_lead_to_the_server(
    path: str, wanted: str, name: str, asked: str
) -> None:
    found = Table(TWO, aliases={"gpt-4o": "*chat"}).route(path, wanted)
    assert [(one.service.name, one.model) for one in found] == [(name, asked)]


def test_a_model_of_another_path_is_not_found_and_those_of_this_path_are_named() -> None:
    refusal = refused(Table(TWO), CHAT, "small")
    assert (refusal.status, refusal.code, refusal.param) == (404, "model_not_found", "model")
    assert "big" in refusal.message


def test_a_path_that_nobody_serves() -> None:
    assert refused(Table(TWO), "/v1/audio/speech", "").code == "no_service"


def test_a_server_that_does_not_say_what_it_serves_gets_any_model_unchanged() -> None:
    (found,) = Table((service("voice"),)).route(CHAT, "tts-1")
    assert found.model == "tts-1"
    (found,) = Table((service("voice"),)).route(CHAT, "voice")
    assert found.model == ""


def test_an_inspection_goes_before_the_file() -> None:
    table = Table(TWO, {"main": Live(True, ("new", "adapter"))})
    assert table.route(CHAT, "")[0].model == "new"
    assert table.route(CHAT, "adapter")[0].model == "adapter"
    assert refused(table, CHAT, "big").code == "model_not_found"


def test_replicas_share_a_model() -> None:
    table = Table((service("main", "big"), service("second", "big"), service("other", "tiny")))
    assert [one.service.name for one in table.route(CHAT, "big")] == ["main", "second"]
    assert [one.service.name for one in table.route(CHAT, "")] == ["main", "second"]
    table.live = {"main": Live(False)}
    assert [one.service.name for one in table.route(CHAT, "big")] == ["second"]


def test_several_models_and_no_main_ask_for_a_name() -> None:
    refusal = refused(Table((service("a", "x"), service("b", "y"))), CHAT, "")
    assert (refusal.status, refusal.code) == (400, "model_required")


def test_unknown_kinds_serve_where_no_known_kind_does() -> None:
    table = Table((service("main", "big", ""), service("vectors", "small", "embeddings")))
    assert table.route(CHAT, "*chat")[0].service.name == "main"
    assert table.route(EMBED, "*embeddings")[0].service.name == "vectors"


@pytest.mark.parametrize(
    ("state", "answers", "code"),
    [("ready", False, "not_ready"), ("failed", True, "failed"), ("swapping", True, "swapping")],
)
def test_a_service_that_is_known_and_not_ready_is_503_with_a_time(
    state: str, answers: bool, code: str
) -> None:
    table = Table((service("main", "big", state=state),), {"main": Live(answers)})
    refusal = refused(table, CHAT, "big")
    assert (refusal.status, refusal.code) == (503, code)
    assert refusal.retry_after > 0
    assert table.models(0) == []


def test_the_time_of_a_swap_is_that_of_the_file() -> None:
    table = Table((service("main", "big", state="swapping", retry_after=240),))
    assert refused(table, CHAT, "").retry_after == 240


def test_models_are_listed_once_with_aliases_of_what_is_served() -> None:
    table = Table(
        (*TWO, service("second", "big")), aliases={"gpt-4o": "*chat", "old": "gone", "m": "small"}
    )
    assert [one["id"] for one in table.models(7)] == ["big", "small", "gpt-4o", "m"]
    assert {one["created"] for one in table.models(7)} == {7}


# Files

ENTRY: dict[str, Any] = {"name": "main", "url": "http://192.0.2.11:8000", "paths": [CHAT]}


def parsed(*entries: dict[str, Any]) -> tuple[Service, ...]:
    text = json.dumps({"schema": 1, "services": entries}).encode()
    return endpoints.parse(text, {"192.0.2.11", "203.0.113.5", "8.8.8.8", "169.254.169.254"})


def test_a_file_in_order() -> None:
    (found,) = parsed({**ENTRY, "added_by_a_later_version": 1})
    assert (found.name, found.concurrency, found.state) == ("main", 4, "ready")


@pytest.mark.parametrize(
    "changed",
    [
        {"url": "http://192.0.2.12:8000"},  # not of the inventory
        {"url": "http://" + "8.8.8.8"},  # public, although allowed
        {"url": "http://" + "169.254.169.254"},  # metadata of clouds
        {"url": "http://spark1:8000"},
        {"url": "http://user@192.0.2.11:8000"},
        {"url": "http://192.0.2.11:99999"},
        {"url": "file:///etc/passwd"},
        {"url": "http://192.0.2.11:8000?x=1"},
        {"name": "Main"},
        {"name": "../x"},
        {"concurrency": 0},
        {"concurrency": "4"},
        {"state": "fine"},
        {"light": "//192.0.2.99/@"},
        {"model": "x" * 301},
        {"paths": "all"},
    ],
)
def test_a_file_with_one_wrong_value_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(EndpointsError):
        parsed({**ENTRY, **changed})


def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(EndpointsError, match="two services"):
        parsed(ENTRY, ENTRY)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'{"schema": 2, "services": []}', b"\xff", b"[" * 99999]
)
def test_garbage_is_refused(text: bytes) -> None:
    with pytest.raises(EndpointsError):
        endpoints.parse(text, ())


@given(st.binary(max_size=200))
def test_whatever_a_file_has_it_is_services_or_refused(text: bytes) -> None:
    with contextlib.suppress(EndpointsError):
        assert isinstance(endpoints.parse(text, ()), tuple)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "192.0.2.1", "10.1.2.3", "100.64.0.1", "::1", "fd00::1"]
)
def test_private_addresses(text: str) -> None:
    assert addresses.is_private(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "::",
        "8.8.8.8",
        "169.254.1.1",
        "224.0.0.1",
        "fe80::1",
        "spark1",
        "",
        "2606:4700::1",
    ],
)
def test_other_addresses(text: str) -> None:
    assert not addresses.is_private(text)


@pytest.mark.parametrize(
    "changed",
    [{"bind": "0.0.0.0"}, {"bind": "8.8.8.8"}, {"keys": ["secret"]}, {"port": 0}, {"unknown": 1}],
)
def test_settings_that_cannot_be_used(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "gateway.json"
    settings = {"bind": "127.0.0.1", "port": 9998, "endpoints": "/x", "allowed": []}
    path.write_text(json.dumps(settings))
    assert config.read(path).body_bytes == 32 << 20
    path.write_text(json.dumps({**settings, **changed}))
    with pytest.raises(config.ConfigError):
        config.read(path)


# Bodies

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.text(), st.text(min_size=1))
def test_only_the_model_of_a_body_changes(body: dict[str, Any], model: str, new: str) -> None:
    body["model"] = model
    found = Json(json.dumps(body).encode())
    assert found.model == model
    assert json.loads(found.asking_for(new)) == {**body, "model": new}
    assert json.loads(found.asking_for("")) == body


def test_values_stay_the_bytes_that_they_are() -> None:
    found = Json(b'{"model": "a", "seed": 1e0, "big": 123456789012345678901234567890}')
    assert found.asking_for("b") == (
        b'{"model":"b","seed":1e0,"big":123456789012345678901234567890}'
    )


def test_a_second_model_cannot_hide_behind_the_first() -> None:
    found = Json(b'{"model": "a", "model": "b"}')
    assert found.model == "b"
    assert found.asking_for("") == b'{"model":"b"}'


@pytest.mark.parametrize(
    "text", [b"", b"[]", b'"x"', b'{"model": 1}', b"{", b'{"a":' * 99999, b"\xff{}"]
)
def test_what_is_no_object_is_400(text: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        Json(text)
    assert refusal.value.status == 400


def form(*parts: tuple[str, bytes], boundary: str = "b0und") -> bytes:
    text = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (boundary.encode(), name.encode(), value)
        for name, value in parts
    )
    return text + b"--%s--\r\n" % boundary.encode()


async def form_of(text: bytes, size: int, new: str, folder: Path) -> tuple[str, int, bytes]:
    read = Form("multipart/form-data; boundary=b0und", str(folder))
    try:
        for at in range(0, len(text), size):
            await read.feed(text[at : at + size])
        name = read.finish()
        length, pieces = read.asking_for(new)
        return name, length, b"".join([piece async for piece in pieces])
    finally:
        read.close()


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("new", ["", "whisper", "base"])
def test_only_the_model_of_a_form_changes(tmp_path: Path, size: int, new: str) -> None:
    text = form(("file", b"RIFF\r\n--b0un\r\n"), ("model", b"base"), ("language", b"en"))
    name, length, sent = run(form_of(text, size, new, tmp_path))
    assert name == "base"
    assert length == len(sent)
    assert sent == text.replace(b"base", new.encode() or b"base")


def test_a_form_without_a_model_gets_one(tmp_path: Path) -> None:
    text = form(("file", b"x"))
    _name, length, sent = run(form_of(text, 99, "whisper", tmp_path))
    assert length == len(sent)
    assert sent == form(("model", b"whisper"), ("file", b"x"))


def test_a_large_form_is_in_a_file(tmp_path: Path) -> None:
    text = form(("file", bytes(3 << 20)), ("model", b"base"))
    name, length, sent = run(form_of(text, 1 << 16, "other", tmp_path))
    assert name == "base"
    assert length == len(sent)
    assert sent == text.replace(b"base", b"other")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        form(("model", b"a"), ("model", b"b")),
        form(("model", b"x" * 400)),
        form(("a", b"b"))[:-6],
    ],
)
def test_a_form_that_is_none_is_400(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        run(form_of(text, 10, "", tmp_path))
    assert refusal.value.status == 400


# Headers, errors, who may ask


def test_no_credential_cookie_or_header_of_a_connection_passes() -> None:
    given = {
        "Authorization": "Bearer mine",
        "X-Api-Key": "mine",
        "Cookie": "a=b",
        "Connection": "X-Secret",
        "Host": "gateway",
        "Transfer-Encoding": "chunked",
        "X-Forwarded-For": "1",
        "Accept": "text/event-stream",
        "anthropic-version": "2023-06-01",
    }
    assert headers.to_server(given.items(), "application/json", "its-own") == {
        "Accept": "text/event-stream",
        "anthropic-version": "2023-06-01",
        "Content-Type": "application/json",
        "Authorization": "Bearer its-own",
    }
    answer = {"Set-Cookie": "a=b", "Content-Type": "audio/wav", "Location": "x", "Server": "y"}
    assert headers.to_client(answer.items()) == {"Content-Type": "audio/wav"}


def test_errors_have_the_shape_of_each_library() -> None:
    refusal = Refusal(503, "busy", "later", 5)
    assert errors.body(refusal, CHAT)["error"] == {
        "message": "later",
        "type": "server_error",
        "param": None,
        "code": "busy",
    }
    assert errors.body(refusal, "/v1/messages") == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "later"},
    }
    assert errors.headers(refusal) == {"Retry-After": "5"}


KEY = hashlib.sha256(b"alices-key").hexdigest()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"Host": "192.0.2.5:9998", "Authorization": "Bearer alices-key"}, 0),
        ({"Host": "localhost", "X-Api-Key": "alices-key"}, 0),
        ({"Host": "[::1]:9998", "X-Api-Key": "alices-key"}, 0),
        ({"Host": "gateway.example:9998", "X-Api-Key": "alices-key"}, 0),
        ({"Host": "gateway.example", "Authorization": "Bearer wrong"}, 401),
        ({"Host": "gateway.example", "Authorization": f"Bearer {KEY}"}, 401),
        ({"Host": "gateway.example"}, 401),
        ({"Host": "evil.example", "X-Api-Key": "alices-key"}, 421),
        ({"Host": "8.8.8.8", "X-Api-Key": "alices-key"}, 421),
        ({"X-Api-Key": "alices-key"}, 421),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "same-origin", "X-Api-Key": "alices-key"}, 0),
    ],
)
def test_who_may_ask(given: dict[str, str], status: int) -> None:
    if not status:
        guard.check(given, {"gateway.example"}, {KEY})
        return
    with pytest.raises(Refusal) as refusal:
        guard.check(given, {"gateway.example"}, {KEY})
    assert refusal.value.status == status


def test_waits_grow_and_are_bounded() -> None:
    assert [waits.next_look(misses) for misses in (0, 1, 2, 3, 4, 99999)] == [5, 1, 2, 4, 5, 5]
    assert waits.busy(8, 1, 0) == 1
    assert waits.busy(8, 1, 2.5) == 23
    assert waits.busy(999, 1, 99) == 60


# Caps


def test_the_replica_with_the_least_in_flight_is_next() -> None:
    async def work() -> list[str]:
        caps, two = Caps(), [service("a"), service("b")]
        taken = [await caps.acquire(two) for _turn in range(3)]
        caps.release(two[1])
        taken.append(await caps.acquire(two))
        return [one.name for one in taken if one]

    assert run(work()) == ["a", "b", "a", "b"]


def test_one_at_a_time_in_order_and_the_overflow_is_refused() -> None:
    async def work() -> tuple[list[int], int, int]:
        caps, one = Caps(), service("speech", concurrency=1, queue=2)
        order: list[int] = []

        async def ask(number: int) -> None:
            assert await caps.acquire([one]) is one
            order.append(number)
            await asyncio.sleep(0.01)
            assert caps.in_flight["speech"] == 1
            caps.release(one, 0.01)

        tasks = [asyncio.create_task(ask(number)) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refusal:
            await caps.acquire([one])
        await asyncio.gather(*tasks)
        return order, refusal.value.retry_after, caps.waiting + sum(caps.in_flight.values())

    assert run(work()) == ([0, 1, 2], 1, 0)


def test_a_place_that_comes_while_its_client_leaves_is_not_lost() -> None:
    async def work() -> int:
        caps, one = Caps(), service("speech", concurrency=1)
        await caps.acquire([one])
        waits_for = asyncio.create_task(caps.acquire([one]))
        leaves = asyncio.create_task(caps.acquire([one]))
        await asyncio.sleep(0)
        waits_for.cancel()
        caps.release(one)
        leaves.cancel()
        await asyncio.gather(waits_for, leaves, return_exceptions=True)
        return sum(caps.in_flight.values()) + caps.waiting

    assert run(work()) == 0


def test_other_services_send_those_who_wait_back_to_routing() -> None:
    async def work() -> Service | None:
        caps, one = Caps(), service("speech", concurrency=1)
        await caps.acquire([one])
        waits_for = asyncio.create_task(caps.acquire([one]))
        await asyncio.sleep(0)
        caps.changed()
        return await waits_for

    assert run(work()) is None


def test_the_queue_has_an_end() -> None:
    async def work() -> str:
        caps, one = Caps(), service("speech", concurrency=1)
        await caps.acquire([one])
        with pytest.raises(Refusal) as refusal:
            await caps.acquire([msgspec.structs.replace(one, timeout=0.01)])
        assert caps.waiting == 0
        return refusal.value.code

    assert run(work()) == "busy"


# The file that the playbook writes.


def test_the_gateway_takes_every_service_that_the_playbook_writes() -> None:
    found = [
        Row("node", "spark1", "up", node="spark1"),
        *(
            Row(
                "service",
                kind.replace("_", "-"),
                "up",
                "",
                "spark1",
                "http://192.0.2.11:1",
                "m",
                (kind,),
            )
            for kind in kinds.KINDS
        ),
        Row(
            "service",
            "unknown",
            "down",
            "x",
            "spark1",
            "http://[fd00::1]:1",
            phase="rejected",
            deep=True,
        ),
    ]
    text = json.dumps(written.document(found, "", {}))
    services = endpoints.parse(text.encode(), {"192.0.2.11", "fd00::1"})
    assert [one.name for one in services] == [
        "chat",
        "completion",
        "diarization",
        "embeddings",
        "redaction",
        "rerank",
        "speech-to-text",
        "text-to-speech",
        "unknown",
        "vector-store",
    ]
    assert all(one.paths <= endpoints.PATHS for one in services)
    assert {path for one in services for path in one.paths} == endpoints.PATHS
