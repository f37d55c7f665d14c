"""The card follows what was done on it, also while the queue that redraws cards is away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from bot.board import Board
from desk.errors import DeskError
from desk.ids import TicketId

log = structlog.get_logger()

GRACE = 1.0
"""Seconds in which the queue usually has drawn the card; then nothing is left to draw here."""


@dataclass(frozen=True, slots=True)
class Follow:
    board: Board
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    def soon(self, id: TicketId) -> None:
        task = asyncio.create_task(self._show(id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Those that still wait are left to the queue, or to the sweep."""
        self._closing.set()
        await asyncio.gather(*self._tasks)

    async def _show(self, id: TicketId) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), GRACE)
        except TimeoutError:
            await self._show_now(id)

    async def _show_now(self, id: TicketId) -> None:
        try:
            await self.board.show(id)
        except DeskError as error:
            log.warning("card not drawn at once", ticket=id, error=str(error))
