"""One SLA clock inside of a write transaction: it starts, comes to its rungs and ends, and leaves
entries of its own in the audit log, from which desk.sla.auditor recomputes what should have
been told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import insert, select, update

from desk.classification import Urgency
from desk.errors import said
from desk.ids import MailboxId, TicketId
from desk.records import Row
from desk.registry import Registry
from desk.response import ResponseState
from desk.rows import inserted
from desk.sla import records, rungs
from desk.sla.rungs import Goal, SlaClock, Terms
from desk.tables.responses import responses
from desk.tables.sla import escalations, sla_clocks
from desk.tables.tickets import tickets

STUCK = timedelta(minutes=30)
"""An approved reply that has not left after so long is not on its way any more."""

OVERTAKEN = "overtaken"

log = structlog.get_logger()


class Clockwork(Registry):
    """Part of a Change."""

    async def running_clocks(self, id: TicketId) -> list[SlaClock]:
        """Those that have not ended; some may pause. One that cannot be computed ends here."""
        running = select(sla_clocks).where(
            sla_clocks.c.ticket_id == id, sla_clocks.c.ended_at.is_(None)
        )
        rows = await records.rows(self.connection, running.order_by(sla_clocks.c.id))
        found = [await self._computable(row) for row in rows]
        return [clock for clock in found if clock is not None]

    async def _computable(self, row: Row) -> SlaClock | None:
        """The clock, or what takes its place, if anything does."""
        try:
            clock = records.clock(row)
            rungs.prove(clock, self.now)
        except rungs.UNCOMPUTABLE as error:
            return await self._replaced(row, error)
        return clock

    async def _replaced(self, row: Row, error: Exception) -> SlaClock | None:
        """A clock that cannot be computed ends, so that its ticket can be worked on."""
        lost, why = records.ended(row, self.now), said(error)
        log.error("clock not computable", ticket=lost.ticket_id, clock=lost.number, error=why)
        await self._save(lost, records.FAILED, error=why)
        await self._drop_untold(lost, "not computable")
        if row["running_since"] is None:
            return None  # it waited for the customer, whose next mail starts another one
        return await self._begun_anew(lost)

    async def _begun_anew(self, lost: SlaClock) -> SlaClock | None:
        """From the same moment, on the terms of today."""
        query = select(tickets.c.mailbox_id, tickets.c.urgency)
        row = (await self.connection.execute(query.where(tickets.c.id == lost.ticket_id))).one()
        terms = await self._terms(row.mailbox_id, Urgency(row.urgency), lost.goal)
        if terms is None:
            return None
        clock = await self._start(TicketId(lost.ticket_id), lost.goal, terms, lost.started_at)
        return await self._aim(clock, terms) if lost.is_aimed else clock

    async def _terms(self, id: MailboxId, urgency: Urgency, goal: Goal) -> Terms | None:
        """What is promised; None when nothing is."""
        given = self.promises.terms((await self.mailbox(id)).name, urgency, goal)
        terms = rungs.possible(given, self.now) if given is not None else None
        if terms != given:
            log.error("calendar not computable", mailbox=id, urgency=urgency.value, goal=goal.value)
        return terms

    async def _start(self, id: TicketId, goal: Goal, terms: Terms, at: datetime) -> SlaClock:
        number = 1 + len(await records.clocks_of(self.connection, [id]))
        clock = rungs.started(id, number, goal, terms, at)
        result = await self.connection.execute(insert(sla_clocks).values(records.clock_row(clock)))
        clock = replace(clock, id=inserted(result))
        detail = {
            "goal": goal.value,
            "started_at": at.isoformat(),
            "terms": rungs.terms_json(terms),
        }
        self._note(clock, "start_clock", detail)
        return clock

    async def _aim(self, clock: SlaClock, terms: Terms, *, by_hand: bool = False) -> SlaClock:
        aimed = rungs.aimed(clock, terms, by_hand=by_hand)
        if aimed != clock:
            detail = {"terms": rungs.terms_json(aimed.terms), "by_hand": by_hand}
            await self._save(aimed, "aim_clock", **detail)
        return aimed

    async def _end(self, clock: SlaClock, reason: str) -> None:
        ended = rungs.stopped(await self._caught_up(clock, reason), self.now)
        await self._save(ended, "stop_clock", reason=reason)
        await self._drop_untold(clock, reason)

    async def _caught_up(self, clock: SlaClock, moot: str = "") -> SlaClock:
        return (await self._catch_up(clock, moot))[0]

    async def _catch_up(self, clock: SlaClock, moot: str = "") -> tuple[SlaClock, bool]:
        """Note the rungs that have come: the clock after them, and if somebody is to be told."""
        come, after = rungs.passed(clock, self.now)
        if not come:
            return clock, False
        is_leaving = not moot and await self._is_leaving(TicketId(clock.ticket_id))
        why = moot or ("a reply is on its way" if is_leaving else "")
        await self._drop_untold(clock, OVERTAKEN)
        is_told = False
        for rung, due in come:
            is_loud = not why and rung == come[-1][0]
            is_new = await self._escalate(clock, rung, due, None if is_loud else why or OVERTAKEN)
            is_told = is_told or (is_new and is_loud)
        await self._update(after)
        return after, is_told

    async def _drop_untold(self, clock: SlaClock, reason: str) -> None:
        """What nobody could be told of yet, they need not be told any more."""
        await self.connection.execute(
            update(escalations)
            .where(
                escalations.c.ticket_id == clock.ticket_id,
                escalations.c.clock == clock.number,
                escalations.c.fired_at.is_(None),
                escalations.c.moot.is_(None),
            )
            .values(moot=reason)
        )

    async def _escalate(self, clock: SlaClock, rung: int, due: datetime, moot: str | None) -> bool:
        name = rungs.name_of(rung)
        row = {
            "ticket_id": clock.ticket_id,
            "rung": name,
            "clock": clock.number,
            "due_at": due,
            "moot": moot,
        }
        is_new = await self.insert_or_ignore(escalations, row, ["ticket_id", "rung", "clock"])
        if is_new:
            self._note(clock, "escalate", {"rung": name, "due": due.isoformat(), "moot": moot})
        return is_new

    async def _save(self, clock: SlaClock, verb: str, **detail: object) -> None:
        await self._update(clock)
        self._note(clock, verb, detail)

    async def _update(self, clock: SlaClock) -> None:
        row = records.clock_row(clock)
        await self.connection.execute(
            update(sla_clocks).where(sla_clocks.c.id == clock.id).values(row)
        )

    def _note(self, clock: SlaClock, verb: str, detail: dict[str, Any]) -> None:
        """By the desk itself, whoever acts: it follows from what they did."""
        self.chain.append(
            at=self.now,
            actor=None,
            verb=verb,
            subject=f"clock:{clock.number}",
            ticket_id=TicketId(clock.ticket_id),
            detail=detail,
        )

    async def _is_leaving(self, id: TicketId) -> bool:
        """Whether somebody has approved a reply that is on its way."""
        leaving = (ResponseState.APPROVED.value, ResponseState.SENDING.value)
        query = select(responses.c.id).where(
            responses.c.ticket_id == id,
            responses.c.state.in_(leaving),
            responses.c.approved_at > self.now - STUCK,
        )
        return (await self.connection.execute(query.limit(1))).first() is not None
