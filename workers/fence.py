"""The last look before a mail leaves: is it still ours to send?

A worker that stood still (a stopped process, a machine that slept) has lost its lease. Another has
found the reply unknown by then, and a person may have had it sent again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from desk.errors import Conflict, Transient
from desk.failpoints import failpoint
from desk.response import Response
from desk.store import Store

FRESH = 2.0
"""Seconds for which a look is good. Somebody else acts on a lost lease later than that: a person
has to press a button, and what is approved waits for the undo window."""
LOOKS = 5


@dataclass(slots=True)
class Fence:
    """Awaited by a provider right before it hands over (mail.provider.Ready).

    Raises Conflict when the reply is no longer ours, Transient when nobody can tell.
    """

    store: Store
    response: Response
    is_passed: bool = field(default=False, init=False)

    async def __call__(self) -> None:
        self.is_passed = False
        for _ in range(LOOKS):
            before = self._now()
            await self._look()
            await failpoint("sending.looked")
            if self._seconds_since(before) < FRESH:
                self.is_passed = True
                return
        raise Transient("This machine is too slow now to be sure that nobody else sends the reply")

    async def _look(self) -> None:
        found = await self.store.response(self.response.id)
        if (found.state, found.version) != (self.response.state, self.response.version):
            raise Conflict("Somebody else took this reply over while its worker stood still")

    def _now(self) -> tuple[float, float]:
        return time.monotonic(), self.store.clock.now().timestamp()

    def _seconds_since(self, before: tuple[float, float]) -> float:
        """By the clock that says more: CLOCK_MONOTONIC does not count while a machine sleeps
        (clock_gettime(2)), and the time of day may be set back."""
        return max(now - then for now, then in zip(self._now(), before, strict=True))
