# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write parameters and return values of the ensure modules into their contracts.

    contracts.py            rewrites docs/contracts/ensure_*.md
    contracts.py --check    only says which of them are not up to date; status 1 then

They come from each module's own documentation; what stands outside of the marks is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "docs" / "contracts"
BEGIN = "<!-- from the module's documentation: make contracts -->"
END = "<!-- end -->"
# Described once, in ensure.md.
COMMON = {"skip", "accepted", "fail"}
ENVELOPE = {"spec", "findings", "paths", "parity", "seconds", "diff"}


def documentation() -> dict[str, dict[str, Any]]:
    """Module -> what ansible-doc knows of it, for every ensure module."""
    names = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("ensure_*.py"))
    asked = [sys.executable, "-m", "ansible", "doc", "--json"]
    asked += [f"dgxspark.suite.{name}" for name in names]
    told = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    return {name: told[f"dgxspark.suite.{name}"] for name in names}


def plain(text: str | list[str]) -> str:
    """Ansible's markup as Markdown, within a cell of a table."""
    joined = " ".join([text] if isinstance(text, str) else text)
    joined = re.sub(r"\b(?:RV|[BCEIMOPV])\(((?:[^()\\]|\\.|\([^()]*\))*)\)", r"`\1`", joined)
    joined = re.sub(r"`ignore:([^`]+)`", r"`\1`", joined).replace("dgxspark.suite.", "")
    return " ".join(joined.split()).replace("|", "\\|")


def generated(told: dict[str, Any]) -> str:
    """The two tables: parameters, and what is returned besides the envelope."""
    lines = ["", "## Parameters", "", "| parameter | type | default | meaning |"]
    lines.append("| --- | --- | --- | --- |")
    for name, option in sorted(told["doc"]["options"].items()):
        if name in COMMON:
            continue
        default = option.get("default")
        shown = "required" if option.get("required") else "" if default is None else default
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        cell = (
            f"`{json.dumps(shown) if not isinstance(shown, str) else shown}`" if shown != "" else ""
        )
        lines.append(f"| `{name}` | {kind} | {cell} | {plain(option['description'])} |")
    facts = {name: value for name, value in told["return"].items() if name not in ENVELOPE}
    if facts:
        lines += ["", "## Facts", "", "| key | type | meaning |", "| --- | --- | --- |"]
        for name, value in sorted(facts.items()):
            lines.append(f"| `{name}` | {value['type']} | {plain(value['description'])} |")
    return "\n".join(lines) + "\n"


def renewed(text: str, tables: str) -> str:
    """The page with the tables between the marks, which come at its end if there are none."""
    block = f"{BEGIN}\n{tables}\n{END}\n"
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{block}"
    before, _mark, rest = text.partition(BEGIN)
    return before + block + rest.partition(END)[2].lstrip("\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is stale")
    check = parser.parse_args().check
    stale = []
    for name, told in documentation().items():
        page = CONTRACTS / f"{name}.md"
        text = page.read_text(encoding="utf-8")
        new = renewed(text, generated(told))
        if new != text:
            stale.append(name)
            if not check:
                page.write_text(new, encoding="utf-8")
    for name in stale:
        print(f"contracts: {name}: {'not up to date: make contracts' if check else 'rewritten'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
