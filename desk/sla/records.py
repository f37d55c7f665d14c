"""Clocks and escalations from and to their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from desk.ids import TicketId
from desk.places import Network
from desk.records import Row
from desk.sla import rungs
from desk.sla.rungs import Escalation, Goal, SlaClock, Terms
from desk.tables.audit import audit_logs
from desk.tables.sla import alerts, escalations, sla_clocks
from desk.tables.tickets import tickets

WAITING = ("new", "triaged", "open", "snoozed")
MICROSECOND = timedelta(microseconds=1)
LOST = Terms(timedelta())
"""Of a clock whose own cannot be read any more."""

FAILED = "fail_clock"
"""The verb of the audit log for a clock that could not be computed."""

SAME = (
    "number",
    "started_at",
    "running_since",
    "rung",
    "next_at",
    "due_at",
    "ended_at",
    "is_aimed",
)


@dataclass(frozen=True, slots=True)
class Alert:
    """Where somebody was told of an escalation. Without ``posted_at`` it was only begun; ``shown``
    names what the message says."""

    escalation_id: int
    network: Network
    channel: str
    message: str
    shown: str
    posted_at: datetime | None


def clock(row: Row) -> SlaClock:
    return SlaClock(
        id=row["id"],
        ticket_id=row["ticket_id"],
        goal=Goal(row["goal"]),
        terms=rungs.read_terms(orjson.loads(row["terms"])),
        spent=row["spent"] * MICROSECOND,
        **{name: row[name] for name in SAME},
    )


def ended(row: Row, at: datetime) -> SlaClock:
    """In place of a clock that cannot be read: it counts for nobody any more."""
    is_known = row["goal"] in set(Goal)
    goal = Goal(row["goal"]) if is_known else Goal.NEXT
    fields = {name: row[name] for name in SAME} | {"running_since": None, "next_at": None}
    fields |= {"ended_at": row["ended_at"] or at}
    return SlaClock(id=row["id"], ticket_id=row["ticket_id"], goal=goal, terms=LOST, **fields)


def clock_row(clock: SlaClock) -> dict[str, object]:
    return {
        "ticket_id": clock.ticket_id,
        "goal": clock.goal.value,
        "terms": orjson.dumps(rungs.terms_json(clock.terms)).decode(),
        "spent": clock.spent // MICROSECOND,
        **{name: getattr(clock, name) for name in SAME},
    }


def escalation(row: Row) -> Escalation:
    return Escalation(**{name: row[name] for name in Escalation.__slots__})


def alert(row: Row) -> Alert:
    fields = {name: row[name] for name in Alert.__slots__}
    return Alert(**{**fields, "network": Network(row["network"])})


async def rows(connection: AsyncConnection, query: Select[tuple[object, ...]]) -> Sequence[Row]:
    return (await connection.execute(query)).mappings().all()


async def clocks_of(connection: AsyncConnection, ids: Sequence[TicketId]) -> list[SlaClock]:
    """All clocks of these tickets, oldest first; those that cannot be read are over."""
    query = select(sla_clocks).where(sla_clocks.c.ticket_id.in_(ids)).order_by(sla_clocks.c.id)
    return [_readable(row) for row in await rows(connection, query)]


def _readable(row: Row) -> SlaClock:
    try:
        return clock(row)
    except rungs.UNCOMPUTABLE:
        return ended(row, row["started_at"])


async def failed(connection: AsyncConnection) -> list[TicketId]:
    """The tickets that wait, and had a clock that could not be computed."""
    query = (
        select(tickets.c.id)
        .join(audit_logs, audit_logs.c.ticket_id == tickets.c.id)
        .where(tickets.c.state.in_(WAITING), audit_logs.c.verb == FAILED)
        .order_by(tickets.c.id)
    )
    return [TicketId(id) for id in (await connection.scalars(query.distinct())).all()]


async def due_clocks(connection: AsyncConnection, now: datetime) -> list[int]:
    """The clocks that have come to a rung, the one that waited longest first."""
    query = select(sla_clocks.c.id).where(sla_clocks.c.next_at <= now)
    return list((await connection.scalars(query.order_by(sla_clocks.c.next_at))).all())


async def without_clock(connection: AsyncConnection) -> list[TicketId]:
    """Tickets that wait and never had a clock: they came before there were any."""
    clock = select(sla_clocks.c.id).where(sla_clocks.c.ticket_id == tickets.c.id)
    query = select(tickets.c.id).where(tickets.c.state.in_(WAITING), ~clock.exists())
    return [TicketId(id) for id in (await connection.scalars(query)).all()]


async def untold(connection: AsyncConnection) -> list[int]:
    """Escalations of which nobody was told yet, and somebody should be."""
    query = select(escalations.c.id).where(
        escalations.c.fired_at.is_(None), escalations.c.moot.is_(None)
    )
    return list((await connection.scalars(query.order_by(escalations.c.id))).all())


async def loud_escalations(
    connection: AsyncConnection, ids: Sequence[TicketId]
) -> list[Escalation]:
    """What asks for an acknowledgement or had one, oldest first."""
    query = select(escalations).where(
        escalations.c.ticket_id.in_(ids),
        escalations.c.moot.is_(None),
        escalations.c.rung != rungs.RUNGS[0],
    )
    return [escalation(row) for row in await rows(connection, query.order_by(escalations.c.id))]


async def alerts_of(connection: AsyncConnection, ticket: TicketId) -> list[Alert]:
    """Every message about an escalation of this ticket."""
    query = (
        select(alerts)
        .join(escalations, escalations.c.id == alerts.c.escalation_id)
        .where(escalations.c.ticket_id == ticket)
        .order_by(alerts.c.escalation_id)
    )
    return [alert(row) for row in await rows(connection, query)]


async def asleep(connection: AsyncConnection, now: datetime) -> list[TicketId]:
    """The snoozed tickets that are to wake."""
    query = select(tickets.c.id).where(tickets.c.state == "snoozed", tickets.c.snoozed_until <= now)
    return [TicketId(id) for id in (await connection.scalars(query)).all()]
