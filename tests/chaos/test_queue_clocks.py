"""Clocks that are set while jobs run and wait: that of Redis, and that of a worker's machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from desk.steps import Step
from tests.chaos.conftest import Yard
from tests.chaos.hatchery import Hatchery
from tests.doubles.redis import RealRedis
from tests.services import need
from workers.queue import Claim, RedisQueue

SOURCE = Path(__file__).parent.parent / "doubles" / "set_clock.c"


class Shifted:
    """The environment of a process whose clock can be set by ``seconds``."""

    def __init__(self, folder: Path) -> None:
        library, self._file = folder / "set_clock.so", folder / "clock"
        command = [need("cc"), "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        self.set(0)
        self.environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "SET_CLOCK": str(self._file),
        }

    def set(self, seconds: int) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(self._file)


@pytest.fixture(scope="module")
def shifted() -> Iterator[Shifted]:
    with tempfile.TemporaryDirectory(prefix="clock") as folder:
        yield Shifted(Path(folder))


@pytest.fixture
async def clocked(shifted: Shifted, yard: Yard, tmp_path: Path) -> AsyncIterator[Yard]:
    """A yard whose Redis has a clock that can be set."""
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        shifted.set(0)
        server = RealRedis(Path(folder), shifted.environment)
        server.start()
        async with RedisQueue(server.url) as queue:
            plan = replace(yard.plan, url=server.url)
            yield replace(yard, redis=server, queue=queue, plan=plan)
            for pid in yard.hatchery.alive:
                yard.hatchery.kill(pid)
        server.kill()


async def redis_time(yard: Yard) -> float:
    seconds, _ = await yard.queue.redis.time()
    return float(seconds)


async def one(queue: RedisQueue) -> Claim:
    [claim] = await queue.claim(Step.TRIAGE, 1, 30)
    return claim


@pytest.mark.parametrize("step", [300, -300])
async def test_a_set_clock_of_redis_neither_loses_nor_doubles(
    clocked: Yard, shifted: Shifted, step: int
) -> None:
    clocked.ledger.add(range(1, 301))
    await clocked.put(*range(1, 301))
    clocked.hatch(2, slots=4)
    await clocked.until(lambda: clocked.ledger.open < 220, 20)
    before = await redis_time(clocked)
    shifted.set(step)
    assert abs(await redis_time(clocked) - before - step) < 3, "the clock was set"
    clocked.hatchery.kill(clocked.hatchery.alive[0])
    took = await clocked.done(30)
    print(f"set by {step} s and a worker killed: done after {took:.1f} s")
    assert clocked.ledger.not_once() == []
    assert clocked.ledger.all("SELECT * FROM dead") == []


@pytest.mark.parametrize("step", [300, -300])
async def test_a_pause_after_a_failure_lasts_as_long_as_it_was_to(
    clocked: Yard, shifted: Shifted, step: int
) -> None:
    await clocked.put(1)
    assert await clocked.queue.retry(await one(clocked.queue), 1.0)
    start = time.monotonic()
    shifted.set(step)
    while not (claims := await clocked.queue.claim(Step.TRIAGE, 1, 30)):
        assert time.monotonic() - start < 3, "late"
        await asyncio.sleep(0.02)
    assert 0.9 < time.monotonic() - start < 2
    assert claims[0].tries == 1


async def test_a_lease_does_not_outlast_a_step_back(clocked: Yard, shifted: Shifted) -> None:
    await clocked.put(1)
    await clocked.queue.claim(Step.TRIAGE, 1, 1)
    shifted.set(-300)
    await asyncio.sleep(0.1)
    assert await clocked.queue.claim(Step.TRIAGE, 1, 1) == []
    await asyncio.sleep(1.1)
    assert (await one(clocked.queue)).lost == 1


async def test_machines_whose_clocks_differ_share_the_queue(yard: Yard, tmp_path: Path) -> None:
    """One worker's machine is five minutes ahead, the other's five behind: leases and pauses are
    told by Redis's clock alone."""
    held = range(1, 5)
    yard.ledger.add(held, kind="endless")
    yard.ledger.add([5])
    await yard.put(*held)
    plan = replace(yard.plan, slots=2)
    with ExitStack() as machines:
        for name, step in (("ahead", 300), ("behind", -300)):
            (tmp_path / name).mkdir()
            clock = Shifted(tmp_path / name)
            clock.set(step)
            machines.enter_context(Hatchery(clock.environment)).hatch(plan)
        workers = "SELECT DISTINCT worker FROM runs"
        await yard.until(lambda: len(yard.ledger.all(workers)) == 2, 30)
        await asyncio.sleep(2.5 * plan.lease)
        await yard.put(5)
        assert await yard.queue.retry(await one(yard.queue), 1.5)
        failed = time.monotonic()
        for id in held:
            yard.ledger.change(id, "plain")
        await yard.done(20)
    assert yard.ledger.not_once() == []
    assert yard.ledger.extra_runs == 0, "leases were renewed in time"
    [(again,)] = yard.ledger.all("SELECT at FROM runs WHERE id = 5")
    assert 1.4 < again - failed < 10, "not early, and not by minutes late"
