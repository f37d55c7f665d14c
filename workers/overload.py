"""Overload: what is late already goes back behind urgent tickets that can still be in time.

Serving the earliest due time first is best while all can be served in time. When they cannot, late
tickets would hold up the others until everything is late; so those of low and normal urgency, once
their managers were told, make room. Scores stand still: they come up again by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from desk.errors import Transient
from desk.moves import Verb
from desk.priority import USUAL, Because, Weights, with_boost
from desk.ranking import ranked
from desk.rules import jobs
from desk.steps import Step
from desk.store import Store
from desk.ticket import Ticket
from workers.rounds import each

log = structlog.get_logger()


class Line(Protocol):
    """The part of the queue that this needs."""

    async def rescore(self, step: Step, id: int, score: float) -> bool:
        """Give a job a new rank; False when it is not in the queue."""
        ...


@dataclass(frozen=True, slots=True)
class Overload:
    store: Store
    queue: Line
    weights: Weights = USUAL

    async def __call__(self) -> int:
        """How many tickets went back."""
        if not self.weights.late:
            return 0
        late = {ticket.id: ticket for ticket in await self.store.late()}
        return await each("late ticket", [*late], lambda id: self._put_back(late[id]))

    async def _put_back(self, ticket: Ticket) -> bool:
        boosts = with_boost(ticket.boosts, Because.LATE, -self.weights.late)
        async with self.store.change() as change:
            await ranked(change, ticket, boosts, Verb.RANK, self.weights.most)
        view = await self.store.view(ticket.id)
        try:
            for job in jobs(view.ticket, view.response):
                await self.queue.rescore(job.step, job.id, job.score)
        except Transient as error:
            log.warning("not moved, left to the sweep", ticket=ticket.id, error=str(error))
        return True
