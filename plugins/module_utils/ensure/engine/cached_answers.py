# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that took long to get, believed as long as nothing that they depend on has changed.

A run keeps them where everything was as it should be; a check only reads them. What is believed is
decided by state and never by age: the files of the environment or the id of the image, the pins and
the files that they name, the packages of the system, the kernel, the driver and what nvidia-smi
says just now, and the question itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    Image,
    Problem,
    Venv,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    make_directories,
    replace_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.fingerprint import file_state
from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import sources_of
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import (
    ask_smi,
    gpu_evidence,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import STATUS_FILE

KEPT, FRESH, QUICK = "kept", "fresh", "quick"
FOLDER = "/var/lib/dgxspark/kept"

# The options of a spec that asks so.
OPTIONS: dict[str, Any] = {
    "costly": {"type": "str", "choices": [KEPT, FRESH, QUICK], "default": KEPT},
    "kept_folder": {"type": "path", "default": FOLDER},
}

# States of targets that this process has looked up, and those that it need not look up: the audit
# hands them from one check to the next. Where something may be repaired meanwhile, nobody does.
LOOKED_UP: dict[str, str] = {}
BELIEVED: dict[str, str] = {}

_MOST = 1 << 22  # bytes of a file that is read
_SMI_SECONDS = 20.0
_LEFT_OUT = Problem(
    "left out, since it takes long and no answer was kept that still holds (quick)",
    "Run without --tags quick.",
    left_out=True,
)


@dataclass
class Keeper:
    """A target that is asked only where no answer was kept that still holds.

    costly is KEPT, FRESH (whatever was kept) or QUICK (never). used has the answers that were
    given, by the key of the question; asked tells whether any of them is new.
    """

    target: Venv | Image
    folder: str
    costly: str
    used: dict[str, Any] = field(default_factory=dict)
    asked: bool = False

    @property
    def isolated(self) -> bool:
        return self.target.isolated

    @property
    def path(self) -> str:
        name = hashlib.sha256(repr(self.target).encode()).hexdigest()[:16]
        return os.path.join(self.folder, "%s-%s.json" % (self.target.spec, name))

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | Problem:
        """As the target's own."""
        key = self._key(probe, request, BELIEVED)
        if key and self.costly != FRESH:
            kept = _read(self.path).get(key)
            if isinstance(kept, dict):
                self.used[key] = kept
                return dict(kept)
        if self.costly == QUICK:
            return _LEFT_OUT
        told = self.target.put(probe, request, timeout)
        # What has changed meanwhile is not known by this answer.
        if key and not isinstance(told, Problem) and key == self._key(probe, request, {}):
            self.used[key] = told
            self.asked = True
        return told

    def keep(self) -> None:
        """Have the next one believe what was told; where that cannot be written, nothing is."""
        if not self.asked:
            return
        with suppress(OSError):
            make_directories(self.folder)
            text = json.dumps(self.used, sort_keys=True) + "\n"
            replace_file(self.path, text.encode(), 0o644, os.geteuid())

    def _key(
        self, probe: Sequence[str], request: Mapping[str, Any], believed: Mapping[str, str]
    ) -> str:
        """What the answer depends on, as a digest; empty where that cannot be told."""
        try:
            target = believed.get(self.target.place) or self.target.state()
        except (OSError, ValueError):
            return ""
        if not target:
            return ""
        LOOKED_UP[self.target.place] = target
        question = {name: value for name, value in request.items() if name != "timeout"}
        named = sorted(set(_paths(question)))
        parts = [target, sources_of(probe), question, [file_state(path) for path in named], _node()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _paths(value: Any) -> Iterator[str]:
    """The absolute paths in a request."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _paths(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _paths(one)
    elif isinstance(value, str) and os.path.isabs(value):
        yield value


def _node() -> list[str]:
    """What every answer depends on: the system's packages and libraries, the kernel, the GPU."""
    told = [file_state(path) for path in (STATUS_FILE, "/etc/ld.so.cache")]
    told.append(os.uname().release)
    evidence = gpu_evidence()
    if evidence:
        # Asked each time: a GPU that has fallen off the bus leaves every file as it was.
        smi = ask_smi(find_tool("nvidia-smi"), _SMI_SECONDS)
        told += [evidence, json.dumps(asdict(smi), sort_keys=True)]
    return told


def _read(path: str) -> dict[str, Any]:
    """What was kept; nothing where others could have written it."""
    try:
        for one in (os.path.dirname(path), path):
            seen = os.lstat(one)
            rightful = seen.st_uid in (0, os.geteuid()) and not seen.st_mode & 0o022
            if not rightful or stat.S_ISLNK(seen.st_mode):
                return {}
        with open(path, encoding="utf-8") as stream:
            kept = json.loads(stream.read(_MOST))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
