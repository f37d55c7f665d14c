"""What all processes together may do to somebody else's server: buckets and places, in Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from desk.errors import Transient
from workers.scripts import PATIENCE, PREFIX, Scripts

_LOOK = 5.0  # seconds on the bell before looking again: who was woken may have died


class RedisLimits(Scripts):
    """``desk.ports.Limits`` under Redis's own clock. Who dies keeps a place until its time is up.

    What costs more than ``burst`` waits for a full bucket and leaves it in debt.
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        super().__init__(url, prefix, "limits")

    async def take(self, key: str, cost: float, rate: float, burst: float) -> float:
        if min(cost, rate, burst) <= 0:
            raise ValueError("A cost, a rate and a burst must be positive.")
        return float(await self.run("take", key, repr(cost), repr(rate), repr(burst))) / 1000

    @asynccontextmanager
    async def slot(self, key: str, slots: int, seconds: float) -> AsyncIterator[None]:
        token, hold = secrets.token_hex(8), round(seconds * 1000)
        try:
            while left := await self.run("enter", key, slots, hold, token):
                await self._wait(key, min(_LOOK, left / 1000))
            yield
        finally:  # also when the answer of "enter" was cut off
            await asyncio.shield(self._leave(key, token, hold))

    async def _wait(self, key: str, seconds: float) -> None:
        async with self.border(seconds + PATIENCE):
            await self.redis.blpop([f"{self.prefix}:limit:{key}:bell"], timeout=seconds)

    async def _leave(self, key: str, token: str, hold: int) -> None:
        with suppress(Transient, TimeoutError):  # the place ends with its time
            await self.run("leave", key, token, hold)
