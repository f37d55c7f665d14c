"""Fixtures of the fault tests. ``MAILDESK_CHAOS=full`` runs them at full size."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from desk.steps import Step
from tests.chaos.hatchery import Hatchery
from tests.chaos.ledger import Ledger
from tests.chaos.worker import Plan
from tests.doubles.desk import job
from tests.doubles.redis import RealRedis
from workers.queue import RedisQueue

IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"


@dataclass
class Yard:
    """A real Redis, a ledger, and worker processes to be treated badly."""

    redis: RealRedis
    queue: RedisQueue
    ledger: Ledger
    hatchery: Hatchery
    plan: Plan
    chance: random.Random

    def hatch(self, count: int = 1, **changes: float) -> list[int]:
        plan = replace(self.plan, **changes)  # type: ignore[arg-type]
        return [self.hatchery.hatch(plan) for _ in range(count)]

    async def put(self, *ids: int, is_urgent: bool = False) -> None:
        jobs = [job(Step.TRIAGE, id, id, is_urgent=is_urgent) for id in ids]
        await self.queue.put(*jobs)

    async def until(self, true: Callable[[], bool], seconds: float) -> float:
        """Wait until something is so; how long it took."""
        start = time.monotonic()
        while not true():
            assert time.monotonic() - start < seconds, f"not so after {seconds} s: {self.state()}"
            await asyncio.sleep(0.01)
        return time.monotonic() - start

    async def done(self, seconds: float) -> float:
        return await self.until(lambda: not self.ledger.open, seconds)

    def state(self) -> str:
        runs = self.ledger.one("SELECT count(*) FROM runs")
        return f"{self.ledger.open} open, {runs} runs, {len(self.hatchery.alive)} workers"

    async def is_empty(self) -> bool:
        depth = (await self.queue.depth())[Step.TRIAGE]
        return not (depth.ready or depth.delayed or depth.leased)


@pytest.fixture(scope="session")
def hatchery() -> Iterator[Hatchery]:
    with Hatchery() as hatchery:
        yield hatchery


@pytest.fixture
async def yard(real_redis: RealRedis, hatchery: Hatchery, tmp_path: Path) -> AsyncIterator[Yard]:
    ledger = Ledger.create(tmp_path / "ledger.db")
    plan = Plan(real_redis.url, str(tmp_path))
    async with RedisQueue(real_redis.url) as queue:
        chance = random.Random(20261122)  # noqa: S311 - the same faults in each run
        yield Yard(real_redis, queue, ledger, hatchery, plan, chance)
        for pid in hatchery.alive:
            hatchery.kill(pid)
        for pid in hatchery.alive:
            hatchery.ended(pid, 5)
        hatchery.pids.clear()
    ledger.close()
