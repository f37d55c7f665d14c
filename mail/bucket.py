"""Limits counted in this process alone: what there is without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class LocalLimits:
    """desk.ports.Limits; keys are few (one a mailbox) and never forgotten. ``seconds`` tells
    the time."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._buckets: dict[str, tuple[float, float]] = {}
        self._slots: dict[tuple[str, int], asyncio.Semaphore] = {}

    async def take(self, key: str, cost: float, rate: float, burst: float) -> float:
        now = self._seconds()
        units, since = self._buckets.get(key, (burst, now))
        units = min(burst, units + (now - since) * rate)
        wanted = min(cost, burst)  # a call that costs more than a full bucket takes a full one
        if units < wanted:
            return (wanted - units) / rate
        self._buckets[key] = (units - cost, now)
        return 0.0

    @asynccontextmanager
    async def slot(self, key: str, slots: int, seconds: float) -> AsyncIterator[None]:
        """Whoever holds a place here dies with the process, so places need no end."""
        place = self._slots.setdefault((key, slots), asyncio.Semaphore(slots))
        async with place:
            yield
