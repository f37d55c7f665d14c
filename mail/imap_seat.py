"""A mailbox's connections, counted over all processes: servers refuse whoever opens too many."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from desk.errors import Transient
from desk.ports import Limits

log = logging.getLogger(__name__)

SECONDS = 300.0
"""A connection is given up and opened anew so often: who died with a seat blocks it no longer."""
UNUSED = 30.0
"""A connection that is not used for so long makes room."""
PATIENCE = 45.0


class Occupied(Transient):
    """All connections that the mailbox may have are in use."""


@dataclass(frozen=True, slots=True)
class Seats:
    """So many at ``key``; no ``limits``: nobody counts."""

    key: str
    count: int
    limits: Limits | None = None


class Seat:
    """A task of its own holds it: who takes it may be another one than who gives it back."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats
        self._holder: asyncio.Task[None] | None = None
        self._end = asyncio.Event()
        self._until = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the connection that sits here should be given up."""
        return self._holder is not None and asyncio.get_running_loop().time() > self._until

    @property
    def is_taken(self) -> bool:
        return self._holder is not None

    async def take(self, patience: float) -> None:
        """Raises Occupied when none is free in that time. While Redis is away nobody counts."""
        if self._holder is not None or self._seats.limits is None:
            return
        taken = asyncio.get_running_loop().create_future()
        self._end.clear()
        self._holder = asyncio.create_task(self._hold(self._seats.limits, taken))
        try:
            async with asyncio.timeout(patience):
                await taken
        except TimeoutError as error:
            await self.give_back()
            raise Occupied(f"All {self._seats.count} connections are in use.") from error
        except asyncio.CancelledError:
            await self.give_back()
            raise
        except Transient as error:
            log.warning("Connections are not counted: %s", error)
        self._until = asyncio.get_running_loop().time() + SECONDS / 2

    async def give_back(self) -> None:
        holder, self._holder = self._holder, None
        if holder is not None:
            self._end.set()
            if self._until == 0.0:
                holder.cancel()
            self._until = 0.0
            with suppress(asyncio.CancelledError, Transient):
                await holder

    async def _hold(self, limits: Limits, taken: asyncio.Future[None]) -> None:
        try:
            async with limits.slot(self._seats.key, self._seats.count, SECONDS):
                if not taken.done():  # whoever waited may just have given up
                    taken.set_result(None)
                await self._end.wait()
        except Transient as error:
            if not taken.done():
                taken.set_exception(error)
