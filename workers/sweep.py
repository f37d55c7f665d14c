"""The sweep: what a record's state asks for and is not queued is queued again.

Redis may lose everything; the records say what should be there. The queue ignores what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from desk.rules import Job, jobs
from desk.store import Store

log = structlog.get_logger()


class Line(Protocol):
    """The part of the queue that the sweep needs."""

    async def reconcile(self, jobs: Sequence[Job]) -> int:
        """Queue what is missing; how many were."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    store: Store
    queue: Line

    async def __call__(self) -> int:
        wanted = [
            job
            for ticket, response in await self.store.unfinished()
            for job in jobs(ticket, response)
        ]
        missing = await self.queue.reconcile(wanted)
        if missing:
            log.info("jobs put back", count=missing)
        return missing
