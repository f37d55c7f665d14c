"""Runs the steps: claims jobs, keeps their leases, settles them, and sits out a Redis that is away.

A job runs at least once; what a step does must be idempotent. Everything lives in one TaskGroup:
a part that dies takes the process down instead of leaving one that only looks alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import structlog

from desk.errors import Transient
from desk.failpoints import failpoint
from desk.steps import Failure, Step
from workers.failure import backoff, caught
from workers.queue import Claim, RedisQueue
from workers.settle import LAST_WORDS, DeadLetters, Settlement

Handler = Callable[[int], Awaitable[None]]
BatchHandler = Callable[[Sequence[int]], Awaitable[Mapping[int, Exception]]]

_IDLE = 2.0  # seconds on the bell before looking again: a worker may die with its ring unanswered
_AWAY = 1.0  # longest pause between two questions to a Redis that is away
_MOST = 16  # jobs a claim, or one batch: whoever takes more keeps them from the other workers
_SUSPECT = 0.25  # seconds until a job that may be poison is looked at again

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Service:
    """How a step is served: ``slots`` calls at once of ``batch`` jobs each; of these slots,
    ``reserved`` are kept free for urgent jobs.

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
    reserved: int = 0

    async def run(self, ids: Sequence[int]) -> Mapping[int, Exception]:
        # the casts: ``batch`` says which of the two it is, and types cannot
        async with asyncio.timeout(self.limit):
            if self.batch > 1:
                return await cast(BatchHandler, self.handler)(ids)
            await cast(Handler, self.handler)(ids[0])
            return {}


class _Lane:
    """The slots of a step that take any job, or those that take urgent ones alone."""

    def __init__(self, step: Step, service: Service, slots: int, *, only_urgent: bool) -> None:
        self.step, self.service, self.only_urgent = step, service, only_urgent
        self.slots = self.free = slots
        self.asked = 0.0  # when it last asked for jobs
        self._freed = asyncio.Event()

    async def take(self) -> int:
        """Take all free slots, at least one; returns how many."""
        while not self.free:
            self._freed.clear()
            await self._freed.wait()
        taken, self.free = self.free, 0
        return taken

    def give(self, slots: int = 1) -> None:
        self.free += slots
        self._freed.set()


@dataclass(eq=False, slots=True)
class _Call:
    """A handler's call under way, and the claims it still answers for."""

    lane: _Lane
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
        self._queue, self._services = queue, dict(services)
        self._settlement = Settlement(queue, dead, tries, delay)
        self._losses, self._grace, self._stall = losses, grace, stall
        self._lanes: list[_Lane] = []
        self._calls: set[_Call] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End ``run``: no new jobs, ``grace`` for those that run, then they are put back."""
        self._stopping.set()

    async def run(self) -> None:
        self._lanes = [lane for item in self._services.items() for lane in _lanes(*item)]
        try:
            async with asyncio.TaskGroup() as group:
                loops = [group.create_task(self._serve(group, lane)) for lane in self._lanes]
                keeping = (self._renewer(), self._watch(), self._settlement.run())
                keepers = [group.create_task(keep) for keep in keeping]
                await self._stopping.wait()
                await self._end(loops)
                for keeper in keepers:
                    keeper.cancel()
        finally:
            await self._settlement.end()
            self._stopping.clear()

    async def drain(self) -> None:
        """Serve until nothing is ready, due or leased. For tests and one-off runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.run())
            while self._calls or await self._is_busy():  # noqa: ASYNC110 - others work too
                await asyncio.sleep(0.01)
            self.stop()

    async def _is_busy(self) -> bool:
        depth = await self._settlement.answer(self._queue.depth)
        rows = [row for step, row in depth.items() if step in self._services]
        return any(row.ready or row.due or row.leased for row in rows)

    async def _end(self, loops: Sequence[asyncio.Task[None]]) -> None:
        for loop in loops:
            loop.cancel()
        calls = [call.task for call in self._calls if call.task is not None]
        if loops or calls:
            await asyncio.wait([*loops, *calls], timeout=self._grace)
        for _ in range(2):  # a step may hold asyncio.wait_for, which swallows one (see scripts.py)
            left = [task for task in (*loops, *calls) if not task.done()]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=LAST_WORDS / 2)

    # claiming

    async def _serve(self, group: asyncio.TaskGroup, lane: _Lane) -> None:
        is_short = False
        while True:
            free = await lane.take()
            wanted = min(free * lane.service.batch, max(_MOST, lane.service.batch))
            claims = await self._claim(lane, wanted, is_short)
            is_short = len(claims) < wanted  # what is left, if any, is for others first
            if suspects := self._suspects(claims):
                claims = [claim for claim in claims if claim not in suspects]
                group.create_task(self._settlement.put_back(suspects, _SUSPECT))
            batches = _batches(claims, lane.service.batch)
            for batch in batches[:free]:
                call = _Call(lane, batch)
                self._calls.add(call)
                call.task = group.create_task(self._attend(call))
            if extra := [claim for batch in batches[free:] for claim in batch]:
                group.create_task(self._settlement.put_back(extra))
            if free > len(batches):
                lane.give(free - len(batches))

    async def _claim(self, lane: _Lane, wanted: int, is_short: bool) -> list[Claim]:
        """Jobs as soon as there are some; Redis may be away meanwhile."""
        pause = 0.05
        while True:
            lane.asked = asyncio.get_running_loop().time()
            try:
                if is_short:
                    await self._queue.wait(lane.step, _IDLE, only_urgent=lane.only_urgent)
                if claims := await self._claim_now(lane, wanted):
                    return claims
                self._settlement.report(None)
                is_short, pause = True, 0.05
            except Transient as error:
                self._settlement.report(error)
                await asyncio.sleep(pause)
                pause = min(_AWAY, 2 * pause)
                with suppress(Transient):
                    await self._renew()  # before anybody reaps what we still run

    async def _claim_now(self, lane: _Lane, n: int) -> list[Claim]:
        lease, only_urgent = lane.service.lease, lane.only_urgent
        asking = asyncio.ensure_future(
            self._queue.claim(lane.step, n, lease, only_urgent=only_urgent)
        )
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with suppress(Transient, TimeoutError):
                async with asyncio.timeout(2 * LAST_WORDS):
                    for claim in await asking:
                        await self._queue.release(claim)
            raise

    def _suspects(self, claims: Sequence[Claim]) -> list[Claim]:
        """Of the jobs that were lost so often that they may be what kills workers, one runs at a
        time: or each would take the others with it."""
        last = self._losses - 1
        suspects = [claim for claim in claims if claim.lost == last]
        is_one_there = any(claim.lost == last for call in self._calls for claim in call.claims)
        return suspects if is_one_there else suspects[1:]

    # running

    async def _attend(self, call: _Call) -> None:
        step, service = call.lane.step, call.lane.service
        structlog.contextvars.bind_contextvars(step=step, ids=[c.id for c in call.claims])
        try:
            await self._bury_poison(call)
            if call.claims:
                ids = [claim.id for claim in call.claims]
                await failpoint("job.claimed")
                outcome = await caught(service.run(ids))
                await failpoint("job.ran")
                failed = outcome if isinstance(outcome, Mapping) else dict.fromkeys(ids, outcome)
                claims, call.settling = call.claims, True
                call.claims = [claim for claim in claims if claim.id in failed]
                await self._settlement.settle(step, claims, failed, service.is_patient)
        except asyncio.CancelledError:
            await self._settlement.put_back(call.claims)
        finally:
            self._calls.discard(call)
            call.lane.asked = asyncio.get_running_loop().time()
            call.lane.give()

    async def _bury_poison(self, call: _Call) -> None:
        for claim in [claim for claim in call.claims if claim.lost >= self._losses]:
            reason = f"The worker died or lost its lease {claim.lost} times while it ran this."
            call.claims.remove(claim)
            failure = Failure("LeaseLost", reason)
            await self._settlement.bury(call.lane.step, claim, failure, claim.tries)

    # watching

    async def _renewer(self) -> None:
        pause = min((service.lease for service in self._services.values()), default=30.0) / 3
        while True:
            await asyncio.sleep(pause)
            await self._settlement.answer(self._renew)

    async def _renew(self) -> None:
        calls = list(self._calls)
        claims = {claim: None for call in calls for claim in call.claims}
        claims.update(self._settlement.unsettled)
        lost = await self._queue.renew(claims) if claims else set()
        for call in calls if lost else ():
            gone = [claim for claim in call.claims if claim in lost]
            if gone and not call.settling:
                logger.warning("lease_lost", step=call.lane.step, ids=[c.id for c in gone])
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
            for lane in self._lanes:
                busy = sum(call.lane is lane for call in self._calls)
                if now - lane.asked > self._stall and busy < lane.slots:
                    raise Transient(
                        f"The step {lane.step} has stopped asking for jobs; restart it."
                    )


def _lanes(step: Step, service: Service) -> list[_Lane]:
    """A step's slots for any job and those for urgent ones, of which at least one is for any."""
    reserved = min(service.reserved, service.slots - 1)
    lanes = [_Lane(step, service, service.slots - reserved, only_urgent=False)]
    return [*lanes, _Lane(step, service, reserved, only_urgent=True)] if reserved > 0 else lanes


def _batches(claims: Sequence[Claim], size: int) -> list[list[Claim]]:
    """What each call gets. A job that failed before runs alone: it may take the others down."""
    if size == 1:
        return [[claim] for claim in claims]
    fresh = [claim for claim in claims if not (claim.tries or claim.lost)]
    alone = [[claim] for claim in claims if claim.tries or claim.lost]
    batches = [fresh[start : start + size] for start in range(0, len(fresh), size)]
    return sorted(batches + alone, key=lambda batch: batch[0].score)
