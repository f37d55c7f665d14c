"""Parses mails in child processes, so that no mail can stop or slow the desk: one that takes too
long or too much memory costs its child, and is quarantined. Nothing else waits for it."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from desk.errors import Transient
from desk.model import ParsedEmail
from desk.records import parsed_email
from mail.parse_child import OUT_OF_MEMORY
from mail.quarantine import quarantined

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); import mail.parse_child as child; "
    "child.serve(float(sys.argv[2]), int(sys.argv[3]))"
)
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
        seconds: float = 5.0,
        memory: int = MEMORY,
        renew_after: int = 5_000,
    ) -> None:
        self._children = [_Child(seconds, memory, renew_after) for _ in range(workers)]
        self._seconds = seconds
        self._waiting: deque[_Job] = deque()
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._serve(child)) for child in self._children]
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
        for child in self._children:
            await child.stop()
        for job in self._waiting:
            job.parsed.cancel()

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the children that run now."""
        return tuple(child.running.process.pid for child in self._children if child.running)

    async def parse(self, raw: bytes) -> ParsedEmail:
        """Whatever the bytes are. Raises Transient when the system lets no child start."""
        job = _Job(raw, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._bell.set()
        return await job.parsed

    async def _serve(self, child: _Child) -> None:
        while True:
            await self._bell.wait()
            jobs = self._taken()
            try:
                await self._parse_all(child, jobs)
            finally:
                self._waiting.extendleft(reversed(jobs))
                if self._waiting:
                    self._bell.set()

    def _taken(self) -> deque[_Job]:
        """Some small mails or one large: more in a round trip cost less, and every child gets its
        share."""
        share = min(BATCH, -(-len(self._waiting) // len(self._children)))
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

    async def _parse_all(self, child: _Child, jobs: deque[_Job]) -> None:
        """Takes from ``jobs`` what is settled; after a child's death the rest stays."""
        if not jobs:
            return
        try:
            running = await child.started()
        except OSError as error:
            failure = Transient(f"No process could be started to read a mail: {error}.")
            while jobs:
                _settle(jobs.popleft(), failure)
            return
        sending = asyncio.create_task(running.send([job.raw for job in jobs]))
        try:
            while jobs:
                jobs[0].tries += 1
                async with asyncio.timeout(self._seconds + PATIENCE):
                    parsed = await running.receive()
                child.answered += 1
                _settle(jobs.popleft(), parsed)
        except (TimeoutError, OSError, EOFError, ValueError):
            why = self._blame(await child.stop())
            if why or jobs[0].tries >= MAX_TRIES:
                job = jobs.popleft()
                _settle(job, quarantined(job.raw, why or "reading it stopped the parser."))
        except asyncio.CancelledError:
            await child.stop()
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


@dataclass(frozen=True, slots=True)
class _Running:
    """One process. Its answers come in the order of the mails."""

    process: Process
    source: asyncio.StreamReader
    sink: asyncio.StreamWriter

    async def send(self, raws: list[bytes]) -> None:
        with suppress(OSError):  # it died: whoever waits for its answer learns that
            for raw in raws:
                self.sink.write(len(raw).to_bytes(4) + raw)
                await self.sink.drain()

    async def receive(self) -> ParsedEmail:
        length = await self.source.readexactly(4)
        answer = await self.source.readexactly(int.from_bytes(length))
        return parsed_email(orjson.loads(answer))


@dataclass(slots=True)
class _Child:
    """A place for a process: there is one, or none yet."""

    seconds: float
    memory: int
    renew_after: int
    running: _Running | None = None
    answered: int = 0

    async def started(self) -> _Running:
        if self.answered >= self.renew_after:
            await self.stop()
        if self.running is None:
            self.running = await self._start()
        return self.running

    async def _start(self) -> _Running:
        # Standard error is dropped: a traceback may quote the mail, and no log may hold that.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", CODE, str(ROOT), str(self.seconds), str(self.memory)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
        if process.stdin is None or process.stdout is None:
            raise BrokenPipeError
        return _Running(process, process.stdout, process.stdin)

    async def stop(self) -> int:
        """Its exit status, negative for the signal that ended it."""
        running, self.running, self.answered = self.running, None, 0
        if running is None:
            return 0
        with suppress(ProcessLookupError):
            running.process.kill()
        return await running.process.wait()
