"""Alembic's entry: runs the migrations on the engine of the desk."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection

from desk.engine import create_engine
from desk.tables.schema import metadata

LOCK = 0x6465736B
"""Processes that start together upgrade one after the other; SQLite's write lock does it there."""


def migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


async def main(url: str) -> None:
    engine = create_engine(url)
    async with engine.connect() as connection:
        await connection.execution_options(writes=True)
        async with connection.begin():
            await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main(context.config.attributes["url"]))
