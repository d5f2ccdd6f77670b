# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A cache of the answers of costly checks, valid until something that they depend on changes.

A run writes it if all findings pass; a check only reads it. Validity depends on state, never on
age: the files of the environment or the id of the image, the pins and the files that they name, the
packages of the system, the kernel, the driver and the present output of nvidia-smi, and the
question itself.
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

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    Image,
    TargetProblem,
    VenvTarget,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import own_folder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.fingerprint import file_state
from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import sources_of
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cuda import (
    ask_smi,
    gpu_evidence,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import STATUS_FILE

# Values of the option costly: use the cache, ask in any case, never ask.
CACHED, REFRESH, SKIP = "cached", "refresh", "skip"
FOLDER = "/var/lib/dgxspark/cache"

# The options of a spec with costly checks.
OPTIONS: dict[str, Any] = {
    "costly": {"type": "str", "choices": [CACHED, REFRESH, SKIP], "default": CACHED},
    "cache_folder": {"type": "path", "default": FOLDER},
}

# States of targets that this process has computed, and those that it got from another check of the
# same audit (place -> state). Only the audit fills KNOWN_STATES: no repair can happen meanwhile.
COMPUTED_STATES: dict[str, str] = {}
KNOWN_STATES: dict[str, str] = {}

_LIMIT = 1 << 22  # bytes of a cache file
_SMI_SECONDS = 20.0
_NOT_ASKED = TargetProblem(
    "takes long, and no valid answer is cached (costly: skip)",
    "Run without --tags fast.",
    left_out=True,
)


@dataclass
class CachedTarget:
    """A target that is asked only if no valid answer is cached.

    costly is CACHED, REFRESH or SKIP. used has the answers that were given, by the key of the
    question; asked: whether any of them is new.
    """

    target: VenvTarget | Image
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
    ) -> dict[str, Any] | TargetProblem:
        """As the put() of the target."""
        key = self._key(probe, request, KNOWN_STATES)
        if key and self.costly != REFRESH:
            cached = _read(self.path).get(key)
            if isinstance(cached, dict):
                self.used[key] = cached
                return dict(cached)
        if self.costly == SKIP:
            return _NOT_ASKED
        answer = self.target.put(probe, request, timeout)
        # An answer is not cached if what it depends on has changed meanwhile.
        if key and not isinstance(answer, TargetProblem) and key == self._key(probe, request, {}):
            self.used[key] = answer
            self.asked = True
        return answer

    def store(self) -> None:
        """Write the answers for the next run; a cache that cannot be written is no error."""
        if not self.asked:
            return
        text = json.dumps(self.used, sort_keys=True) + "\n"
        with suppress(OSError, Blocked), own_folder(self.folder) as folder:
            folder.replace(os.path.basename(self.path), text.encode(), 0o644, os.geteuid())

    def _key(
        self, probe: Sequence[str], request: Mapping[str, Any], known: Mapping[str, str]
    ) -> str:
        """A digest of what the answer depends on; empty if that cannot be determined."""
        try:
            target = known.get(self.target.place) or self.target.state()
        except (OSError, ValueError):
            return ""
        if not target:
            return ""
        COMPUTED_STATES[self.target.place] = target
        question = {name: value for name, value in request.items() if name != "timeout"}
        files = [file_state(path) for path in sorted(set(_paths(question)))]
        parts = [target, sources_of(probe), question, files, _node()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _paths(value: Any) -> Iterator[str]:
    """The absolute paths in a request."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _paths(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths(item)
    elif isinstance(value, str) and os.path.isabs(value):
        yield value


def _node() -> list[str]:
    """What every answer depends on: the system's packages and libraries, the kernel, the GPU."""
    states = [file_state(path) for path in (STATUS_FILE, "/etc/ld.so.cache")]
    states.append(os.uname().release)
    evidence = gpu_evidence()
    if evidence:
        # Asked each time: a GPU that has fallen off the bus changes no file.
        smi = ask_smi(find_tool("nvidia-smi"), _SMI_SECONDS)
        states += [evidence, json.dumps(asdict(smi), sort_keys=True)]
    return states


def _read(path: str) -> dict[str, Any]:
    """The cached answers; none if another user could have written them."""
    try:
        for checked in (os.path.dirname(path), path):
            status = os.lstat(checked)
            trusted = status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
            if not trusted or stat.S_ISLNK(status.st_mode):
                return {}
        with open(path, encoding="utf-8") as stream:
            cached = foreign.json_of(stream.read(_LIMIT))
    except (OSError, ValueError):
        return {}
    return cached if isinstance(cached, dict) else {}
