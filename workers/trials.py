"""Which job kills workers: one that is suspected runs with nothing beside it in its process, so
that a death there says whose it is."""

from __future__ import annotations

import asyncio

Work = asyncio.Task[None]


class Trials:
    """One for all runners of a process. While a suspect waits for quiet or runs, nothing starts."""

    def __init__(self) -> None:
        self._company: set[Work] = set()
        self._over = asyncio.Event()
        self._over.set()

    @property
    def is_on(self) -> bool:
        return not self._over.is_set()

    def join(self, work: Work) -> None:
        """Work that is no suspect's."""
        self._company.add(work)
        work.add_done_callback(self._company.discard)

    def begin(self, work: Work) -> None:
        """A suspect's work; the trial is over when that is done."""
        self._over.clear()
        work.add_done_callback(lambda _: self._over.set())

    async def over(self) -> None:
        await self._over.wait()

    async def quiet(self, seconds: float) -> bool:
        """Wait for all others to end; whether they did in time."""
        if self._company:
            await asyncio.wait(self._company, timeout=seconds)
        return all(work.done() for work in self._company)
