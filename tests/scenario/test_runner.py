"""The runner on a real Redis: every outcome of a job, lost leases, an absent Redis, and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from cli.serve import Process
from desk.errors import Ambiguous, Permanent, Throttled, Transient
from desk.steps import Failure, Step
from tests.doubles.desk import job
from tests.doubles.redis import RealRedis
from tests.doubles.redis import queue as queue
from tests.doubles.redis import real_redis as real_redis
from tests.doubles.redis import redis_session as redis_session
from workers.lanes import Service
from workers.queue import Claim, Depth, RedisQueue
from workers.runner import Runner
from workers.trials import Trials

TRIAGE, SHOW = Step.TRIAGE, Step.SHOW
EMPTY = Depth(0, 0, 0, 0)


class Dead:
    """Dead letters in a list."""

    def __init__(self) -> None:
        self.letters: list[tuple[Step, int, str, int]] = []
        self.traces: list[str] = []
        self.failures: list[tuple[int, str]] = []
        self.away = False

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        if self.away:
            raise Transient("The database is locked.")
        self.failures.append((id, failure.error))

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        if self.away:
            raise Transient("The database is locked.")
        self.letters.append((step, id, failure.reason, tries))
        self.traces.append(failure.trace)


class Work:
    """A handler that notes its runs; ``outcomes[id]`` are raised one after the other."""

    def __init__(self, seconds: float = 0) -> None:
        self.runs: list[int] = []
        self.at: list[float] = []
        self.ended: list[int] = []
        self.outcomes: dict[int, list[Exception]] = {}
        self.seconds = seconds
        self.most = self.now = 0

    async def __call__(self, id: int) -> None:
        self.runs.append(id)
        self.at.append(time.monotonic())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.work()
        finally:
            self.now -= 1
        if self.outcomes.get(id):
            raise self.outcomes[id].pop(0)
        self.ended.append(id)

    async def work(self) -> None:
        await asyncio.sleep(self.seconds)


class Held(Work):
    """Its runs end when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def work(self) -> None:
        await self.may_end.wait()


@pytest.fixture
def dead() -> Dead:
    return Dead()


def runner_of(queue: RedisQueue, dead: Dead, service: Service, delay: float = 0.01) -> Runner:
    return Runner(queue, {TRIAGE: service}, dead, grace=0.5, delay=lambda tries: delay)


@asynccontextmanager
async def running(runner: Runner) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        runner.stop()
        await asyncio.wait_for(task, 6)


async def until(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        await asyncio.sleep(0.005)


async def depth(queue: RedisQueue) -> Depth:
    return (await queue.depth())[TRIAGE]


async def put(queue: RedisQueue, *ids: int) -> None:
    await queue.put(*(job(TRIAGE, id, id) for id in ids))


async def test_jobs_run_in_their_order_and_are_gone(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    await put(queue, 3, 1, 2)
    await runner_of(queue, dead, Service(work, slots=1)).drain()
    assert work.runs == [1, 2, 3]
    assert await depth(queue) == EMPTY


async def test_slots_bound_what_runs_at_once_and_are_all_used(
    queue: RedisQueue, dead: Dead
) -> None:
    work = Work(0.02)
    await put(queue, *range(12))
    await runner_of(queue, dead, Service(work, slots=3)).drain()
    assert sorted(work.ended) == list(range(12))
    assert work.most == 3


async def test_a_new_job_overtakes_what_still_waits(queue: RedisQueue, dead: Dead) -> None:
    work = Held()
    await put(queue, 10, 11, 12)
    async with running(runner_of(queue, dead, Service(work, slots=1))):
        await until(lambda: work.runs == [10])
        await put(queue, 1)
        work.may_end.set()
        await until(lambda: len(work.ended) == 4)
    assert work.runs == [10, 1, 11, 12]


async def test_one_step_does_not_hold_up_another(queue: RedisQueue, dead: Dead) -> None:
    slow, fast = Held(), Work()
    services = {TRIAGE: Service(slow, slots=1), SHOW: Service(fast, slots=1)}
    await put(queue, 1, 2, 3)
    async with running(Runner(queue, services, dead, grace=0)):
        await until(lambda: slow.runs == [1])
        await queue.put(*(job(SHOW, id, id) for id in range(20)))
        await until(lambda: len(fast.ended) == 20)


async def test_an_idle_runner_starts_a_job_at_once(queue: RedisQueue, dead: Dead) -> None:
    work, pauses = Work(), []
    async with running(runner_of(queue, dead, Service(work))):
        await asyncio.sleep(0.1)
        for id in range(5):
            start = time.monotonic()
            await put(queue, id)
            await until(lambda: len(work.at) > id)  # noqa: B023 - awaited in this turn
            pauses.append(work.at[-1] - start)
            await asyncio.sleep(0.02)
    assert min(pauses) < 0.1, "some of them a busy machine may hold up"


async def test_a_delayed_job_starts_on_time(queue: RedisQueue, dead: Dead) -> None:
    work, delays = Work(), (0.3, 0.4, 0.5)
    async with running(runner_of(queue, dead, Service(work))):
        start, now = time.monotonic(), datetime.now(UTC)
        jobs = [job(TRIAGE, n, n, now + timedelta(seconds=s)) for n, s in enumerate(delays)]
        await queue.put(*jobs)
        await until(lambda: len(work.runs) == 3)
    late = [at - start - delay for at, delay in zip(work.at, delays, strict=True)]
    assert work.runs == [0, 1, 2]
    assert min(late) > -0.02
    assert min(late) < 0.15, "some of them a busy machine may hold up"


async def test_a_job_put_while_it_runs_runs_once_more(queue: RedisQueue, dead: Dead) -> None:
    work = Held()
    async with running(runner_of(queue, dead, Service(work))):
        await put(queue, 1)
        await until(lambda: work.runs == [1])
        await put(queue, 1)
        await put(queue, 1)
        work.may_end.set()
        await until(lambda: work.ended == [1, 1])
        await asyncio.sleep(0.1)
    assert work.runs == [1, 1]
    assert await depth(queue) == EMPTY


@pytest.mark.parametrize("error", [Transient("Busy."), ValueError("ann@example.com")])
async def test_what_may_pass_is_tried_again(
    queue: RedisQueue, dead: Dead, error: Exception
) -> None:
    work = Work()
    work.outcomes = {1: [error, error]}
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work))):
        await until(lambda: work.ended == [1])
    assert work.runs == [1, 1, 1]
    assert dead.letters == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Transient("The model is busy."), "The model is busy."),
        (ValueError("ann@example.com"), "Unexpected ValueError."),
    ],
)
async def test_the_fifth_failure_is_the_last(
    queue: RedisQueue, dead: Dead, error: Exception, said: str
) -> None:
    work = Work()
    work.outcomes = {1: [error] * 9}
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work))):
        await until(lambda: bool(dead.letters))
    assert work.runs == [1] * 5
    assert dead.letters == [(TRIAGE, 1, said, 5)]
    assert "test_runner" in dead.traces[0]
    assert await depth(queue) == EMPTY


async def test_a_patient_step_outlasts_a_long_absence(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    work.outcomes = {1: [Transient("Slack is away.")] * 9}
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work, is_patient=True))):
        await until(lambda: work.ended == [1])
    assert (dead.letters, dead.failures) == ([], [])


@pytest.mark.parametrize("error", [Permanent("No such ticket."), Ambiguous("It may have left.")])
async def test_what_must_not_be_repeated_is_dead_at_once(
    queue: RedisQueue, dead: Dead, error: Exception
) -> None:
    work = Work()
    work.outcomes = {1: [error]}
    await put(queue, 1)
    await runner_of(queue, dead, Service(work)).drain()
    assert work.runs == [1]
    assert dead.letters == [(TRIAGE, 1, str(error), 1)]


async def test_a_throttled_job_waits_as_long_as_it_was_told(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    work.outcomes = {1: [Throttled("Slow down.", 0.4)]}
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work))):
        await until(lambda: work.ended == [1])
    assert 0.39 < work.at[1] - work.at[0] < 1.9, "not when an idle runner looks anyhow"


async def test_a_dead_job_is_kept_until_it_could_be_buried(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    work.outcomes = {1: [Permanent("No such ticket.")] * 9}
    dead.away = True
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work))):
        await until(lambda: len(work.runs) > 2)
        dead.away = False
        await until(lambda: bool(dead.letters))
    assert await depth(queue) == EMPTY


async def test_a_call_over_its_limit_is_cancelled_and_costs_a_try(
    queue: RedisQueue, dead: Dead
) -> None:
    work = Work(30)
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work, limit=0.02))):
        await until(lambda: bool(dead.letters))
    assert dead.letters[0][2:] == ("Unexpected TimeoutError from CancelledError.", 5)


async def test_a_cancellation_from_within_a_step_is_a_failure(
    queue: RedisQueue, dead: Dead
) -> None:
    runs = []

    async def leak(id: int) -> None:
        runs.append(id)
        raise asyncio.CancelledError

    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(leak))):
        await until(lambda: bool(dead.letters))
    assert runs == [1] * 5


async def test_leases_are_renewed_while_a_job_runs(queue: RedisQueue, dead: Dead) -> None:
    work = Work(1.5)
    await put(queue, 1)
    async with (
        running(runner_of(queue, dead, Service(work, lease=0.8))),
        running(runner_of(queue, dead, Service(work, lease=0.8))),
    ):
        await until(lambda: work.ended == [1])
    assert work.runs == [1]


async def test_a_job_whose_lease_was_lost_is_cancelled(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    work = Work(10)
    await put(queue, 1)
    async with running(runner_of(queue, dead, Service(work, lease=0.6))):
        await until(lambda: work.runs == [1])
        real_redis.ask("FLUSHALL")
        await until(lambda: work.now == 0)
        await put(queue, 2)
        await until(lambda: work.runs == [1, 2])
    assert [entry.id for entry in await queue.listing(TRIAGE)] == [2]


async def test_a_job_of_a_dead_worker_is_taken_over(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    await put(queue, 1)
    start = time.monotonic()
    await queue.claim(TRIAGE, 1, 0.3)
    async with running(runner_of(queue, dead, Service(work))):
        await until(lambda: work.ended == [1])
    assert 0.29 < work.at[0] - start < 1.9, "not when an idle runner looks anyhow"


async def lose(queue: RedisQueue, times: int, n: int = 1, *, is_alone: bool = False) -> None:
    """Workers die that have these jobs in hand."""
    for _ in range(times):
        for claim in await queue.claim(TRIAGE, n, 0.02):
            assert not is_alone or await queue.isolate(claim)
        await asyncio.sleep(0.03)


async def test_poison_is_buried_before_it_runs_again(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    await put(queue, 1)
    await lose(queue, 2)
    await lose(queue, 1, is_alone=True)
    await put(queue, 2)
    await runner_of(queue, dead, Service(work)).drain()
    assert work.runs == [2]
    [(_, id, said, _)] = dead.letters
    assert (id, "3 times" in said, "Nothing else" in said) == (1, True, True)


async def test_whoever_never_ran_alone_is_not_taken_for_poison(
    queue: RedisQueue, dead: Dead
) -> None:
    work = Work()
    await put(queue, 1)
    await lose(queue, 5)
    await runner_of(queue, dead, Service(work)).drain()
    assert work.ended == [1]
    assert dead.letters == []


async def test_after_ten_lost_leases_a_job_is_given_up_anyhow(
    queue: RedisQueue, dead: Dead
) -> None:
    work = Work()
    await put(queue, 1)
    await lose(queue, 10)
    await runner_of(queue, dead, Service(work)).drain()
    assert work.runs == []
    [(_, id, said, _)] = dead.letters
    assert (id, "10 times" in said, "Nothing else" in said) == (1, True, False)


async def test_what_was_held_against_a_job_is_forgotten_when_it_is_done(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    await put(queue, 1)
    await lose(queue, 2, is_alone=True)
    await runner_of(queue, dead, Service(Work())).drain()
    for key in ("lost", "isolated", "alone"):
        assert real_redis.ask(f"HLEN {{desk:q}}:{key}") == b":0", key


async def test_a_batch_settles_each_of_its_jobs(queue: RedisQueue, dead: Dead) -> None:
    calls: list[list[int]] = []

    async def handle(ids: Sequence[int]) -> Mapping[int, Exception]:
        calls.append(list(ids))
        return {id: Permanent("Empty.") for id in ids if id == 3}

    await put(queue, *range(7))
    await runner_of(queue, dead, Service(handle, slots=1, batch=5)).drain()
    assert calls == [[0, 1, 2, 3, 4], [5, 6]]
    assert [letter[1] for letter in dead.letters] == [3]
    assert await depth(queue) == EMPTY


async def test_jobs_of_a_failed_batch_run_alone_so_that_one_cannot_kill_all(
    queue: RedisQueue, dead: Dead
) -> None:
    calls: list[list[int]] = []

    async def handle(ids: Sequence[int]) -> Mapping[int, Exception]:
        calls.append(list(ids))
        if 3 in ids:
            raise MemoryError
        return {}

    def alone() -> list[tuple[int, ...]]:
        return [tuple(call) for call in calls if len(call) == 1]

    await put(queue, *range(6))
    async with running(runner_of(queue, dead, Service(handle, slots=1, batch=10))):
        await until(lambda: bool(dead.letters) and {(id,) for id in range(6)} <= set(alone()))
    assert calls[0] == list(range(6))
    assert all(len(call) == 1 for call in calls[1:])
    assert [letter[1] for letter in dead.letters] == [3]
    assert await depth(queue) == EMPTY


async def test_stop_lets_short_jobs_end_and_puts_long_ones_back(
    queue: RedisQueue, dead: Dead
) -> None:
    short, long = Work(0.2), Work(30)
    services = {TRIAGE: Service(long), SHOW: Service(short)}
    await put(queue, 1)
    await queue.put(job(SHOW, 2, 2))
    runner = Runner(queue, services, dead, grace=0.5)
    task = asyncio.create_task(runner.run())
    await until(lambda: short.runs == [2] and long.runs == [1])
    start = time.monotonic()
    runner.stop()
    await task
    assert time.monotonic() - start < 2
    assert short.ended == [2]
    [entry] = await queue.listing(TRIAGE)
    assert (entry.state, entry.tries, entry.lost) == ("ready", 0, 0)


async def test_a_cancelled_runner_puts_its_jobs_back(queue: RedisQueue, dead: Dead) -> None:
    work = Work(30)
    await put(queue, 1, 2)
    task = asyncio.create_task(runner_of(queue, dead, Service(work, slots=1)).run())
    await until(lambda: work.runs == [1])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    rows = await queue.listing(TRIAGE)
    assert [(row.state, row.id, row.tries, row.lost) for row in rows] == [
        ("ready", 1, 0, 0),
        ("ready", 2, 0, 0),
    ]


@pytest.mark.parametrize("fault", [RealRedis.kill, RealRedis.hang])
async def test_stop_ends_in_time_without_redis(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis, fault: Callable[[RealRedis], None]
) -> None:
    work, ended = Work(30), Work(0.3)
    await put(queue, 1)
    await queue.put(job(SHOW, 2, 2))
    runner = Runner(queue, {TRIAGE: Service(work), SHOW: Service(ended)}, dead, grace=1)
    task = asyncio.create_task(runner.run())
    await until(lambda: bool(work.runs and ended.runs))
    fault(real_redis)
    start = time.monotonic()
    runner.stop()
    await task
    assert time.monotonic() - start < 5


async def test_a_step_that_stops_asking_ends_the_process(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    class Stuck(RedisQueue):
        async def claim(
            self, step: Step, n: int, lease_seconds: float, *, only_urgent: bool = False
        ) -> list[Claim]:
            await asyncio.Event().wait()
            return []

    async with Stuck(real_redis.url) as stuck:
        runner = Runner(stuck, {TRIAGE: Service(Work())}, dead, stall=0.5)
        with pytest.raises(ExceptionGroup, match="unhandled") as caught:
            await asyncio.wait_for(runner.run(), 5)
    assert "stopped asking" in str(caught.value.exceptions[0])


async def test_a_step_whose_slots_are_all_busy_is_not_stuck(queue: RedisQueue, dead: Dead) -> None:
    work = Work(4.5)
    await put(queue, 1)
    runner = Runner(queue, {TRIAGE: Service(work, slots=1)}, dead, stall=1.5, grace=0)
    task = asyncio.create_task(runner.run())
    await until(lambda: work.ended == [1], seconds=15)
    assert not task.done()
    runner.stop()
    await task


async def test_a_stopped_runner_can_run_again(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    runner = runner_of(queue, dead, Service(work))
    for id in (1, 2):
        await put(queue, id)
        await runner.drain()
    assert work.ended == [1, 2]


async def test_a_killed_redis_delays_but_loses_nothing(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    work = Work(0.01)
    await put(queue, *range(300))
    async with running(runner_of(queue, dead, Service(work, slots=4))) as task:
        for pause in (0.0, 0.5):
            seen = len(work.ended)
            await until(lambda: len(work.ended) > seen + 20)  # noqa: B023 - awaited in this turn
            real_redis.kill()
            await asyncio.sleep(pause)
            real_redis.start()
            back, seen = time.monotonic(), len(work.runs)
            await until(lambda: len(work.runs) > seen)  # noqa: B023
            assert time.monotonic() - back < 3
        await until(lambda: set(work.ended) == set(range(300)), 20)
        assert not task.done()
        # a claim whose answer was lost is found when its lease ends
        deadline = time.monotonic() + 10
        while await depth(queue) != EMPTY:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    assert dead.letters == []
    assert len(work.runs) < 320, "hardly anything ran twice"


async def test_an_idle_runner_survives_a_long_absence(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    work = Work()
    async with running(runner_of(queue, dead, Service(work))):
        await asyncio.sleep(0.05)
        real_redis.kill()
        await asyncio.sleep(2.5)
        real_redis.start()
        start = time.monotonic()
        await put(queue, 1)
        await until(lambda: work.ended == [1])
        assert time.monotonic() - start < 3


async def test_what_running_jobs_hold_is_closed_after_them(queue: RedisQueue, dead: Dead) -> None:
    seen: list[str] = []

    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("closed")

    async def work(id: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.2)
        seen.append("handed over")

    await put(queue, 1)
    async with asyncio.TaskGroup() as group:
        process = Process(group)
        process.start(hold())
        process.serve(runner_of(queue, dead, Service(work)))
        await process.until_stopped()
    assert seen == ["handed over", "closed"]


async def test_a_slot_is_kept_for_urgent_jobs(queue: RedisQueue, dead: Dead) -> None:
    work = Held()
    await put(queue, *range(8))
    async with running(runner_of(queue, dead, Service(work, slots=4, reserved=1))):
        await until(lambda: len(work.runs) == 3)
        await asyncio.sleep(0.05)
        assert work.now == 3
        await queue.put(job(TRIAGE, 99, 99, is_urgent=True))
        await until(lambda: 99 in work.runs, 1.9)  # not when an idle runner looks anyhow
        work.may_end.set()
        await until(lambda: len(work.ended) == 9)
    assert work.runs[3] == 99
    assert work.most == 4


async def test_the_last_slot_is_for_everybody(queue: RedisQueue, dead: Dead) -> None:
    work = Work()
    await put(queue, 1)
    await runner_of(queue, dead, Service(work, slots=1, reserved=1)).drain()
    assert work.ended == [1]


async def test_a_short_queue_is_shared_by_those_who_are_idle(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    works = [Work(0.3), Work(0.3)]
    async with RedisQueue(real_redis.url) as other:
        runners = [
            runner_of(line, dead, Service(work, slots=10))
            for line, work in zip((queue, other), works, strict=True)
        ]
        async with running(runners[0]), running(runners[1]):
            known = "ZCARD {desk:q}:workers:triage"
            await until(lambda: real_redis.ask(known) == b":2")
            await put(queue, *range(8))
            await until(lambda: sum(len(work.runs) for work in works) == 8)
    assert min(len(work.runs) for work in works) >= 2, [work.runs for work in works]


async def test_a_suspect_runs_with_nothing_beside_it(queue: RedisQueue, dead: Dead) -> None:
    """Not even what another runner of the process serves."""
    beside: dict[int, int] = {}

    class Watched(Work):
        async def __call__(self, id: int) -> None:
            running = asyncio.create_task(super().__call__(id))
            while not running.done():
                beside[id] = max(beside.get(id, 0), work.now + shown.now)
                await asyncio.sleep(0.005)

    work, shown, trials = Watched(0.1), Work(0.05), Trials()
    await put(queue, *range(4))
    await lose(queue, 2, 4)
    steps = {TRIAGE: Service(work, slots=8), SHOW: Service(shown, slots=2)}
    runners = [Runner(queue, {step: steps[step]}, dead, trials=trials) for step in steps]
    async with running(runners[1]), running(runners[0]):
        await put(queue, *range(10, 14))
        await queue.put(*(job(SHOW, id, id) for id in range(20)))
        await until(lambda: len(work.ended) == 8 and len(shown.ended) == 20)
    assert [beside[id] for id in range(4)] == [1, 1, 1, 1]
    assert max(beside.values()) > 1, "the others ran together"
    assert dead.letters == []


async def test_a_suspect_that_takes_long_holds_up_the_others_for_a_while_only(
    queue: RedisQueue, dead: Dead
) -> None:
    long, others = Work(30), Work()
    await put(queue, 1)
    await lose(queue, 2)
    services = {TRIAGE: Service(long), SHOW: Service(others)}
    runner = Runner(queue, services, dead, delay=lambda tries: 60.0, trial=0.3)
    async with running(runner):
        await until(lambda: long.runs == [1])
        await queue.put(job(SHOW, 2, 2))
        await until(lambda: others.ended == [2])
    assert others.at[0] - long.at[0] > 0.28, "nothing runs beside it"
    assert dead.failures == [(1, "TimeoutError from CancelledError")]


async def test_a_suspect_that_waits_for_quiet_is_given_back_at_the_end(
    queue: RedisQueue, dead: Dead
) -> None:
    work = Work(30)
    await put(queue, 1)
    await lose(queue, 2)
    await queue.put(job(SHOW, 2, 2))
    trials, held = Trials(), Work(30)
    runners = [
        Runner(queue, {step: Service(one)}, dead, grace=0.1, trials=trials)
        for step, one in ((SHOW, held), (TRIAGE, work))
    ]
    async with running(runners[0]):
        await until(lambda: held.runs == [2])
        async with running(runners[1]):
            await until(lambda: trials.is_on)
            await asyncio.sleep(0.1)
    assert work.runs == []
    assert not trials.is_on
    [entry] = await queue.listing(TRIAGE)
    assert (entry.state, entry.tries, entry.lost) == ("ready", 0, 2)


async def test_jobs_are_acknowledged_together(dead: Dead, real_redis: RealRedis) -> None:
    asked: list[int] = []

    class Counting(RedisQueue):
        async def ack_many(self, claims: Sequence[Claim]) -> list[bool]:
            asked.append(len(claims))
            return await super().ack_many(claims)

    async with Counting(real_redis.url) as queue:
        await put(queue, *range(64))
        await runner_of(queue, dead, Service(Work(), slots=32)).drain()
    assert sum(asked) == 64
    assert len(asked) <= 16


async def test_what_is_done_stays_leased_until_it_is_acknowledged(
    queue: RedisQueue, dead: Dead, real_redis: RealRedis
) -> None:
    work = Work(0.05)
    await put(queue, 1)
    with capture_logs() as logs:
        async with running(runner_of(queue, dead, Service(work, slots=1, lease=5))):
            await until(lambda: work.runs == [1])
            real_redis.kill()
            await until(lambda: work.ended == [1])
            await asyncio.sleep(0.3)
            real_redis.start()
            await until(lambda: real_redis.ask("HLEN {desk:q}:job") == b":0")
            # the acknowledgement is seen here before its answer is heard there
            await until(lambda: len(logs) > 1)
    assert work.runs == [1]
    assert [log["event"] for log in logs] == ["redis_away", "redis_back"]
