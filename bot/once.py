"""Of many who want the same thing done at the same time, one does it for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Work = Callable[[], Awaitable[None]]

AT_ONCE = 8
"""Presses of a network that are worked on at once. More would not be done sooner by that, and who
presses next would be acknowledged later."""


@dataclass(eq=False, slots=True)
class Shared:
    """Work, and how many wait for it."""

    task: asyncio.Task[None]
    askers: int = 0


@dataclass(slots=True)
class Once:
    """Work by key, one after the other. Who asks while it waits for its turn shares it; who asks
    after it began is served by the next, so that nobody is shown what was read too early."""

    _waiting: dict[str, Shared] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def do(self, key: str, work: Work) -> None:
        """Until it is done; what goes wrong goes wrong for all who share it."""
        shared = self._waiting.get(key)
        if shared is None:
            task = asyncio.create_task(self._in_turn(key, work))
            shared = self._waiting[key] = Shared(task)
        shared.askers += 1
        try:
            await asyncio.shield(shared.task)
        finally:
            shared.askers -= 1
            if not shared.askers and not shared.task.done():
                await self._drop(key, shared)

    async def _drop(self, key: str, shared: Shared) -> None:
        """Nobody waits for it any more."""
        if self._waiting.get(key) is shared:
            del self._waiting[key]
        shared.task.cancel()
        await asyncio.wait({shared.task})

    async def _in_turn(self, key: str, work: Work) -> None:
        if before := self._running.get(key):
            await asyncio.wait({before})
        ours = self._running[key] = self._waiting.pop(key).task
        try:
            await work()
        finally:
            if self._running.get(key) is ours:
                del self._running[key]
