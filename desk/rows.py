"""How rows are written: sealed, compare-and-set, and with their audit entry in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from desk import records
from desk.audit import Chain
from desk.email import Mailbox
from desk.errors import Conflict, Permanent
from desk.ids import MailboxId, TicketId, UserId
from desk.moves import Verb
from desk.ports import Clock
from desk.sla.promises import DEFAULT, Policies
from desk.tables.schema import read_columns
from desk.vault import Vault


class Rows:
    """A write transaction's connection, the end of its audit log, its time, who acts (None: the
    desk itself), and what is promised to those who write."""

    def __init__(
        self,
        connection: AsyncConnection,
        chain: Chain,
        vault: Vault,
        clock: Clock,
        actor: UserId | None,
        promises: Policies = DEFAULT,
    ) -> None:
        self.connection = connection
        self.chain = chain
        self.vault = vault
        self.promises = promises
        self.now = clock.now()
        self.actor = actor
        self._mailboxes: dict[MailboxId, Mailbox] = {}

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        """What is done inside is undone when it raises, its audit entries too, and nothing else."""
        with self.chain.undoable():
            async with self.connection.begin_nested():
                yield

    async def row(self, table: Table, id: int) -> records.Row:
        query = select(*read_columns(table)).where(table.c.id == id)
        row = (await self.connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise Permanent(f"There is no row {id} in {table.name}")
        return row

    async def insert_sealed(self, table: Table, row: Mapping[str, Any], sealed: object) -> int:
        """A row and its sealed JSON, whose place needs the row's id."""
        result = await self.connection.execute(insert(table).values({**row, "sealed": b""}))
        id = inserted(result)
        value = records.seal(self.vault, sealed, f"{table.name}.sealed:{id}")
        await self.connection.execute(update(table).where(table.c.id == id).values(sealed=value))
        return id

    async def compare_and_set(
        self, table: Table, id: int, version: int, row: Mapping[str, Any]
    ) -> None:
        result = await self.connection.execute(
            update(table).where(table.c.id == id, table.c.version == version).values(row)
        )
        if result.rowcount != 1:
            raise Conflict("Somebody was faster; the card shows how it is now")

    async def upsert(
        self, table: Table, row: Mapping[str, Any], keys: list[str], changing: list[str]
    ) -> None:
        made = self._insert(table).values(row)
        changes = {name: made.excluded[name] for name in changing}
        await self.connection.execute(made.on_conflict_do_update(index_elements=keys, set_=changes))

    async def insert_or_ignore(self, table: Table, row: Mapping[str, Any], keys: list[str]) -> bool:
        made = self._insert(table).values(row).on_conflict_do_nothing(index_elements=keys)
        return (await self.connection.execute(made)).rowcount == 1

    def _insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Both dialects know ON CONFLICT; the generic insert does not."""
        is_sqlite = self.connection.dialect.name == "sqlite"
        return sqlite.insert(table) if is_sqlite else postgresql.insert(table)

    def audit(
        self,
        verb: Verb | str,
        subject: str,
        ticket: TicketId | None,
        detail: Mapping[str, object],
    ) -> None:
        self.chain.append(
            at=self.now,
            actor=self.actor,
            verb=verb,
            subject=subject,
            ticket_id=ticket,
            detail=detail,
        )


def inserted(result: Any) -> int:
    (id,) = result.inserted_primary_key
    return int(id)
