"""Runs the steps: claims jobs, keeps their leases, settles them, and sits out a Redis that is away.

A job runs at least once; what a step does must be idempotent. Everything lives in one TaskGroup:
a part that dies takes the process down instead of leaving one that only looks alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from desk.errors import Transient
from desk.failpoints import failpoint
from desk.faults import caught
from desk.steps import Failure, Step
from workers.failure import backoff
from workers.lanes import Call, Lane, Service, batches, lanes_of
from workers.queue import Claim, RedisQueue
from workers.settle import LAST_WORDS, DeadLetters, Settlement
from workers.trials import Trials

_IDLE = 2.0  # seconds on the bell before looking again: a worker may die with its ring unanswered
_AWAY = 1.0  # longest pause between two questions to a Redis that is away
_MOST = 16  # jobs a claim, or one batch: whoever takes more keeps them from the other workers
_SUSPECT = 0.25  # seconds until a job that may be poison is looked at again
_QUIET = 20.0  # seconds that a suspect waits for the others to end
_HOPELESS = 10  # leases: whoever lost so many is given up, whoever else was there

logger = structlog.get_logger()


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
        trials: Trials | None = None,
        trial: float = 60.0,
    ) -> None:
        """``tries`` runs kill a job, and ``losses`` lost leases, one of them when nothing ran
        beside it, for which all runners of a process share ``trials``; the others wait ``trial``
        seconds at most for such a run. Running jobs get ``grace`` seconds at the end; a step with
        free slots that has not asked for jobs for ``stall`` seconds is stuck; ``delay`` says how
        long to wait after so many failed tries."""
        self._queue, self._services = queue, dict(services)
        self._settlement = Settlement(queue, dead, tries, delay)
        self._losses, self._grace, self._stall = losses, grace, stall
        self._trials, self._trial = trials or Trials(), trial
        self._lanes: list[Lane] = []
        self._calls: set[Call] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End ``run``: no new jobs, ``grace`` for those that run, then they are put back."""
        self._stopping.set()

    async def run(self) -> None:
        self._lanes = [lane for item in self._services.items() for lane in lanes_of(*item)]
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

    async def _serve(self, group: asyncio.TaskGroup, lane: Lane) -> None:
        is_short = False
        while True:
            free = await lane.take()
            wanted = min(free * lane.service.batch, max(_MOST, lane.service.batch))
            claims = await self._claim(lane, wanted, is_short)
            is_short = len(claims) < wanted  # what is left, if any, is for others first
            calls = self._chosen(claims, lane.service.batch)[:free]
            for batch in calls:
                self._start(group, Call(lane, batch))
            taken = {claim for batch in calls for claim in batch}
            if extra := [claim for claim in claims if claim not in taken]:
                group.create_task(self._put_back(extra))
            if free > len(calls):
                lane.give(free - len(calls))

    def _chosen(self, claims: Sequence[Claim], size: int) -> list[list[Claim]]:
        """What each call gets. With a suspect nothing else starts."""
        if self._trials.is_on:
            return []
        suspect = next((claim for claim in claims if self._is_suspect(claim)), None)
        return batches(claims, size) if suspect is None else [[suspect]]

    def _start(self, group: asyncio.TaskGroup, call: Call) -> None:
        self._calls.add(call)
        call.task = group.create_task(self._attend(call))
        is_trial = self._is_suspect(call.claims[0])
        (self._trials.begin if is_trial else self._trials.join)(call.task)

    async def _put_back(self, claims: Sequence[Claim]) -> None:
        """Other suspects a little later, so that they do not come straight back."""
        suspects = [claim for claim in claims if self._is_suspect(claim)]
        await self._settlement.put_back(suspects, _SUSPECT)
        await self._settlement.put_back([claim for claim in claims if claim not in suspects])

    async def _claim(self, lane: Lane, wanted: int, is_short: bool) -> list[Claim]:
        """Jobs as soon as there are some; Redis may be away meanwhile."""
        pause = 0.05
        while True:
            await self._trials.over()
            lane.note_asking()
            try:
                if is_short:
                    await self._queue.wait(lane.step, _IDLE, only_urgent=lane.only_urgent)
                    await self._trials.over()
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

    async def _claim_now(self, lane: Lane, n: int) -> list[Claim]:
        lease, only_urgent = lane.service.lease, lane.only_urgent
        asking = asyncio.ensure_future(
            self._queue.claim(lane.step, n, lease, only_urgent=only_urgent)
        )
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with suppress(Transient, TimeoutError):
                async with asyncio.timeout(2 * LAST_WORDS):
                    if claims := await asking:
                        await self._queue.release_many(claims)
            raise

    def _is_suspect(self, claim: Claim) -> bool:
        """One more lost lease, and it may be what kills workers."""
        return claim.lost >= self._losses - 1 and not self._is_poison(claim)

    def _is_poison(self, claim: Claim) -> bool:
        is_guilty = claim.lost >= self._losses and claim.alone > 0
        return is_guilty or claim.lost >= max(_HOPELESS, self._losses)

    # running

    async def _attend(self, call: Call) -> None:
        step, service = call.lane.step, call.lane.service
        structlog.contextvars.bind_contextvars(step=step, ids=[c.id for c in call.claims])
        try:
            await self._bury_poison(call)
            if call.claims:
                await self._isolate(call.claims[0])
                ids = [claim.id for claim in call.claims]
                await failpoint("job.claimed")
                at_most = self._trial if self._is_suspect(call.claims[0]) else None
                outcome = await caught(service.run(ids, at_most))
                await failpoint("job.ran")
                failed = outcome if isinstance(outcome, Mapping) else dict.fromkeys(ids, outcome)
                claims, call.settling = call.claims, True
                call.claims = [claim for claim in claims if claim.id in failed]
                await self._settlement.settle(step, claims, failed, service.is_patient)
        except asyncio.CancelledError:
            await self._settlement.put_back(call.claims)
        finally:
            self._calls.discard(call)
            call.lane.note_asking()
            call.lane.give()

    async def _isolate(self, claim: Claim) -> None:
        """A suspect waits until the others end: then its own end tells about it."""
        if self._is_suspect(claim) and await self._trials.quiet(_QUIET):
            await caught(self._queue.isolate(claim))

    async def _bury_poison(self, call: Call) -> None:
        for claim in [claim for claim in call.claims if self._is_poison(claim)]:
            reason = f"The worker died or lost its lease {claim.lost} times while it ran this."
            if claim.alone:
                reason += " Nothing else ran beside it there."
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
                is_silent = now - lane.asked > self._stall and not self._trials.is_on
                if is_silent and busy < lane.slots:
                    raise Transient(
                        f"The step {lane.step} has stopped asking for jobs; restart it."
                    )
