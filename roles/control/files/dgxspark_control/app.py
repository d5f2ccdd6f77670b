# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application: its routes, and what goes on between requests."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRouter
from fastapi.staticfiles import StaticFiles
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import Line, to_json
from dgxspark_control import answers, files, guard, plays, snapshot, state
from dgxspark_control import requests as bodies
from dgxspark_control.config import Config, ConfigError
from dgxspark_control.guard import Guard, Refusal
from dgxspark_control.jobs import Job, Jobs
from dgxspark_control.plays import Play
from dgxspark_control.poll import Poller
from dgxspark_control.state import Facts

_log = logging.getLogger("dgxspark_control")

# Seconds: between two snapshots, for the lock of the head, of a week, between comments of streams.
_PUBLISH, _LOCK_LIMIT, _WEEK, _PING = 1.0, 60.0, 7 * 86_400, 15
_STREAMS, _BACKLOG = 64, 256
# Reports of one source in a minute, and sources that are remembered.
_REPORTS, _SOURCES = 60, 1000
# What a drift report may do as a page: it has its style and its script in itself.
_REPORT_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "script-src 'unsafe-inline'",
        "sandbox allow-scripts",
    ]
)


class Control:
    """All that the application knows, and its tasks."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.jobs = Jobs(config, self._job_changed)
        self.facts = Facts(config, self.jobs, self._accepted)
        self.poller = Poller(config, self._observed)
        # One change is decided on at a time.
        self.deciding = asyncio.Lock()
        self.snapshot: dict[str, Any] = {}
        self.body = b""
        self.etag = ""
        self._streams: set[asyncio.Queue[tuple[str, Any] | None]] = set()
        self._reports: dict[str, deque[float]] = {}
        self._gateway_text = ""
        self._reported = False

    # What goes on.

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Restore what is stored; poll, ask and publish until the end. Raises ConfigError."""
        config = self.config
        config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The role has it in dgxspark_recipe_paths.
        (config.state / "recipes").mkdir(mode=0o700, exist_ok=True)
        with _alone(config):
            self.jobs.restore()
            self.facts.restore()
            with suppress(OSError):
                await self.poller.observe([])
            self.publish()
            tasks = [asyncio.create_task(one()) for one in (self._poll, self._ask, self._publish)]
            try:
                yield
            finally:
                for stream in self._streams:
                    _offer(stream, None)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._write_gateway({})

    async def _poll(self) -> None:
        while True:
            try:
                rows = snapshot.health_rows(self.facts.report(state.HEALTH))
                if self._reported:
                    self._reported = False
                    await self.poller.reported(rows, self.facts.report(state.STATUS))
                await self.poller.poll(rows, self.facts.report(state.STATUS))
            except Exception:
                _log.exception("a poll has failed")
            await asyncio.sleep(self.config.poll)

    async def _ask(self) -> None:
        while True:
            try:
                name = self.facts.due()
                if name:
                    await self.facts.read(name)
            except Exception:
                _log.exception("a play has failed")
            await asyncio.sleep(_PUBLISH)

    async def _publish(self) -> None:
        while True:
            try:
                self.publish()
            except Exception:
                _log.exception("no snapshot can be made")
            await asyncio.sleep(_PUBLISH)

    def publish(self) -> None:
        """Make the snapshot anew; streams get what has changed."""
        now = time.time()
        jobs = [job.shown() for job in self.jobs.running()]
        made = snapshot.status(self._known(), jobs, self.config, now)
        changed = {key: value for key, value in made.items() if self.snapshot.get(key) != value}
        if not changed and self.body:
            return
        self.snapshot = made
        self.body = json.dumps(made, ensure_ascii=False).encode()
        self.etag = f'"{hash(self.body) & (1 << 64) - 1:x}"'
        self.tell("status", changed)
        self._write_gateway(self._swapping())

    def _known(self) -> snapshot.Known:
        facts = self.facts
        return snapshot.Known(
            self.poller.at,
            facts.at(state.STATUS),
            facts.failures.get(state.STATUS, ""),
            self.poller.log.state.subjects,
            self.poller.details,
            facts.report(state.STATUS),
            facts.report(state.HEALTH),
            facts.report(state.DEEP),
            facts.report(state.SCHEDULE),
        )

    def _swapping(self) -> dict[str, str]:
        """Service -> the step of its swap."""
        found = {swap["service"]: swap["step"] for swap in self.snapshot["swaps"]}
        for job in self.jobs.running():
            if job.kind in plays.CHANGES and job.progress.phase == "swap":
                found[str(job.about["service"])] = job.progress.step
        return found

    def _write_gateway(self, swapping: Mapping[str, str]) -> None:
        """The file of services of the gateway, if it has to change."""
        path, report = self.config.endpoints, self.facts.report(state.HEALTH)
        if path is None or report is None:
            return
        try:
            previous = path.read_text("utf-8", "replace") if path.exists() else ""
            made = snapshot.gateway_file(
                snapshot.health_rows(report),
                previous,
                swapping,
                self.facts.report(state.STATUS),
                self.config.caps,
            )
            text = json.dumps(made, indent=1) + "\n"
            if text != previous:
                files.replace(path, text.encode(), 0o644)
            self._gateway_text = ""
        except (OSError, ValueError) as error:
            if str(error) != self._gateway_text:
                self._gateway_text = str(error)
                _log.warning("%s is not written: %s", path, error)

    # What has happened.

    def _job_changed(self, job: Job) -> None:
        if not job.running:
            self.facts.job_ended(job)
        elif job.progress.phase == "swap":
            self.facts.need(state.STATUS)
        self.tell("job", job.shown(lines=False))

    def _accepted(self, name: str) -> None:
        if name == state.HEALTH:
            self._reported = True

    def _observed(self, lines: list[Line]) -> None:
        for line in lines:
            self.tell("outage", to_json(line))
        if any(line.was != line.is_ and line.is_ != "suspect" for line in lines):
            self.facts.need(state.STATUS, state.HEALTH)

    def tell(self, event: str, data: Any) -> None:
        """Send an event to all streams; one that does not take its events is closed."""
        for stream in list(self._streams):
            if not _offer(stream, (event, data)):
                self._streams.discard(stream)

    async def stream(self) -> AsyncIterator[ServerSentEvent]:
        """The events of /api/events."""
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue(_BACKLOG)
        self._streams.add(queue)
        try:
            yield _event("status", self.snapshot)
            while queue in self._streams:
                message = await queue.get()
                if message is None:
                    return
                yield _event(*message)
        finally:
            self._streams.discard(queue)

    def room_for_stream(self) -> None:
        """Raises Refusal."""
        if len(self._streams) >= _STREAMS:
            raise Refusal(429, "too_many", "Too many event streams are open", "Close one")

    # What is asked of it.

    def service(self, name: str) -> dict[str, Any]:
        """The service of the snapshot. Raises Refusal."""
        for service in self.snapshot["services"]:
            if service["name"] == name:
                return dict(service)
        self.facts.known(state.HEALTH)
        raise Refusal(404, "not_found", f"There is no service {name}", "GET /api/services")

    def recipe(self, name: str) -> None:
        """Raises Refusal for a recipe that is not in the listing."""
        report = self.facts.known(state.RECIPES)
        if name not in {row.get("name") for row in report if isinstance(row, dict)}:
            raise Refusal(404, "not_found", f"There is no recipe {name}", "GET /api/recipes")

    def model(self, name: str) -> dict[str, Any]:
        """The row of the menu. Raises Refusal."""
        for row in self.facts.known(state.MODELS).get("models") or ():
            if isinstance(row, dict) and row.get("name") == name:
                return row
        raise Refusal(404, "not_found", f"There is no model {name}", "GET /api/models")

    def confirmed(self, name: str, confirm: str) -> None:
        """Raises Refusal if the service runs something else than was confirmed."""
        self.facts.known(state.STATUS)
        running = {one["name"]: one["confirm"] for one in self.snapshot["services"]}
        present = running.get(name, "")
        if confirm != present:
            what = (
                f"{present}, not {confirm or 'nothing'}" if present else f"nothing, not {confirm}"
            )
            hint = "Read the status again, and confirm what runs now"
            detail = f"Service {name} runs {what}"
            raise Refusal(409, "changed", detail, hint, confirm=present)

    async def change(self, play: Play, given: bodies.Change) -> Job:
        """Start a job that changes a service. Raises Refusal."""
        async with self.deciding:
            self.jobs.refuse_second(play)
            self.confirmed(play.service, given.confirm)
            if not given.force:
                await self.must_be_free(given.token)
                self.confirmed(play.service, given.confirm)
            return await self.jobs.start(play)

    async def must_be_free(self, token: str) -> None:
        """Ask the head for its lock. Raises Refusal if somebody else holds it."""
        play = plays.lock(seconds=1, token=token, check=True)
        job = await self.jobs.ran(play, _LOCK_LIMIT)
        refuse_locked(job)

    async def locked(self, play: Play) -> dict[str, Any]:
        """Take or release the lock, and return what the module has. Raises Refusal."""
        job = await self.jobs.ran(play, _LOCK_LIMIT)
        self.facts.need(state.STATUS)
        refuse_locked(job)
        return job.progress.lock

    def count_report(self, source: str) -> None:
        """Raises Refusal for too many in a minute."""
        now = time.monotonic()
        if source not in self._reports and len(self._reports) >= _SOURCES:
            self._reports.pop(next(iter(self._reports)))
        times = self._reports.setdefault(source, deque())
        while times and now - times[0] > 60:
            times.popleft()
        if len(times) >= _REPORTS:
            raise Refusal(429, "too_many", "Too many reports of this source", retry_after=60)
        times.append(now)


def refuse_locked(job: Job) -> None:
    """Raises Refusal unless the play has succeeded."""
    final = job.final
    if final["state"] == "succeeded":
        return
    if final["code"] == "locked":
        holder = final["result"].get("lock", {})
        why = final["why"].partition(": ")[2] or final["why"]
        hint = "Wait, send the token of the reservation, or take the lock over with force"
        more = {key: holder.get(key) for key in ("owner", "reason", "since", "expires", "by_run")}
        raise Refusal(423, "locked", why, hint, **more)
    detail = f"The head was not asked for its lock: {final['why']}"
    raise Refusal(503, "unreachable", detail, "See GET /api/status", retry_after=30)


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """Only one process has a state folder. Raises ConfigError."""
    descriptor = os.open(config.state / "control.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another process uses {config.state}") from None
    else:
        yield
    finally:
        os.close(descriptor)


def _offer(stream: asyncio.Queue[tuple[str, Any] | None], message: tuple[str, Any] | None) -> bool:
    try:
        stream.put_nowait(message)
    except asyncio.QueueFull:
        return False
    return True


def _event(name: str, data: Any, number: int | None = None) -> ServerSentEvent:
    text = json.dumps(data, ensure_ascii=False)
    return ServerSentEvent(text, event=name, id=None if number is None else str(number))


def _accepted(job: Job) -> JSONResponse:
    return JSONResponse(job.shown(), 202, {"location": f"/api/jobs/{job.id}"})


def _since(text: str | None, now: float) -> int:
    """Seconds since 1970 of a moment, or of so many seconds. Raises Refusal."""
    if not text:
        return int(now - _WEEK)
    with suppress(ValueError, OverflowError):
        if text.isascii() and text.isdecimal() and len(text) < 12:
            return int(text)
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and 1970 < at.year < 3000:
            return int(at.timestamp())
    hint = "Such as 2026-11-25T02:00:00Z, or seconds since 1970"
    errors = [{"field": "since", "message": "expected a moment"}]
    raise Refusal(422, "invalid", "since is no moment", hint, errors=errors)


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {"model": answers.Problem, "description": "A problem"}
}
_JOB: dict[int | str, dict[str, Any]] = {**_PROBLEMS, 202: {"model": answers.Job}}
_STREAM: dict[int | str, dict[str, Any]] = {
    **_PROBLEMS,
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
}

router = APIRouter()


def _control(request: Request) -> Control:
    control: Control = request.app.state.control
    return control


Known = Annotated[Control, Depends(_control)]


@router.get("/health", responses=_PROBLEMS)
async def alive() -> answers.Alive:
    return answers.Alive(status="ok")


@router.get("/api/status", responses={**_PROBLEMS, 200: {"model": answers.Status}, 304: {}})
async def status(control: Known, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    headers = {"etag": control.etag}
    if if_none_match and control.etag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(control.body, media_type="application/json", headers=headers)


@router.get("/api/events", responses=_STREAM, response_class=EventSourceResponse)
async def events(control: Known) -> Response:
    control.room_for_stream()
    return EventSourceResponse(control.stream(), ping=_PING)


@router.get("/api/services", responses=_PROBLEMS)
async def services(control: Known) -> answers.Services:
    shot = control.snapshot
    return answers.Services(**{key: shot[key] for key in ("at", "facts_at", "services")})


@router.post("/api/services/{name}/logs", responses=_JOB, status_code=202)
async def logs(control: Known, name: str, body: bodies.Logs) -> Response:
    if control.service(name)["watched"]:
        raise Refusal(409, "not_possible", f"Service {name} is only watched")
    return _accepted(await control.jobs.start(plays.logs(name, body.lines)))


@router.post("/api/services/{name}/{action}", responses=_JOB, status_code=202)
async def act(control: Known, name: str, action: bodies.Action, body: bodies.Again) -> Response:
    service = control.service(name)
    if action not in service["commands"]:
        does = "runs already" if action == "start" else "does not run"
        detail = f"Service {name} {'is only watched' if service['watched'] else does}"
        raise Refusal(409, "not_possible", detail, "See its commands in GET /api/services")
    if action == "stop":
        play = plays.stop(name, owner=body.owner, token=body.token, force=body.force)
    else:
        play = plays.again(action, name, owner=body.owner, token=body.token, force=body.force)
    return _accepted(await control.change(play, body))


@router.get("/api/endpoints", responses=_PROBLEMS)
async def endpoints(control: Known) -> answers.Endpoints:
    shot = control.snapshot
    return answers.Endpoints(**snapshot.endpoints(shot["services"], shot["gateway"]))


@router.get("/api/recipes", responses=_PROBLEMS)
async def recipes(control: Known) -> answers.Recipes:
    rows = snapshot.recipes(control.facts.known(state.RECIPES), control.config)
    return answers.Recipes.model_validate(
        {"at": control.facts.moment(state.RECIPES), "recipes": rows}
    )


@router.get("/api/models", responses=_PROBLEMS)
async def models(control: Known) -> answers.Models:
    report, at = control.facts.known(state.MODELS), control.facts.moment(state.MODELS)
    return answers.Models(**snapshot.models(report, at, control.config))


@router.post("/api/models/rescan", responses=_JOB, status_code=202)
async def rescan(control: Known, _body: bodies.Nothing) -> Response:
    return _accepted(await control.jobs.start(plays.rescan(control.facts.draft(state.MODELS))))


@router.post("/api/models/setup", responses=_JOB, status_code=202)
async def setup(control: Known, body: bodies.Setup) -> Response:
    row = control.model(body.model)
    _same_name(body.confirm or body.model, body.model)
    if not row.get("nodes"):
        raise Refusal(409, "not_possible", f"{body.model} is not complete on any node")
    play = plays.setup(body.model, body.confirm, body.image, body.quant)
    return _accepted(await control.jobs.start(play))


@router.post("/api/models/download", responses=_JOB, status_code=202)
async def download(control: Known, body: bodies.Download) -> Response:
    play = plays.download(body.model, body.revision, body.quant)
    return _accepted(await control.jobs.start(play))


@router.post("/api/models/delete", responses=_JOB, status_code=202)
async def delete(control: Known, body: bodies.Delete) -> Response:
    row = control.model(body.model)
    _same_name(body.confirm, body.model)
    if row.get("serving"):
        hint = "Stop the service that serves it first"
        raise Refusal(409, "not_possible", f"{body.model} is served", hint)
    return _accepted(await control.jobs.start(plays.delete(body.model, body.confirm)))


def _same_name(confirm: str, name: str) -> None:
    if confirm != name:
        detail = f"confirm is {confirm}, expected {name}"
        raise Refusal(422, "name_differs", detail, "Type the name of the model once more")


@router.get("/api/swap", responses=_PROBLEMS)
async def swaps(control: Known) -> answers.Swaps:
    report, shot = control.facts.known(state.STATUS), control.snapshot
    return answers.Swaps(
        facts_at=shot["facts_at"],
        open=shot["swaps"],
        last=shot["last_swap"],
        history=report.get("history") or {},
    )


@router.post("/api/swap", responses=_JOB, status_code=202)
async def swap(control: Known, body: bodies.Swap) -> Response:
    play = _launch(control, body, owner=body.owner, token=body.token, force=body.force)
    return _accepted(await control.change(play, body))


@router.post("/api/swap/validate", responses=_JOB, status_code=202)
async def validate(control: Known, body: bodies.Plan) -> Response:
    return _accepted(await control.jobs.start(_launch(control, body, check=True)))


def _launch(control: Control, body: bodies.Plan, **more: Any) -> Play:
    if body.recipe:
        control.recipe(body.recipe)
    for node in body.nodes:
        if node not in {one["name"] for one in control.snapshot["nodes"]}:
            raise Refusal(404, "not_found", f"There is no node {node}", "GET /api/status")
    for one in control.snapshot["services"]:
        if one["name"] == body.service and one["watched"]:
            raise Refusal(409, "not_possible", f"Service {body.service} is only watched")
    return plays.launch(body.recipe, body.back, body.service, body.nodes, body.overrides, **more)


@router.post("/api/stop", responses=_JOB, status_code=202)
async def stop(control: Known, body: bodies.Stop) -> Response:
    if "stop" not in control.service(body.service)["commands"]:
        raise Refusal(409, "not_possible", f"Service {body.service} does not run")
    play = plays.stop(body.service, owner=body.owner, token=body.token, force=body.force)
    return _accepted(await control.change(play, body))


@router.get("/api/swap/lock", responses=_PROBLEMS)
async def lock(control: Known) -> answers.Lock:
    return answers.Lock(**control.snapshot["lock"])


@router.post(
    "/api/swap/lock",
    responses={**_PROBLEMS, 200: {"model": answers.Reservation}},
    status_code=201,
)
async def reserve(control: Known, body: bodies.Lock, response: Response) -> answers.Reservation:
    play = plays.lock(
        seconds=body.seconds,
        owner=body.owner,
        reason=body.reason,
        token=body.token,
        force=body.force,
    )
    result = await control.locked(play)
    held = snapshot.lock({"lock": result.get("lock")}, time.time())
    token = str(result.get("token", ""))
    if body.token and token == body.token:
        response.status_code = 200
    taken = str(result.get("taken_from", ""))
    return answers.Reservation(**held, token=token, taken_from=taken)


@router.delete("/api/swap/lock", responses=_PROBLEMS)
async def release(
    control: Known,
    x_lock_token: Annotated[bodies.Token, Header()] = "",
    force: bool = False,
) -> answers.Released:
    if not x_lock_token and not force:
        hint = "Send X-Lock-Token, or ?force=true"
        raise Refusal(403, "wrong_token", "The token of the lock is missing", hint)
    result = await control.locked(plays.lock(token=x_lock_token, release=True, force=force))
    if result.get("lock") and not result.get("changed"):
        raise Refusal(403, "wrong_token", "The token is not that of the lock", "?force=true")
    return answers.Released(taken_from=str(result.get("taken_from", "")))


@router.get("/api/jobs", responses=_PROBLEMS)
async def jobs(control: Known) -> answers.Jobs:
    shown = [job.shown(lines=False) for job in control.jobs.listed()]
    return answers.Jobs.model_validate({"jobs": shown})


@router.get("/api/jobs/{name}", responses=_PROBLEMS)
async def job(control: Known, name: str) -> answers.Job:
    return answers.Job(**control.jobs.get(name).shown())


@router.get("/api/jobs/{name}/events", responses=_STREAM, response_class=EventSourceResponse)
async def job_events(
    control: Known, name: str, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    wanted = control.jobs.get(name)
    text = last_event_id or ""
    after = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0

    async def stream() -> AsyncIterator[ServerSentEvent]:
        async for event in control.jobs.events(wanted, after):
            yield _event(event.name, event.data, event.id)

    return EventSourceResponse(stream(), ping=_PING)


@router.post("/api/jobs/{name}/cancel", responses=_JOB, status_code=202)
async def cancel(control: Known, name: str, _body: bodies.Nothing) -> Response:
    wanted = control.jobs.get(name)
    control.jobs.cancel(wanted)
    return _accepted(wanted)


@router.get("/api/health", responses=_PROBLEMS)
async def health(control: Known) -> answers.HealthReport:
    control.facts.known(state.HEALTH)
    deep_at = control.facts.moment(state.DEEP)
    return answers.HealthReport(**snapshot.health(control._known(), deep_at, control.config))


@router.post("/api/health", responses=_JOB, status_code=202)
async def ask_health(control: Known, body: bodies.Health) -> Response:
    play = plays.health(body.deep, control.facts.draft(state.HEALTH))
    return _accepted(await control.jobs.start(play))


@router.post("/api/health-event", responses=_PROBLEMS, status_code=204)
async def health_event(control: Known, body: bodies.HealthEvent) -> Response:
    control.service(body.service)
    control.count_report(body.source)
    took = "" if body.ms is None else f" in {body.ms} ms"
    why = f"{'ok' if body.ok else body.error or 'not ok'}{took}"
    await control.poller.event(body.service, why, body.source)
    return Response(status_code=204)


@router.get("/api/outages", responses=_PROBLEMS)
async def outages(
    control: Known, since: Annotated[str | None, Query(max_length=40)] = None
) -> answers.Outages:
    now, log = time.time(), control.poller.log
    found = snapshot.outage_log(log.lines, log.state, _since(since, now), int(now))
    return answers.Outages(**found)


@router.get("/api/drift", responses=_PROBLEMS)
async def drift(control: Known) -> answers.Drift:
    return answers.Drift(
        at=control.facts.moment(state.DRIFT),
        report=control.facts.report(state.DRIFT),
        command=plays.command(plays.drift(), control.config),
    )


@router.get(
    "/api/drift.html",
    responses={**_PROBLEMS, 200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    response_class=FileResponse,
)
async def drift_page(control: Known) -> Response:
    path = control.facts.page()
    if not path.is_file():
        raise Refusal(404, "not_found", "Control has made no drift report", "POST /api/drift")
    return FileResponse(
        path, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY}
    )


@router.post("/api/drift", responses=_JOB, status_code=202)
async def ask_drift(control: Known, _body: bodies.Nothing) -> Response:
    return _accepted(await control.jobs.start(plays.drift(control.facts.draft(state.DRIFT))))


@router.get("/api/schedule", responses=_PROBLEMS)
async def schedule(control: Known) -> answers.Schedule:
    found = snapshot.entries(control.facts.known(state.SCHEDULE))
    command = plays.command(plays.schedule(), control.config)
    at = control.facts.moment(state.SCHEDULE)
    return answers.Schedule.model_validate({"at": at, "entries": found, "command": command})


@router.post("/api/schedule", responses=_JOB, status_code=202)
async def announce(control: Known, body: bodies.Announcement) -> Response:
    play = plays.announce(body.owner, body.begin, body.hours, body.reason)
    return _accepted(await control.jobs.start(play))


@router.delete("/api/schedule/{entry}", responses=_JOB, status_code=202)
async def cancel_announced(
    control: Known,
    entry: str,
    owner: Annotated[bodies.Line, Query()] = "",
    force: bool = False,
) -> Response:
    known = {one["id"] for one in snapshot.entries(control.facts.known(state.SCHEDULE))}
    if entry not in known:
        raise Refusal(404, "not_found", "There is no such entry", "GET /api/schedule")
    return _accepted(await control.jobs.start(plays.cancel(entry, owner, force)))


@router.get("/api/access", responses=_PROBLEMS)
async def access(control: Known, request: Request) -> answers.Access:
    config = control.config
    known = guard.signed_in(request.headers, config)
    public, fingerprint = files.public_key(config.key) if known else ("", "")
    commands = plays.key_commands(config) if public else []
    address = f"[{config.bind}]" if ":" in config.bind else config.bind
    return answers.Access(
        token_required=bool(config.token_sha256),
        signed_in=known,
        bind=f"{address}:{config.port}",
        public_key=public,
        fingerprint=fingerprint,
        commands=commands,
    )


@router.post("/api/access", responses=_PROBLEMS, status_code=204)
async def sign_in(control: Known, body: bodies.Login) -> Response:
    if control.config.token_sha256 and not guard.is_token(body.token, control.config):
        raise Refusal(401, "token_required", "The token is wrong", "Ask who installed control")
    response = Response(status_code=204)
    if control.config.token_sha256:
        response.set_cookie(guard.COOKIE, body.token, httponly=True, samesite="strict")
    return response


@router.delete("/api/access", responses=_PROBLEMS, status_code=204)
async def sign_out() -> Response:
    response = Response(status_code=204)
    response.delete_cookie(guard.COOKIE, httponly=True, samesite="strict")
    return response


def create_app(config: Config) -> FastAPI:
    """The application of these settings."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        control = Control(config)
        app.state.control = control
        async with control.running():
            yield

    app = FastAPI(
        title="dgxspark.suite control",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(router)
    if config.page.is_dir():
        app.mount("/", StaticFiles(directory=config.page, html=True))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Guard, config=config)
    return app


async def _refused(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body, refusal.status, refusal.headers, guard.PROBLEM)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    refusal = Refusal.of_status(error.status_code, detail)
    headers = {**(error.headers or {})}
    return JSONResponse(refusal.body, refusal.status, headers, guard.PROBLEM)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"field": ".".join(map(str, one["loc"][1:])), "message": str(one["msg"])[:300]}
        for one in error.errors()[:20]
    ]
    first = found[0] if found else {"field": "", "message": "it is not valid"}
    detail = f"{first['field'] or 'the body'}: {first['message']}"
    refusal = Refusal(422, "invalid", detail, "Correct the field", errors=found)
    return JSONResponse(refusal.body, 422, media_type=guard.PROBLEM)
