# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many requests each service has in flight, and who waits. For one event loop."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from gateway import waits
from gateway.endpoints import Service
from gateway.errors import Refusal

# Weight of the newest request in the average of their seconds.
_NEWEST = 0.2


@dataclass(eq=False)
class _Waiter:
    services: tuple[Service, ...]
    # The service whose place it gets; None if the services have changed meanwhile.
    place: asyncio.Future[Service | None]


class Caps:
    """Places of services by name, and one queue in order of arrival."""

    def __init__(self) -> None:
        self.in_flight: Counter[str] = Counter()
        self._queue: deque[_Waiter] = deque()
        self._seconds: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def acquire(self, services: Sequence[Service]) -> Service | None:
        """A place of the service with the least in flight; the caller releases it.

        Waits in the queue if all are full. None if the services have changed meanwhile. Raises
        Refusal if the queue is full as well, or nothing becomes free in time.
        """
        free = self._least(services)
        if free is not None:
            self.in_flight[free.name] += 1
            return free
        names = {service.name for service in services}
        before = sum(1 for one in self._queue if any(s.name in names for s in one.services))
        if before >= sum(service.queue for service in services):
            raise self._busy(services, before)
        waiter = _Waiter(tuple(services), asyncio.get_running_loop().create_future())
        self._queue.append(waiter)
        try:
            async with asyncio.timeout(max(service.timeout for service in services)):
                return await waiter.place
        except BaseException as error:
            self._leave(waiter)
            if isinstance(error, TimeoutError):
                raise self._busy(services, before) from None
            raise

    def release(self, service: Service, seconds: float | None = None) -> None:
        """Give a place back. seconds: that the request took, if it was answered."""
        name = service.name
        if seconds is not None:
            last = self._seconds.get(name, seconds)
            self._seconds[name] = last + _NEWEST * (seconds - last)
        self.in_flight[name] -= 1
        if self.in_flight[name] <= 0:
            del self.in_flight[name]
        self._hand_on()

    def changed(self) -> None:
        """The services are others now: whoever waits looks for one anew, in the same order."""
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.place.done():
                waiter.place.set_result(None)

    def _hand_on(self) -> None:
        for waiter in list(self._queue):
            free = self._least(waiter.services)
            if free is not None and not waiter.place.done():
                self._queue.remove(waiter)
                self.in_flight[free.name] += 1
                waiter.place.set_result(free)
                return

    def _leave(self, waiter: _Waiter) -> None:
        """Of one that gives up: a place that it has got in the same moment is given back."""
        if waiter in self._queue:
            self._queue.remove(waiter)
        place = waiter.place
        if place.done() and not place.cancelled() and (service := place.result()) is not None:
            self.release(service)

    def _least(self, services: Sequence[Service]) -> Service | None:
        free = [one for one in services if self.in_flight[one.name] < one.concurrency]
        return min(free, key=lambda one: self.in_flight[one.name], default=None)

    def _busy(self, services: Sequence[Service], before: int) -> Refusal:
        seconds = max(self._seconds.get(service.name, 0.0) for service in services)
        concurrency = sum(service.concurrency for service in services)
        return Refusal(
            503,
            "busy",
            "all places of %s and of its queue are taken" % services[0].name,
            waits.busy(before, concurrency, seconds),
        )
