"""Mailboxes that cannot be read or sent from: managers are told once an episode, and of its end.

A row stands for an episode. It is there until managers, if they were told, know of its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from desk.change import Change
from desk.errors import DeskError, Permanent
from desk.ids import MailboxId
from desk.tables.mailboxes import troubles

PATIENCE = timedelta(minutes=15)
"""For this long a mailbox may be away before it is told: servers are restarted."""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
STEADY = timedelta(minutes=1)
"""For this long a mailbox is read again before that is told: some come and go."""


class Part(StrEnum):
    """What cannot be done: one says nothing of the other."""

    READING = "reading"
    SENDING = "sending"  # it answers and does not let us
    SERVER = "server"  # that mail leaves through: it does not answer


@dataclass(frozen=True, slots=True)
class Trouble:
    """An episode. ``told_at``: managers know of it; ``ended_at``: it works again. It is told NEVER
    when a manager has seen to it."""

    mailbox_id: MailboxId
    part: Part
    problem: str
    since: datetime
    tell_at: datetime
    told_at: datetime | None
    ended_at: datetime | None

    def is_to_be_told(self, now: datetime) -> bool:
        if self.ended_at is None:
            return self.told_at is None and self.tell_at <= now
        return self.told_at is not None and self.ended_at + STEADY <= now


async def note(change: Change, id: MailboxId, error: DeskError, part: Part = Part.READING) -> None:
    """It did not work just now. What only a person can put right is told at once."""
    at = change.now if isinstance(error, Permanent) else change.now + PATIENCE
    problem = str(error) or type(error).__name__
    row = {"mailbox_id": id, "part": part.value, "since": change.now, "tell_at": at}
    row["problem"] = problem
    if await change.insert_or_ignore(troubles, row, ["mailbox_id", "part"]):
        return
    known = update(troubles).where(_is(id, part))
    await change.connection.execute(known.values(ended_at=None, problem=problem))
    is_sooner = (troubles.c.tell_at > at) & (troubles.c.tell_at != NEVER)
    await change.connection.execute(known.where(is_sooner).values(tell_at=at))


async def end(change: Change, id: MailboxId, part: Part = Part.READING) -> None:
    """It works. Who was told of its trouble will be told of its end."""
    untold = _is(id, part) & troubles.c.told_at.is_(None)
    await change.connection.execute(delete(troubles).where(untold))
    running = _is(id, part) & troubles.c.ended_at.is_(None)
    await change.connection.execute(update(troubles).where(running).values(ended_at=change.now))


async def hush(change: Change, id: MailboxId) -> None:
    """A manager does not want to be told of this episode any more, nor of its end."""
    is_over = (troubles.c.mailbox_id == id) & troubles.c.ended_at.is_not(None)
    await change.connection.execute(delete(troubles).where(is_over))
    untold = (troubles.c.mailbox_id == id) & troubles.c.told_at.is_(None)
    await change.connection.execute(update(troubles).where(untold).values(tell_at=NEVER))


async def forget(change: Change, id: MailboxId) -> None:
    """The mailbox is no longer ours."""
    await change.connection.execute(delete(troubles).where(troubles.c.mailbox_id == id))


async def record_told(change: Change, told: Trouble, places: int) -> None:
    """Managers know, in so many places: of the trouble, or of its end."""
    of_it = _is(told.mailbox_id, told.part)
    if told.ended_at is None:
        await change.connection.execute(update(troubles).where(of_it).values(told_at=change.now))
    else:
        await change.connection.execute(delete(troubles).where(of_it))
    verb = "tell_trouble" if told.ended_at is None else "tell_end_of_trouble"
    said = {"part": told.part.value, "places": places}
    change.audit(verb, f"mailbox:{told.mailbox_id}", None, said)


async def read(connection: AsyncConnection, id: MailboxId | None = None) -> list[Trouble]:
    """Those of one mailbox, or of all."""
    query = select(troubles).order_by(troubles.c.mailbox_id, troubles.c.part)
    if id is not None:
        query = query.where(troubles.c.mailbox_id == id)
    rows = (await connection.execute(query)).mappings().all()
    return [Trouble(**{**row, "part": Part(row["part"])}) for row in rows]


def _is(id: MailboxId, part: Part) -> ColumnElement[bool]:
    return (troubles.c.mailbox_id == id) & (troubles.c.part == part.value)
