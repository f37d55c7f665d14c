"""The sweep: what a record's state asks for and is not queued is queued again.

Redis may lose everything; the records say what should be there. The queue ignores what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from desk.errors import Transient
from desk.faults import caught, kind, trace
from desk.response import Response
from desk.rules import Job, jobs
from desk.steps import Step
from desk.ticket import Ticket

LOOK = 1.0
"""Seconds between two looks at whether Redis is still the one that was filled."""

log = structlog.get_logger()


class Line(Protocol):
    """The part of the queue that the sweep needs."""

    async def reconcile(self, jobs: Iterable[Job]) -> None:
        """Queue what is missing."""
        ...

    async def epoch(self) -> str | None:
        """Which Redis, filled when; None for one that was not."""
        ...


class Records(Protocol):
    """The part of the store that the sweep needs."""

    async def unfinished(self) -> list[tuple[Ticket, Response | None]]:
        """What may want a step."""
        ...

    async def given_up(self) -> set[tuple[Step, int]]:
        """What waits for a manager's decision."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    store: Records
    queue: Line

    async def __call__(self) -> int:
        """How many jobs the records ask for. What was given up waits for a person."""
        unfinished = await self.store.unfinished()
        given_up = await self.store.given_up()  # read last: one may be given up in between
        wanted = [
            job
            for ticket, response in unfinished
            for job in jobs(ticket, response)
            if (job.step, job.id) not in given_up
        ]
        await self.queue.reconcile(wanted)
        return len(wanted)

    async def heal(self) -> None:
        """Sweep as soon as Redis was emptied, started anew or replaced. Until cancelled."""
        known = ""  # what was there before us is the schedule's
        while True:
            found = await caught(self._refilled(known))
            if isinstance(found, Exception):
                if not isinstance(found, Transient):
                    log.error("queue not refilled", error=kind(found), at=trace(found))
                known = "away"  # whoever comes back may lack what it was told last
            else:
                known = found
            await asyncio.sleep(LOOK)

    async def _refilled(self, known: str) -> str:
        found = await self.queue.epoch()
        if found is None or known not in ("", found):
            log.info("queue_refilled", jobs=await self())
            found = await self.queue.epoch()
        return found or ""
