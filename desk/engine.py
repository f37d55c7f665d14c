"""The database engine: SQLite (WAL, a file) or PostgreSQL, its errors, and its schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from desk.errors import Misconfigured, Permanent, Transient

POOL: dict[str, Any] = {"pool_size": 10, "pool_pre_ping": True}
PATIENCE = 30
"""Seconds to wait for other writers, unless the URL of an SQLite file says ``?timeout=``."""
SQLITE: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}}
DATA_EXCEPTION = "22"
"""The class of SQLSTATE (PostgreSQL's Appendix A): too long, too large, or with a NUL."""
UNTAKEN = (
    "The database does not take a value: it is too long or too large, or it holds a character that"
    " no text may hold"
)
MIGRATIONS = Path(__file__).parent / "migrations"


def create_engine(url: str) -> AsyncEngine:
    """An engine for ``sqlite+aiosqlite:///file`` or ``postgresql+asyncpg://user@host/name``."""
    try:
        given = make_url(url)
        is_sqlite = given.get_backend_name() == "sqlite"
        options = SQLITE if is_sqlite and "timeout" not in given.query else {}
        options = options if is_sqlite else POOL
        # what a statement carries is not for logs
        engine = create_async_engine(url, hide_parameters=True, **options)
    except (ArgumentError, InvalidRequestError, ImportError):
        raise Misconfigured(
            "The setting database is no URL of a database that is supported; write for example"
            " postgresql+asyncpg://user:password@host/name"
        ) from None
    if not is_sqlite:
        return engine
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # BEGIN is said below
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that writes takes the write lock at its start: one that reads first and then
    writes fails when another process wrote in between (https://sqlite.org/lang_transaction.html).
    """
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Turns:
    """Those of this process who write wait for each other in their order, and meanwhile take no
    connection from those who read. SQLite would let them wait too, but whoever waited longest asks
    least often (sqlite3_busy_timeout sleeps longer each time) and may never be next.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        self._free = asyncio.Semaphore(1 if is_sqlite else POOL["pool_size"] // 2)
        self._patience = float(str(engine.url.query.get("timeout", PATIENCE)))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises TimeoutError when it does not come."""
        async with asyncio.timeout(self._patience):
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()


@contextmanager
def translated() -> Iterator[None]:
    """Database trouble is Transient, but not what it will never take; a violated constraint is our
    own business and passes."""
    try:
        yield
    except IntegrityError:
        raise
    except OverflowError as error:
        if "SQLite INTEGER" not in str(error):  # the module's words for one of more than 64 bits
            raise
        raise Permanent(UNTAKEN) from error
    except (DBAPIError, PoolTimeout, OSError) as error:  # a host without address, a silent one
        if str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith(DATA_EXCEPTION):
            raise Permanent(UNTAKEN) from error
        raise Transient(f"The database did not answer: {type(error).__name__}") from error


async def upgrade(url: str, to: str = "head") -> None:
    """Bring the schema up to date (Alembic). Safe to call at every start."""
    with translated():
        await asyncio.to_thread(_upgrade, url, to)


def _upgrade(url: str, to: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, to)
