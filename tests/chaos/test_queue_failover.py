"""Another Redis takes over while jobs run: the address stays, the server behind it changes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.conftest import Yard
from tests.doubles.redis import RealRedis, Switch
from tests.services import free_port
from workers.queue import RedisQueue


@pytest.fixture
async def pair(yard: Yard) -> AsyncIterator[tuple[Yard, Switch, RealRedis, RealRedis]]:
    """A yard behind a switch, its master, and a replica of that."""
    async with AsyncExitStack() as stack:
        servers = []
        for _ in range(2):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redis")))
            server = RealRedis(folder, port=free_port())
            server.start()
            stack.callback(server.kill)
            servers.append(server)
        master, replica = servers
        replica.ask(f"REPLICAOF 127.0.0.1 {master.port}")
        switch = await stack.enter_async_context(Switch(master))
        queue = await stack.enter_async_context(RedisQueue(switch.url))
        plan = replace(yard.plan, url=switch.url)
        yield replace(yard, redis=master, queue=queue, plan=plan), switch, master, replica
        for pid in yard.hatchery.alive:
            yard.hatchery.kill(pid)


@pytest.mark.parametrize("is_dead", [True, False], ids=["master dies", "master becomes a replica"])
async def test_a_replica_takes_over(
    pair: tuple[Yard, Switch, RealRedis, RealRedis], is_dead: bool
) -> None:
    yard, switch, master, replica = pair
    await yard.until(lambda: b"master_link_status:up" in replica.told("INFO replication"), 10)
    yard.ledger.add(range(1, 401))
    await yard.put(*range(1, 401))
    workers = yard.hatch(2, slots=4)
    await yard.until(lambda: yard.ledger.open < 300, 20)
    if is_dead:
        master.kill()
    replica.ask("REPLICAOF NO ONE")
    switch.turn(replica)
    if not is_dead:  # who is still connected to it is told READONLY
        master.ask(f"REPLICAOF 127.0.0.1 {replica.port}")
    await asyncio.sleep(0.1)
    seen = yard.ledger.open
    resumed = await yard.until(lambda: yard.ledger.open < seen - 10, 10)
    await yard.done(30)
    print(f"went on after {resumed:.2f} s, {yard.ledger.extra_runs} extra runs")
    assert resumed <= 3
    assert yard.ledger.not_once() == []
    assert yard.hatchery.alive == workers
