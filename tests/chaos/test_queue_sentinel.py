"""Sentinels choose another master while jobs run, wait and are put: nobody has to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest

from bot.console.hub import RedisHub
from desk.errors import Transient
from desk.ids import TicketId
from tests.chaos.conftest import IS_FULL, Yard
from tests.doubles.sentinels import DOWN_AFTER, Watched, watched
from workers.queue import RedisQueue
from workers.schedule import Tick, run_schedule

JOBS = 3000 if IS_FULL else 400
CHOOSING = 4.0
"""Seconds in which sentinels of one machine agree on the next master, on a busy one."""


@pytest.fixture
async def pair(yard: Yard) -> AsyncIterator[tuple[Yard, Watched]]:
    with watched() as servers:
        async with RedisQueue(servers.url) as queue:
            plan = replace(yard.plan, url=servers.url)
            yield replace(yard, redis=servers.master, queue=queue, plan=plan), servers
            for pid in yard.hatchery.alive:
                yard.hatchery.kill(pid)


async def first_done(yard: Yard) -> float:
    """Seconds until a job that is put now was done."""
    start, id = time.monotonic(), 0  # before all that wait
    yard.ledger.add([id])
    while True:
        try:
            await yard.put(id)
            break
        except Transient:
            await asyncio.sleep(0.05)
    query = "SELECT 1 FROM effects WHERE id = ?"
    await yard.until(lambda: bool(yard.ledger.all(query, id)), 30)
    return time.monotonic() - start


@pytest.mark.slow
@pytest.mark.parametrize("is_dead", [True, False], ids=["master dies", "operator asks"])
async def test_workers_follow_the_sentinels(pair: tuple[Yard, Watched], is_dead: bool) -> None:
    yard, servers = pair
    yard.ledger.add(range(1, JOBS + 1))
    await yard.put(*range(1, JOBS + 1))
    workers = yard.hatch(2, slots=4)
    await yard.until(lambda: yard.ledger.open < JOBS * 0.8, 20)
    old = yard.redis
    if is_dead:
        old.kill()
    else:
        servers.demote()
    took = await yard.until(lambda: servers.master is not old, 30)
    resumed = await first_done(yard)
    if is_dead:
        old.start()  # the sentinels make it a replica
    await yard.done(60)
    print(f"{took:.1f} s to choose, {resumed:.1f} s to go on, {yard.ledger.extra_runs} extra runs")
    assert took + resumed <= DOWN_AFTER + CHOOSING + 3
    assert yard.ledger.not_once() == []
    assert yard.ledger.all("SELECT * FROM dead") == []
    assert yard.hatchery.alive == workers


@pytest.mark.slow
async def test_the_schedule_and_the_pages_follow_them(pair: tuple[Yard, Watched]) -> None:
    _, servers = pair
    ticked, hub = asyncio.Event(), RedisHub(servers.url)

    async def tick() -> None:
        ticked.set()

    running = asyncio.create_task(run_schedule(servers.url, [Tick("tick", 1, tick)], retries=2))
    async with aclosing(hub.subscribe()) as heard:
        assert await anext(heard) is None
        await asyncio.wait_for(ticked.wait(), 10)
        old = servers.master
        old.kill()
        assert await asyncio.wait_for(anext(heard), 20) is None, "read everything again"
        ticked.clear()
        await asyncio.wait_for(ticked.wait(), 20)
        await hub.publish(TicketId(7))
        assert await asyncio.wait_for(anext(heard), 5) == 7
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await hub.close()
