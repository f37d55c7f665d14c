"""The watch: due times that passed become escalations, each once, whatever restarts; and an edit
that nobody ended stops holding up the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from desk.errors import Conflict
from desk.model import Step, Verb
from desk.ports import Queue
from desk.store import BREACH, Store

EDIT_TIME = timedelta(minutes=15)
"""Somebody who opened a draft and neither saved it nor came back is no longer editing."""


@dataclass(frozen=True, slots=True)
class Watch:
    store: Store
    queue: Queue

    async def __call__(self) -> int:
        """How many escalations were noted now."""
        await self._end_edits()
        noted = 0
        for ticket in await self.store.overdue(self.store.clock.now()):
            async with self.store.change() as change:
                noted += await change.escalate(ticket, BREACH)
        for id in await self.store.unfired():
            await self.queue.put(Step.ALERT, id, 0.0)
        return noted

    async def _end_edits(self) -> None:
        for ticket in await self.store.edited_since(self.store.clock.now() - EDIT_TIME):
            try:
                async with self.store.change() as change:
                    await change.set_ticket(ticket, Verb.START_EDIT, {"editing": None}, ended=True)
            except Conflict:
                continue  # it changed in this moment: the next round looks again
            await self.queue.put(Step.SHOW, ticket.id, ticket.score)
