"""Limits on a real Redis: buckets that fill with time, places that are held and given back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from desk.errors import Transient
from desk.response import Draft
from inference.ladder import Question
from inference.limited import Limited
from tests.doubles.redis import RealRedis
from tests.unit.test_ladder import Slow
from workers.limits import RedisLimits


@pytest.fixture
async def limits(real_redis: RealRedis) -> AsyncIterator[RedisLimits]:
    async with RedisLimits(real_redis.url) as limits:
        yield limits


async def test_a_bucket_gives_its_burst_and_then_its_rate(limits: RedisLimits) -> None:
    assert [await limits.take("a", 2, 2, 5) for _ in range(2)] == [0, 0]
    wait = await limits.take("a", 2, 2, 5)
    assert 0.05 < wait <= 0.5, "one unit is left, another takes half a second"
    await asyncio.sleep(wait)
    assert await limits.take("a", 2, 2, 5) == 0


async def test_a_refusal_takes_nothing(limits: RedisLimits) -> None:
    await limits.take("a", 5, 0.001, 5)
    waits = [await limits.take("a", 1, 0.001, 5) for _ in range(3)]
    assert max(waits) - min(waits) < 1
    assert 998 < waits[0] <= 1000


async def test_what_costs_more_than_a_full_bucket_leaves_a_debt(limits: RedisLimits) -> None:
    assert await limits.take("a", 30, 10, 5) == 0
    assert 1 < await limits.take("a", 1, 10, 5) <= 2.6, "without it, a tenth"


async def test_all_processes_together_take_no_more_than_the_rate(real_redis: RealRedis) -> None:
    taken = 0

    async def take(limits: RedisLimits) -> None:
        nonlocal taken
        while taken < 13:
            if await limits.take("a", 1, 20, 5) == 0:
                taken += 1
            await asyncio.sleep(0.001)

    async with AsyncExitStack() as stack:
        each = [await stack.enter_async_context(RedisLimits(real_redis.url)) for _ in range(3)]
        for limits in each:
            await limits.take("b", 1, 20, 5)  # its line is open, and Redis knows the script
        start = time.monotonic()
        await asyncio.gather(*(take(limits) for limits in each))
        assert taken <= 5 + 20 * (time.monotonic() - start)


async def test_buckets_and_places_do_not_mix(limits: RedisLimits) -> None:
    await limits.take("a", 5, 0.001, 5)
    assert await limits.take("b", 5, 0.001, 5) == 0
    async with limits.slot("c", 1, 30), limits.slot("d", 1, 30):
        pass


async def test_no_more_hold_a_place_than_there_are(real_redis: RealRedis) -> None:
    now = most = done = 0

    async def hold(limits: RedisLimits) -> None:
        nonlocal now, most, done
        async with limits.slot("tgi", 3, 30):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.02)
            now -= 1
        done += 1

    async with RedisLimits(real_redis.url) as one, RedisLimits(real_redis.url) as two:
        start = time.monotonic()
        await asyncio.gather(*(hold(limits) for limits in (one, two) for _ in range(9)))
        assert time.monotonic() - start < 5, "without the bell each would look again after five"
    assert (done, most) == (18, 3)


async def test_a_place_given_back_is_taken_at_once(limits: RedisLimits) -> None:
    async def second() -> float:
        async with limits.slot("tgi", 1, 30):
            return time.monotonic()

    async with limits.slot("tgi", 1, 30):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        start = time.monotonic()
    assert await waiting - start < 4, "without the bell it would look again after five"


async def test_the_place_of_the_dead_ends_with_its_time(limits: RedisLimits) -> None:
    await limits.run("enter", "tgi", 1, 200, "of a worker that was killed")
    start = time.monotonic()
    async with limits.slot("tgi", 1, 30):
        assert 0.15 < time.monotonic() - start < 4, "it looks again when that ends, not after five"


async def test_who_gives_up_waiting_holds_nothing(limits: RedisLimits) -> None:
    async def wait() -> None:
        async with limits.slot("tgi", 1, 30):
            raise AssertionError("there was no place")

    async with limits.slot("tgi", 1, 30):
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(4), limits.slot("tgi", 1, 30):
        pass


async def test_a_redis_that_is_away_is_transient() -> None:
    async with RedisLimits("unix:///nowhere/redis.sock") as limits:
        with pytest.raises(Transient, match="Redis"):
            await limits.take("a", 1, 1, 1)
        with pytest.raises(Transient, match="Redis"):
            async with limits.slot("a", 1, 1):
                pass


async def test_what_ends_inside_of_a_place_keeps_its_error(limits: RedisLimits) -> None:
    with pytest.raises(Transient, match="the server"):
        async with limits.slot("a", 1, 30):
            raise Transient("the server is busy")
    async with asyncio.timeout(4), limits.slot("a", 1, 30):
        pass


async def test_a_writer_is_asked_by_so_many_at_once(limits: RedisLimits) -> None:
    class Busy(Slow):
        now = most = 0

        async def write(self, question: Question) -> Draft:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.02)
            self.now -= 1
            return await super().write(question)

    writer = Busy("tgi")
    writer.go.set()
    limited = [Limited(writer, limits, 2, 30) for _ in range(6)]
    drafts = await asyncio.gather(*(one.write(Question("a", "b")) for one in limited))
    assert [draft.text for draft in drafts] == ["by tgi"] * 6
    assert writer.most == 2


async def test_without_redis_a_writer_is_asked_uncounted() -> None:
    writer = Slow("tgi")
    writer.go.set()
    async with RedisLimits("unix:///nowhere/redis.sock") as limits:
        assert (await Limited(writer, limits, 1, 30).write(Question("a", "b"))).text == "by tgi"
