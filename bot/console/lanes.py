"""In which order a page's messages are worked on: at once, but for what must keep its order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

MOST = 50
"""At work at once; then the page is not listened to until one is done."""

Tasks = set[asyncio.Task[None]]
Work = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Group:
    """Messages that say the same, and what goes before them."""

    same: Hashable
    before: frozenset[asyncio.Task[None]] = frozenset()
    tasks: Tasks = field(default_factory=set)


@dataclass(slots=True)
class Lanes:
    """One lane for each ticket. In it a message waits for those before it, but not for those that
    say the same: of ten presses on one button it does not matter which is the first."""

    _last: dict[Hashable, Group] = field(default_factory=dict)
    _tasks: Tasks = field(default_factory=set)

    async def begin(self, lane: Hashable, same: Hashable, work: Work) -> None:
        """``work`` answers for its own errors."""
        group = self._last.get(lane)
        if group is None or group.same != same:
            before = frozenset(group.tasks) if group else frozenset()
            group = self._last[lane] = Group(same, before)
        task = asyncio.create_task(_after(group.before, work))
        group.tasks.add(task)
        self._tasks.add(task)
        for tasks in (group.tasks, self._tasks):
            task.add_done_callback(tasks.discard)
        while len(self._tasks) >= MOST:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def finish(self) -> None:
        """Until all that was begun is done; when cancelled, it is given up."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def _after(before: frozenset[asyncio.Task[None]], work: Work) -> None:
    if before:
        await asyncio.wait(before)
    await work()
