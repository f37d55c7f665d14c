"""The periodic jobs on a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.doubles.redis import RealRedis
from workers.schedule import Tick, run_schedule


async def test_the_schedule_outlives_a_redis_that_is_away(real_redis: RealRedis) -> None:
    ticked = asyncio.Event()

    async def tick() -> None:
        ticked.set()

    running = asyncio.create_task(run_schedule(real_redis.url, [Tick("tick", 1, tick)], retries=1))
    try:
        await asyncio.wait_for(ticked.wait(), 10)
        real_redis.kill()
        await asyncio.sleep(3)
        real_redis.start()
        ticked.clear()
        await asyncio.wait_for(ticked.wait(), 20)
    finally:
        real_redis.kill()  # even without Redis it ends soon
        running.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(3):
                await running
        real_redis.start()
