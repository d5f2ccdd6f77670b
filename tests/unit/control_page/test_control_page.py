# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of control shows, asks and sends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from control_stand_in import PAGE, Open, StandIn, example, moment

HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><b>&amp;</b>{{ 7*7 }}"


def until(condition: Callable[[], Any], seconds: float = 40) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.02)


def dialog(page: Any) -> Any:
    return page.get_by_role("dialog")


def serve(page: Any) -> Any:
    menu = page.get_by_role("table", name="Models on the disks")
    menu.get_by_role("row", name="Qwen3-Coder").get_by_role("button", name="Serve").click()
    return dialog(page)


def accepts_swaps(site: StandIn) -> None:
    job = example("job")
    started = {**job, "phase": "lock", "phases": [{"name": "lock", "seconds": None}], "lines": []}
    site.answers[f"/api/jobs/{job['id']}"] = started
    site.replies["POST /api/swap"] = (202, started)


def test_a_swap_is_asked_for_confirmed_and_followed(site: StandIn, opened: Open) -> None:
    accepts_swaps(site)
    page = opened()
    asked = serve(page)
    text = asked.inner_text()
    assert "Serve qwen3-coder-30b?" in text
    assert "gpt-oss-120b stops answering on spark1 and spark2." in text
    assert "Launched by alice@laptop 3 h ago." in text
    assert "http://192.0.2.11:8000/v1 or http://192.0.2.10:9998/v1" in text
    assert "Stays as it is: embeddings." in text
    assert "The last attempt was rolled back" in text
    assert "dgxspark.suite.launch -e recipe=qwen3-coder-30b" in text
    assert site.asked == []
    asked.get_by_label("For whom").fill("Alice")
    asked.get_by_role("button", name="Serve", exact=True).click()
    asked.wait_for(state="hidden")
    assert site.asked == [
        (
            "POST",
            "/api/swap",
            {
                "recipe": "qwen3-coder-30b",
                "service": "main",
                "nodes": [],
                "overrides": {},
                "confirm": "gpt-oss-120b-ray@7d3d01ab23cd",
                "owner": "Alice",
                "token": "",
                "force": False,
            },
        )
    ]
    card = page.locator("#now").get_by_role("group", name="Swap to qwen3-coder-30b")
    assert card.locator("[aria-current=step]").inner_text().startswith("lock")
    site.job(example("job"))
    card.locator("[aria-current=step]").filter(has_text="swap").wait_for()
    assert "loading weights: 3 of 8 shards" in card.inner_text()
    assert page.locator("#say").inner_text() == "Swap to qwen3-coder-30b: swap"
    site.job(example("job"), state="succeeded", phase="", ended=moment())
    service = {
        **site.status["services"][1],
        "recipe": "qwen3-coder-30b",
        "served_model_name": "qwen3-coder-30b",
    }
    site.push("status", {"at": moment(), "services": [service], "jobs": []})
    page.locator("#now .served").filter(has_text="qwen3-coder-30b").wait_for()
    card.wait_for(state="hidden")
    assert page.title() == "qwen3-coder-30b · Control"


def test_the_time_of_the_last_launch_is_named(opened: Open) -> None:
    page = opened()
    page.locator("#models summary").click()
    page.get_by_role("row", name="gpt-oss-120b over two").get_by_role("button").click()
    assert "It took 3 min 1 s last time" in dialog(page).inner_text()


def test_options_go_to_the_request_and_to_the_command(site: StandIn, opened: Open) -> None:
    accepts_swaps(site)
    page = opened()
    asked = serve(page)
    asked.get_by_text("Service, nodes, overrides").click()
    asked.get_by_label("Service", exact=True).fill("code")
    asked.get_by_label("spark2").check()
    asked.get_by_label("Overrides").fill("port=8001\nserved_model_name=a b")
    text = asked.inner_text()
    assert "Nothing runs as this service: nothing ends." in text
    assert "-e service=code -e nodes=spark2 -e 'overrides=port=8001 served_model_name=a b'" in text
    asked.get_by_role("button", name="Serve", exact=True).click()
    asked.wait_for(state="hidden")
    body = site.asked[0][2]
    assert body["overrides"] == {"port": 8001, "served_model_name": "a b"}
    assert (body["service"], body["nodes"], body["confirm"]) == ("code", ["spark2"], "")


def test_a_plan_is_checked_without_a_change(site: StandIn, opened: Open) -> None:
    job = example("job_validated")
    site.answers[f"/api/jobs/{job['id']}"] = job
    site.replies["POST /api/swap/validate"] = (202, {**job, "state": "running", "result": {}})
    page = opened()
    asked = serve(page)
    asked.get_by_role("button", name="Check the plan first").click()
    until(lambda: site.asked)
    site.push("job", {**job, "lines": []})
    asked.get_by_text("The plan holds.").wait_for()
    asked.get_by_text("Its commands").click()
    assert "docker create --name dgxspark-main-0.next" in asked.inner_text()
    assert [path for _method, path, _body in site.asked] == ["/api/swap/validate"]


def test_a_held_lock_says_by_whom_and_until_when(site: StandIn, opened: Open) -> None:
    site.replies["POST /api/swap"] = (423, example("problem_locked"))
    page = opened()
    asked = serve(page)
    asked.get_by_role("button", name="Serve", exact=True).click()
    asked.get_by_text("Bob holds the cluster").wait_for()
    assert "benchmarks" in asked.inner_text()
    assert "locked by Bob" in asked.get_by_role("alert").inner_text()
    accepts_swaps(site)
    asked.get_by_label("Take the lock over from Bob").check()
    assert "-e recipe=qwen3-coder-30b -e force=true" in asked.inner_text()
    asked.get_by_role("button", name="Serve", exact=True).click()
    asked.wait_for(state="hidden")
    assert [body["force"] for _method, _path, body in site.asked] == [False, True]


def test_what_runs_by_now_is_shown_before_it_is_ended(site: StandIn, opened: Open) -> None:
    main = site.status["services"][1]
    page = opened()
    asked = serve(page)
    main.update(confirm="other@5ac0", recipe="other", served_model_name="other-model")
    site.replies["POST /api/swap"] = (409, {**example("problem_changed"), "confirm": "other@5ac0"})
    asked.get_by_role("button", name="Serve", exact=True).click()
    asked.get_by_text("other-model stops answering").wait_for()
    assert "confirm what runs now" in asked.get_by_role("alert").inner_text()
    accepts_swaps(site)
    asked.get_by_role("button", name="Serve", exact=True).click()
    asked.wait_for(state="hidden")
    assert [body["confirm"][:5] for _method, _path, body in site.asked] == ["gpt-o", "other"]


def test_a_second_change_waits_for_the_first(site: StandIn, opened: Open) -> None:
    site.replies["POST /api/stop"] = (409, example("problem_running"))
    page = opened()
    page.locator("#now").get_by_role("button", name="Stop").click()
    asked = dialog(page)
    assert "it does not come back after a reboot" in asked.inner_text()
    asked.get_by_role("button", name="Stop", exact=True).click()
    asked.get_by_text("A job changes the services already").wait_for()
    assert site.asked[0][2]["service"] == "main"


def test_a_change_that_failed_stays_in_sight_until_it_is_dismissed(
    site: StandIn, opened: Open
) -> None:
    site.answers["/api/jobs"] = {"jobs": [example("job_failed")]}
    page = opened()
    news = page.get_by_role("group", name="The last change failed")
    assert "was rolled back" in news.inner_text()
    assert "the container exited with 1" in news.inner_text()
    news.get_by_role("button", name="Dismiss").click()
    news.wait_for(state="hidden")


def test_a_recipe_is_proposed_with_reasons_and_written_after_confirmation(
    site: StandIn, opened: Open
) -> None:
    job = example("job_setup")
    site.answers[f"/api/jobs/{job['id']}"] = job
    site.replies["POST /api/models/setup"] = (202, {**job, "state": "running", "result": {}})
    page = opened()
    page.get_by_role("button", name="Set up").click()
    asked = dialog(page)
    assert asked.get_by_role("button", name="Write the recipe").get_attribute("aria-disabled")
    until(lambda: site.asked)
    site.push("job", {**job, "lines": []})
    row = asked.get_by_role("row", name="defaults.tensor_parallel")
    row.wait_for()
    assert re.split(r"[\t\n]", row.inner_text())[-2:] == ["fits one node", "confidence high"]
    assert "The context was set to 32768 tokens to fit" in asked.inner_text()
    asked.get_by_label("Image").fill("example/vllm:1.0")
    asked.get_by_role("button", name="Propose again").click()
    until(lambda: len(site.asked) == 2)
    site.push("job", {**job, "lines": []})
    write = asked.get_by_role("button", name="Write the recipe")
    until(lambda: not write.get_attribute("aria-disabled"))
    asked.get_by_role("button", name="Write the recipe").click()
    asked.wait_for(state="hidden")
    name = "Qwen/Qwen3-8B"
    assert [body for _method, _path, body in site.asked] == [
        {"model": name, "image": "", "quant": ""},
        {"model": name, "image": "example/vllm:1.0", "quant": ""},
        {"model": name, "image": "example/vllm:1.0", "quant": "", "confirm": name},
    ]


def test_a_model_is_deleted_by_its_typed_name_only(site: StandIn, opened: Open) -> None:
    site.replies["POST /api/models/delete"] = (202, example("job"))
    page = opened()
    page.get_by_role("row", name="Qwen3-Coder").get_by_role("button", name="Delete").click()
    asked = dialog(page)
    assert "removed from spark1 and spark2" in asked.inner_text()
    asked.get_by_label("Type its name").fill("Qwen/Qwen3-Coder")
    page.keyboard.press("Enter")
    asked.get_by_text("The name differs. Nothing was deleted.").wait_for()
    assert site.asked == []
    asked.get_by_label("Type its name").fill("Qwen/Qwen3-Coder-30B-A3B-Instruct")
    page.keyboard.press("Enter")
    asked.wait_for(state="hidden")
    name = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
    assert site.asked[0][2] == {"model": name, "confirm": name}


def test_a_served_model_is_not_deleted(site: StandIn, opened: Open) -> None:
    problem = {"code": "not_possible", "detail": "It is served", "hint": "Stop it first"}
    site.replies["POST /api/models/delete"] = (409, problem)
    page = opened()
    page.get_by_role("row", name="openai/gpt-oss-120b").get_by_role("button").click()
    dialog(page).get_by_label("Type its name").fill("openai/gpt-oss-120b")
    page.keyboard.press("Enter")
    dialog(page).get_by_text("Stop it first").wait_for()


def test_a_download_shows_how_far_it_is_and_can_be_cancelled(site: StandIn, opened: Open) -> None:
    job = example("status")["jobs"][1]
    site.replies["POST /api/models/download"] = (202, {**job, "step": "", "lines": []})
    site.replies[f"POST /api/jobs/{job['id']}/cancel"] = (202, job)
    page = opened()
    page.get_by_label("Download a model").fill("Qwen/Qwen3-8B")
    page.get_by_role("button", name="Download …").click()
    assert "model_download -e model=Qwen/Qwen3-8B" in dialog(page).inner_text()
    dialog(page).get_by_role("button", name="Download", exact=True).click()
    card = page.locator("#models").get_by_role("group", name="Download of Qwen/Qwen3-8B")
    shown_share = card.get_by_role("progressbar")
    shown_share.wait_for()
    assert shown_share.get_attribute("value") is None
    site.push("job", job)
    until(lambda: shown_share.get_attribute("value"))
    assert round(shown_share.evaluate("one => one.position"), 2) == 0.21
    card.get_by_role("button", name="Cancel").click()
    until(lambda: len(site.asked) == 2)
    assert site.asked[0][2] == {"model": "Qwen/Qwen3-8B", "revision": "", "quant": ""}


def test_texts_of_others_are_text(site: StandIn, opened: Open) -> None:
    for number, row in enumerate(site.answers["/api/models"]["models"]):
        row.update(name=f"{HOSTILE}{number}", recipes=[HOSTILE])
    site.answers["/api/recipes"]["recipes"][1].update(name=HOSTILE, title=HOSTILE, command=HOSTILE)
    status = site.status
    status["why"], status["stale"] = HOSTILE, True
    status["services"][1].update(served_model_name=HOSTILE, detail=HOSTILE, url=HOSTILE)
    status["nodes"][0].update(name=HOSTILE, detail=HOSTILE)
    status["lock"].update(held=True, owner=HOSTILE, reason=HOSTILE)
    site.answers["/api/jobs"] = {"jobs": [{**example("job_failed"), "why": HOSTILE}]}
    page = opened(expected=HOSTILE)
    page.locator("#models table").first.get_by_role("button", name="Serve").first.click()
    assert f"Serve {HOSTILE}?" in dialog(page).inner_text()
    assert page.locator("img, b img").count() == 0
    assert "pwned" not in page.title().replace(HOSTILE, "")
    assert page.locator("#now .served").inner_text() == HOSTILE


def test_ten_tabs_share_one_stream(site: StandIn, opened: Open) -> None:
    """A browser has six connections to a server, for all tabs together."""
    pages = [opened() for _tab in range(10)]
    assert site.opened == 1
    site.push("status", {"at": moment(), "gateway": "http://192.0.2.99:9998/v1"})
    for page in pages:
        page.locator("#now").get_by_text("192.0.2.99").wait_for()
    for page in pages[:-1]:
        page.close()
    site.push("status", {"at": moment(), "gateway": "http://192.0.2.98:9998/v1"})
    pages[-1].locator("#now").get_by_text("192.0.2.98").wait_for()


def test_a_lost_connection_is_shown_and_comes_back(site: StandIn, opened: Open) -> None:
    page = opened()
    page.locator("#link").filter(has_text="live").wait_for()
    site.answers["/api/schedule"]["entries"] = []
    site.status["schedule"] = []
    site.hang_up()
    page.locator("#schedule").get_by_text("Nobody has announced").wait_for()
    page.locator("#link").filter(has_text="live").wait_for()
    assert site.opened == 2


@pytest.mark.parametrize("script", ["", "delete window.SharedWorker"], ids=["worker", "none"])
def test_lines_of_a_job_go_on_after_a_lost_connection(
    site: StandIn, opened: Open, script: str
) -> None:
    """Also in a browser without shared workers, as on a phone."""
    site.answers["/api/jobs"] = {"jobs": [example("job_failed")]}
    page = opened(script=script)
    page.locator("#jobs").get_by_role("button", name="Lines").click()
    log = page.get_by_role("log")
    log.get_by_text("failed: spark1: qwen3-coder-30b was not launched").wait_for()
    lines = log.inner_text().splitlines()
    assert lines[:2] == [
        "— preflight",
        "spark1: qwen3-coder-30b on spark1 and spark2: vllm-distributed, 2 nodes",
    ]
    assert len(lines) == len(set(lines)) == 5
    assert [last for _path, last in site.job_streams] == ["", "17"]
    page.locator("#jobs").get_by_role("button", name="Hide lines").click()
    log.wait_for(state="hidden")


@pytest.mark.parametrize("how", ["old", "said"])
def test_a_stale_snapshot_is_grey_with_its_age(site: StandIn, opened: Open, how: str) -> None:
    page = opened()
    change = {"at": moment(300)} if how == "old" else {"stale": True, "why": "status.yml failed"}
    site.push("status", change)
    page.locator("#link").filter(has_text="stale").wait_for()
    assert ("last poll 5 min ago" in page.locator("#link").inner_text()) == (how == "old")
    assert page.locator("body.stale .served").count() == 1
    hero = page.locator("#now .hero > .fade")
    assert hero.evaluate("one => getComputedStyle(one).filter") == "grayscale(1)"


def test_what_nobody_reported_is_a_dash(site: StandIn, opened: Open) -> None:
    page = opened()
    tile = page.locator("#now").get_by_role("listitem").filter(has_text="spark3")
    assert tile.locator("dd").first.inner_text().replace("\n", "") == "\N{EN DASH}not reported"
    assert tile.locator("progress").count() == 0


def test_by_keyboard_alone(site: StandIn, opened: Open) -> None:
    accepts_swaps(site)
    page = opened()

    def tab_to(name: str) -> None:
        for _press in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == name:
                return
        raise AssertionError(name)

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab_to("Serve …")
    page.keyboard.press("Enter")
    dialog(page).wait_for()
    assert page.evaluate("document.activeElement.id") == "dialog-title"
    page.keyboard.press("Escape")
    dialog(page).wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == "Serve …"
    page.keyboard.press("Enter")
    tab_to("Serve")
    # What comes meanwhile does not take the focus away.
    site.push("status", {"at": moment(), "gateway": ""})
    page.locator("#now").get_by_text("192.0.2.11:8000").first.wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Serve"
    page.keyboard.press("Space")
    dialog(page).wait_for(state="hidden")
    assert [path for _method, path, _body in site.asked] == ["/api/swap"]


def test_what_is_typed_stays_while_the_page_is_drawn_anew(site: StandIn, opened: Open) -> None:
    page = opened()
    page.get_by_label("Download a model").fill("org/half")
    page.locator("#models summary").click()
    site.push("status", {"at": moment(), "gateway": "http://192.0.2.99:9998/v1"})
    page.locator("#now").get_by_text("192.0.2.99").wait_for()
    assert page.get_by_label("Download a model").input_value() == "org/half"
    assert page.locator("#models details").get_attribute("open") is not None


def test_names_and_landmarks_for_a_screen_reader(site: StandIn, opened: Open) -> None:
    page = opened()
    page.locator("#models summary").click()
    serve(page).get_by_text("Service, nodes, overrides").click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, textarea, button, progress, dialog")]
        .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()
          || one.getAttribute("aria-labelledby")))
        .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    twice = page.evaluate(
        """() => [...document.querySelectorAll("[id]")].map((one) => one.id)
        .filter((id, at, all) => all.indexOf(id) !== at)"""
    )
    assert twice == []
    page.keyboard.press("Escape")
    for role in ("banner", "main"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("navigation", name="Sections").count() == 1
    for name in ("Now", "Models", "Services", "Health and outages", "Jobs", "Schedule", "Access"):
        assert page.get_by_role("region", name=name, exact=True).count() == 1
    assert page.get_by_role("heading", level=1).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(site: StandIn, opened: Open, scheme: str) -> None:
    site.answers.update({f"/api/{name}": example(name) for name in ("jobs", "swap")})
    site.answers["/api/status"] = example("status")
    long = "x" * 120
    site.answers["/api/models"]["models"][1]["name"] = f"org/{long}"
    site.status["services"][1].update(detail=long, endpoint=f"http://192.0.2.11:8000/{long}")
    page = opened(width=390, color_scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("#jobs").get_by_role("button", name="Lines").first.click()
    wide = "[document.documentElement.scrollWidth, document.querySelector('dialog').scrollWidth]"
    assert page.evaluate(wide)[0] <= 390
    page.get_by_role("row", name=long).get_by_role("button", name="Serve").click()
    asked = dialog(page)
    box = asked.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert asked.evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.evaluate(wide)[0] <= 390
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 27)")


def test_signing_in(site: StandIn, opened: Open) -> None:
    known = dict(site.answers)
    for path in known:
        site.replies[f"GET {path}"] = (401, example("problem_token"))
    site.answers["/api/access"].update(token_required=True, signed_in=False, public_key="")

    def enter(body: Any) -> tuple[int, Any]:
        if body["token"] != "correct":
            return 401, example("problem_token")
        site.replies = {}
        site.answers["/api/access"].update(signed_in=True)
        return 204, None

    site.replies["POST /api/access"] = enter
    page = opened(expected="This control asks for its token.")
    asked = dialog(page)
    asked.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    asked.get_by_text("The token is missing or wrong").wait_for()
    asked.get_by_label("Token").fill("correct")
    page.keyboard.press("Enter")
    asked.wait_for(state="hidden")
    page.locator("#now .served").filter(has_text="gpt-oss-120b").wait_for()
    site.replies["DELETE /api/access"] = (204, None)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    until(lambda: site.asked[-1][:2] == ("DELETE", "/api/access"))


def test_a_reservation_shows_its_token_once_and_is_worked_within(
    site: StandIn, opened: Open
) -> None:
    taken = {**example("lock_taken"), "owner": "Alice"}
    site.replies["POST /api/swap/lock"] = (201, taken)
    site.replies["DELETE /api/swap/lock"] = (200, {"taken_from": ""})
    accepts_swaps(site)
    page = opened()
    page.get_by_role("button", name="Reserve …").click()
    dialog(page).get_by_label("Who").fill("Alice")
    dialog(page).get_by_label("Hours").fill("2")
    dialog(page).get_by_role("button", name="Reserve", exact=True).click()
    dialog(page).get_by_text(taken["token"]).wait_for()
    dialog(page).get_by_role("button", name="Close").click()
    assert taken["token"] not in page.content()
    assert site.asked[0][2] == {"owner": "Alice", "reason": "", "seconds": 7200}
    assert "You (Alice) hold the cluster" in page.locator("#holder").inner_text()
    serve(page).get_by_role("button", name="Serve", exact=True).click()
    until(lambda: len(site.asked) == 2)
    assert site.asked[1][2]["token"] == taken["token"]
    page.get_by_role("button", name="Release").click()
    dialog(page).get_by_role("button", name="Release").click()
    page.get_by_text("Nobody holds the cluster").wait_for()


def test_everybody_is_warned_where_everybody_may_change(site: StandIn, opened: Open) -> None:
    site.answers["/api/access"].update(bind="192.0.2.10:9999")
    page = opened()
    assert "Everybody who reaches 192.0.2.10:9999" in page.locator("#news").inner_text()


def test_it_has_no_code_that_makes_markup_of_text() -> None:
    code = (PAGE / "app.mjs").read_text("utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code
    )
    html = (PAGE / "index.html").read_text("utf-8")
    assert not re.search(r"\bon\w+=|style=|<style|https?://|<script>", html)
    assert "http" not in (PAGE / "style.css").read_text("utf-8")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_have_the_contrast_of_wcag_aa(scheme: int) -> None:
    css = (PAGE / "style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[scheme]))

    def ratio(ink: str, paper: str) -> float:
        low, high = sorted(luminance(colours[one]) for one in (ink, paper))
        return (high + 0.05) / (low + 0.05)

    words = ("ink", "soft", "ok", "info", "warn", "bad", "accepted")
    pairs = [(ink, paper) for ink in words for paper in ("paper", "panel")]
    assert [pair for pair in [*pairs, ("on", "info"), ("on", "bad")] if ratio(*pair) < 4.5] == []
    assert ratio("edge", "paper") >= 3


def test_what_no_play_has_read_is_not_said_to_be_free_or_empty(site: StandIn, opened: Open) -> None:
    site.status.update(facts_at=None, services=[], schedule=[])
    for name in ("models", "schedule", "swap"):
        site.replies[f"GET /api/{name}"] = (503, {"code": "not_ready", "detail": "Not read yet"})
    page = opened(expected="What is served is not known yet")
    text = page.locator("body").inner_text()
    assert "Nothing is served" not in text
    assert "No service runs" not in text
    assert "Nobody" not in text
