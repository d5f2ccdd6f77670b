# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the project's address wherever metadata has it: repository.py https://host/owner/name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def with_address(text: str, old: str, new: str) -> str:
    """The text with one address in place of the other; links below it stay links below it."""
    return re.sub(re.escape(old) + r"(?![\w.-])", new, text)


def main(argv: list[str]) -> int:
    if len(argv) != 1 or not re.fullmatch(r"https://[\w.-]+(?:/[\w.-]+)+", argv[0]):
        print("usage: make repository URL=https://host/owner/name", file=sys.stderr)
        return 2
    galaxy = (ROOT / "galaxy.yml").read_text(encoding="utf-8")
    old = re.findall(r"(?m)^repository: (\S+)$", galaxy)[0]
    for name in ("galaxy.yml", "docs/docsite/links.yml"):
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        path.write_text(with_address(text, old, argv[0]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
