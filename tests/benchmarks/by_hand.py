# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit: the same checks by ssh alone, on all nodes at once, with their options known before.

    by_hand.py ASKED.json

ASKED maps each node to {ssh: [words], become: [words], specs: [{spec, options}]}. There is no
inventory, no role, no template and no report; what is sent is one archive and a few lines.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ansible

ROOT = Path(__file__).resolve().parents[2]
OURS = "ansible_collections/dgxspark/suite/plugins/module_utils"

RUN = """
import base64, json, os, sys, tempfile
given = json.load(sys.stdin)
with tempfile.NamedTemporaryFile(suffix=".zip") as archive:
    archive.write(base64.b64decode(given["archive"]))
    archive.flush()
    sys.path.insert(0, archive.name)
    from @.audit import Job, side_by_side
    from @.all_specs import SPECS
    jobs = [Job(SPECS[one["spec"]], one["options"]) for one in given["specs"]]
    width = min(8, len(os.sched_getaffinity(0)))
    print(json.dumps(side_by_side(jobs, width, 240, 480)))
""".replace("@", "ansible_collections.dgxspark.suite.plugins.module_utils.ensure")


def archive() -> str:
    """The imports of the checks, as base64."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        ours = ROOT / "plugins" / "module_utils"
        for folder in ("ensure", "host", "probes"):
            for path in sorted((ours / folder).rglob("*.py")):
                packed.write(path, f"{OURS}/{path.relative_to(ours)}")
        theirs = Path(ansible.__file__).parent / "module_utils"
        for path in sorted(theirs.rglob("*.py")):
            relative = path.relative_to(theirs)
            if relative.parts[0] not in ("facts", "powershell", "csharp"):
                packed.write(path, f"ansible/module_utils/{relative}")
        # Imports from an archive need a file for each package.
        there = set(packed.namelist())
        packages = {str(parent) for name in there for parent in Path(name).parents} - {"."}
        for package in sorted(packages):
            if f"{package}/__init__.py" not in there:
                packed.writestr(f"{package}/__init__.py", "")
    return base64.b64encode(held.getvalue()).decode()


def ask(node: dict[str, Any], packed: str) -> int:
    """The number of findings of a node."""
    words = [*node["become"], "python3", "-c", RUN]
    done = subprocess.run(
        [*node["ssh"], shlex.join(words)],
        input=json.dumps({"archive": packed, "specs": node["specs"]}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"by_hand: {done.stderr[-2000:]}")
    return sum(len(result["findings"]) for result in json.loads(done.stdout))


def main() -> None:
    nodes = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    packed = archive()
    with ThreadPoolExecutor(len(nodes)) as at_once:
        counts = list(at_once.map(lambda node: ask(node, packed), nodes.values()))
    print(dict(zip(nodes, counts, strict=True)))


if __name__ == "__main__":
    main()
