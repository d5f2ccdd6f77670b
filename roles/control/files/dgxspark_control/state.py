# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plays have reported, cached with its age: files in `facts`, and the same in memory."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dgxspark_control import files, plays
from dgxspark_control.config import Config
from dgxspark_control.guard import Refusal
from dgxspark_control.jobs import Job, Jobs
from dgxspark_control.plays import Play

_log = logging.getLogger("dgxspark_control")

STATUS, HEALTH, SCHEDULE, RECIPES, MODELS = "status", "health", "schedule", "recipes", "models"
DRIFT = "drift"
# In this order, if several are due.
ORDER = (STATUS, HEALTH, SCHEDULE, RECIPES, MODELS)
# The last health with deep probes.
DEEP = "health_deep"
# What a job that has ended makes out of date; of the last three it brings the report itself.
AFTER: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(plays.CHANGES, (STATUS, HEALTH, MODELS)),
    "setup": (RECIPES, MODELS),
    "download": (MODELS,),
    "delete": (MODELS,),
    "announce": (SCHEDULE,),
    "cancel": (SCHEDULE,),
    "lock": (STATUS,),
}
BRINGS = {"rescan": MODELS, "health": HEALTH, "drift": DRIFT}
# Seconds: for one play, before the next try after a failure, between two that are asked for, and
# between two status while a swap is open.
_LIMIT, _RETRY, _PAUSE, _SWAPPING = 300.0, 30.0, 3.0, 20.0
_SHAPES: Mapping[str, type] = {
    STATUS: dict,
    HEALTH: dict,
    SCHEDULE: list,
    RECIPES: list,
    MODELS: dict,
    DRIFT: dict,
    DEEP: dict,
}


def _fits(name: str, report: Any) -> bool:
    return isinstance(report, _SHAPES[name])


class Facts:
    """The reports of plays by name. accepted: is called with the name of each new one.

    A report is None before the first.
    """

    def __init__(self, config: Config, jobs: Jobs, accepted: Callable[[str], None]) -> None:
        self._config = config
        self._jobs = jobs
        self._accepted = accepted
        self._folder = config.state / "facts"
        self._reports: dict[str, Any] = {}
        self._at: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._needed: set[str] = set()
        # Name -> why its last play has brought no report.
        self.failures: dict[str, str] = {}

    def restore(self) -> None:
        """Take up what is stored."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _SHAPES:
            at = files.written(self._stored(name))
            report = files.read_json(self._stored(name)) if at else None
            if at and _fits(name, report):
                self._reports[name], self._at[name] = report, at

    def report(self, name: str) -> Any:
        return self._reports.get(name)

    def known(self, name: str) -> Any:
        """The report. Raises Refusal before the first."""
        if name not in self._reports:
            why = self.failures.get(name, "it is being read")
            what = f"{name}.yml has not reported yet: {why}"
            raise Refusal(503, "not_ready", what, "Ask again", retry_after=5)
        return self._reports[name]

    def at(self, name: str) -> float | None:
        """When the report was made, in seconds since 1970."""
        return self._at.get(name)

    def moment(self, name: str) -> str | None:
        at = self.at(name)
        return None if at is None else files.moment(at)

    def page(self) -> Path:
        """The last drift report as a page."""
        return self._folder / DRIFT / "drift.html"

    def need(self, *names: str) -> None:
        """Have these read again soon."""
        self._needed.update(names)

    def _stored(self, name: str) -> Path:
        if name in (MODELS, DRIFT):
            return self._folder / name / f"{name}.json"
        return self._folder / f"{name}.json"

    def draft(self, name: str) -> str:
        """Where a play writes the report: a file, of models and drift a folder."""
        folder = self._folder / "new"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder / (name if name in (MODELS, DRIFT) else f"{name}.json"))

    def accept(self, name: str) -> bool:
        """Take the report that a play has written, if it has."""
        draft = Path(self.draft(name))
        report = files.read_json(draft / f"{name}.json" if draft.is_dir() else draft)
        if not _fits(name, report):
            return False
        stored = draft.parent.parent / draft.name
        if draft.is_dir():
            shutil.rmtree(stored, ignore_errors=True)
        os.replace(draft, stored)
        now = time.time()
        with suppress(OSError):
            os.utime(self._stored(name), (now, now))
        self._reports[name], self._at[name] = report, now
        self.failures.pop(name, None)
        if name == HEALTH and report.get("deep") is True:
            files.replace(self._folder / f"{DEEP}.json", stored.read_bytes())
            self._reports[DEEP], self._at[DEEP] = report, now
        self._accepted(name)
        return True

    def job_ended(self, job: Job) -> None:
        """Take what a job has brought, and have the rest read again."""
        self.need(*AFTER.get(job.kind, ()))
        if job.kind in BRINGS:
            self.accept(BRINGS[job.kind])

    def due(self) -> str:
        """The report to be made next; empty for none."""
        now = time.time()
        for name in ORDER:
            tried = now - self._tried.get(name, 0.0)
            every = self._config.menu if name in (RECIPES, MODELS) else self._config.facts
            if name == STATUS and self._is_swapping():
                every = min(every, _SWAPPING)
            late = now - self._at.get(name, 0.0) >= every or self._is_deep_due(name, now)
            pause = _RETRY if name in self.failures else _PAUSE
            if tried >= pause and (name in self._needed or late):
                return name
        return ""

    def _is_swapping(self) -> bool:
        return bool((self.report(STATUS) or {}).get("swaps"))

    def _is_deep_due(self, name: str, now: float) -> bool:
        """Whether servers are to be sent a request each: neither at first nor during a change."""
        return (
            name == HEALTH
            and self._config.deep > 0
            and name in self._reports
            and now - self._at.get(DEEP, 0.0) >= self._config.deep
            and not self._is_swapping()
            and not any(job.kind in plays.CHANGES for job in self._jobs.running())
        )

    async def read(self, name: str) -> bool:
        """Make one report; whether it was."""
        now = time.time()
        self._needed.discard(name)
        play = self._play(name, self._is_deep_due(name, now))
        self._tried[name] = now
        draft = Path(self.draft(name))
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
        try:
            job = await self._jobs.ran(play, _LIMIT)
            accepted = self.accept(name)
            # health.yml fails if anything is down, and has written its report by then.
            why = "" if accepted else job.final["why"] or "it has written no report"
        except (Refusal, OSError) as error:
            why = str(error)
        if why:
            self.failures[name] = why
            _log.warning("%s.yml has brought no report: %s", play.playbook, why)
        self._tried[name] = time.time()
        return not why

    def _play(self, name: str, deep: bool) -> Play:
        draft = self.draft(name)
        if name == STATUS:
            return plays.status(draft, self._config.status_as_root)
        if name == HEALTH:
            return plays.health(deep, draft)
        if name == SCHEDULE:
            return plays.schedule(draft)
        return plays.recipes(draft) if name == RECIPES else plays.rescan(draft)
