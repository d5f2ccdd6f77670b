# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The limits of login sessions: memory that may be pinned, files that may be open."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    Judged,
    Places,
    Wanted,
    stopped,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    OwnFile,
    list_folder,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    DRIFT,
    OK,
    WARNING,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.limits import (
    Limit,
    effective,
    parse_value,
    shown,
)

_MODE = 0o644
_SYS_RESOURCE = 1 << 24
# Each item's limit as the kernel has it, and how many of its units one in limits.conf is.
_ITEMS = {"memlock": (resource.RLIMIT_MEMLOCK, 1024), "nofile": (resource.RLIMIT_NOFILE, 1)}


@dataclass(frozen=True)
class Seen:
    """before and after are (path, text) of what pam_limits reads before and after our file.

    ceilings are, by item, what a session can be given at all, and why not more.
    """

    before: tuple[tuple[str, str], ...]
    file: OwnFile | Blocked
    path: str
    after: tuple[tuple[str, str], ...]
    ceilings: Mapping[str, tuple[float, str]]

    def effective(self, item: str, ours: str | None) -> dict[str, Limit]:
        """What holds with that text in our file."""
        return effective([*self.before, (self.path, ours or ""), *self.after], item)


def look(at: Places) -> Seen:
    folder = os.path.dirname(at.limits_file)
    main = os.path.join(os.path.dirname(folder), "limits.conf")
    names = [name for name in list_folder(folder) if name.endswith(".conf")]
    drop_ins = [os.path.join(folder, name) for name in names]
    before = [main, *(path for path in drop_ins if path < at.limits_file)]
    after = [path for path in drop_ins if path > at.limits_file]
    return Seen(
        tuple((path, read_text(path) or "") for path in before),
        own_file(at.limits_file),
        at.limits_file,
        tuple((path, read_text(path) or "") for path in after),
        _ceilings(at.proc),
    )


def _ceilings(proc: str) -> dict[str, tuple[float, str]]:
    words = (read_text(proc + "/self/status") or "").partition("CapBnd:")[2].split()
    free = not words or bool(int(words[0], 16) & _SYS_RESOURCE)
    found = {}
    for item, (number, factor) in _ITEMS.items():
        hard = resource.getrlimit(number)[1]
        most = math.inf if free or hard == resource.RLIM_INFINITY else float(hard // factor)
        found[item] = most, "nobody may raise it in this container"
    highest = (read_text(proc + "/sys/fs/nr_open") or "").strip()
    if highest.isdigit() and int(highest) < found["nofile"][0]:
        found["nofile"] = float(highest), "fs.nr_open is the highest"
    return found


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    """The file and each limit. All of them drift together, or none, since the file sets them."""
    wants = {"memlock": wanted.memlock, "nofile": wanted.nofile}
    repaired = {k: v for k, v in wants.items() if "%s_limit" % k not in wanted.exempt}
    ours = file_text(seen, repaired)
    limits = [_limit(seen, item, value, ours) for item, value in wants.items()]
    file = _file(seen, ours, limits)
    if file.finding.status == DRIFT:
        return [file, *limits]
    obstacle = Blocked("it is not set", "See limits_file.")
    return [
        file,
        *(stopped(one.finding, obstacle) if one.finding.status == DRIFT else one for one in limits),
    ]


def file_text(seen: Seen, wants: Mapping[str, str]) -> str | None:
    """Our file: the limits that no other file gives, and that can be given; None if there are none.

    pam_limits refuses a login whose limits it cannot set: a limit too high locks everybody out.
    """
    lines = []
    for item, value in wants.items():
        if not value or parse_value(value) > seen.ceilings[item][0]:
            continue
        given = seen.effective(item, None)
        for kind in ("soft", "hard"):
            if not _enough(given.get(kind), value):
                lines.append("* %s %s %s\n" % (kind, item, value))
    return COMMENT + "".join(lines) if lines else None


def _enough(limit: Limit | None, value: str) -> bool:
    return limit is not None and limit.value >= parse_value(value)


def _limit(seen: Seen, item: str, value: str, ours: str | None) -> Judged:
    check = "%s_limit" % item
    if not value:
        return Judged(Finding(check, OK, "whatever it is", "none is wanted"))
    unit = " KiB" if item == "memlock" and value.isdigit() else ""
    now = seen.effective(item, "" if isinstance(seen.file, Blocked) else seen.file.text)
    told = ["%s %s" % (kind, now[kind]) for kind in ("soft", "hard") if kind in now]
    expected = "%s of at least %s%s for every login" % (item, value, unit)
    finding = Finding(check, OK, expected, ", ".join(told) or "none is set")
    most, reason = seen.ceilings[item]
    if parse_value(value) > most:
        finding = replace(finding, severity=WARNING)
        told_most = "%s: %s. With more, every login would be refused" % (reason, shown(most))
        return stopped(finding, Blocked(told_most, "Want less, or raise that first."))
    if all(_enough(now.get(kind), value) for kind in ("soft", "hard")):
        return Judged(finding)
    fix = "set it in %s; it holds from the next login" % seen.path
    finding = replace(finding, status=DRIFT, severity=WARNING, fix=fix)
    then = seen.effective(item, ours)
    rivals = [
        one.path
        for one in then.values()
        if one.path != seen.path and one.value < parse_value(value)
    ]
    if rivals:
        hint = "Change that line: the file is read after %s." % seen.path
        return stopped(finding, Blocked("%s sets it lower" % rivals[0], hint))
    return Judged(finding)


def _file(seen: Seen, ours: str | None, limits: list[Judged]) -> Judged:
    expected = "the limits that no other file gives" if ours else "none of ours is needed"
    finding = Finding("limits_file", OK, expected, "%s is so" % seen.path)
    if isinstance(seen.file, Blocked):
        if ours is None:
            return Judged(replace(finding, actual=str(seen.file)))
        return stopped(replace(finding, actual=str(seen.file), severity=WARNING), seen.file)
    differs = seen.file.differs(ours, _MODE)
    if not differs:
        return Judged(replace(finding, actual="as expected" if ours else "none is there"))
    fix = "write %s" % seen.path if ours else "remove %s" % seen.path
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=differs, fix=fix)
    if seen.file.obstacle:
        return stopped(finding, seen.file.obstacle)
    lacking = [one.finding.check for one in limits if one.finding.status == DRIFT]
    repairs = ("limits_file", *lacking)
    return Judged(finding, (FileWrite(seen.file, ours, _MODE, repairs),))
