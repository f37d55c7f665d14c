"""Mailboxes that cannot be read: managers are told once an episode, and once when it is over.

A row stands for an episode. It is there until managers, if they were told, know of its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from desk.change import Change
from desk.ids import MailboxId
from desk.tables.mailboxes import troubles

PATIENCE = timedelta(minutes=15)
"""For this long a mailbox may be away before it is told: servers are restarted."""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
STEADY = timedelta(minutes=1)
"""For this long a mailbox is read again before that is told: some come and go."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An episode. ``told_at``: managers know of it; ``ended_at``: the mailbox is read again. It is
    told NEVER when a manager has seen to it."""

    mailbox_id: MailboxId
    since: datetime
    tell_at: datetime
    told_at: datetime | None
    ended_at: datetime | None

    def is_to_be_told(self, now: datetime) -> bool:
        if self.ended_at is None:
            return self.told_at is None and self.tell_at <= now
        return self.told_at is not None and self.ended_at + STEADY <= now


async def note(change: Change, id: MailboxId, *, needs_a_person: bool) -> None:
    """The mailbox could not be read just now. One that ``needs_a_person`` is told at once."""
    at = change.now if needs_a_person else change.now + PATIENCE
    row = {"mailbox_id": id, "since": change.now, "tell_at": at}
    if await change.insert_or_ignore(troubles, row, ["mailbox_id"]):
        return
    known = update(troubles).where(troubles.c.mailbox_id == id)
    await change.connection.execute(known.values(ended_at=None))
    is_sooner = (troubles.c.tell_at > at) & (troubles.c.tell_at != NEVER)
    await change.connection.execute(known.where(is_sooner).values(tell_at=at))


async def end(change: Change, id: MailboxId) -> None:
    """The mailbox is read. Who was told of its trouble will be told of its end."""
    await _forget(change, id, only_untold=True)
    running = (troubles.c.mailbox_id == id) & troubles.c.ended_at.is_(None)
    await change.connection.execute(update(troubles).where(running).values(ended_at=change.now))


async def hush(change: Change, id: MailboxId) -> None:
    """A manager does not want to be told of this episode any more, nor of its end."""
    is_over = (troubles.c.mailbox_id == id) & troubles.c.ended_at.is_not(None)
    await change.connection.execute(delete(troubles).where(is_over))
    untold = (troubles.c.mailbox_id == id) & troubles.c.told_at.is_(None)
    await change.connection.execute(update(troubles).where(untold).values(tell_at=NEVER))


async def forget(change: Change, id: MailboxId) -> None:
    """The mailbox is no longer ours to read."""
    await _forget(change, id, only_untold=False)


async def record_told(change: Change, told: Trouble, places: int) -> None:
    """Managers know, in so many places: of the trouble, or of its end."""
    if told.ended_at is None:
        values = {"told_at": change.now}
        of_it = troubles.c.mailbox_id == told.mailbox_id
        await change.connection.execute(update(troubles).where(of_it).values(values))
    else:
        await forget(change, told.mailbox_id)
    verb = "tell_trouble" if told.ended_at is None else "tell_end_of_trouble"
    change.audit(verb, f"mailbox:{told.mailbox_id}", None, {"places": places})


async def read(connection: AsyncConnection) -> list[Trouble]:
    rows = (await connection.execute(select(troubles))).mappings().all()
    return [Trouble(**row) for row in rows]


async def _forget(change: Change, id: MailboxId, *, only_untold: bool) -> None:
    gone = delete(troubles).where(troubles.c.mailbox_id == id)
    if only_untold:
        gone = gone.where(troubles.c.told_at.is_(None))
    await change.connection.execute(gone)
