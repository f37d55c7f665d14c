"""Ports that several packages hold: the clock, and the queue of jobs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Protocol

from desk.rules import Job


class Clock(Protocol):
    """Where time comes from; tests fast-forward it."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Queue(Protocol):
    """The mail line. It is only an index of what the database says is due: a lost job is put
    back by the sweep, so callers may carry on when ``put`` raises Transient."""

    async def put(self, *jobs: Job) -> None:
        """Make sure that these run after this call.

        A job that waits already is not doubled (the lower score and the earlier time win); one
        that runs now runs once more afterwards. Raises Transient when Redis is away.
        """
        ...


class Limits(Protocol):
    """What all processes together may do to somebody else's server."""

    async def take(self, key: str, cost: float, rate: float, burst: float) -> float:
        """Take ``cost`` units from the bucket ``key``, which fills by ``rate`` units a second up
        to ``burst``. Returns 0.0 when they were there, else the seconds after which to ask again
        (nothing was taken then). Raises Transient when Redis is away."""
        ...

    def slot(self, key: str, slots: int, seconds: float) -> AbstractAsyncContextManager[None]:
        """One of ``slots`` places at ``key``, waited for and held for the block, at most for
        ``seconds``. Raises Transient when Redis is away."""
        ...
