"""Fixtures that many tests share: a store on both databases, and values to put into it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from desk.engine import upgrade
from desk.store import Store
from tests.doubles.databases import Engines, PostgresDesks, copied_file, new_template, url_of_file
from tests.doubles.desk import FastClock, new_vault
from tests.doubles.google_account import emulated_gmail
from tests.doubles.postgres import postgres
from tests.doubles.redis import queue as queue
from tests.doubles.redis import real_redis as real_redis
from tests.doubles.redis import redis_session as redis_session

# The switch that keeps libraries from asking a model hub also stops huggingface_hub's client from
# calling a server on this machine, and it is read once, at import. Nothing here asks a hub.
os.environ.pop("HF_HUB_OFFLINE", None)

# how quick the machine is says nothing about the code
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    with postgres() as socket:
        yield socket


@pytest.fixture(scope="session")
def postgres_desks(postgres_socket: Path) -> PostgresDesks:
    with ThreadPoolExecutor(1) as thread:  # beside the event loop of the test that asks first
        thread.submit(asyncio.run, new_template(postgres_socket)).result()
    return PostgresDesks(postgres_socket)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "desk.db"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, upgrade(url_of_file(file))).result()
    return file


@pytest.fixture(scope="session")
def gmail_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulated_gmail(tmp_path_factory.mktemp("gmail")) as url:
        yield url


@pytest.fixture(scope="session")
def engines() -> Engines:
    return Engines()


@pytest.fixture
def clock() -> FastClock:
    return FastClock()


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """Of a new database in the test's own folder."""
    return copied_file(sqlite_template, tmp_path / "desk.db")


@pytest.fixture
async def store(
    tmp_path: Path, sqlite_url: str, clock: FastClock, engines: Engines
) -> AsyncIterator[Store]:
    async with Store(engines.at(sqlite_url), new_vault(tmp_path), clock) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FastClock, engines: Engines
) -> AsyncIterator[Store]:
    """The same test on both databases."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        async with Store(engines.at(url), new_vault(tmp_path), clock) as opened:
            yield opened
        return
    desks: PostgresDesks = request.getfixturevalue("postgres_desks")
    url = await desks.take()
    async with Store(engines.at(url), new_vault(tmp_path), clock) as opened:
        yield opened
    await desks.give_back(url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole walks first: they take longest, and a long test at the end leaves the others idle."""
    rooms = ("chaos", "scenario", "contract")
    items.sort(key=lambda item: next((i for i, r in enumerate(rooms) if r in item.path.parts), 9))
