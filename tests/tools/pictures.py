# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the documentation, in docs/pictures: ``pictures.py``.

terminal.svg is what real runs print with the callback brief. drift.png and models.png are pages of
tests/unit/fixtures/pictures in a browser, control.png the page of control with the examples of its
contract; pages.json has the SHA-256 of those pages. Without a browser these remain as they are.
"""

from __future__ import annotations

import hashlib
import html
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.dgxspark.suite.plugins.plugin_utils import menu
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    Report,
    ReportEntry,
    to_html,
)

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/unit/fixtures/pictures"
PICTURES = ROOT / "docs/pictures"
# Width and height of a page in pixels.
SIZES = {"drift": (1180, 1330), "models": (1180, 1000), "control": (1180, 1090)}
CONTROL = ROOT / "roles/control/files/dgxspark_control/page"
BROWSERS = ("chromium", "google-chrome")

# What is typed: a launch without a recipe, then the memory that one needs. Paths would make lines
# longer here than there.
TYPED = (
    ("launch",),
    ("recipes", "-e", "memory=qwen3-1.7b"),
)
HOSTS = {
    "spark_heads": {"hosts": {"spark1": {"ansible_connection": "local", "ansible_become": False}}}
}

# A character is this wide and a line that high, in pixels.
WIDE, HIGH, MARGIN = 8, 18, 16
COLUMNS = 120
# The colours of the terminal's palette that the callback uses.
COLOURS = {
    "0;31": "#ff7b72",
    "0;32": "#7ee787",
    "0;33": "#e3b341",
    "1;37": "#ffffff",
    "0;34": "#79c0ff",
    "0;36": "#76e3ea",
    "0;35": "#d2a8ff",
    "1;35": "#d2a8ff",
}
PLAIN = "#c9d1d9"
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
# How long a run took.
_TOOK = re.compile(r"(?<=\(after )\d+ s(?=\))|(?<=, in )\d+ s(?=\x1b|$)")


def pages() -> dict[str, str]:
    """The pages of the fixtures, by name."""
    document = json.loads((FIXTURES / "drift.json").read_text("utf-8"))
    cells = {(one["node"], one["spec"]): one["status"] for one in document["table"]}
    run = document["run"]
    report = Report(
        list(dict.fromkeys(node for node, _spec in cells)),
        list(dict.fromkeys(spec for _node, spec in cells)),
        cells,
        [ReportEntry(**finding) for finding in document["findings"]],
        playbook=run["playbook"],
        check_mode=run["check_mode"],
        generated=run["generated"],
    )
    known = json.loads((FIXTURES / "models.json").read_text("utf-8"))
    models = menu.Menu(
        {node: menu.NodeModels(**has) for node, has in known["nodes"].items()},
        [menu.MenuRecipe(**recipe) for recipe in known["recipes"]],
        generated=known["generated"],
    )
    return {"drift": to_html(report), "models": menu.to_html(models)}


def sums(shown: dict[str, str]) -> dict[str, str]:
    """The SHA-256 of pages, and of what the page of control is made of."""
    control = "".join(path.read_text("utf-8") for path in sorted(CONTROL.iterdir()))
    return {
        f"{name}.png": hashlib.sha256(page.encode()).hexdigest()
        for name, page in {**shown, "control": control}.items()
    }


def terminal() -> str:
    """The picture of a terminal in which TYPED was typed."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, *words in TYPED:
            command = ["ansible-playbook", f"dgxspark.suite.{name}", *words]
            lines += [f"$ {shlex.join(command)}", *printed(command, Path(folder)), ""]
    return svg(lines[:-1])


def printed(command: list[str], folder: Path) -> list[str]:
    """What a run of a playbook prints, colours included, on a machine of Alice's."""
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps(HOSTS), encoding="utf-8")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANSIBLE_") or name == "ANSIBLE_COLLECTIONS_PATH"
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=ROOT,
        env={
            **environment,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_INVENTORY": str(inventory),
            "ANSIBLE_FORCE_COLOR": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "COLUMNS": str(COLUMNS),
            "DGXSPARK_BRIEF_SLOW_SECONDS": "600",
            "HOME": str(folder),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    text = done.stdout.rstrip("\n")
    if not text:
        raise RuntimeError(done.stderr)
    return [_TOOK.sub("1 s", line) for line in text.splitlines()]


def svg(lines: list[str]) -> str:
    """Lines with the colours of a terminal as a picture; longer ones go on in the next line."""
    rows = [row for line in lines for row in wrapped(spans(line))]
    width, height = MARGIN * 2 + COLUMNS * WIDE, MARGIN * 2 + len(rows) * HIGH
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        "<title>A terminal: a refused launch, and the commands to type next</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
        '<g font-family="ui-monospace,DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="13">',
    ]
    for number, row in enumerate(rows):
        at, y = MARGIN, MARGIN + (number + 1) * HIGH - 5
        for colour, text in row:
            wide = len(text) * WIDE
            # Space at the ends of a text is not drawn.
            inner = text.strip()
            x = at + (len(text) - len(text.lstrip())) * WIDE
            if inner:
                fixed = html.escape(inner, quote=False).replace(" ", "\N{NO-BREAK SPACE}")
                out.append(
                    f'<text x="{x}" y="{y}" fill="{colour}" textLength="{len(inner) * WIDE}" '
                    f'lengthAdjust="spacingAndGlyphs">{fixed}</text>'
                )
            at += wide
    return "\n".join([*out, "</g>", "</svg>"]) + "\n"


def spans(line: str) -> Iterator[tuple[str, str]]:
    """The parts of a line, each with its colour."""
    colour = "#ffffff" if line.startswith("$ ") else PLAIN
    text, *rest = _COLOUR.split(line)
    yield colour, text
    for code, following in zip(rest[::2], rest[1::2], strict=True):
        yield COLOURS.get(code, PLAIN), following


def wrapped(parts: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Rows of at most COLUMNS characters."""
    row: list[tuple[str, str]] = []
    left = COLUMNS
    for colour, text in parts:
        while len(text) > left:
            yield [*row, (colour, text[:left])]
            row, text, left = [], text[left:], COLUMNS
        row.append((colour, text))
        left -= len(text)
    yield row


def photograph(browser: str, page: str, picture: Path, size: tuple[int, int]) -> None:
    """Write a picture of a page."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.html").write_text(page, encoding="utf-8")
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1"),
                *(f"--user-data-dir={folder}/profile", "--virtual-time-budget=2000"),
                *(f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}"),
                f"file://{folder}/page.html",
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


def photograph_control(browser: str, picture: Path, size: tuple[int, int]) -> None:
    """Write a picture of the page of control while it swaps a model."""
    sys.path.insert(0, str(ROOT / "tests/unit/control_page"))
    stand_in = importlib.import_module("control_stand_in")
    sync_api = importlib.import_module("playwright.sync_api")
    with stand_in.StandIn() as site, sync_api.sync_playwright() as playwright:
        site.answers["/api/status"] = stand_in.example("status")
        site.answers["/api/jobs"] = stand_in.example("jobs")
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = started.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(site.url)
        page.get_by_role("group", name="Swap to").first.wait_for()
        # The lists come after it.
        page.wait_for_timeout(500)
        page.screenshot(path=picture)
        started.close()


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "terminal.svg").write_text(terminal(), encoding="utf-8")
    print("pictures: docs/pictures/terminal.svg")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        print("pictures: no browser here; drift.png, models.png, control.png and pages.json remain")
        return
    shown = pages()
    for name, page in shown.items():
        photograph(browser, page, PICTURES / f"{name}.png", SIZES[name])
        print(f"pictures: docs/pictures/{name}.png")
    photograph_control(browser, PICTURES / "control.png", SIZES["control"])
    print("pictures: docs/pictures/control.png")
    noted = json.dumps(sums(shown), indent=2) + "\n"
    (PICTURES / "pages.json").write_text(noted, encoding="utf-8")


if __name__ == "__main__":
    main()
