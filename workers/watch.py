"""The watch: clocks that come to a rung are noted, each rung once, whatever restarts; snoozed
tickets wake; and an edit that nobody ended stops holding up the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from desk.handing_on import hand_on
from desk.ids import TicketId
from desk.moves import Verb
from desk.ports import Queue
from desk.rules import Job, job_for
from desk.steps import Step
from desk.store import Store
from desk.ticket import TicketState
from workers.rounds import each

EDIT_TIME = timedelta(minutes=15)
"""Somebody who opened a draft and neither saved it nor came back is no longer editing."""


@dataclass(frozen=True, slots=True)
class Watch:
    store: Store
    queue: Queue

    async def __call__(self) -> int:
        """How many escalations were noted of which somebody is to be told. That comes first."""
        noted = await each("clock", await self.store.due_clocks(), self._fire)
        untold = await self.store.untold()
        await hand_on(self.queue, *(Job(Step.ALERT, id, 0.0, is_urgent=True) for id in untold))
        before = self.store.clock.now() - EDIT_TIME
        await each("edited ticket", await self.store.edited_since(before), self._end_edit)
        await each("snoozed ticket", await self.store.asleep(), self._wake)
        await each("ticket without clock", await self.store.without_clock(), self._wind_up)
        return noted

    async def _fire(self, id: int) -> bool:
        async with self.store.change() as change:
            ticket = await change.fire(id)
        if ticket is not None:
            await self._show(ticket)
        return ticket is not None

    async def _show(self, id: TicketId) -> None:
        await hand_on(self.queue, job_for(await self.store.ticket(id), Step.SHOW))

    async def _wake(self, id: TicketId) -> bool:
        async with self.store.change() as change:
            ticket = await change.ticket(id)
            is_due = ticket.snoozed_until is not None and ticket.snoozed_until <= change.now
            if ticket.state is not TicketState.SNOOZED or not is_due:
                return False
            await change.move_ticket(ticket, Verb.WAKE)
        await self._show(id)
        return True

    async def _wind_up(self, id: TicketId) -> bool:
        """Of a version that knew no clocks."""
        async with self.store.change() as change:
            await change.wind_up_clocks(await change.ticket(id))
        return True

    async def _end_edit(self, id: TicketId) -> bool:
        async with self.store.change() as change:
            ticket = await change.ticket(id)
            since = ticket.editing_since
            if ticket.editing is None or since is None or since >= change.now - EDIT_TIME:
                return False
            await change.set_ticket(ticket, Verb.START_EDIT, {"editing": None}, ended=True)
        await self._show(id)
        return True
