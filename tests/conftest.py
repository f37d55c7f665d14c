"""Fixtures that many tests share: a store on both databases, and values to put into it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from desk.engine import upgrade
from desk.store import Store
from tests.doubles.desk import FastClock, new_vault
from tests.doubles.google import emulated_gmail
from tests.doubles.postgres import postgres
from tests.doubles.redis import queue as queue
from tests.doubles.redis import real_redis as real_redis
from tests.doubles.redis import redis_session as redis_session

# The switch that keeps libraries from asking a model hub also stops huggingface_hub's client from
# calling a server on this machine, and it is read once, at import. Nothing here asks a hub.
os.environ.pop("HF_HUB_OFFLINE", None)


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    with postgres() as socket:
        yield socket


@pytest.fixture(scope="session")
def gmail_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulated_gmail(tmp_path_factory.mktemp("gmail")) as url:
        yield url


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FastClock) -> AsyncIterator[Store]:
    """On SQLite, in a file."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'desk.db'}"
    await upgrade(url)
    async with Store.open(url, new_vault(tmp_path), clock) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FastClock
) -> AsyncIterator[Store]:
    """The same test on both databases."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'desk.db'}"
    else:
        url = await new_database(request.getfixturevalue("postgres_socket"))
    await upgrade(url)
    async with Store.open(url, new_vault(tmp_path), clock) as opened:
        yield opened


async def new_database(socket: Path) -> str:
    name = f"desk_{uuid4().hex[:12]}"
    server = create_async_engine(
        f"postgresql+asyncpg://app@/postgres?host={socket}", isolation_level="AUTOCOMMIT"
    )
    async with server.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await server.dispose()
    return f"postgresql+asyncpg://app@/{name}?host={socket}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole walks first: they take longest, and a long test at the end leaves the others idle."""
    rooms = ("chaos", "scenario", "contract")
    items.sort(key=lambda item: next((i for i, r in enumerate(rooms) if r in item.path.parts), 9))
