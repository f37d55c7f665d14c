"""The sweep: what a record's state asks for and is not queued is queued again.

Redis may lose everything; the records say what should be there. The queue ignores what it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from desk.rules import Job, jobs
from desk.store import Store


class Line(Protocol):
    """The part of the queue that the sweep needs."""

    async def reconcile(self, jobs: Iterable[Job]) -> None:
        """Queue what is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    store: Store
    queue: Line

    async def __call__(self) -> int:
        """How many jobs the records ask for. What was given up waits for a person."""
        given_up = await self.store.given_up()
        wanted = [
            job
            for ticket, response in await self.store.unfinished()
            for job in jobs(ticket, response)
            if (job.step, job.id) not in given_up
        ]
        await self.queue.reconcile(wanted)
        return len(wanted)
