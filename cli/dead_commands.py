"""The commands on jobs that were given up."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from cli.desk_commands import row
from cli.output import Record
from cli.records import first_user, opened_store
from desk.errors import Refused
from desk.letter_office import LetterOffice
from desk.people import User
from desk.settings import Settings
from desk.steps import DeadLetter
from workers.queue import RedisQueue
from workers.redis_server import RedisServer

Decision = Callable[[LetterOffice, User, int], Awaitable[DeadLetter]]


@asynccontextmanager
async def opened_office(settings: Settings) -> AsyncIterator[tuple[LetterOffice, User]]:
    """With the queue of the settings, or that of an embedded desk; when none runs, whoever starts
    next queues what was decided."""
    # standard output is for records alone
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    url = settings.redis or RedisServer(settings.data / "redis").url
    async with opened_store(settings) as store, RedisQueue(url) as queue:
        yield LetterOffice(store, queue), await first_user(store)


async def listing(settings: Settings, limit: int) -> list[Record]:
    async with opened_office(settings) as (office, user):
        return [await _row(office, letter) for letter in await office.listing(user, limit)]


async def one(settings: Settings, id: int) -> Record:
    """A letter with all that was tried, and how it was closed."""
    async with opened_office(settings) as (office, user):
        letter = await office.letter(user, id)
        return {
            **await _row(office, letter),
            "trace": letter.failure.trace,
            "attempts": [{"at": a.at, "error": a.error, "trace": a.trace} for a in letter.attempts],
            "closed": None if letter.is_open else await office.closing(letter),
            "note": letter.note,
        }


async def requeue(settings: Settings, ids: Sequence[int], note: str) -> list[Record]:
    return await _each(settings, ids, lambda office, user, id: office.requeue(user, id, note))


async def discard(settings: Settings, ids: Sequence[int], note: str) -> list[Record]:
    return await _each(settings, ids, lambda office, user, id: office.discard(user, id, note))


async def _each(settings: Settings, ids: Sequence[int], decide: Decision) -> list[Record]:
    """One record an id; what was refused is an error in its place."""
    records: list[Record] = []
    async with opened_office(settings) as (office, user):
        for id in ids:
            try:
                letter = await decide(office, user, id)
            except Refused as refusal:
                records.append({"error": str(refusal)})
                continue
            records.append({"id": letter.id, "job": _job(letter), "ending": letter.ending})
    return records


async def _row(office: LetterOffice, letter: DeadLetter) -> Record:
    """A letter beside the ticket that it concerns, if any."""
    views = await office.store.views([letter.ticket_id] if letter.ticket_id else [])
    ticket = row(views[0]) if views else dict.fromkeys(TICKET_FIELDS)
    return {
        **ticket,
        "id": letter.id,
        "ticket": letter.ticket_id,
        "job": _job(letter),
        "error": letter.failure.error,
        "reason": letter.failure.reason,
        "tries": letter.tries,
        "at": letter.created_at,
    }


TICKET_FIELDS = ("subject", "urgency", "due", "score", "state", "assignee")


def _job(letter: DeadLetter) -> str:
    return f"{letter.step}:{letter.target}"
