"""The watch: clocks that come to a rung are noted, each rung once, whatever restarts; snoozed
tickets wake; and an edit that nobody ended stops holding up the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from desk.errors import Conflict
from desk.handing_on import hand_on
from desk.ids import TicketId
from desk.moves import Verb
from desk.ports import Queue
from desk.rules import Job, job_for
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState

EDIT_TIME = timedelta(minutes=15)
"""Somebody who opened a draft and neither saved it nor came back is no longer editing."""


@dataclass(frozen=True, slots=True)
class Watch:
    store: Store
    queue: Queue

    async def __call__(self) -> int:
        """How many escalations were noted of which somebody is to be told."""
        await self._end_edits()
        await self._wake()
        await self._wind_up()
        noted = 0
        for id in await self.store.due_clocks():
            async with self.store.change() as change:
                ticket = await change.fire(id)
            if ticket is not None:
                noted += 1
                await self._show(ticket)
        untold = await self.store.untold()
        await hand_on(self.queue, *(Job(Step.ALERT, id, 0.0, is_urgent=True) for id in untold))
        return noted

    async def _show(self, id: TicketId) -> None:
        await hand_on(self.queue, job_for(await self.store.ticket(id), Step.SHOW))

    async def _wake(self) -> None:
        for id in await self.store.asleep():
            async with self.store.change() as change:
                ticket = await change.ticket(id)
                is_due = ticket.snoozed_until is not None and ticket.snoozed_until <= change.now
                if ticket.state is TicketState.SNOOZED and is_due:
                    await change.move_ticket(ticket, Verb.WAKE)
            await self._show(id)

    async def _wind_up(self) -> None:
        """Tickets of a version that knew no clocks."""
        for id in await self.store.without_clock():
            async with self.store.change() as change:
                await change.wind_up_clocks(await change.ticket(id))

    async def _end_edits(self) -> None:
        for ticket in await self.store.edited_since(self.store.clock.now() - EDIT_TIME):
            try:
                async with self.store.change() as change:
                    await change.set_ticket(ticket, Verb.START_EDIT, {"editing": None}, ended=True)
            except Conflict:
                continue  # it changed in this moment: the next round looks again
            await self._show(ticket.id)
