"""What people do about a ticket that is late, or that is to wait: acknowledge, take, assign, snooze
and wake. ``desk.actions`` calls these like its own handlers."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import select

from desk import access, records
from desk.action import ActionRequest, Desk, refuse_if_closed
from desk.change import Change
from desk.errors import Refused
from desk.ids import UserId
from desk.moves import Verb
from desk.people import User
from desk.sla import records as sla_records
from desk.sla import rungs
from desk.tables.people import users
from desk.ticket import Ticket, TicketState

SPAN = re.compile(r"(\d{1,3})\s*(?:(m|mins?|minutes?)|(h|hrs?|hours?)|(d|days?))", re.IGNORECASE)
LONGEST = timedelta(days=30)
USUAL_SNOOZE = "4h"


async def acknowledge(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Somebody has seen the alert: it is not said again for a while."""
    told = await sla_records.loud_escalations(change.connection, [ticket.id])
    alarm = rungs.alarm_of(await sla_records.clocks_of(change.connection, [ticket.id]), told)
    if alarm is None or ticket.state in (TicketState.WAITING, TicketState.CLOSED):
        raise Refused("There is no alert to acknowledge")
    if alarm.acknowledged_by is not None:
        name = (await change.user(UserId(alarm.acknowledged_by))).name
        raise Refused(f"{name} has acknowledged this already")
    await change.set_ticket(ticket, request.verb, {})


async def take(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Whoever has claimed it, from now on it is this person's."""
    refuse_if_closed(ticket)
    await change.set_ticket(ticket, request.verb, {"assignee": request.user.id})


async def assign(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """``text`` is a name, an address, or the number of a user."""
    refuse_if_closed(ticket)
    chosen = await named(change, request.text.strip())
    if not access.sees(chosen, await change.mailbox(ticket.mailbox_id)):
        raise Refused(f"{chosen.name} does not see this mailbox")
    await change.set_ticket(ticket, request.verb, {"assignee": chosen.id}, to=chosen.id)


async def snooze(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    """Out of the queue until a time. The clock runs on: a breach that comes is told."""
    until = change.now + read_span(request.text or USUAL_SNOOZE)
    changes = {"snoozed_until": until}
    await change.move_ticket(ticket, Verb.SNOOZE, changes, until=until.isoformat())


async def wake(desk: Desk, change: Change, request: ActionRequest, ticket: Ticket) -> None:
    await change.move_ticket(ticket, Verb.WAKE)


def read_span(text: str) -> timedelta:
    """
    >>> read_span("90 min"), read_span("2h")
    (datetime.timedelta(seconds=5400), datetime.timedelta(seconds=7200))
    """
    found = SPAN.fullmatch(text.strip())
    if found is None:
        raise Refused("For how long? Write for example 30m, 2h or 1d")
    number = int(found[1])
    span = timedelta(
        minutes=number * bool(found[2]), hours=number * bool(found[3]), days=number * bool(found[4])
    )
    if not timedelta() < span <= LONGEST:
        raise Refused("For how long? From a minute to 30 days")
    return span


async def named(change: Change, text: str) -> User:
    """Refused when it is nobody, or not clear who."""
    rows = (await change.connection.execute(select(users))).mappings().all()
    everybody = [records.user(row, change.vault) for row in rows]
    found = [user for user in everybody if text.casefold() in _calls(user)]
    if not text or not found:
        raise Refused(f"Nobody here is called {text or 'that'}: write a name or an address")
    if len(found) > 1:
        raise Refused(f"Several here are called {text}: write the address")
    return found[0]


def _calls(user: User) -> set[str]:
    """All that somebody answers to."""
    names = {user.name, user.name.split()[0] if user.name.split() else "", user.email}
    return {name.casefold() for name in names if name} | {f"u{user.id}"}
