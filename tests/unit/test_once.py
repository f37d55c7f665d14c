"""Work that many ask for at once is done once, and never with what was read too early."""

from __future__ import annotations

import asyncio

import pytest

from bot.once import Once
from desk.errors import Transient


async def test_who_asks_meanwhile_shares_the_next_turn() -> None:
    once, gate, begun = Once(), asyncio.Event(), 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    first = asyncio.create_task(once.do("a", work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    later = [asyncio.create_task(once.do("a", work)) for _ in range(5)]
    other = asyncio.create_task(once.do("b", work))
    await asyncio.sleep(0.01)
    assert begun == 2, "the first, and the other one beside it"
    gate.set()
    await asyncio.gather(first, *later, other)
    assert begun == 3, "five shared one"
    await once.do("a", work)
    assert begun == 4


async def test_what_goes_wrong_goes_wrong_for_all_and_the_next_begins_anew() -> None:
    once = Once()

    async def fail() -> None:
        raise Transient("Away")

    asked = await asyncio.gather(*(once.do("a", fail) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in asked] == ["Away"] * 3
    done = []

    async def work() -> None:
        done.append(1)

    await once.do("a", work)
    assert done == [1]


async def test_who_goes_away_takes_nothing_from_the_others() -> None:
    once, gate = Once(), asyncio.Event()

    async def work() -> None:
        await gate.wait()

    gone, stays = (asyncio.create_task(once.do("a", work)) for _ in range(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    gate.set()
    await stays
