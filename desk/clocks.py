"""The clocks of a ticket inside of a write transaction. They start, pause and end with what happens
to the ticket, and leave entries of their own in the audit log, from which desk.auditor recomputes
what should have been told.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import insert, select, update

from desk import audit, sla, sla_records
from desk.model import (
    EmailId,
    Response,
    ResponseState,
    Ticket,
    TicketId,
    TicketState,
    Urgency,
    Verb,
)
from desk.registry import Registry
from desk.rows import inserted
from desk.sla import Goal, SlaClock, Terms
from desk.tables import emails, escalations, mailboxes, responses, sla_clocks, tickets

OLD = timedelta(days=1)
"""Mail that was older when we took it in was imported, for example from a mailbox that was just
connected: its clock starts then."""

STUCK = timedelta(minutes=30)
"""An approved reply that has not left after so long is not on its way any more."""

OVERTAKEN = "overtaken"
ENDED = MappingProxyType({TicketState.WAITING: "answered", TicketState.CLOSED: "closed"})
REPLY = (Goal.FIRST, Goal.NEXT)
QUIETING = frozenset(
    {Verb.ACKNOWLEDGE, Verb.CLAIM, Verb.TAKE, Verb.ASSIGN, Verb.RELEASE, Verb.SNOOZE}
)


class Clocks(Registry):
    """Part of a Change."""

    # -- starting and aiming

    async def start_clocks(self, ticket: Ticket, received_at: datetime) -> None:
        """A mail came in: its clocks run at once, on the terms of a normal one until it is read.
        Those that run already go on."""
        at = received_at if self.now - received_at < OLD else self.now
        running = {clock.goal for clock in await self.running_clocks(ticket.id)}
        goals = [] if running & set(REPLY) else [await self._reply_goal(ticket.id)]
        goals += [] if Goal.RESOLUTION in running else [Goal.RESOLUTION]
        for goal in goals:
            terms = await self._terms(ticket, Urgency.NORMAL, goal)
            if terms is not None:
                await self._start(ticket.id, goal, terms, at)

    async def aim_clocks(self, ticket: Ticket, received_at: datetime, to: Urgency) -> datetime:
        """The mail was read: what is promised for its urgency. When the reply is due."""
        await self.start_clocks(ticket, received_at)
        due = received_at
        for clock in await self.running_clocks(ticket.id):
            terms = await self._terms(ticket, to, clock.goal)
            aimed = sla.aimed(clock, terms) if terms is not None else clock
            if aimed != clock:
                await self._save(aimed, "aim_clock", terms=sla.terms_json(aimed.terms))
            due = aimed.due_at or due if clock.goal in REPLY else due
        return due

    async def end_clocks(self, id: TicketId, reason: str) -> None:
        """Nobody waits for anything."""
        for clock in await self.running_clocks(id):
            await self._end(clock, reason)

    # -- what happens to the ticket

    async def follow(self, before: Ticket, after: Ticket, verb: Verb) -> None:
        """The clocks do what a change of their ticket asks for."""
        is_done = after.state in ENDED and after.state is not before.state
        if not is_done and verb not in QUIETING | {Verb.RECEIVE, Verb.BOUNCE}:
            return
        if verb in QUIETING - {Verb.RELEASE}:
            await self.acknowledge(after.id)
        for clock in await self.running_clocks(after.id):
            if is_done:
                await self._finish(clock, after.state)
            elif verb is Verb.RECEIVE:
                await self._hear(clock)
            elif verb in QUIETING:
                await self._quiet(clock, verb, after)
        if verb is Verb.BOUNCE:
            await self._begin_again(after.id)

    async def follow_response(self, response: Response, verb: Verb) -> None:
        """A reply that has left ends the clock, also when the customer wrote meanwhile: that mail
        starts the next one. One that does not leave after all is not kept quiet."""
        if response.state is ResponseState.SENT:
            await self._answered(response)
        elif verb in (Verb.FAIL, Verb.LOSE):
            for clock in await self.running_clocks(response.ticket_id):
                await self._hurry(clock)

    async def fire(self, id: int) -> TicketId | None:
        """Note the rungs that a clock has come to. Its ticket, when somebody is to be told; of
        several rungs only the last one is."""
        clock = sla_records.clock(await self.row(sla_clocks, id))
        if not await self._catch_up(clock):
            return None
        await self.connection.execute(
            update(tickets)
            .where(tickets.c.id == clock.ticket_id)
            .values(version=tickets.c.version + 1)
        )
        return TicketId(clock.ticket_id)

    async def acknowledge(self, ticket: TicketId) -> int:
        """Somebody has seen what was told; how much of it nobody had seen before."""
        seen = {"acknowledged_by": self.actor, "acknowledged_at": self.now}
        result = await self.connection.execute(
            update(escalations)
            .where(
                escalations.c.ticket_id == ticket,
                escalations.c.acknowledged_at.is_(None),
                escalations.c.moot.is_(None),
                escalations.c.rung != sla.RUNGS[0],
            )
            .values(seen)
        )
        return int(result.rowcount)

    async def running_clocks(self, id: TicketId) -> list[SlaClock]:
        """Those that have not ended; some may pause."""
        clocks = await sla_records.clocks_of(self.connection, [id])
        return [clock for clock in clocks if clock.ended_at is None]

    # -- one clock

    async def _start(self, id: TicketId, goal: Goal, terms: Terms, at: datetime) -> None:
        number = 1 + len(await sla_records.clocks_of(self.connection, [id]))
        clock = sla.started(id, number, goal, terms, at)
        result = await self.connection.execute(
            insert(sla_clocks).values(sla_records.clock_row(clock))
        )
        clock = replace(clock, id=inserted(result))
        said = {"goal": goal.value, "started_at": at.isoformat(), "terms": sla.terms_json(terms)}
        await self._note(clock, "start_clock", said)

    async def _finish(self, clock: SlaClock, state: TicketState) -> None:
        """A reply ends the wait for it; only closing resolves."""
        if clock.goal in REPLY or state is TicketState.CLOSED:
            await self._end(clock, ENDED[state])
        elif clock.running_since is not None:
            clock = await self._caught_up(clock, "answered")
            await self._save(sla.paused(clock, self.now), "pause_clock")

    async def _end(self, clock: SlaClock, reason: str) -> None:
        ended = sla.stopped(await self._caught_up(clock, reason), self.now)
        await self._save(ended, "stop_clock", reason=reason)
        await self._drop_untold(clock, reason)

    async def _hear(self, clock: SlaClock) -> None:
        """The customer wrote: a clock that waited for them goes on."""
        if clock.running_since is None:
            await self._save(sla.resumed(clock, self.now), "resume_clock")
            return
        await self._hurry(clock)

    async def _hurry(self, clock: SlaClock) -> None:
        clock = await self._caught_up(clock)
        if (hurried := sla.hurried(clock, self.now)) != clock:
            await self._update(hurried)

    async def _quiet(self, clock: SlaClock, verb: Verb, ticket: Ticket) -> None:
        clock = await self._caught_up(clock)
        is_claimed = ticket.assignee is not None
        changed = sla.quieted(clock, verb, is_claimed, ticket.snoozed_until, self.now)
        if changed != clock:
            await self._update(changed)

    async def _answered(self, response: Response) -> None:
        newest = await self._newest_email(response.ticket_id)
        for clock in await self.running_clocks(TicketId(response.ticket_id)):
            if clock.goal not in REPLY:
                continue
            await self._end(clock, "answered")
            if newest is not None and newest[0] != response.email_id:
                await self._start(response.ticket_id, Goal.NEXT, clock.terms, newest[1])

    async def _begin_again(self, id: TicketId) -> None:
        """Our reply came back: the customer waits, on the terms they had before."""
        clocks = await sla_records.clocks_of(self.connection, [id])
        replies = [clock for clock in clocks if clock.goal in REPLY]
        for clock in clocks:
            if clock.ended_at is None and clock.running_since is None:
                await self._hear(clock)
        if replies and replies[-1].ended_at is not None:
            await self._start(id, Goal.NEXT, replies[-1].terms, self.now)

    async def _catch_up(self, clock: SlaClock, moot: str = "") -> bool:
        """Note the rungs that have come, and move the clock past them. Whether somebody is to be
        told."""
        come, after = sla.passed(clock, self.now)
        if not come:
            return False
        is_leaving = not moot and await self._is_leaving(TicketId(clock.ticket_id))
        why = moot or ("a reply is on its way" if is_leaving else "")
        await self._drop_untold(clock, OVERTAKEN)
        is_told = False
        for rung, due in come:
            is_loud = not why and rung == come[-1][0]
            is_new = await self._escalate(clock, rung, due, None if is_loud else why or OVERTAKEN)
            is_told = is_told or (is_new and is_loud)
        await self._update(after)
        return is_told

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
        name = sla.name_of(rung)
        row = {
            "ticket_id": clock.ticket_id,
            "rung": name,
            "clock": clock.number,
            "due_at": due,
            "moot": moot,
        }
        is_new = await self.insert_or_ignore(escalations, row, ["ticket_id", "rung", "clock"])
        if is_new:
            said = {"rung": name, "due": due.isoformat(), "moot": moot}
            await self._note(clock, "escalate", said)
        return is_new

    async def _save(self, clock: SlaClock, verb: str, **detail: object) -> None:
        await self._update(clock)
        await self._note(clock, verb, detail)

    async def _update(self, clock: SlaClock) -> None:
        row = sla_records.clock_row(clock)
        await self.connection.execute(
            update(sla_clocks).where(sla_clocks.c.id == clock.id).values(row)
        )

    async def _note(self, clock: SlaClock, verb: str, detail: dict[str, Any]) -> None:
        """By the desk itself, whoever acts: it follows from what they did."""
        await audit.append(
            self.connection,
            at=self.now,
            actor=None,
            verb=verb,
            subject=f"clock:{clock.number}",
            ticket_id=TicketId(clock.ticket_id),
            detail=detail,
        )

    # -- reading

    async def _caught_up(self, clock: SlaClock, moot: str = "") -> SlaClock:
        await self._catch_up(clock, moot)
        return sla_records.clock(await self.row(sla_clocks, clock.id))

    async def _reply_goal(self, id: TicketId) -> Goal:
        is_first = not await sla_records.clocks_of(self.connection, [id])
        return Goal.FIRST if is_first else Goal.NEXT

    async def _terms(self, ticket: Ticket, urgency: Urgency, goal: Goal) -> Terms | None:
        row = await self.row(mailboxes, ticket.mailbox_id)
        return self.promises.terms(row["name"], urgency, goal)

    async def _newest_email(self, id: TicketId) -> tuple[EmailId, datetime] | None:
        """The latest mail that is worked on, and when it came."""
        query = (
            select(emails.c.id, emails.c.received_at)
            .where(emails.c.ticket_id == id, emails.c.relation == "mail")
            .order_by(emails.c.id.desc())
        )
        row = (await self.connection.execute(query.limit(1))).one_or_none()
        return (EmailId(row.id), row.received_at) if row else None

    async def _is_leaving(self, id: TicketId) -> bool:
        """Whether somebody has approved a reply that is on its way."""
        leaving = (ResponseState.APPROVED.value, ResponseState.SENDING.value)
        query = select(responses.c.id).where(
            responses.c.ticket_id == id,
            responses.c.state.in_(leaving),
            responses.c.approved_at > self.now - STUCK,
        )
        return (await self.connection.execute(query.limit(1))).first() is not None
