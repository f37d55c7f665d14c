"""The clocks of a ticket follow it: they start, pause and end with what happens to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import select, update

from desk.classification import Urgency
from desk.ids import EmailId, TicketId
from desk.moves import Verb
from desk.response import Response, ResponseState
from desk.sla import records, rungs
from desk.sla.clockwork import Clockwork
from desk.sla.rungs import Goal, SlaClock
from desk.tables.sla import escalations, sla_clocks
from desk.tables.tickets import classifications, emails, tickets
from desk.ticket import Ticket, TicketState

OLD = timedelta(days=1)
"""Mail that was older when we took it in was imported, for example from a mailbox that was just
connected: its clock starts then."""

ENDED = MappingProxyType({TicketState.WAITING: "answered", TicketState.CLOSED: "closed"})
REPLY = (Goal.FIRST, Goal.NEXT)
QUIETING = frozenset(
    {Verb.ACKNOWLEDGE, Verb.CLAIM, Verb.TAKE, Verb.ASSIGN, Verb.RELEASE, Verb.SNOOZE}
)


class Clocks(Clockwork):
    """Part of a Change."""

    # -- starting and aiming

    async def start_clocks(
        self, ticket: Ticket, received_at: datetime, urgency: Urgency = Urgency.NORMAL
    ) -> None:
        """A mail came in: its clocks run at once, on the terms of a normal one until it is read.
        Those that run already go on."""
        at = received_at if self.now - received_at < OLD else self.now
        running = {clock.goal for clock in await self.running_clocks(ticket.id)}
        goals = [] if running & set(REPLY) else [await self._reply_goal(ticket.id)]
        goals += [] if Goal.RESOLUTION in running else [Goal.RESOLUTION]
        for goal in goals:
            terms = await self._terms(ticket.mailbox_id, urgency, goal)
            if terms is not None:
                await self._start(ticket.id, goal, terms, at)

    async def aim_clocks(
        self, ticket: Ticket, received_at: datetime, to: Urgency, *, by_hand: bool = False
    ) -> datetime:
        """The mail was read, by triage or by a person who knows better: what is promised for its
        urgency. When the reply is due, for its place in the queue."""
        await self.start_clocks(ticket, received_at, to)
        due = received_at
        for clock in await self.running_clocks(ticket.id):
            terms = await self._terms(ticket.mailbox_id, to, clock.goal)
            if terms is None:
                if not clock.is_aimed or (by_hand and not clock.is_breached):
                    await self._end(clock, "nothing is promised")
                continue
            aimed = await self._aim(clock, terms, by_hand=by_hand)
            if clock.goal in REPLY:
                due = rungs.due_under(clock, terms) if by_hand else aimed.due_at or due
        return due

    async def wind_up_clocks(self, ticket: Ticket) -> None:
        """For a ticket that came before there were clocks: what is promised for its urgency, from
        now on when it has waited for long."""
        newest = await self._newest_email(ticket.id)
        if newest is None:
            return
        id, received_at = newest
        await self.start_clocks(ticket, received_at)
        if ticket.due_at is not None:
            await self.aim_clocks(ticket, received_at, ticket.urgency)
        if await self._is_by_form(id):
            await self.end_clocks(ticket.id, "nobody waits")

    async def end_clocks(self, id: TicketId, reason: str) -> None:
        """Nobody waits for anything."""
        for clock in await self.running_clocks(id):
            await self._end(clock, reason)

    # -- what happens to the ticket

    async def follow(self, before: Ticket, after: Ticket, verb: Verb) -> None:
        """The clocks do what a change of their ticket asks for."""
        is_done = after.state in ENDED and after.state is not before.state
        if not is_done and verb not in QUIETING | {Verb.RECEIVE, Verb.BOUNCE, Verb.WAKE}:
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
            elif verb is Verb.WAKE and self.actor is not None:  # before its time
                await self._hurry(clock)
        if verb is Verb.BOUNCE:
            await self._begin_again(after)

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
        row = await self.row(sla_clocks, id)
        clock = await self._computable(row) if row["ended_at"] is None else None
        if clock is None or not (await self._catch_up(clock))[1]:
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
                escalations.c.rung != rungs.RUNGS[0],
            )
            .values(seen)
        )
        return int(result.rowcount)

    # -- one clock

    async def _finish(self, clock: SlaClock, state: TicketState) -> None:
        """A reply ends the wait for it; only closing resolves."""
        if clock.goal in REPLY or state is TicketState.CLOSED:
            await self._end(clock, ENDED[state])
        elif clock.running_since is not None:
            clock = await self._caught_up(clock, "answered")
            await self._save(rungs.paused(clock, self.now), "pause_clock")

    async def _hear(self, clock: SlaClock) -> None:
        """The customer wrote: a clock that waited for them goes on."""
        if clock.running_since is None:
            await self._save(rungs.resumed(clock, self.now), "resume_clock")
            return
        await self._hurry(clock)

    async def _hurry(self, clock: SlaClock) -> None:
        clock = await self._caught_up(clock)
        if (hurried := rungs.hurried(clock, self.now)) != clock:
            await self._update(hurried)

    async def _quiet(self, clock: SlaClock, verb: Verb, ticket: Ticket) -> None:
        clock = await self._caught_up(clock)
        is_claimed = ticket.assignee is not None
        changed = rungs.quieted(clock, verb, is_claimed, ticket.snoozed_until, self.now)
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

    async def _begin_again(self, ticket: Ticket) -> None:
        """Our reply came back: the customer waits, on the terms they had before."""
        for clock in await self.running_clocks(ticket.id):
            if clock.running_since is None:
                await self._hear(clock)
        clocks = await records.clocks_of(self.connection, [ticket.id])
        latest = {Goal.NEXT if one.goal in REPLY else one.goal: one for one in clocks}
        for goal, last in latest.items():
            today = await self._terms(ticket.mailbox_id, ticket.urgency, goal)
            before = None if last.terms == records.LOST else last.terms
            terms = rungs.possible(before, self.now) if before else today
            is_promised = today is not None or goal is Goal.NEXT
            if last.ended_at is not None and terms is not None and is_promised:
                await self._start(ticket.id, goal, terms, self.now)

    async def _reply_goal(self, id: TicketId) -> Goal:
        is_first = not await records.clocks_of(self.connection, [id])
        return Goal.FIRST if is_first else Goal.NEXT

    async def _is_by_form(self, id: EmailId) -> bool:
        """Whether triage saw by its form that no person wrote this mail."""
        query = select(classifications.c.id).where(
            classifications.c.email_id == id, classifications.c.model == "form"
        )
        return (await self.connection.execute(query.limit(1))).first() is not None

    async def _newest_email(self, id: TicketId) -> tuple[EmailId, datetime] | None:
        """The latest mail that is worked on, and when it came."""
        query = (
            select(emails.c.id, emails.c.received_at)
            .where(emails.c.ticket_id == id, emails.c.relation == "mail")
            .order_by(emails.c.id.desc())
        )
        row = (await self.connection.execute(query.limit(1))).one_or_none()
        return (EmailId(row.id), row.received_at) if row else None
