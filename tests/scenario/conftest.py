"""Fixtures of the scenarios in Slack: an emulator, and an office whose desk is worked on there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mail.outlook import OutlookProvider
from tests.doubles.databases import Engines
from tests.doubles.desk import FastClock, new_vault
from tests.doubles.graph import Graph, graph
from tests.doubles.graph_reader import Reader
from tests.doubles.slack import SlackDoor, emulated, slack_door
from tests.doubles.slack_office import Office, SlowStore, slack_office


@pytest.fixture(scope="session")
def slack_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulated(tmp_path_factory.mktemp("emulate")) as url:
        yield url


@pytest.fixture
async def door(slack_emulator: str) -> AsyncIterator[SlackDoor]:
    async with slack_door(slack_emulator) as door:
        yield door


@pytest.fixture
async def slow_store(
    tmp_path: Path, sqlite_url: str, clock: FastClock, engines: Engines
) -> AsyncIterator[SlowStore]:
    async with SlowStore(engines.at(sqlite_url), new_vault(tmp_path), clock) as opened:
        yield opened


@pytest.fixture
async def office(slow_store: SlowStore, door: SlackDoor) -> AsyncIterator[Office]:
    async with slack_office(slow_store, door) as office:
        yield office


@pytest.fixture
async def service() -> AsyncIterator[Graph]:
    """Outlook's, on loopback."""
    async with graph() as opened:
        yield opened


@pytest.fixture
async def provider(service: Graph) -> AsyncIterator[OutlookProvider]:
    async with service.opened() as opened:
        yield opened


@pytest.fixture
async def reader(service: Graph) -> AsyncIterator[Reader]:
    async with service.opened() as provider:
        yield Reader(provider)
