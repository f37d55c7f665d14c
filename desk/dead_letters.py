"""Reading jobs that were given up: why, what was tried, and what a manager decided."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.classification import Urgency
from desk.ids import DeadLetterId, TicketId, UserId
from desk.steps import Attempt, DeadLetter, Ending, Failure, Step
from desk.tables.jobs import dead_letters
from desk.tables.tickets import tickets
from desk.vault import Vault


async def given_up(connection: AsyncConnection) -> set[tuple[Step, int]]:
    """The jobs that no sweep queues: step and id."""
    query = select(dead_letters.c.step, dead_letters.c.target).where(dead_letters.c.is_open)
    return {(Step(step), id) for step, id in (await connection.execute(query)).all()}


async def read_open(connection: AsyncConnection, vault: Vault, limit: int) -> list[DeadLetter]:
    """The open letters, the newest first."""
    newest = select(dead_letters).where(dead_letters.c.is_open).order_by(dead_letters.c.id.desc())
    return await _read(connection, vault, newest.limit(limit))


async def unreported(connection: AsyncConnection) -> list[int]:
    """Open letters that managers are to be told of and were not: of urgent tickets, and of those
    of which nobody knows how urgent they are."""
    is_urgent = tickets.c.urgency.in_([urgency.value for urgency in Urgency if urgency.is_urgent])
    query = (
        select(dead_letters.c.id)
        .join(tickets, tickets.c.id == dead_letters.c.ticket_id)
        .where(dead_letters.c.is_open, dead_letters.c.reported_at.is_(None))
        .where(dead_letters.c.step != Step.REPORT)
        .where(is_urgent | (dead_letters.c.step == Step.TRIAGE))
    )
    found = (await connection.scalars(query)).all()
    dead = await given_up(connection)
    return [id for id in found if (Step.REPORT, id) not in dead]


async def read_one(connection: AsyncConnection, vault: Vault, id: int) -> DeadLetter | None:
    """A letter, open or closed."""
    found = await _read(connection, vault, select(dead_letters).where(dead_letters.c.id == id))
    return found[0] if found else None


async def read_of_tickets(
    connection: AsyncConnection, vault: Vault, ids: Sequence[TicketId]
) -> list[DeadLetter]:
    """The open letters of these tickets, the oldest first."""
    query = select(dead_letters).where(dead_letters.c.is_open, dead_letters.c.ticket_id.in_(ids))
    return await _read(connection, vault, query.order_by(dead_letters.c.id))


async def read_reported(
    connection: AsyncConnection, vault: Vault, ticket: TicketId
) -> list[DeadLetter]:
    """The letters of a ticket that managers were told of, open or closed."""
    query = select(dead_letters).where(
        dead_letters.c.ticket_id == ticket, dead_letters.c.reported_at.is_not(None)
    )
    return await _read(connection, vault, query.order_by(dead_letters.c.id))


async def count_open(connection: AsyncConnection) -> int:
    query = select(func.count()).where(dead_letters.c.is_open)
    return (await connection.scalar(query)) or 0


async def _read(connection: AsyncConnection, vault: Vault, query: Select[Any]) -> list[DeadLetter]:
    rows = (await connection.execute(query)).mappings().all()
    return [letter_of(row, vault) for row in rows]


def letter_of(row: records.Row, vault: Vault) -> DeadLetter:
    sealed = records.unseal(vault, row["sealed"], f"dead_letters.sealed:{row['id']}")
    return DeadLetter(
        id=DeadLetterId(row["id"]),
        step=Step(row["step"]),
        target=row["target"],
        ticket_id=row["ticket_id"],
        failure=Failure(row["error"], sealed["reason"], sealed["trace"]),
        tries=row["tries"],
        attempts=tuple(_attempt(one) for one in sealed["attempts"]),
        created_at=row["created_at"],
        is_open=row["is_open"],
        ending=Ending(row["ending"]) if row["ending"] else None,
        closed_by=None if row["closed_by"] is None else UserId(row["closed_by"]),
        closed_at=row["closed_at"],
        note=sealed["note"],
    )


def _attempt(row: dict[str, str]) -> Attempt:
    return Attempt(datetime.fromisoformat(row["at"]), row["error"], row["trace"])
