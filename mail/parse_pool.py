"""Parses mails in child processes, so that no mail can stop or slow the desk: one that takes too
long or too much memory costs its child, and is quarantined. Nothing else waits for it."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import orjson

from desk.child import Child
from desk.email import ParsedEmail
from desk.errors import Transient
from desk.records import parsed_email
from mail.parse_child import OUT_OF_MEMORY
from mail.quarantine import quarantined

SECONDS = 5.0
MEMORY = 256 * 1024 * 1024
BATCH, BATCH_BYTES = 32, 1024 * 1024
PATIENCE = 20.0
"""Seconds on top of a child's own limit until one that does not move at all is ended."""
MAX_TRIES = 2
"""A child may die of something else than its mail: only the second death is the mail's fault."""


@dataclass(eq=False, slots=True)
class _Job:
    raw: bytes
    parsed: asyncio.Future[ParsedEmail]
    tries: int = 0


class ParsePool:
    """``workers`` children, started with the first mail. ``seconds`` are what one mail may take,
    ``memory`` is in bytes and grows with large mails. A child is renewed after so many mails: what
    a library leaks ends with it."""

    def __init__(
        self,
        workers: int = 2,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        renew_after: int = 5_000,
    ) -> None:
        self._places = [_Place(seconds, memory, renew_after) for _ in range(workers)]
        self._seconds = seconds
        self._waiting: deque[_Job] = deque()
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._serve(place)) for place in self._places]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in self._places:
            await place.stop()
        for job in self._waiting:
            job.parsed.cancel()

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the children that run now."""
        return tuple(place.child.process.pid for place in self._places if place.child)

    async def parse(self, raw: bytes) -> ParsedEmail:
        """Whatever the bytes are. Raises Transient when the system lets no child start."""
        job = _Job(raw, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._bell.set()
        return await job.parsed

    async def _serve(self, place: _Place) -> None:
        while True:
            await self._bell.wait()
            jobs = self._taken()
            try:
                await self._parse_all(place, jobs)
            finally:
                self._waiting.extendleft(reversed(jobs))
                if self._waiting:
                    self._bell.set()

    def _taken(self) -> deque[_Job]:
        """Some small mails or one large: more in a round trip cost less, and every child gets its
        share."""
        share = min(BATCH, -(-len(self._waiting) // len(self._places)))
        taken: deque[_Job] = deque()
        size = 0
        while self._waiting and len(taken) < share and size < BATCH_BYTES:
            job = self._waiting.popleft()
            if not job.parsed.done():  # nobody waits any more
                taken.append(job)
                size += len(job.raw)
        if not self._waiting:
            self._bell.clear()
        return taken

    async def _parse_all(self, place: _Place, jobs: deque[_Job]) -> None:
        """Takes from ``jobs`` what is settled; after a child's death the rest stays."""
        if not jobs:
            return
        try:
            child = await place.started()
        except OSError as error:
            failure = Transient(f"No process could be started to read a mail: {error}.")
            while jobs:
                _settle(jobs.popleft(), failure)
            return
        sending = asyncio.create_task(_send(child, [job.raw for job in jobs]))
        try:
            while jobs:
                jobs[0].tries += 1
                async with asyncio.timeout(self._seconds + PATIENCE):
                    parsed = parsed_email(orjson.loads(await child.receive()))
                place.answered += 1
                _settle(jobs.popleft(), parsed)
        except (TimeoutError, OSError, EOFError, ValueError):
            why = self._blame(await place.stop())
            if why or jobs[0].tries >= MAX_TRIES:
                job = jobs.popleft()
                _settle(job, quarantined(job.raw, why or "reading it stopped the parser."))
        except asyncio.CancelledError:
            await place.stop()
            raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _blame(self, status: int) -> str:
        """What the mail did, when the child's end tells."""
        if status == -signal.SIGALRM:
            return f"reading it took longer than {self._seconds:g} s."
        return "reading it took too much memory." if status == OUT_OF_MEMORY else ""


def _settle(job: _Job, outcome: ParsedEmail | Transient) -> None:
    if job.parsed.done():
        return
    if isinstance(outcome, Transient):
        job.parsed.set_exception(outcome)
    else:
        job.parsed.set_result(outcome)


@dataclass(slots=True)
class _Place:
    """For a process that reads mail: there is one, or none yet."""

    seconds: float
    memory: int
    renew_after: int
    child: Child | None = None
    answered: int = 0

    async def started(self) -> Child:
        if self.answered >= self.renew_after:
            await self.stop()
        if self.child is None:
            words = (str(self.seconds), str(self.memory))
            self.child = await Child.start("mail.parse_child", *words)
        return self.child

    async def stop(self) -> int:
        child, self.child, self.answered = self.child, None, 0
        return await child.stop() if child else 0


async def _send(child: Child, raws: Iterable[bytes]) -> None:
    with suppress(OSError):  # it died: whoever waits for its answer learns that
        for raw in raws:
            await child.send(raw)
