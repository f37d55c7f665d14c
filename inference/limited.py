"""A writer whose calls are counted over all processes: a model server slows down when many ask."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from desk.errors import Transient
from desk.ports import Limits
from desk.response import Draft
from inference.ladder import Question, Writer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limited:
    """``writer`` with at most ``calls`` at once; one place is held for at most ``seconds``."""

    writer: Writer
    limits: Limits
    calls: int
    seconds: float

    @property
    def name(self) -> str:
        return self.writer.name

    async def write(self, question: Question) -> Draft:
        async with AsyncExitStack() as stack:
            place = self.limits.slot(f"writer:{self.name}", self.calls, self.seconds)
            try:
                await stack.enter_async_context(place)
            except Transient:  # the count is gone with Redis, the server is not
                log.warning("writer.uncounted", writer=self.name)
            return await self.writer.write(question)
