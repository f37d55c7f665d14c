"""How a step is served: its slots, those of them for urgent jobs, and the calls under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from desk.steps import Step
from workers.queue import Claim

Handler = Callable[[int], Awaitable[None]]
BatchHandler = Callable[[Sequence[int]], Awaitable[Mapping[int, Exception]]]


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

    async def run(
        self, ids: Sequence[int], at_most: float | None = None
    ) -> Mapping[int, Exception]:
        """Within its limit, or within ``at_most`` seconds when that is less."""
        limit = min((one for one in (self.limit, at_most) if one is not None), default=None)
        # the casts: ``batch`` says which of the two it is, and types cannot
        async with asyncio.timeout(limit):
            if self.batch > 1:
                return await cast(BatchHandler, self.handler)(ids)
            await cast(Handler, self.handler)(ids[0])
            return {}


class Lane:
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

    def note_asking(self) -> None:
        self.asked = asyncio.get_running_loop().time()


@dataclass(eq=False, slots=True)
class Call:
    """A handler's call under way, and the claims it still answers for."""

    lane: Lane
    claims: list[Claim]
    task: asyncio.Task[None] | None = None
    settling: bool = False


def lanes_of(step: Step, service: Service) -> list[Lane]:
    """A step's slots for any job and those for urgent ones, of which at least one is for any."""
    reserved = min(service.reserved, service.slots - 1)
    lanes = [Lane(step, service, service.slots - reserved, only_urgent=False)]
    return [*lanes, Lane(step, service, reserved, only_urgent=True)] if reserved > 0 else lanes


def batches(claims: Sequence[Claim], size: int) -> list[list[Claim]]:
    """What each call gets. A job that failed before runs alone: it may take the others down."""
    if size == 1:
        return [[claim] for claim in claims]
    fresh = [claim for claim in claims if not (claim.tries or claim.lost)]
    alone = [[claim] for claim in claims if claim.tries or claim.lost]
    together = [fresh[start : start + size] for start in range(0, len(fresh), size)]
    return sorted(together + alone, key=lambda batch: batch[0].score)
