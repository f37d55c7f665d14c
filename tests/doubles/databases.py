"""Databases with our schema: made once by the migrations, then copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from desk.engine import upgrade

TEMPLATE = "desk_template"


def url_of_file(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


def url_of_name(socket: Path, name: str) -> str:
    return f"postgresql+asyncpg://app@/{name}?host={socket}"


def copied_file(template: Path, file: Path) -> str:
    """Its URL. The template was closed, so that all of it is in the one file."""
    shutil.copyfile(template, file)
    return url_of_file(file)


async def new_database(socket: Path, template: str = "template1") -> str:
    """Its URL. Copied as files: quicker by far than through the log, for one so small."""
    name = f"desk_{uuid4().hex[:12]}"
    server = create_async_engine(url_of_name(socket, "postgres"), isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        made = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
        await connection.execute(text(made))
    await server.dispose()
    return url_of_name(socket, name)


async def new_template(socket: Path) -> None:
    server = create_async_engine(url_of_name(socket, "postgres"), isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {TEMPLATE}"))
    await server.dispose()
    await upgrade(url_of_name(socket, TEMPLATE))
