"""Telling the console pages of all bot processes that a ticket changed, through Redis pub/sub.

A message may be lost (Redis keeps none): whoever subscribes is told ``None`` each time the line
was made anew, and then reads everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import structlog
from redis.exceptions import RedisError

from desk.ids import TicketId
from desk.redis_line import close_redis, opened_redis

log = structlog.get_logger()

CHANNEL = "{desk}:changed"
PATIENCE = 2.0  # seconds for an answer before Redis counts as away
LONGEST_PAUSE = 5.0


class Hub(Protocol):
    """Between processes."""

    async def publish(self, ticket: TicketId) -> None:
        """Say that a ticket changed. Never fails: a page that is not told looks for itself."""
        ...

    def subscribe(self) -> AsyncGenerator[TicketId | None]:
        """What changed, without end; None: something may have been missed."""
        ...


class RedisHub:
    """The hub of a desk with several processes, or of one."""

    def __init__(self, url: str, channel: str = CHANNEL) -> None:
        self._channel = channel
        self._redis = opened_redis(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, health_check_interval=30
        )

    async def close(self) -> None:
        await close_redis(self._redis)

    async def publish(self, ticket: TicketId) -> None:
        try:
            await self._redis.publish(self._channel, str(ticket))
        except (RedisError, OSError) as error:
            log.warning("pages of other processes not told", ticket=ticket, error=str(error))

    async def subscribe(self) -> AsyncGenerator[TicketId | None]:
        pause = 0.1
        while True:
            try:
                async with aclosing(self._listen()) as heard:
                    async for ticket in heard:
                        pause = 0.1
                        yield ticket
            except (RedisError, OSError) as error:
                log.warning("not told of changes", error=str(error), again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self) -> AsyncGenerator[TicketId | None]:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as line:
            await line.subscribe(self._channel)
            yield None
            while True:
                # with a time limit, so that a line that died silently is noticed
                message = await line.get_message(timeout=PATIENCE)
                if message is not None and (said := message["data"]).isdigit():
                    yield TicketId(int(said))
                elif message is None:
                    await line.ping()


class LocalHub:
    """The hub of one process alone."""

    def __init__(self) -> None:
        self._lines: set[asyncio.Queue[TicketId | None]] = set()

    async def publish(self, ticket: TicketId) -> None:
        for line in self._lines:
            line.put_nowait(ticket)

    async def subscribe(self) -> AsyncGenerator[TicketId | None]:
        line: asyncio.Queue[TicketId | None] = asyncio.Queue()
        self._lines.add(line)
        try:
            yield None
            while True:
                yield await line.get()
        finally:
            self._lines.discard(line)
