"""A database that is read in transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from desk import records
from desk.engine import Turns, create_engine, translated
from desk.errors import Permanent
from desk.ports import Clock, SystemClock
from desk.sla.promises import DEFAULT, Policies
from desk.vault import Vault


class Reading:
    """An open database, its vault and its clock."""

    def __init__(
        self,
        engine: AsyncEngine,
        vault: Vault,
        clock: Clock | None = None,
        promises: Policies = DEFAULT,
    ) -> None:
        self.engine = engine
        self._turns = Turns(engine)
        self.promises = promises
        self.vault = vault
        self.clock = clock or SystemClock()

    @classmethod
    def open(
        cls, url: str, vault: Vault, clock: Clock | None = None, promises: Policies = DEFAULT
    ) -> Self:
        return cls(create_engine(url), vault, clock, promises)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction; database trouble is Transient."""
        with translated():
            async with self.engine.connect() as connection:
                if self.engine.dialect.name == "postgresql":  # SQLite reads one snapshot anyway
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    yield connection

    async def _one(self, query: Any, what: str) -> records.Row:
        async with self.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise Permanent(f"There is no {what}")
        return row
