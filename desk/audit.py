"""The audit log: a hash chain that anybody can verify offline.

Every entry carries the hash of the one before it; its number and that hash come from one head row,
locked for the rest of the transaction, so that writers cannot fork the chain. An edit or a hole
breaks a link; a cut tail disagrees with the head. Details hold ids, labels and hashes, never mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from desk.ids import TicketId, UserId
from desk.moves import Verb
from desk.tables.audit import audit_heads, audit_logs

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditLog:
    """One entry: who (None: the desk itself) did what to which record."""

    n: int
    at: datetime
    actor: UserId | None
    verb: str
    subject: str
    ticket_id: TicketId | None
    detail: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found; ``first_broken`` is the number of the first wrong entry."""

    ok: bool
    entries: int
    head: str
    first_broken: int | None


def digest(entry: Mapping[str, object]) -> str:
    """The hash of an entry over all its fields but the hash itself."""
    at = entry["at"]
    if not isinstance(at, datetime):
        raise TypeError("an entry carries its time")
    named = ("n", "actor", "verb", "subject", "ticket_id", "detail", "previous")
    fields = [int(at.timestamp() * 1_000_000), *(entry[name] for name in named)]
    return hashlib.sha256(orjson.dumps(fields)).hexdigest()


async def lock(connection: AsyncConnection) -> Row[tuple[int, int, str]]:
    """The head, which nobody else can move before this transaction ends."""
    return (await connection.execute(select(audit_heads).with_for_update())).one()


async def append(
    connection: AsyncConnection,
    *,
    at: datetime,
    actor: UserId | None,
    verb: Verb | str,
    subject: str,
    ticket_id: TicketId | None,
    detail: Mapping[str, object],
) -> None:
    """Add an entry in the caller's transaction; the head stays locked until it ends."""
    head = await lock(connection)
    entry: dict[str, object] = {
        "n": head.n + 1,
        "at": at,
        "actor": actor,
        "verb": str(verb),
        "subject": subject,
        "ticket_id": ticket_id,
        "detail": orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode(),
        "previous": head.hash,
    }
    entry["hash"] = digest(entry)
    await connection.execute(insert(audit_logs).values(entry))
    await connection.execute(update(audit_heads).values(n=entry["n"], hash=entry["hash"]))


async def entries(connection: AsyncConnection) -> AsyncIterator[AuditLog]:
    """All entries, oldest first, a thousand at a time."""
    last = 0
    while True:
        query = select(audit_logs).where(audit_logs.c.n > last).order_by(audit_logs.c.n)
        rows = (await connection.execute(query.limit(1000))).mappings().all()
        for row in rows:
            yield AuditLog(**row)
        if len(rows) < 1000:
            return
        last = rows[-1]["n"]


async def verify(connection: AsyncConnection) -> Verdict:
    """Walk the chain and hold its end against the head."""
    n, previous = 0, GENESIS
    async for entry in entries(connection):
        fields = {name: getattr(entry, name) for name in AuditLog.__slots__}
        if entry.n != n + 1 or entry.previous != previous or digest(fields) != entry.hash:
            return Verdict(False, n, previous, n + 1)
        n, previous = entry.n, entry.hash
    head = (await connection.execute(select(audit_heads))).one()
    if (head.n, head.hash) != (n, previous):
        return Verdict(False, n, previous, n + 1)
    return Verdict(True, n, previous, None)
