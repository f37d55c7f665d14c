"""Runs the steps: claims jobs, keeps their leases, settles them, and sits out a Redis that is away.

A job runs at least once; what a step does must be idempotent. Everything lives in one TaskGroup:
a part that dies takes the process down instead of leaving one that only looks alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import structlog

from desk.errors import Ambiguous, Permanent, Throttled, Transient
from desk.failpoints import failpoint
from desk.model import Failure, Step
from workers.failure import backoff, caught, failure, kind, trace
from workers.queue import Claim, RedisQueue

Handler = Callable[[int], Awaitable[None]]
BatchHandler = Callable[[Sequence[int]], Awaitable[Mapping[int, Exception]]]
T = TypeVar("T")

_IDLE = 5.0  # seconds on the bell before looking again: a worker may die with its ring unanswered
_AWAY = 1.0  # longest pause between two questions to a Redis that is away
_LAST_WORDS = 1.0  # seconds to put jobs back at the very end

logger = structlog.get_logger()


class DeadLetters(Protocol):
    """Where jobs go that trying again does not help."""

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        """A run that failed and will be tried again."""
        ...

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        """The job is given up."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """How a step is served: ``slots`` calls at once of ``batch`` jobs each.

    With ``batch`` above 1 the handler takes ids and returns those that failed. A call that takes
    longer than ``limit`` seconds is cancelled and costs a try; None for calls that may wait.
    ``is_patient``: what is Transient is tried for as long as the other side is away.
    """

    handler: Handler | BatchHandler
    slots: int = 4
    batch: int = 1
    lease: float = 30.0
    limit: float | None = 600.0
    is_patient: bool = False

    async def run(self, ids: Sequence[int]) -> Mapping[int, Exception]:
        # the casts: ``batch`` says which of the two it is, and types cannot
        async with asyncio.timeout(self.limit):
            if self.batch > 1:
                return await cast(BatchHandler, self.handler)(ids)
            await cast(Handler, self.handler)(ids[0])
            return {}


@dataclass(eq=False, slots=True)
class _Call:
    """A handler's call under way, and the claims it still answers for."""

    step: Step
    service: Service
    claims: list[Claim]
    task: asyncio.Task[None] | None = None
    settling: bool = False


class Runner:
    """``run`` serves until ``stop``; ``drain`` until the queue is empty."""

    def __init__(
        self,
        queue: RedisQueue,
        services: Mapping[Step, Service],
        dead: DeadLetters,
        *,
        tries: int = 5,
        losses: int = 3,
        grace: float = 3.0,
        stall: float = 60.0,
        delay: Callable[[int], float] = backoff,
    ) -> None:
        """``tries`` runs or ``losses`` lost leases kill a job; running jobs get ``grace`` seconds
        at the end; a step with free slots that has not asked for jobs for ``stall`` seconds is
        stuck; ``delay`` says how long to wait after so many failed tries."""
        self._queue, self._services, self._dead = queue, dict(services), dead
        self._tries, self._losses, self._delay = tries, losses, delay
        self._grace, self._stall = grace, stall
        self._slots: dict[Step, asyncio.Semaphore] = {}
        self._asked: dict[Step, float] = {}  # when each step last asked for jobs
        self._calls: set[_Call] = set()
        self._stopping = asyncio.Event()
        self._away = False

    def stop(self) -> None:
        """End ``run``: no new jobs, ``grace`` for those that run, then they are put back."""
        self._stopping.set()

    async def run(self) -> None:
        self._slots = {step: asyncio.Semaphore(s.slots) for step, s in self._services.items()}
        try:
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self._serve(group, step, service))
                    for step, service in self._services.items()
                ]
                keepers = [group.create_task(keep) for keep in (self._renewer(), self._watch())]
                await self._stopping.wait()
                await self._end(loops)
                for keeper in keepers:
                    keeper.cancel()
        finally:
            self._stopping.clear()

    async def drain(self) -> None:
        """Serve until nothing is ready, due or leased. For tests and one-off runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.run())
            while self._calls or await self._is_busy():  # noqa: ASYNC110 - others work too
                await asyncio.sleep(0.01)
            self.stop()

    async def _is_busy(self) -> bool:
        depth = await self._answer(self._queue.depth)
        rows = [row for step, row in depth.items() if step in self._services]
        return any(row.ready or row.due or row.leased for row in rows)

    async def _end(self, loops: Sequence[asyncio.Task[None]]) -> None:
        for loop in loops:
            loop.cancel()
        calls = [call.task for call in self._calls if call.task is not None]
        if loops or calls:
            await asyncio.wait([*loops, *calls], timeout=self._grace)
        for _ in range(2):  # a step may hold asyncio.wait_for, which swallows one (see queue.py)
            left = [task for task in (*loops, *calls) if not task.done()]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=_LAST_WORDS / 2)

    # claiming

    async def _serve(self, group: asyncio.TaskGroup, step: Step, service: Service) -> None:
        slots = self._slots[step]
        while True:
            free = await _take(slots)
            batches = _batches(await self._claim(step, service, free), service.batch)
            for batch in batches[:free]:
                call = _Call(step, service, batch)
                self._calls.add(call)
                call.task = group.create_task(self._attend(call))
            if extra := [claim for batch in batches[free:] for claim in batch]:
                group.create_task(self._put_back(_Call(step, service, extra)))
            for _ in range(free - len(batches)):
                slots.release()

    async def _claim(self, step: Step, service: Service, free: int) -> list[Claim]:
        """Jobs as soon as there are some; Redis may be away meanwhile."""
        pause = 0.05
        while True:
            self._asked[step] = asyncio.get_running_loop().time()
            try:
                if claims := await self._claim_now(step, free * service.batch, service.lease):
                    return claims
                await self._queue.wait([step], _IDLE)
                self._report(None)
                pause = 0.05
            except Transient as error:
                self._report(error)
                await asyncio.sleep(pause)
                pause = min(_AWAY, 2 * pause)
                with suppress(Transient):
                    await self._renew()  # before anybody reaps what we still run

    async def _claim_now(self, step: Step, n: int, lease: float) -> list[Claim]:
        asking = asyncio.ensure_future(self._queue.claim(step, n, lease))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with suppress(Transient, TimeoutError):
                async with asyncio.timeout(2 * _LAST_WORDS):
                    for claim in await asking:
                        await self._queue.release(claim)
            raise

    # running

    async def _attend(self, call: _Call) -> None:
        structlog.contextvars.bind_contextvars(step=call.step, ids=[c.id for c in call.claims])
        try:
            await self._bury_poison(call)
            if call.claims:
                ids = [claim.id for claim in call.claims]
                await failpoint("job.claimed")
                outcome = await caught(call.service.run(ids))
                await failpoint("job.ran")
                call.settling = True
                failed = outcome if isinstance(outcome, Mapping) else dict.fromkeys(ids, outcome)
                await self._settle(call, failed)
                await failpoint("job.settled")
        except asyncio.CancelledError:
            await self._put_back(call)
        finally:
            self._calls.discard(call)
            self._asked[call.step] = asyncio.get_running_loop().time()
            self._slots[call.step].release()

    async def _bury_poison(self, call: _Call) -> None:
        for claim in [claim for claim in call.claims if claim.lost >= self._losses]:
            reason = f"The worker died or lost its lease {claim.lost} times while it ran this."
            call.claims.remove(claim)
            await self._bury(call.step, claim, Failure("LeaseLost", reason), claim.tries)

    async def _settle(self, call: _Call, failed: Mapping[int, Exception]) -> None:
        claims = list(call.claims)
        if done := [claim for claim in claims if claim.id not in failed]:
            await self._answer(lambda: self._queue.ack_many(done))
        for claim in claims:
            if claim.id in failed:
                await self._fail(call.step, claim, failed[claim.id])
        logger.debug("jobs_settled", done=len(done), failed=len(failed))

    async def _fail(self, step: Step, claim: Claim, error: Exception) -> None:
        tries = claim.tries + 1
        logger.warning("job_failed", id=claim.id, tries=tries, error=kind(error), at=trace(error))
        may_pass = isinstance(error, Transient) and self._services[step].is_patient
        is_last = tries >= self._tries and not may_pass
        if is_last or isinstance(error, Permanent | Ambiguous):
            await self._bury(step, claim, failure(error), tries)
            return
        delay = self._delay(claim.tries)
        if isinstance(error, Throttled):
            delay = error.seconds + min(delay, 1.0)  # not all at the same moment
        await self._answer(lambda: self._queue.retry(claim, delay))
        if not may_pass:  # what waits for the other side may fail for hours and is not given up
            await caught(self._dead.remember(step, claim.id, failure(error)))

    async def _bury(self, step: Step, claim: Claim, why: Failure, tries: int) -> None:
        error = await caught(self._dead.bury(step, claim.id, why, tries))
        if isinstance(error, Exception):
            logger.error("job_not_buried", id=claim.id, error=kind(error), at=trace(error))
            await self._answer(lambda: self._queue.retry(claim, self._delay(tries)))
            return
        logger.error("job_dead", id=claim.id, tries=tries, lost=claim.lost)
        await self._answer(lambda: self._queue.drop(claim))

    async def _put_back(self, call: _Call) -> None:
        with suppress(Transient, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                for claim in call.claims:
                    await self._queue.release(claim)

    async def _answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until Redis answers; the lease is renewed or lost meanwhile, and both are fine."""
        pause = 0.05
        while True:
            try:
                return await ask()
            except Transient as error:
                self._report(error)
                await asyncio.sleep(pause)
                pause = min(_AWAY, 2 * pause)

    # watching

    async def _renewer(self) -> None:
        pause = min((service.lease for service in self._services.values()), default=30.0) / 3
        while True:
            await asyncio.sleep(pause)
            await self._answer(self._renew)

    async def _renew(self) -> None:
        calls = list(self._calls)
        claims = [claim for call in calls for claim in call.claims]
        lost = await self._queue.renew(claims) if claims else set()
        for call in calls:
            gone = [claim for claim in call.claims if claim in lost]
            if gone and not call.settling:
                logger.warning("lease_lost", step=call.step, ids=[claim.id for claim in gone])
                call.claims = [claim for claim in call.claims if claim not in lost]
                if not call.claims and call.task is not None:
                    call.task.cancel()

    async def _watch(self) -> None:
        """Progress, not life: a step that could ask for jobs and does not ends the process."""
        clock = asyncio.get_running_loop().time
        last = clock()
        while True:
            await asyncio.sleep(1)
            now, lag = clock(), clock() - last - 1
            last = now
            if lag > 1:
                logger.warning("event_loop_blocked", seconds=round(lag, 1))
                continue
            for step, asked in self._asked.items():
                busy = sum(call.step == step for call in self._calls)
                if now - asked > self._stall and busy < self._services[step].slots:
                    raise Transient(f"The step {step} has stopped asking for jobs; restart it.")

    def _report(self, error: Transient | None) -> None:
        if error is not None and not self._away:
            logger.warning("redis_away", error=str(error))
        if error is None and self._away:
            logger.info("redis_back")
        self._away = error is not None


async def _take(slots: asyncio.Semaphore) -> int:
    """Take all free slots, at least one; returns how many."""
    await slots.acquire()
    taken = 1
    while not slots.locked():
        await slots.acquire()
        taken += 1
    return taken


def _batches(claims: Sequence[Claim], size: int) -> list[list[Claim]]:
    """What each call gets. A job that failed before runs alone: it may take the others down."""
    fresh = [claim for claim in claims if not (claim.tries or claim.lost)]
    alone = [[claim] for claim in claims if claim.tries or claim.lost]
    batches = [fresh[start : start + size] for start in range(0, len(fresh), size)]
    return sorted(batches + alone, key=lambda batch: batch[0].score)
