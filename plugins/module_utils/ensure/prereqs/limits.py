# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The limits of login sessions: locked memory (memlock) and open files (nofile)."""

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
    CheckResult,
    Places,
    Wanted,
    blocked_result,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    OwnFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    DRIFT,
    OK,
    WARNING,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.limits import (
    Limit,
    effective,
    parse_value,
    shown,
)

_MODE = 0o644
_SYS_RESOURCE = 1 << 24
# Item -> (resource limit of the kernel, factor between the units of limits.conf and the kernel).
_ITEMS = {"memlock": (resource.RLIMIT_MEMLOCK, 1024), "nofile": (resource.RLIMIT_NOFILE, 1)}


@dataclass(frozen=True)
class Observed:
    """before and after are (path, text) of the files that pam_limits reads before and after ours.

    ceilings is item -> (the highest limit that a session can get, the reason).
    """

    before: tuple[tuple[str, str], ...]
    file: OwnFile | Blocked
    path: str
    after: tuple[tuple[str, str], ...]
    ceilings: Mapping[str, tuple[float, str]]

    def effective(self, item: str, ours: str | None) -> dict[str, Limit]:
        """The limits that hold with that text in our file."""
        return effective([*self.before, (self.path, ours or ""), *self.after], item)


def look(at: Places) -> Observed:
    folder = os.path.dirname(at.limits_file)
    main = os.path.join(os.path.dirname(folder), "limits.conf")
    names = [name for name in list_folder(folder) if name.endswith(".conf")]
    drop_ins = [os.path.join(folder, name) for name in names]
    before = [main, *(path for path in drop_ins if path < at.limits_file)]
    after = [path for path in drop_ins if path > at.limits_file]
    return Observed(
        tuple((path, read_text(path) or "") for path in before),
        own_file(at.limits_file),
        at.limits_file,
        tuple((path, read_text(path) or "") for path in after),
        _ceilings(at.proc),
    )


def _ceilings(proc: str) -> dict[str, tuple[float, str]]:
    words = (read_text(proc + "/self/status") or "").partition("CapBnd:")[2].split()
    unlimited = not words or bool(int(words[0], 16) & _SYS_RESOURCE)
    ceilings = {}
    for item, (number, factor) in _ITEMS.items():
        hard = resource.getrlimit(number)[1]
        most = math.inf if unlimited or hard == resource.RLIM_INFINITY else float(hard // factor)
        ceilings[item] = most, "this container may not raise it"
    highest = (read_text(proc + "/sys/fs/nr_open") or "").strip()
    if foreign.is_whole(highest) and int(highest) < ceilings["nofile"][0]:
        ceilings["nofile"] = float(highest), "limited by fs.nr_open"
    return ceilings


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    """The file and each limit. They drift together, since the file sets the limits."""
    wants = {"memlock": wanted.memlock, "nofile": wanted.nofile}
    repaired = {k: v for k, v in wants.items() if "%s_limit" % k not in wanted.exempt}
    ours = file_text(observed, repaired)
    limits = [_limit(observed, item, value, ours) for item, value in wants.items()]
    file = _file(observed, ours, limits)
    if file.finding.status == DRIFT:
        return [file, *limits]
    obstacle = Blocked("limits_file is blocked", "See limits_file.")
    return [
        file,
        *(
            blocked_result(limit.finding, obstacle) if limit.finding.status == DRIFT else limit
            for limit in limits
        ),
    ]


def file_text(observed: Observed, wants: Mapping[str, str]) -> str | None:
    """Our file: the limits that no other file sets and that can be set; None if there are none.

    pam_limits refuses a login if it cannot set a limit: one that is too high locks everybody out.
    """
    lines = []
    for item, value in wants.items():
        if not value or parse_value(value) > observed.ceilings[item][0]:
            continue
        given = observed.effective(item, None)
        for kind in ("soft", "hard"):
            if not _enough(given.get(kind), value):
                lines.append("* %s %s %s\n" % (kind, item, value))
    return COMMENT + "".join(lines) if lines else None


def _enough(limit: Limit | None, value: str) -> bool:
    return limit is not None and limit.value >= parse_value(value)


def _limit(observed: Observed, item: str, value: str, ours: str | None) -> CheckResult:
    check = "%s_limit" % item
    if not value:
        return CheckResult(Finding(check, OK, "not managed", "not managed"))
    unit = " KiB" if item == "memlock" and foreign.is_whole(value) else ""
    now = observed.effective(item, "" if isinstance(observed.file, Blocked) else observed.file.text)
    values = ["%s %s" % (kind, now[kind]) for kind in ("soft", "hard") if kind in now]
    expected = "%s of at least %s%s for every login" % (item, value, unit)
    finding = Finding(check, OK, expected, ", ".join(values) or "not set")
    most, reason = observed.ceilings[item]
    if parse_value(value) > most:
        finding = replace(finding, severity=WARNING)
        ceiling = "%s: %s. A higher limit would fail every login" % (
            reason,
            shown(most),
        )
        return blocked_result(
            finding, Blocked(ceiling, "Set a lower limit, or raise the ceiling first.")
        )
    if all(_enough(now.get(kind), value) for kind in ("soft", "hard")):
        return CheckResult(finding)
    fix = "set it in %s (effective from the next login)" % observed.path
    finding = replace(finding, status=DRIFT, severity=WARNING, fix=fix)
    then = observed.effective(item, ours)
    rivals = [
        limit.path
        for limit in then.values()
        if limit.path != observed.path and limit.value < parse_value(value)
    ]
    if rivals:
        hint = "Change it there: that file is read after %s." % observed.path
        return blocked_result(finding, Blocked("%s sets a lower limit" % rivals[0], hint))
    return CheckResult(finding)


def _file(observed: Observed, ours: str | None, limits: list[CheckResult]) -> CheckResult:
    expected = "%s with the limits that no other file sets" if ours else "no %s is needed"
    expected %= observed.path
    finding = Finding("limits_file", OK, expected, "as expected")
    if isinstance(observed.file, Blocked):
        if ours is None:
            return CheckResult(replace(finding, actual=str(observed.file)))
        return blocked_result(
            replace(finding, actual=str(observed.file), severity=WARNING), observed.file
        )
    differs = observed.file.differs(ours, _MODE)
    if not differs:
        return CheckResult(replace(finding, actual="as expected" if ours else "not present"))
    fix = "write %s" % observed.path if ours else "remove %s" % observed.path
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=differs, fix=fix)
    if observed.file.obstacle:
        return blocked_result(finding, observed.file.obstacle)
    lacking = [limit.finding.check for limit in limits if limit.finding.status == DRIFT]
    repairs = ("limits_file", *lacking)
    return CheckResult(finding, (FileWrite(observed.file, ours, _MODE, repairs),))
