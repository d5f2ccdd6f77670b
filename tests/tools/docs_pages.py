# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies the pages of the site: ``docs_pages.py FOLDER``, their paths on standard input.

A link to a file of the tree that is no page becomes one to the project's address, and so does a
picture that is not copied.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# [text](target) and [text](target#heading); not of pictures, and not of addresses.
PICTURE = re.compile(r"(\!\[[^\]\n]*\]\()(?![a-z]+:)([^)\s]+)\)")
LINK = re.compile(r"(?<!\!)(\[[^\]\n]*\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def linked(
    text: str, page: str, pages: Collection[str], address: str, copied: Collection[str] = ()
) -> str:
    """The text of a page whose links to other files of the tree lead to the address.

    copied: files that lie beside the pages as in the tree.
    """

    def replaced(match: re.Match[str]) -> str:
        before, target, heading = match.groups()
        path = os.path.normpath(os.path.join(os.path.dirname(page), target))
        if path in pages:
            return match[0]
        kind = "tree" if (ROOT / path).is_dir() else "blob"
        return f"{before}{address}/{kind}/main/{path}{heading or ''})"

    def pictured(match: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join(os.path.dirname(page), match[2]))
        return match[0] if path in copied else f"{match[1]}{address}/raw/main/{path})"

    return PICTURE.sub(pictured, LINK.sub(replaced, text))


def main() -> None:
    folder = Path(sys.argv[1])
    address = yaml.safe_load((ROOT / "galaxy.yml").read_text("utf-8"))["repository"]
    pages = sys.stdin.read().split()
    shown = {page for page in pages if page.endswith((".md", ".rst"))}
    for page in pages:
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if page.endswith(".md"):
            text = (ROOT / page).read_text("utf-8")
            target.write_text(linked(text, page, shown, address, pages), encoding="utf-8")
        else:
            shutil.copy(ROOT / page, target)


if __name__ == "__main__":
    main()
