"""What becomes of a job that ran: how long it pauses, and that nothing said of it gets lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from desk.errors import Permanent, Throttled, Transient
from tests.doubles.redis import RealRedis
from tests.doubles.redis import queue as queue
from tests.doubles.redis import real_redis as real_redis
from tests.doubles.redis import redis_session as redis_session
from tests.scenario.test_runner import TRIAGE, Dead, dead, put
from workers.queue import Claim, RedisQueue
from workers.settle import Settlement

__all__ = ["dead"]

PAUSES = {0: 0.25, 1: 30.0, 2: 60.0}


class Noting(RedisQueue):
    """Notes how long each failed job pauses, and which scripts were called."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.pauses: list[float] = []
        self.called: list[str] = []

    async def run(self, script: str, *args: str | int) -> Any:
        self.called.append(script)
        return await super().run(script, *args)

    async def retry(self, claim: Claim, delay: float) -> bool:
        self.pauses.append(delay)
        return await super().retry(claim, delay)


@pytest.fixture
async def noting(real_redis: RealRedis) -> AsyncIterator[Noting]:
    async with Noting(real_redis.url) as opened:
        yield opened


def claimed(tries: int) -> Claim:
    """A job that failed so often before."""
    return Claim("triage:1", 1, "token", 1.0, tries, lost=0, alone=0, lease=30.0)


@pytest.mark.parametrize(
    ("tries", "error", "pause"),
    [
        (0, Transient("Busy."), 0.25),
        (1, Transient("Busy."), 30.0),
        (0, Throttled("Slow down.", 5.0), 5.25),  # not all who wait come at the same moment
        (1, Throttled("Slow down.", 5.0), 6.0),
    ],
)
async def test_a_job_pauses_as_it_failed_before_or_as_it_was_told(
    noting: Noting, dead: Dead, tries: int, error: Exception, pause: float
) -> None:
    settlement = Settlement(noting, dead, delay=PAUSES.__getitem__)
    await settlement.settle(TRIAGE, [claimed(tries)], {1: error}, is_patient=False)
    assert noting.pauses == [pause]
    assert dead.failures == [(1, type(error).__name__)]


async def test_a_job_that_cannot_be_buried_pauses_too(noting: Noting, dead: Dead) -> None:
    dead.away = True
    settlement = Settlement(noting, dead, delay=PAUSES.__getitem__)
    await settlement.settle(TRIAGE, [claimed(1)], {1: Permanent("Gone.")}, is_patient=False)
    assert noting.pauses == [60.0]


async def test_a_failure_that_cannot_be_remembered_is_tried_again_all_the_same(
    noting: Noting, dead: Dead
) -> None:
    dead.away = True
    settlement = Settlement(noting, dead, delay=PAUSES.__getitem__)
    await settlement.settle(TRIAGE, [claimed(0)], {1: Transient("Busy.")}, is_patient=False)
    assert noting.pauses == [0.25]


async def test_what_is_put_back_for_later_waits(queue: RedisQueue, dead: Dead) -> None:
    await put(queue, 1, 2)
    first, second = await queue.claim(TRIAGE, 2, 30.0)
    settlement = Settlement(queue, dead)
    await settlement.put_back([first], 60.0)
    await settlement.put_back([second])
    states = {entry.id: (entry.state, entry.tries) for entry in await queue.listing(TRIAGE)}
    assert states == {first.id: ("delayed", 0), second.id: ("ready", 0)}


async def test_all_that_is_put_back_goes_in_one_call(noting: Noting, dead: Dead) -> None:
    await put(noting, *range(12))
    claims = await noting.claim(TRIAGE, 12, 30.0)
    noting.called.clear()
    settlement = Settlement(noting, dead)
    await settlement.put_back(claims)
    await settlement.put_back([])
    assert noting.called == ["finish"]
    assert [entry.state for entry in await noting.listing(TRIAGE)] == ["ready"] * 12


async def test_the_last_jobs_are_acknowledged_at_the_end(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    await put(queue, 1, 2)
    first, second = await queue.claim(TRIAGE, 2, 30.0)
    settlement = Settlement(queue, dead)
    await settlement.settle(TRIAGE, [first], {}, is_patient=False)
    await settlement.end()
    assert [entry.id for entry in await queue.listing(TRIAGE)] == [second.id]
    await settlement.settle(TRIAGE, [second], {}, is_patient=False)
    real_redis.kill()
    try:
        await settlement.end()
    finally:
        real_redis.start()
    assert settlement.unsettled == {}, "whoever runs again must not renew what others have now"


def test_that_redis_is_away_and_back_is_said_once(dead: Dead, queue: RedisQueue) -> None:
    settlement = Settlement(queue, dead)
    with capture_logs() as logs:
        for error in (None, Transient("away"), Transient("away"), None, None, Transient("away")):
            settlement.report(error)
    assert [line["event"] for line in logs] == ["redis_away", "redis_back", "redis_away"]
