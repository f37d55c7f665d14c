"""What becomes of a job that ran: it is acknowledged, tried again, buried, or put back.

Jobs that are done are acknowledged together: while Redis answers, the next ones gather.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

import structlog

from desk.errors import Ambiguous, Permanent, Throttled, Transient
from desk.failpoints import failpoint
from desk.faults import caught, kind, trace
from desk.steps import Failure, Step
from workers.failure import backoff, failure
from workers.queue import Claim, RedisQueue

T = TypeVar("T")

LAST_WORDS = 1.0  # seconds to put jobs back at the very end
_AWAY = 1.0  # longest pause between two questions to a Redis that is away
_MOST = 500  # jobs acknowledged by one call

logger = structlog.get_logger()


class DeadLetters(Protocol):
    """Where jobs go that trying again does not help."""

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        """A run that failed and will be tried again."""
        ...

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        """The job is given up."""
        ...


class Settlement:
    """``run`` must run as long as jobs are settled; ``unsettled`` are done and not acknowledged."""

    def __init__(
        self,
        queue: RedisQueue,
        dead: DeadLetters,
        tries: int = 5,
        delay: Callable[[int], float] = backoff,
    ) -> None:
        self._queue, self._dead, self._tries, self._delay = queue, dead, tries, delay
        self.unsettled: dict[Claim, None] = {}
        self._news = asyncio.Event()
        self._away = False

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while done := list(self.unsettled)[:_MOST]:
                held = await self.answer(lambda: self._queue.ack_many(done))
                await failpoint("job.settled")
                for claim in done:
                    del self.unsettled[claim]
                if not all(held):
                    late = [claim.job for claim, holds in zip(done, held, strict=True) if not holds]
                    logger.warning("lease_lost_before_ack", jobs=late)

    async def end(self) -> None:
        """The last jobs are acknowledged, if Redis is there: or they will run again."""
        with suppress(Transient, TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                if done := list(self.unsettled):
                    await self._queue.ack_many(done)
        self.unsettled.clear()

    async def settle(
        self,
        step: Step,
        claims: Collection[Claim],
        failed: Mapping[int, Exception],
        is_patient: bool,
    ) -> None:
        done = [claim for claim in claims if claim.id not in failed]
        self.unsettled.update(dict.fromkeys(done))
        self._news.set()
        for claim in claims if failed else ():
            if claim.id in failed:
                await self._fail(step, claim, failed[claim.id], is_patient)
                await failpoint("job.settled")

    async def put_back(self, claims: Sequence[Claim], delay: float = 0) -> None:
        with suppress(Transient, TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                if claims:
                    await self._queue.release_many(claims, delay)

    async def bury(self, step: Step, claim: Claim, why: Failure, tries: int) -> None:
        error = await caught(self._dead.bury(step, claim.id, why, tries))
        if isinstance(error, Exception):
            logger.error("job_not_buried", id=claim.id, error=kind(error), at=trace(error))
            await self.answer(lambda: self._queue.retry(claim, self._delay(tries)))
            return
        logger.error("job_dead", id=claim.id, tries=tries, lost=claim.lost)
        await self.answer(lambda: self._queue.drop(claim))

    async def _fail(self, step: Step, claim: Claim, error: Exception, is_patient: bool) -> None:
        tries = claim.tries + 1
        logger.warning("job_failed", id=claim.id, tries=tries, error=kind(error), at=trace(error))
        may_pass = isinstance(error, Transient) and is_patient
        is_last = tries >= self._tries and not may_pass
        if is_last or isinstance(error, Permanent | Ambiguous):
            await self.bury(step, claim, failure(error), tries)
            return
        delay = self._delay(claim.tries)
        if isinstance(error, Throttled):
            delay = error.seconds + min(delay, 1.0)  # not all at the same moment
        if not may_pass:  # what waits for the other side may fail for hours and is not given up
            await caught(self._dead.remember(step, claim.id, failure(error)))
        await self.answer(lambda: self._queue.retry(claim, delay))

    async def answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until Redis answers; the lease is renewed or lost meanwhile, and both are fine."""
        pause = 0.05
        while True:
            try:
                answer = await ask()
            except Transient as error:
                self.report(error)
                await asyncio.sleep(pause)
                pause = min(_AWAY, 2 * pause)
            else:
                self.report(None)
                return answer

    def report(self, error: Transient | None) -> None:
        """Say once that Redis is away, and once that it is back."""
        if error is not None and not self._away:
            logger.warning("redis_away", error=str(error))
        if error is None and self._away:
            logger.info("redis_back")
        self._away = error is not None
