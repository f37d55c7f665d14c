"""The queue on a real Redis: order, one job a name, leases, tokens, and what it survives."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio

from desk.errors import Transient
from desk.steps import Step
from tests.doubles.desk import job
from tests.doubles.redis import Deaf, RealRedis
from tests.doubles.redis import queue as queue
from tests.doubles.redis import real_redis as real_redis
from tests.doubles.redis import redis_session as redis_session
from workers.queue import Claim, Depth, RedisQueue

TRIAGE, SENDING = Step.TRIAGE, Step.SENDING
EMPTY = Depth(0, 0, 0, 0)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def take(queue: RedisQueue, n: int = 10, lease: float = 30) -> list[Claim]:
    return await queue.claim(TRIAGE, n, lease)


async def one(queue: RedisQueue, lease: float = 30) -> Claim:
    [claim] = await take(queue, 1, lease)
    return claim


async def ids(queue: RedisQueue) -> list[int]:
    return [claim.id for claim in await take(queue)]


async def test_the_lowest_score_is_claimed_first(queue: RedisQueue) -> None:
    await queue.put(*(job(TRIAGE, id, score) for id, score in ((1, 30), (2, -10), (3, 20))))
    assert [claim.id for claim in await take(queue, 2)] == [2, 3]
    assert await ids(queue) == [1]
    assert await ids(queue) == []


async def test_scores_of_our_age_keep_their_milliseconds(queue: RedisQueue) -> None:
    score = 1764000000123.75
    await queue.put(job(TRIAGE, 1, score))
    claim = await one(queue)
    assert claim.score == score
    await queue.release(claim)
    assert (await one(queue)).score == score


async def test_steps_do_not_mix(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 1))
    await queue.put(job(SENDING, 1, 1))
    assert [claim.job for claim in await queue.claim(SENDING, 9, 30)] == ["sending:1"]
    assert await ids(queue) == [1]


async def test_a_waiting_job_is_not_doubled_and_the_lower_score_wins(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    await queue.put(job(TRIAGE, 2, 8))
    await queue.put(job(TRIAGE, 1, 5))
    await queue.put(job(TRIAGE, 1, 20))
    claims = await take(queue)
    assert [(claim.id, claim.score) for claim in claims] == [(1, 5), (2, 8)]


async def test_the_earlier_time_wins(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10, soon(60)))
    await queue.put(job(TRIAGE, 1, 10, soon(90)))
    [entry] = await queue.listing(TRIAGE)
    assert entry.until is not None
    assert entry.until < soon(61)
    assert await ids(queue) == []
    await queue.put(job(TRIAGE, 1, 10))
    assert await ids(queue) == [1]


async def test_a_running_job_that_is_put_runs_once_more_with_the_newest_score(
    queue: RedisQueue,
) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 30))
    await queue.put(job(TRIAGE, 1, 20))
    assert await ids(queue) == []
    assert await queue.ack(claim)
    again = await one(queue)
    assert (again.score, again.token != claim.token) == (20, True)
    assert await queue.ack(again)
    assert await ids(queue) == []


async def test_the_run_after_a_success_starts_with_all_its_tries(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    await queue.retry(await one(queue), 0)
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 10))
    await queue.ack(claim)
    assert (claim.tries, (await one(queue)).tries) == (1, 0)


async def test_a_running_job_may_be_put_for_later(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 10, soon(60)))
    await queue.ack(claim)
    assert (await queue.depth())[TRIAGE] == Depth(ready=0, delayed=1, due=0, leased=0)


async def test_retry_costs_a_try_and_keeps_the_rank_after_the_delay(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 2, 11))
    assert await queue.retry(claim, 0.05)
    assert [entry.id for entry in await queue.listing(TRIAGE)] == [2, 1]
    await asyncio.sleep(0.06)
    claims = await take(queue)
    assert [(claim.id, claim.score, claim.tries) for claim in claims] == [(1, 10, 1), (2, 11, 0)]


async def test_an_ack_forgets_the_tries(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    await queue.retry(await one(queue), 0)
    await queue.ack(await one(queue))
    await queue.put(job(TRIAGE, 1, 10))
    assert (await one(queue)).tries == 0


async def test_release_costs_neither_try_nor_rank(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10), job(TRIAGE, 2, 11))
    assert await queue.release(await one(queue))
    claim = await one(queue)
    assert (claim.id, claim.score, claim.tries, claim.lost) == (1, 10, 0, 0)


async def test_a_dropped_job_is_gone_unless_it_was_put_again(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    assert await queue.drop(await one(queue))
    assert (await queue.depth())[TRIAGE] == EMPTY
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 10))
    assert await queue.drop(claim)
    assert await ids(queue) == [1]


async def test_an_expired_lease_is_taken_over_and_its_token_refused(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    stale = await one(queue, lease=0.03)
    await asyncio.sleep(0.04)
    fresh = await one(queue)
    assert (fresh.score, fresh.lost, fresh.tries) == (10, 1, 0)
    assert await queue.renew([stale, fresh]) == {stale}
    for refuse in (queue.ack, queue.release, queue.drop):
        assert not await refuse(stale)
    assert not await queue.retry(stale, 0)
    assert (await queue.depth())[TRIAGE].leased == 1
    assert await queue.ack(fresh)


async def test_a_lost_job_is_no_longer_its_old_owners_even_before_somebody_takes_it(
    queue: RedisQueue,
) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    stale = await one(queue, lease=0.01)
    await asyncio.sleep(0.02)
    await queue.claim(SENDING, 1, 30)  # any worker's claim takes expired leases back
    assert not await queue.ack(stale)
    assert await ids(queue) == [1]


async def test_a_renewed_lease_is_not_taken_over(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue, lease=0.5)
    for _ in range(4):
        await asyncio.sleep(0.2)
        assert await queue.renew([claim]) == set()
        assert await ids(queue) == []
    assert await queue.ack(claim)


async def test_a_claim_whose_answer_was_cut_off_is_given_back_at_once(
    queue: RedisQueue, real_redis: RealRedis
) -> None:
    async with Deaf(real_redis.socket) as deaf, RedisQueue(deaf.url) as behind:
        await take(behind)  # from now on Redis knows the script
        await behind.put(job(TRIAGE, 1, 10))
        deaf.cuts = True
        with pytest.raises(Transient):
            await one(behind)
        assert (await queue.depth())[TRIAGE].leased == 1
        await queue.put(job(TRIAGE, 1, 10))
        deaf.cuts = False
        claim = await one(behind)
        assert (claim.id, claim.tries, claim.lost) == (1, 0, 0)
        assert await queue.ack(claim)
        assert (await queue.depth())[TRIAGE] == EMPTY, "it was put before this run"


async def test_members_that_are_no_jobs_are_thrown_away_and_counted(
    queue: RedisQueue, real_redis: RealRedis
) -> None:
    junk = [b"\xff\xfe", b"triage", b"triage:", b"triage:1x", b"TRIAGE:1", b"triage:-1"]
    async with redis.asyncio.Redis.from_url(real_redis.url) as raw:
        for key in ("ready:triage", "delayed", "lease"):
            await raw.zadd("{desk:q}:" + key, dict.fromkeys(junk, 1))
        await raw.zadd("{desk:q}:ready:triage", {"sending:5": 1})
    await queue.put(job(TRIAGE, 7, 10))
    assert await ids(queue) == [7]
    assert await queue.bad() == 3 * len(junk) + 1
    assert (await queue.depth())[TRIAGE].leased == 1


async def test_rescore_moves_a_job_wherever_it_is(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10), job(TRIAGE, 2, 20), job(TRIAGE, 3, 30))
    running = await one(queue)
    assert await queue.rescore(TRIAGE, 1, 99)
    assert await queue.rescore(TRIAGE, 3, 5)
    assert not await queue.rescore(TRIAGE, 4, 1)
    await queue.release(running)
    assert await ids(queue) == [3, 2, 1]


async def test_remove_takes_out_what_waits_and_lets_run_what_runs(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10), job(TRIAGE, 2, 20, soon(60)))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 10))
    assert not await queue.remove(TRIAGE, 1)
    assert await queue.remove(TRIAGE, 2)
    assert await queue.ack(claim)
    assert (await queue.depth())[TRIAGE] == EMPTY


async def test_reconcile_adds_what_is_missing_and_repairs_ranks(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10), job(TRIAGE, 2, 20))
    running = await one(queue)
    await queue.reconcile([job(TRIAGE, 1, 1), job(TRIAGE, 2, 40), job(TRIAGE, 3, 30)])
    assert await ids(queue) == [3, 2]
    assert await queue.ack(running)
    assert await ids(queue) == [], "a sweep must not make a running job run twice"


async def test_reconcile_does_not_cut_a_backoff_short(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    await queue.retry(await one(queue), 60)
    await queue.reconcile([job(TRIAGE, 1, 10)])
    assert await ids(queue) == []


async def test_a_put_cuts_the_backoff_short_also_of_a_run_that_fails_after_it(
    queue: RedisQueue,
) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    await queue.retry(await one(queue), 60)
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 9))
    assert await queue.retry(claim, 60)
    again = await one(queue)
    assert (again.score, again.tries) == (9, 2)


@pytest.mark.parametrize(("wanted", "backoff"), [(30, 60), (60, 30)])
async def test_of_a_backoff_and_what_was_wanted_meanwhile_the_earlier_counts(
    queue: RedisQueue, wanted: float, backoff: float
) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    await queue.put(job(TRIAGE, 1, 10, soon(wanted)))
    assert await queue.retry(claim, backoff)
    [entry] = await queue.listing(TRIAGE)
    assert entry.until is not None
    assert soon(20) < entry.until < soon(31)


async def test_the_epoch_ends_when_redis_loses_everything(
    queue: RedisQueue, real_redis: RealRedis
) -> None:
    assert await queue.epoch() is None
    await queue.reconcile([])
    first = await queue.epoch()
    await queue.reconcile([])
    assert first is not None
    assert await queue.epoch() == first
    await queue.put(job(TRIAGE, 1, 10))
    claim = await one(queue)
    real_redis.ask("FLUSHALL")
    assert await queue.epoch() is None
    await queue.reconcile([job(TRIAGE, 1, 10)])
    assert await queue.epoch() not in (None, first)
    assert not await queue.ack(claim), "an ack from before must not touch the job put back"
    assert await ids(queue) == [1]


async def test_thousands_of_jobs_at_once(queue: RedisQueue) -> None:
    await queue.put(*(job(TRIAGE, id, -id) for id in range(1, 2001)))
    assert [claim.id for claim in await take(queue, 3000)] == list(range(2000, 0, -1))


async def test_listing_names_state_order_and_time(queue: RedisQueue) -> None:
    await queue.put(*(job(TRIAGE, id, score) for id, score in ((1, 1), (2, 9), (3, 4))))
    await queue.put(job(TRIAGE, 4, 2, soon(60)))
    await one(queue)
    rows = await queue.listing(TRIAGE)
    assert [(row.state, row.id, row.score) for row in rows] == [
        ("leased", 1, 1),
        ("ready", 3, 4),
        ("ready", 2, 9),
        ("delayed", 4, 2),
    ]
    assert [row.until is None for row in rows] == [False, True, True, False]
    assert len(await queue.listing(TRIAGE, 2)) == 2


async def test_a_put_wakes_who_waits(queue: RedisQueue) -> None:
    pauses = []
    for id in range(3):
        waiting = asyncio.create_task(queue.wait(TRIAGE, 10))
        await asyncio.sleep(0.05)
        start = time.monotonic()
        await queue.put(job(TRIAGE, id, 10))
        assert await waiting
        pauses.append(time.monotonic() - start)
    assert min(pauses) < 0.1, "some of them a busy machine may hold up"


async def test_nobody_wakes_without_a_reason(queue: RedisQueue) -> None:
    await queue.put(job(SENDING, 1, 10))
    await queue.put(job(TRIAGE, 1, 10))
    await queue.ack(await one(queue))
    start = time.monotonic()
    assert not await queue.wait(TRIAGE, 0.2)
    assert time.monotonic() - start > 0.19


async def test_a_claim_that_leaves_jobs_behind_wakes_the_next_worker(queue: RedisQueue) -> None:
    others = [asyncio.create_task(queue.wait(TRIAGE, 10)) for _ in range(2)]
    await asyncio.sleep(0.05)
    await queue.put(*(job(TRIAGE, id, id) for id in range(9)))
    await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    await one(queue)
    assert await asyncio.wait_for(asyncio.gather(*others), 1) == [True, True]


async def test_waiting_ends_when_a_delayed_job_is_due(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10, soon(5)))
    waiting = asyncio.create_task(queue.wait(TRIAGE, 10))
    await asyncio.sleep(0.05)
    start = time.monotonic()
    await queue.put(job(TRIAGE, 2, 10, soon(0.5)))  # earlier than what the sleeper knows of
    assert await waiting
    assert await ids(queue) == []
    assert await queue.wait(TRIAGE, 10)
    assert await ids(queue) == [2]
    assert 0.49 < time.monotonic() - start < 4


async def test_waiting_ends_when_a_lease_runs_out(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10))
    await one(queue, lease=0.2)
    assert await queue.wait(TRIAGE, 10)
    assert await ids(queue) == [1]


async def test_a_redis_that_is_away_is_transient(real_redis: RealRedis) -> None:
    async with RedisQueue("unix:///nowhere/redis.sock") as queue:
        for call in (queue.put(job(TRIAGE, 1, 1)), queue.claim(TRIAGE, 1, 1), queue.epoch()):
            with pytest.raises(Transient, match="Redis"):
                await call
        with pytest.raises(Transient, match="Redis"):
            await queue.wait(TRIAGE, 1)


async def test_a_killed_redis_comes_back_with_its_jobs(
    queue: RedisQueue, real_redis: RealRedis
) -> None:
    await queue.put(*(job(TRIAGE, id, id) for id in range(50)))
    claim = await one(queue)
    waiting = asyncio.create_task(queue.wait(SENDING, 10))
    await asyncio.sleep(0.05)
    real_redis.kill()
    with pytest.raises(Transient):
        await waiting
    with pytest.raises(Transient):
        await queue.put(job(TRIAGE, 99, 99))
    real_redis.start()
    assert await queue.ack(claim)  # also: the scripts are loaded again after NOSCRIPT
    assert (await queue.depth())[TRIAGE].ready == 49


async def test_each_prefix_is_a_queue_of_its_own(queue: RedisQueue, real_redis: RealRedis) -> None:
    async with RedisQueue(real_redis.url, prefix="{other}") as other:
        await other.put(job(TRIAGE, 1, 1))
        assert await ids(queue) == []
        assert await ids(other) == [1]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
async def test_a_score_that_orders_nothing_is_refused(queue: RedisQueue, score: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        await queue.put(job(TRIAGE, 1, score))


async def test_urgent_jobs_can_be_taken_out_of_the_rest(queue: RedisQueue) -> None:
    await queue.put(*(job(TRIAGE, id, id) for id in range(1, 6)))
    await queue.put(job(TRIAGE, 8, 8, is_urgent=True))
    await queue.put(job(TRIAGE, 4, 4, is_urgent=True))
    urgent = await queue.claim(TRIAGE, 9, 30, only_urgent=True)
    assert [claim.id for claim in urgent] == [4, 8]
    assert await queue.claim(TRIAGE, 9, 30, only_urgent=True) == []
    assert await ids(queue) == [1, 2, 3, 5]


async def test_an_urgent_job_stays_urgent_until_it_is_done(queue: RedisQueue) -> None:
    async def urgent() -> Claim:
        [claim] = await queue.claim(TRIAGE, 9, 0.03, only_urgent=True)
        return claim

    await queue.put(job(TRIAGE, 1, 10, is_urgent=True))
    await queue.put(job(TRIAGE, 1, 10))
    await queue.rescore(TRIAGE, 1, 7)
    await queue.release(await urgent())
    await queue.retry(await urgent(), 0)
    await urgent()
    await asyncio.sleep(0.04)  # its lease is lost
    claim = await urgent()
    assert (claim.score, claim.tries, claim.lost) == (7, 1, 1)
    assert await queue.ack(claim)
    await queue.put(job(TRIAGE, 1, 10))
    assert await queue.claim(TRIAGE, 9, 30, only_urgent=True) == []


async def test_what_was_taken_by_rank_is_not_taken_once_more_as_urgent(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 10, is_urgent=True))
    assert await ids(queue) == [1]
    assert await queue.claim(TRIAGE, 9, 30, only_urgent=True) == []


async def test_a_sweep_takes_over_what_is_urgent_and_what_is_not(queue: RedisQueue) -> None:
    await queue.put(job(TRIAGE, 1, 1, is_urgent=True), job(TRIAGE, 2, 2))
    await queue.reconcile([job(TRIAGE, 1, 1), job(TRIAGE, 2, 2, is_urgent=True)])
    urgent = await queue.claim(TRIAGE, 9, 30, only_urgent=True)
    assert [claim.id for claim in urgent] == [2]


async def test_who_waits_for_urgent_jobs_sleeps_through_others(queue: RedisQueue) -> None:
    waiting = asyncio.create_task(queue.wait(TRIAGE, 10, only_urgent=True))
    await asyncio.sleep(0.05)
    await queue.put(job(TRIAGE, 1, 10))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await queue.put(job(TRIAGE, 2, 20, is_urgent=True))
    assert await asyncio.wait_for(waiting, 1)


async def test_each_worker_takes_its_share_of_a_short_queue(
    queue: RedisQueue, real_redis: RealRedis
) -> None:
    async with RedisQueue(real_redis.url) as other, RedisQueue(real_redis.url) as third:
        for worker in (queue, other, third):
            await take(worker)
        await queue.put(*(job(TRIAGE, id, id) for id in range(10)))
        taken = [[claim.id for claim in await take(worker)] for worker in (queue, other, third)]
    assert taken == [[0, 1, 2, 3], [4, 5], [6, 7]]


async def test_a_redis_that_started_anew_is_another_epoch(
    queue: RedisQueue, real_redis: RealRedis
) -> None:
    await queue.reconcile([])
    before = await queue.epoch()
    real_redis.kill()
    real_redis.start()
    with pytest.raises(Transient):
        await queue.epoch()  # on the line that broke
    after = await queue.epoch()
    assert None not in (before, after)
    assert before != after
