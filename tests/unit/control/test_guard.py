# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from control_fakes import HOST, TOKEN, Lab, run
from dgxspark_control import guard
from dgxspark_control.config import Config, ConfigError, parse

SHA = hashlib.sha256(TOKEN.encode()).hexdigest()
JSON = {"content-type": "application/json", "content-length": "2"}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Lab(tmp_path, names=["control.example"]).config()


@pytest.fixture
def closed(tmp_path: Path) -> Config:
    return Lab(tmp_path / "closed", token_sha256=SHA).config()


def code(config: Config, method: str = "POST", path: str = "/api/swap", **headers: str) -> str:
    given = {"host": HOST, **(JSON if method != "GET" else {})}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        guard.check(method, path, {k: v for k, v in given.items() if v}, config)
    except guard.Refusal as refusal:
        return str(refusal.body["code"])
    return ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HOST, ""),
        ("localhost:9999", ""),
        ("LOCALHOST", ""),
        ("192.0.2.10", ""),
        ("[fd00::1]:9999", ""),
        ("control.example:9999", ""),
        ("evil.example", "unknown_host"),
        ("localhost.evil.example", "unknown_host"),
        ("control.example.evil.example", "unknown_host"),
        ("", "unknown_host"),
        ("127.0.0.1.evil.example", "unknown_host"),
        ("[::1", "unknown_host"),
    ],
)
def test_names_of_others_are_refused(config: Config, host: str, expected: str) -> None:
    assert code(config, "GET", "/api/status", host=host) == expected


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ""),
        ({"sec_fetch_site": "same-origin", "origin": f"http://{HOST}"}, ""),
        ({"sec_fetch_site": "none"}, ""),
        ({"origin": f"https://{HOST}"}, ""),
        ({"sec_fetch_site": "cross-site"}, "cross_site"),
        ({"sec_fetch_site": "same-site"}, "cross_site"),
        ({"origin": "http://evil.example"}, "cross_site"),
        ({"origin": "http://127.0.0.1:9998"}, "cross_site"),
        ({"origin": "null"}, "cross_site"),
        ({"sec_fetch_site": "same-origin", "origin": "http://evil.example"}, "cross_site"),
        ({"content_type": "text/plain"}, "not_json"),
        ({"content_type": "application/x-www-form-urlencoded"}, "not_json"),
        ({"content_type": "application/json; charset=utf-8"}, ""),
        ({"content_type": "", "content_length": "", "transfer_encoding": "chunked"}, "not_json"),
    ],
)
def test_pages_of_others_change_nothing(
    config: Config, method: str, headers: dict[str, str], expected: str
) -> None:
    assert code(config, method, **headers) == expected


def test_pages_of_others_read_nothing_and_may_link_to_the_page(config: Config) -> None:
    assert code(config, "GET", "/api/status", sec_fetch_site="cross-site") == "cross_site"
    assert code(config, "GET", "/", sec_fetch_site="cross-site") == ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "token_required"),
        ({"authorization": f"Bearer {TOKEN}"}, ""),
        ({"authorization": f"bearer  {TOKEN} "}, ""),
        ({"authorization": f"Basic {TOKEN}"}, "token_required"),
        ({"authorization": "Bearer wrong"}, "token_required"),
        ({"authorization": f"Bearer {SHA}"}, "token_required"),
        ({"cookie": f"a=b; {guard.COOKIE}={TOKEN}"}, ""),
        ({"cookie": f"{guard.COOKIE}=wrong"}, "token_required"),
        ({"cookie": f"{guard.COOKIE}="}, "token_required"),
        ({"cookie": "\x00;=;;"}, "token_required"),
    ],
)
def test_a_token_is_required_where_there_is_one(
    closed: Config, headers: dict[str, str], expected: str
) -> None:
    assert code(closed, "GET", "/api/status", **headers) == expected
    assert code(closed, **headers) == expected
    assert code(closed, "GET", "/api/access") == ""
    assert code(closed, "GET", "/") == ""


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "203.0.113.300", "8.8.8.8", "spark1", ""])
def test_control_listens_on_private_addresses_only(bind: str, tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    text = lab.config().model_copy(update={"bind": bind}).model_dump_json()
    with pytest.raises(ConfigError, match="bind"):
        parse(text)


def test_settings_that_are_misspelt_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokn: Extra inputs.*state: Field required|state.*tokn"):
        parse('{"bind": "127.0.0.1", "tokn": 1}')
    with pytest.raises(ConfigError, match="Invalid JSON"):
        parse("{")


def test_the_guard_is_in_front_of_everything(tmp_path: Path) -> None:
    async def test() -> None:
        lab = Lab(tmp_path, token_sha256=SHA)
        lab.know()
        async with lab.control() as (client, _control):
            for path in ("/api/status", "/api/nothing", "/api/jobs/x", "/api/events"):
                answer = await client.get(path)
                assert answer.status_code == 401, path
                assert answer.headers["content-type"] == guard.PROBLEM
                assert answer.headers["cache-control"] == "no-store"
                assert answer.json()["hint"]
            answer = await client.get("/health", headers={"host": "evil.example"})
            assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
            answer = await client.post("/api/access", json={"token": "wrong"})
            assert answer.status_code == 401
            access = (await client.get("/api/access")).json()
            assert (access["token_required"], access["signed_in"]) == (True, False)
            answer = await client.post("/api/access", json={"token": TOKEN})
            assert answer.status_code == 204
            assert "HttpOnly" in answer.headers["set-cookie"]
            assert "samesite=strict" in answer.headers["set-cookie"].lower()
            answer = await client.get("/api/status")
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"].startswith("default-src 'self'")
            answer = await client.post("/api/swap", content=b'{"a": "' + b"b" * 70_000 + b'"}')
            assert answer.status_code == 415
            big = {"recipe": "b" * 70_000}
            answer = await client.post("/api/swap", json=big)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
            assert TOKEN not in (await client.get("/api/status")).text

    run(test())


def test_the_key_is_shown_with_what_to_type_but_not_to_strangers(tmp_path: Path) -> None:
    async def test(signed: bool) -> None:
        key = tmp_path / "key"
        key.with_name("key.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9n control\n")
        nodes = [{"name": "spark1", "address": "192.0.2.11", "user": "alice", "port": 2222}]
        lab = Lab(tmp_path / str(signed), token_sha256=SHA, key=str(key), nodes=nodes)
        lab.know()
        headers = {"authorization": f"Bearer {TOKEN}"} if signed else {}
        async with lab.control() as (client, _control):
            access = (await client.get("/api/access", headers=headers)).json()
        if not signed:
            assert access["public_key"] == access["fingerprint"] == ""
            assert access["commands"] == []
            return
        assert access["public_key"].startswith("ssh-ed25519 ")
        assert access["fingerprint"].startswith("SHA256:")
        assert access["commands"] == [
            f"ssh-copy-id -f -i {key}.pub -p 2222 alice@192.0.2.11",
        ]

    run(test(True))
    run(test(False))
