# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what the modules' documentation says into the other files that say it.

    contracts.py            rewrites docs/contracts/ensure_*.md, and the options of the roles
    contracts.py --check    reports which of them are out of date; status 1 then

Parameters and return values of the ensure modules come from their own documentation, options of
roles as role_options.py describes. Text outside of the marks is written by hand.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import role_options

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "docs" / "contracts"
BEGIN = "<!-- from the module's documentation: make contracts -->"
BEGIN_ROLE = "<!-- generated: make contracts -->"
END = "<!-- end -->"
# Described once, in ensure.md.
COMMON = {"skip", "accepted", "fail"}
ENVELOPE = {"spec", "findings", "paths", "parity", "seconds", "diff"}


def documentation() -> dict[str, dict[str, Any]]:
    """Kind of plugin -> name -> what ansible-doc knows of it."""
    command = [sys.executable, "-m", "ansible", "doc", "--metadata-dump", "dgxspark.suite"]
    dump = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        kind: {name.rpartition(".")[2]: plugin for name, plugin in plugins.items()}
        for kind, plugins in dump["all"].items()
    }


def generated(module: Mapping[str, Any]) -> str:
    """The two tables: parameters, and what is returned besides the envelope."""
    lines = ["", "## Parameters", "", "| parameter | type | default | meaning |"]
    lines.append("| --- | --- | --- | --- |")
    for name, option in sorted(module["doc"]["options"].items()):
        if name in COMMON:
            continue
        default = option.get("default")
        shown = "required" if option.get("required") else "" if default is None else default
        cell = (
            f"`{json.dumps(shown) if not isinstance(shown, str) else shown}`" if shown != "" else ""
        )
        text = role_options.plain(option["description"])
        lines.append(f"| `{name}` | {role_options.kind(option)} | {cell} | {text} |")
    facts = {name: value for name, value in module["return"].items() if name not in ENVELOPE}
    if facts:
        lines += ["", "## Facts", "", "| key | type | meaning |", "| --- | --- | --- |"]
        for name, value in sorted(facts.items()):
            lines.append(
                f"| `{name}` | {value['type']} | {role_options.plain(value['description'])} |"
            )
    return "\n".join(lines) + "\n"


def renewed(text: str, tables: str, begin: str = BEGIN) -> str:
    """The page with the tables between the marks, which come at its end if there are none."""
    block = f"{begin}\n{tables}\n{END}\n"
    if begin not in text:
        return f"{text.rstrip()}\n\n{block}"
    before, _mark, rest = text.partition(begin)
    return before + block + rest.partition(f"{END}\n")[2]


def files(docs: Mapping[str, Mapping[str, Any]]) -> dict[Path, str]:
    """Every file that is generated, at least in part, with the text that it should have."""
    pages = {}
    for name, module in docs["module"].items():
        if name.startswith("ensure_"):
            page = CONTRACTS / f"{name}.md"
            pages[page] = renewed(page.read_text(encoding="utf-8"), generated(module))
    return pages | role_options.files(docs, lambda text, one: renewed(text, one, BEGIN_ROLE))


def stale(docs: Mapping[str, Mapping[str, Any]]) -> dict[Path, str]:
    """Those that have another text."""
    return {
        path: text
        for path, text in files(docs).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, report what is stale")
    check = parser.parse_args().check
    changed = stale(documentation())
    for path, text in changed.items():
        print(
            f"contracts: {path.relative_to(ROOT)}: "
            f"{'out of date: make contracts' if check else 'rewritten'}"
        )
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(changed))


if __name__ == "__main__":
    raise SystemExit(main())
