# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One page of HTML that needs nothing else: what the reports of this collection have in common.

A page holds articles and a form that chooses among them. An article says in data-NAME what the
field NAME of the form chooses by, several values separated by "|"; data-quiet="yes" hides it until
its status is asked for.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #646b73; --line: #dfe3e8;
  --paper: #ffffff; --panel: #f6f7f9; --ok: #2b7a4b; --fixed: #1c6d8c; --drift: #9a6700;
  --blocked: #b42318; --skipped: #646b73; --accepted: #6941c6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #2c323a;
  --paper: #14171b; --panel: #1b1f25; --ok: #6bc48c; --fixed: #6cc0e0; --drift: #e3b341;
  --blocked: #ff7b72; --skipped: #9aa3ad; --accepted: #b59bf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
.run { color: var(--soft); margin: 0.2rem 0 1.2rem; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0 0 1.5rem; padding: 0;
  list-style: none; }
.counts li { background: var(--panel); border: 1px solid var(--line); border-radius: 0.6rem;
  padding: 0.4rem 0.9rem; }
.counts b { font-size: 1.25rem; margin-right: 0.35rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 0.6rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.45rem 0.8rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
tr:last-child td, tr:last-child th { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 500; font-size: 0.85rem; }
.status { font-weight: 600; color: var(--skipped); }
.ok { color: var(--ok); }
form { display: flex; flex-wrap: wrap; gap: 0.8rem; margin: 1.8rem 0 1rem; }
label { color: var(--soft); font-size: 0.85rem; }
select, input { display: block; font: inherit; padding: 0.3rem 0.5rem; color: var(--ink);
  background: var(--panel); border: 1px solid var(--line); border-radius: 0.4rem;
  max-width: 100%; }
article { border: 1px solid var(--line); border-left: 0.3rem solid currentcolor;
  border-radius: 0.5rem; padding: 0.7rem 1rem; margin: 0.6rem 0; }
article > * { color: var(--ink); }
article h2 { font-size: 1rem; margin: 0; display: flex; flex-wrap: wrap; gap: 0.2rem 0.8rem; }
article h2 .where { color: var(--soft); font-weight: 400; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 0.9rem;
  margin: 0.5rem 0 0; }
dt { color: var(--soft); font-size: 0.9rem; } dd { margin: 0; overflow-wrap: anywhere; }
.none { color: var(--soft); }
[hidden] { display: none; }
@media (max-width: 32rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.4rem; } }
"""

# What is chosen stands in the address, so that a view can be sent on: #node=spark1&status=drift
_SCRIPT = """
const form = document.querySelector("form");
const none = document.querySelector(".none");
const fields = [...form.elements].map((one) => one.name);
function show() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  let shown = 0;
  for (const name of fields) {
    const value = wanted.get(name) || "";
    const known = name === "text" || [...form[name].options].some((one) => one.value === value);
    if (form[name].value !== value) form[name].value = known ? value : "";
  }
  for (const article of document.querySelectorAll("article")) {
    article.hidden = fields.some((name) => {
      const value = form[name].value;
      if (name === "text") return !article.textContent.toLowerCase().includes(value.toLowerCase());
      if (name === "status" && value === "") return article.dataset.quiet === "yes";
      return value !== "" && value !== "all" && !article.dataset[name].split("|").includes(value);
    });
    shown += article.hidden ? 0 : 1;
  }
  none.hidden = shown > 0;
  document.body.dataset.shown = String(shown);
}
form.addEventListener("input", () => {
  const chosen = fields.filter((name) => form[name].value !== "");
  location.hash = chosen.map((name) => name + "=" + encodeURIComponent(form[name].value)).join("&");
  show();
});
form.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", show);
show();
"""


def page(title: str, style: str, top: str, articles: str) -> str:
    """The whole page: it may load nothing, and runs only its own script.

    style: what this page has besides the common one. top: what comes before the articles, with a
    form in it. top and articles are HTML, title is text.
    """
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{top}
<main>
{articles}
<p class="none" hidden>Nothing to show here.</p>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def escape(text: str) -> str:
    """Text as HTML, also within an attribute."""
    return html.escape(text, quote=True)


def word(status: str) -> str:
    """A status as the name of a class."""
    return status.replace(" ", "-")


def counts(numbers: Mapping[str, int]) -> str:
    """Status -> number, as tiles."""
    tiles = "".join(
        f'<li class="status {word(status)}"><b>{number}</b>{escape(status)}</li>'
        for status, number in numbers.items()
    )
    return f'<ul class="counts">{tiles}</ul>'


def table(heads: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Rows of (text, class); the first of each is the row's head."""
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0][0])}</th>'
        + "".join(f'<td class="{name}">{escape(text)}</td>' for text, name in row[1:])
        + "</tr>\n"
        for row in rows
    )
    columns = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return (
        f'<div class="wide"><table><thead><tr>{columns}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def form(choices: Mapping[str, Sequence[tuple[str, str]]], text: str = "") -> str:
    """What can be chosen: name -> (value, what is shown). text: label of a field to search by."""
    fields = ""
    for name, values in choices.items():
        options = "".join(
            f'<option value="{escape(value)}">{escape(shown)}</option>' for value, shown in values
        )
        fields += f'<label>{name}<select name="{name}">{options}</select></label>'
    if text:
        fields += f'<label>{escape(text)}<input name="text" type="search"></label>'
    return f"<form>{fields}</form>"


def article(
    data: Mapping[str, str], quiet: bool, title: str, status: str, where: str, inside: str
) -> str:
    """One article. data: what the form chooses by, status among it. inside: HTML."""
    chosen = "".join(f'data-{name}="{escape(value)}" ' for name, value in data.items())
    return (
        f'<article class="{word(status)}" {chosen}data-quiet="{"yes" if quiet else "no"}">'
        f'<h2>{escape(title)} <span class="status {word(status)}">{escape(status)}</span> '
        f'<span class="where">{escape(where)}</span></h2>{inside}</article>\n'
    )


def facts(told: Sequence[tuple[str, str]]) -> str:
    """Name and text of what is known; what is empty is left out."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in told if text)
    return f"<dl>{rows}</dl>"


def replace(path: str, text: str) -> str:
    """Write a file in one step; its path. Raises OSError, and then the old one is still there."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    return path
