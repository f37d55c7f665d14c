"""Databases with our schema: made once by the migrations, then copied or emptied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import URL, Dialect, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from desk.engine import create_engine, upgrade
from desk.store import Store

TEMPLATE = "desk_template"

# What the migrations wrote is kept beside. ``public`` holds our tables.
REMEMBER = """
CREATE SCHEMA first;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TABLE first.%1$I AS TABLE public.%1$I', name);
    END LOOP;
END $$;
"""

# Without looking at keys and triggers. TRUNCATE would make new files for each table and index.
RESTORE = """
SET lock_timeout = '5s';
SET session_replication_role = replica;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'first' LOOP
        EXECUTE format('DELETE FROM public.%I', name);
        EXECUTE format('INSERT INTO public.%1$I SELECT * FROM first.%1$I', name);
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        PERFORM setval(format('public.%I', name), 1, false);
    END LOOP;
END $$;
"""


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
    await run(socket, "postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return url_of_name(socket, name)


async def new_template(socket: Path) -> None:
    await run(socket, "postgres", f"CREATE DATABASE {TEMPLATE}")
    await upgrade(url_of_name(socket, TEMPLATE))
    await run(socket, TEMPLATE, REMEMBER)


async def run(socket: Path, name: str, script: str) -> None:
    connection = await asyncpg.connect(host=str(socket), user="app", database=name)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


class PostgresDesks:
    """Databases with our schema on one server, for one test after the other: to restore one takes
    a tenth of the time that a new one does."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._free: list[str] = []

    async def take(self) -> str:
        """The URL of one that is as the migrations left it."""
        return self._free.pop() if self._free else await new_database(self._socket, TEMPLATE)

    async def give_back(self, url: str) -> None:
        await run(self._socket, str(make_url(url).database), RESTORE)
        self._free.append(url)


class Engines:
    """An engine for each kind of database, for one test after the other: it remembers how each
    statement is written in SQL, which takes longer than to run it."""

    def __init__(self) -> None:
        self._engines: dict[str, AsyncEngine] = {}
        self._url: dict[str, URL] = {}

    def at(self, url: str) -> AsyncEngine:
        """Its connections lead to ``url`` from now on; ``dispose`` of it after the test."""
        given = make_url(url)
        kind = given.get_backend_name()
        self._url[kind] = given
        if kind not in self._engines:
            self._engines[kind] = create_engine(url)
            event.listen(self._engines[kind].sync_engine, "do_connect", self._lead)
        return self._engines[kind]

    def _lead(self, dialect: Dialect, _: object, cargs: list[Any], cparams: dict[str, Any]) -> None:
        args, given = dialect.create_connect_args(self._url[dialect.name])
        cargs[:] = args
        cparams.update(given)


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """The statements inside of the block, BEGIN included where the database is told of it."""
    said: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        said.append(statement)

    engine = store.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)
