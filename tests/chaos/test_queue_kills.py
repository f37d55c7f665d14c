"""Workers that are killed, Redis that is emptied, killed, replaced: nothing lost, nothing twice.

The ledger is the oracle: one effect a job, however often it ran.
"""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from desk.steps import Step
from tests.chaos.conftest import IS_FULL, Yard

JOBS = 6000 if IS_FULL else 500
SLOTS = 20 if IS_FULL else 6
LEASE = 3.0 if IS_FULL else 1.0
PATIENCE = 300 if IS_FULL else 40


async def start(yard: Yard) -> None:
    yard.ledger.add(range(1, JOBS + 1))
    await yard.put(*range(1, JOBS + 1))
    yard.hatch(2, slots=SLOTS, lease=LEASE)


def orphaned(yard: Yard, worker: int, at: float) -> list[float]:
    """Seconds after which each job was run again that a worker had in hand when it was killed."""
    return [
        again - at
        for (again,) in yard.ledger.all(
            "SELECT min(later.at) FROM runs JOIN runs later ON later.id = runs.id AND later.at > ?"
            " WHERE runs.worker = ? AND runs.id NOT IN (SELECT id FROM effects WHERE worker = ?)"
            " GROUP BY runs.id",
            at,
            worker,
            worker,
        )
    ]


@pytest.mark.slow
async def test_killed_workers_lose_nothing(yard: Yard) -> None:
    await start(yard)
    kills: list[tuple[int, float]] = []
    while yard.ledger.open:
        await asyncio.sleep(0.7)
        victim = yard.chance.choice(yard.hatchery.alive)
        yard.hatchery.kill(victim)
        kills.append((victim, time.monotonic()))
        yard.hatch(slots=SLOTS, lease=LEASE)
        assert len(kills) < PATIENCE, yard.state()
    assert len(kills) >= 2
    assert yard.ledger.not_once() == []
    assert yard.ledger.extra_runs <= JOBS / 10
    waits = sorted(wait for kill in kills for wait in orphaned(yard, *kill))
    assert waits, "nobody was killed at work"
    p99 = waits[round(0.99 * (len(waits) - 1))]
    print(f"{len(kills)} kills, {yard.ledger.extra_runs} extra runs, orphans after {p99:.1f} s")
    assert p99 <= LEASE + 2
    assert yard.ledger.all("SELECT * FROM dead") == []


async def test_an_emptied_redis_is_filled_again(yard: Yard) -> None:
    await start(yard)
    worst = 0.0
    for n in range(10 if IS_FULL else 3):
        await asyncio.sleep(yard.chance.uniform(0.2, 0.4))
        id = 100_000 + n
        yard.ledger.add([id])  # of these Redis hears by the sweep alone
        assert yard.redis.ask("FLUSHALL") == b"+OK"
        start_at = time.monotonic()
        first = "{desk:q}:epoch"
        await yard.until(lambda: yard.redis.ask(f"EXISTS {first}") == b":1", 12)  # noqa: B023
        worst = max(worst, time.monotonic() - start_at)
    await yard.done(PATIENCE)
    print(f"filled again after {worst:.2f} s at most, {yard.ledger.extra_runs} extra runs")
    assert worst <= 10 + 2, "a sweep and two seconds"
    assert yard.ledger.not_once() == []
    assert len(yard.hatchery.alive) == 2


@pytest.mark.parametrize("down", [0.3, 2.0, 20.0] if IS_FULL else [0.3, 1.5])
async def test_workers_outlast_a_killed_redis(yard: Yard, down: float) -> None:
    await start(yard)
    workers = yard.hatchery.alive
    await yard.until(lambda: yard.ledger.open < JOBS * 0.7, PATIENCE)
    yard.redis.kill()
    await asyncio.sleep(down)
    yard.redis.start()
    back = time.monotonic()
    await yard.until(lambda: bool(yard.ledger.all("SELECT 1 FROM runs WHERE at > ?", back)), 10)
    resumed = time.monotonic() - back
    await yard.done(PATIENCE)
    print(f"down {down} s, went on after {resumed:.2f} s, {yard.ledger.extra_runs} extra runs")
    assert resumed <= 3
    assert yard.ledger.not_once() == []
    assert yard.hatchery.alive == workers, "nobody ended because of it"


async def test_everything_at_once(yard: Yard) -> None:
    """Worker kills, Redis kills and FLUSHALLs mixed, as fast as they can be told apart."""
    await start(yard)
    faults = 30 if IS_FULL else 6
    for _ in range(faults):
        await asyncio.sleep(0.7 if IS_FULL else 0.3)
        match yard.chance.choice(("worker", "redis", "flush")):
            case "worker":
                yard.hatchery.kill(yard.chance.choice(yard.hatchery.alive))
                yard.hatch(slots=SLOTS, lease=LEASE)
            case "redis":
                yard.redis.kill()
                await asyncio.sleep(yard.chance.uniform(0, 0.5))
                yard.redis.start()
            case "flush":
                yard.redis.ask("FLUSHALL")
    await yard.done(PATIENCE)
    print(f"{faults} faults, {yard.ledger.extra_runs} extra runs of {JOBS}")
    assert yard.ledger.not_once() == []
    assert yard.ledger.all("SELECT * FROM dead") == []
    assert len(yard.hatchery.alive) == 2
    await asyncio.sleep(2 * LEASE if not await yard.is_empty() else 0)
    assert await yard.is_empty()


async def test_terminated_workers_give_a_long_job_back(yard: Yard) -> None:
    yard.ledger.add([1], kind="endless")
    await yard.put(1)
    rolls = 20 if IS_FULL else 6
    for n in range(rolls):
        [worker] = yard.hatch()
        await yard.until(lambda: yard.ledger.extra_runs == n, 10)  # noqa: B023
        start_at = time.monotonic()
        yard.hatchery.kill(worker, signal.SIGTERM)
        assert await asyncio.to_thread(yard.hatchery.ended, worker, 5)
        assert time.monotonic() - start_at <= yard.plan.grace + 1.5
    [claim] = await yard.queue.claim(Step.TRIAGE, 1, 30)
    assert (claim.tries, claim.lost) == (0, 0)
    await yard.queue.release(claim)
    yard.ledger.change(1, "plain")
    yard.hatch()
    await yard.done(10)
    assert yard.ledger.not_once() == []
