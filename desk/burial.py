"""What workers report of runs that failed, and of jobs that they give up.

Reasons are sealed, and mail addresses in them struck out; what was tried is kept as classes of
errors and places in the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.change import Change
from desk.ids import DeadLetterId, TicketId
from desk.moves import TICKET_MOVES, Verb
from desk.steps import Attempt, Failure, Step
from desk.store import Store
from desk.tables.jobs import attempts, dead_letters
from desk.tables.responses import responses
from desk.tables.sla import escalations
from desk.tables.tickets import tickets

KEPT = timedelta(days=30)
"""For this long a failed run is remembered, in case that its job is given up."""

ADDRESS = re.compile(r"[^\s<>@\"',;:]+@[^\s<>@\"',;:]+")


def scrubbed(sentence: str) -> str:
    """Without mail addresses.

    >>> scrubbed("The server does not know <eve@lindqvist.example>.")
    'The server does not know <(an address)>.'
    """
    return ADDRESS.sub("(an address)", sentence)


async def remember(change: Change, step: Step, id: int, failure: Failure) -> None:
    """A run that failed and will be tried again."""
    row = {
        "step": step.value,
        "target": id,
        "at": change.now,
        "error": failure.error[:255],
        "trace": failure.trace,
    }
    await change.connection.execute(insert(attempts).values(row))


async def bury(change: Change, step: Step, id: int, failure: Failure, tries: int) -> DeadLetterId:
    """Give a job up; the audit log names it. A mail that cannot be triaged or drafted still
    reaches a card: then a person reads it as it is."""
    ticket = await _ticket_of(change.connection, step, id)
    row = {
        "step": step.value,
        "target": id,
        "ticket_id": ticket,
        "error": failure.error[:255],
        "tries": tries,
        "created_at": change.now,
        "is_open": True,
    }
    sealed = {
        "reason": scrubbed(failure.reason),
        "trace": failure.trace,
        "attempts": await _take_attempts(change, step, id, failure, tries),
        "note": "",
    }
    letter = await _put_down(change, row, sealed)
    change.audit("bury", f"{step}:{id}", ticket, {"tries": tries, "error": row["error"]})
    if ticket is not None:
        await _let_people_see(change, step, ticket)
    return letter


async def _put_down(
    change: Change, row: Mapping[str, Any], sealed: Mapping[str, Any]
) -> DeadLetterId:
    """One open letter for a job: one that fails again is the same one, brought up to date."""
    is_same = (
        dead_letters.c.is_open
        & (dead_letters.c.step == row["step"])
        & (dead_letters.c.target == row["target"])
    )
    known = await change.connection.scalar(select(dead_letters.c.id).where(is_same))
    if known is None:
        return DeadLetterId(await change.insert_sealed(dead_letters, row, sealed))
    value = records.seal(change.vault, sealed, f"dead_letters.sealed:{known}")
    await change.connection.execute(
        update(dead_letters).where(dead_letters.c.id == known).values(**row, sealed=value)
    )
    return DeadLetterId(known)


async def _take_attempts(
    change: Change, step: Step, id: int, last: Failure, tries: int
) -> list[Attempt]:
    """The failed runs of this job, the last one included; they are the letter's from now on."""
    is_of_job = (attempts.c.step == step.value) & (attempts.c.target == id)
    newest = select(attempts).where(is_of_job).order_by(attempts.c.id.desc())
    rows = (await change.connection.execute(newest.limit(max(tries - 1, 0)))).all()
    is_old = attempts.c.at < change.now - KEPT
    await change.connection.execute(delete(attempts).where(is_of_job | is_old))
    before = [Attempt(row.at, row.error, row.trace) for row in reversed(rows)]
    return [*before, Attempt(change.now, last.error, last.trace)]


async def _ticket_of(connection: AsyncConnection, step: Step, id: int) -> TicketId | None:
    queries: dict[Step, Select[Any]] = {
        Step.SENDING: select(responses.c.ticket_id).where(responses.c.id == id),
        Step.ALERT: select(escalations.c.ticket_id).where(escalations.c.id == id),
    }
    if step in (Step.INTAKE, Step.REPORT, Step.WARN):
        return None
    of_ticket = select(tickets.c.id).where(tickets.c.id == id)
    found = await connection.scalar(queries.get(step, of_ticket))
    return None if found is None else TicketId(found)


async def _let_people_see(change: Change, step: Step, id: TicketId) -> None:
    """Its card is drawn anew, unless it is the drawing that was given up."""
    ticket = await change.ticket(id)
    if step in (Step.TRIAGE, Step.DRAFTING) and (ticket.state, Verb.GIVE_UP) in TICKET_MOVES:
        await change.move_ticket(ticket, Verb.GIVE_UP)
    elif step is Step.SENDING:
        await change.set_ticket(ticket, Verb.GIVE_UP, {})


async def record_reported(change: Change, id: DeadLetterId, places: int) -> None:
    """The managers were told, in so many places."""
    await change.connection.execute(
        update(dead_letters).where(dead_letters.c.id == id).values(reported_at=change.now)
    )
    change.audit(Step.REPORT, f"dead_letter:{id}", None, {"places": places})


@dataclass(frozen=True, slots=True)
class Grave:
    """Where workers leave what failed: in the records."""

    store: Store

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        async with self.store.change() as change:
            await remember(change, step, id, failure)

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        async with self.store.change() as change:
            await bury(change, step, id, failure, tries)
