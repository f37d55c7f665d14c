"""Jobs that were given up: why, what was tried, and what a manager decided about them.

Reasons are sealed, and mail addresses in them struck out; what was tried is kept as classes of
errors and places in the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.change import Change
from desk.model import (
    TICKET_MOVES,
    Attempt,
    DeadLetter,
    DeadLetterId,
    Ending,
    Failure,
    ResponseId,
    ResponseState,
    Step,
    TicketId,
    TicketState,
    Urgency,
    UserId,
    Verb,
)
from desk.tables import attempts, dead_letters, escalations, responses, tickets
from desk.vault import Vault

KEPT = timedelta(days=30)
"""For this long a failed run is remembered, in case that its job is given up."""

ADDRESS = re.compile(r"[^\s<>@\"',;:]+@[^\s<>@\"',;:]+")
MAX_NOTE = 500


def scrubbed(sentence: str) -> str:
    """Without mail addresses.

    >>> scrubbed("The server does not know <eve@lindqvist.example>.")
    'The server does not know <(an address)>.'
    """
    return ADDRESS.sub("(an address)", sentence)


# -- what workers report


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
    await change.audit("bury", f"{step}:{id}", ticket, {"tries": tries, "error": row["error"]})
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
    if step in (Step.INTAKE, Step.REPORT):
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


# -- what managers decide


async def requeue(change: Change, id: DeadLetterId, note: str = "") -> DeadLetter | None:
    """Try it again from the beginning: the state goes back to where the step is asked for, and its
    tries count from zero. None when somebody closed the letter before; then nothing is done."""
    letter = await _closed(change, id, Ending.REQUEUED, note)
    if letter is None or letter.ticket_id is None:
        return letter
    if letter.step not in (Step.TRIAGE, Step.DRAFTING):
        return letter  # its record still asks for it
    ticket = await change.ticket(letter.ticket_id)
    is_untouched = await change.live_response(ticket.id) is None
    if ticket.state is TicketState.OPEN and is_untouched:
        verb = Verb.REQUEUE if letter.step is Step.TRIAGE else Verb.REGENERATE
        await change.move_ticket(ticket, verb)
    return letter


async def discard(change: Change, id: DeadLetterId, note: str = "") -> DeadLetter | None:
    """It is not tried again, and the ticket says so wherever people work. None as above."""
    letter = await _closed(change, id, Ending.DISCARDED, note)
    if letter is None or letter.ticket_id is None:
        return letter
    if letter.step is Step.SHOW:
        # in no channel, but in the queue, in the console and by command
        ticket = await change.ticket(letter.ticket_id)
        await change.record_shown(ticket.id, ticket.version)
    elif letter.step is Step.ALERT:
        await change.make_moot(letter.target, "given up")
    elif letter.step is Step.SENDING:
        await _take_back(change, letter)
    return letter


async def _take_back(change: Change, letter: DeadLetter) -> None:
    """What was never handed over has failed; of what was, nobody knows whether it left."""
    response = await change.response(ResponseId(letter.target))
    if response.state is ResponseState.APPROVED:
        failure = f"{letter.failure.reason} A manager stopped it."
        await change.move_response(response, Verb.FAIL, {"failure": failure})
    elif response.state is ResponseState.SENDING:
        await change.move_response(response, Verb.LOSE)


async def _closed(change: Change, id: DeadLetterId, ending: Ending, note: str) -> DeadLetter | None:
    """The letter, if it was open until now: of several that close it, one does."""
    result = await change.connection.execute(
        update(dead_letters)
        .where(dead_letters.c.id == id, dead_letters.c.is_open)
        .values(
            is_open=False,
            ending=ending.value,
            closed_by=change.actor,
            closed_at=change.now,
        )
    )
    if result.rowcount != 1:
        return None
    row = await change.row(dead_letters, id)
    place = f"dead_letters.sealed:{id}"
    sealed = {**records.unseal(change.vault, row["sealed"], place), "note": note[:MAX_NOTE]}
    value = records.seal(change.vault, sealed, place)
    await change.connection.execute(
        update(dead_letters).where(dead_letters.c.id == id).values(sealed=value)
    )
    letter = _letter({**row, "sealed": value}, change.vault)
    verb = Verb.REQUEUE if ending is Ending.REQUEUED else Verb.DISCARD
    detail = {"job": f"{letter.step}:{letter.target}", "has_note": bool(note)}
    await change.audit(verb, f"dead_letter:{id}", letter.ticket_id, detail)
    return letter


# -- reading


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


async def record_reported(change: Change, id: DeadLetterId, places: int) -> None:
    """The managers were told, in so many places."""
    await change.connection.execute(
        update(dead_letters).where(dead_letters.c.id == id).values(reported_at=change.now)
    )
    await change.audit(Step.REPORT, f"dead_letter:{id}", None, {"places": places})


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


async def count_open(connection: AsyncConnection) -> int:
    query = select(func.count()).where(dead_letters.c.is_open)
    return (await connection.scalar(query)) or 0


async def _read(connection: AsyncConnection, vault: Vault, query: Select[Any]) -> list[DeadLetter]:
    rows = (await connection.execute(query)).mappings().all()
    return [_letter(row, vault) for row in rows]


def _letter(row: records.Row, vault: Vault) -> DeadLetter:
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
