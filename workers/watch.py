"""The watch: due times that passed become escalations, each once, whatever restarts."""

from __future__ import annotations

from dataclasses import dataclass

from desk.model import Step
from desk.ports import Queue
from desk.store import BREACH, Store


@dataclass(frozen=True, slots=True)
class Watch:
    store: Store
    queue: Queue

    async def __call__(self) -> int:
        """How many escalations were noted now."""
        noted = 0
        for ticket in await self.store.overdue(self.store.clock.now()):
            async with self.store.change() as change:
                noted += await change.escalate(ticket, BREACH)
        for id in await self.store.unfired():
            await self.queue.put(Step.ALERT, id, 0.0)
        return noted
