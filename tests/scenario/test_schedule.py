"""The periodic jobs on a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from tests.doubles.redis import RealRedis
from workers.schedule import Tick, run_schedule

# when its Redis is killed, arq leaves what it was just saying to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Here, and not in the next file."""
    yield
    gc.collect()


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


async def test_a_tick_that_fails_or_takes_long_holds_up_no_other(real_redis: RealRedis) -> None:
    begun: list[str] = []

    async def broken() -> None:
        begun.append("broken")
        raise ValueError("Hello, I am Priya")

    async def long() -> None:
        begun.append("long")
        await asyncio.sleep(60)

    async def other() -> None:
        begun.append("other")

    ticks = [Tick("broken", 1, broken), Tick("long", 1, long), Tick("other", 1, other)]
    with capture_logs() as logs:
        running = asyncio.create_task(run_schedule(real_redis.url, ticks))
        async with asyncio.timeout(20):
            while begun.count("other") < 3 or begun.count("broken") < 3:  # noqa: ASYNC110 - all of them
                await asyncio.sleep(0.05)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert begun.count("long") == 1
    assert {line["error"] for line in logs if line.get("job") == "broken"} == {"ValueError"}
    assert "Priya" not in str(logs)
