# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of control in a real browser, against a stand-in for its application."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "control" / "files"
sys.path[:0] = [str(FILES), str(Path(__file__).parent)]

from control_stand_in import Open, StandIn  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# What a policy has refused, as the page learns it.
WATCH = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.refused.push(event.violatedDirective);
});
"""


# Not for the session: Playwright's event loop counts as running in every test meanwhile.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
    if not CHROMIUM:
        pytest.skip("no browser here: install chromium")
    with sync_api.sync_playwright() as playwright:
        # As root there is no sandbox.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def site() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def opened(browser: Any, site: StandIn) -> Iterator[Open]:
    """Opens the page as often as it is called, in one browser. At the end of a test none of them
    has had an error, or a violation of its policy, but what `expected` names.
    """
    contexts: list[Any] = []
    pages: list[Any] = []
    errors: list[str] = []

    def open_page(width: int = 1280, expected: str = "", script: str = "", **options: Any) -> Any:
        if not contexts or options:
            size = {"width": width, "height": 900}
            contexts.append(browser.new_context(viewport=size, **options))
            contexts[-1].add_init_script(WATCH)
        page = contexts[-1].new_page()
        page.set_default_timeout(40000)
        if script:
            page.add_init_script(script)
        page.set_viewport_size({"width": width, "height": 900})

        def note(message: Any) -> None:
            # A status of 400 and more is no error of the page.
            if message.type == "error" and "Failed to load resource" not in message.text:
                errors.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(site.url)
        page.get_by_text(expected or "gpt-oss-120b", exact=False).first.wait_for()
        pages.append(page)
        return page

    yield open_page
    assert errors == []
    left = [page for page in pages if not page.is_closed()]
    assert [page.evaluate("window.refused") for page in left] == [[] for _page in left]
    for context in contexts:
        context.close()
