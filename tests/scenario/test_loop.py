"""Two desks whose people approve everything at once, wired to answer each other: they stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desk.engine import upgrade
from desk.moves import Verb
from desk.response import ResponseState
from desk.store import Store
from tests.doubles.desk import FastClock, new_vault
from tests.doubles.house import House, made_house
from tests.doubles.mailbox import raw_mail
from tests.doubles.redis import RealRedis
from workers.queue import RedisQueue

OURS, THEIRS = "support@lanewright.example", "desk@other.example"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    return ours, theirs


@asynccontextmanager
async def desk(folder: Path, redis: RealRedis, address: str) -> AsyncIterator[House]:
    url = f"sqlite+aiosqlite:///{folder / 'desk.db'}"
    await upgrade(url)
    clock = FastClock(datetime.now(UTC))
    prefix = f"{{{folder.name}}}"
    async with (
        Store.open(url, new_vault(folder), clock) as store,
        RedisQueue(redis.url, prefix) as queue,
    ):
        yield await made_house(store, clock, queue, address)


async def answer(house: House, key: str) -> bool:
    """Read what came, approve the draft, send it; False when there is none to approve."""
    await house.settle()
    response = (await house.view()).response
    if response is None or response.state is not ResponseState.DRAFT:
        return False
    if not response.envelope.text.strip():
        return False
    await house.act(Verb.APPROVE, key)
    await house.leave()
    return True


def carry(mail: list[bytes], house: House) -> None:
    """What one side sent arrives at the other."""
    for raw in mail[len(house.mailbox.arrivals) :]:
        house.mailbox.arrive(raw)


async def test_two_desks_that_answer_each_other_stop(
    folders: tuple[Path, Path], real_redis: RealRedis
) -> None:
    async with (
        desk(folders[0], real_redis, OURS) as ours,
        desk(folders[1], real_redis, THEIRS) as theirs,
    ):
        first = raw_mail("Your offer", "Please send us your new price list.", "<1@other.example>")
        ours.mailbox.arrive(first.replace(b"priya@lindqvist.example", THEIRS.encode()))
        for round in range(8):
            is_ours = await answer(ours, f"o{round}")
            carry(ours.mailbox.sent, theirs)
            is_theirs = await answer(theirs, f"t{round}")
            carry([b"", *theirs.mailbox.sent], ours)
            if not (is_ours or is_theirs):
                break
        assert (len(ours.mailbox.sent), len(theirs.mailbox.sent)) == (3, 3)
        assert round == 3
        assert await tickets(ours) == await tickets(theirs) == 1


async def tickets(house: House) -> int:
    counts = await house.store.counts()
    return sum(n for state, n in counts.items() if state != "sent")
