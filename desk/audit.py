"""The audit log: a hash chain that anybody can verify offline.

Every entry carries the hash of the one before it; its number and that hash come from one head row,
locked for the rest of the transaction, so that writers cannot fork the chain. An edit or a hole
breaks a link; a cut tail disagrees with the head. Details hold ids, labels and hashes, never mail.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import orjson
from sqlalchemy import insert, select, update
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


class Chain:
    """The end of the log inside of a write transaction. ``locked`` holds the head, which nobody
    else can move before the transaction ends; what is appended is stored by ``write``, at its end.
    """

    def __init__(self, connection: AsyncConnection, n: int, hash: str) -> None:
        self._connection = connection
        self._n = n
        self._hash = hash
        self._entries: list[dict[str, object]] = []

    @classmethod
    async def locked(cls, connection: AsyncConnection) -> Self:
        head = (await connection.execute(select(audit_heads).with_for_update())).one()
        return cls(connection, head.n, head.hash)

    def append(
        self,
        *,
        at: datetime,
        actor: UserId | None,
        verb: Verb | str,
        subject: str,
        ticket_id: TicketId | None,
        detail: Mapping[str, object],
    ) -> None:
        self._n += 1
        entry: dict[str, object] = {
            "n": self._n,
            "at": at,
            "actor": actor,
            "verb": str(verb),
            "subject": subject,
            "ticket_id": ticket_id,
            "detail": orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode(),
            "previous": self._hash,
        }
        self._hash = digest(entry)
        self._entries.append({**entry, "hash": self._hash})

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """What was appended inside is forgotten when the block raises."""
        before = len(self._entries), self._n, self._hash
        try:
            yield
        except BaseException:
            kept, self._n, self._hash = before
            del self._entries[kept:]
            raise

    async def write(self) -> None:
        """All that was appended, and the new head."""
        if not self._entries:
            return
        await self._connection.execute(insert(audit_logs), self._entries)
        await self._connection.execute(update(audit_heads).values(n=self._n, hash=self._hash))
        self._entries = []


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


async def verify(connection: AsyncConnection, known: str = "") -> Verdict:
    """Walk the chain and hold its end against the head. ``known`` is a head of before that was kept
    elsewhere: a chain that never passed it was written anew, its head with it."""
    n, previous, is_passed = 0, GENESIS, known in ("", GENESIS)
    async for entry in entries(connection):
        fields = {name: getattr(entry, name) for name in AuditLog.__slots__}
        if entry.n != n + 1 or entry.previous != previous or digest(fields) != entry.hash:
            return Verdict(False, n, previous, n + 1)
        n, previous = entry.n, entry.hash
        is_passed = is_passed or known == entry.hash
    head = (await connection.execute(select(audit_heads))).one()
    if (head.n, head.hash) != (n, previous) or not is_passed:
        return Verdict(False, n, previous, n + 1)
    return Verdict(True, n, previous, None)
