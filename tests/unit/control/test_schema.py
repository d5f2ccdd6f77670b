# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the schema allows, and some that it does not: no answer is a failure of control."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import schemathesis
from control_fakes import HOST, Lab
from dgxspark_control import jobs as job_store
from dgxspark_control.app import create_app
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

# They stay open.
STREAMS = ("/api/events",)
STATUSES = {
    *(200, 201, 202, 204, 304, 401, 403, 404, 405, 409, 413, 415, 421, 422, 423, 429, 503, 507),
}


@pytest.fixture
def no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run: a job ends as it begins, and leaves its variables."""

    async def spawned(_self: object, _play: object, _folder: object) -> int:
        return 0

    monkeypatch.setattr(job_store.Jobs, "_spawned", spawned)


def test_no_request_of_the_schema_is_a_failure(tmp_path: Path, no_jobs: None) -> None:
    lab = Lab(tmp_path)
    lab.know()
    app = create_app(lab.config())
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(app.openapi())))
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) > 30
    end = time.monotonic() + 30

    async def test() -> None:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
            url = f"http://{HOST}"
            async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                loop = asyncio.get_running_loop()
                for operation in operations:
                    if operation.path not in STREAMS:
                        await loop.run_in_executor(None, tried, operation, client, loop)

    def tried(operation: Any, client: httpx.AsyncClient, loop: Any) -> None:
        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), mode=st.booleans())
        def one(case: Any, mode: bool) -> None:
            if time.monotonic() > end:
                return
            words = case.as_transport_kwargs(base_url=f"http://{HOST}")
            words = {k: v for k, v in words.items() if k in ("method", "url", "params", "json")}
            if mode and isinstance(words.get("json"), dict):
                words["json"]["unknown"] = {"{{ 7*7 }}": 1}
            headers = {k: v for k, v in (case.headers or {}).items() if printable(f"{k}{v}")}
            asked = client.request(**words, headers=headers)
            answer = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
            assert answer.status_code in STATUSES, (words, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
            if mode and "unknown" in (words.get("json") or {}):
                assert answer.status_code >= 400

        one()

    asyncio.run(test())


def printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
