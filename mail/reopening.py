"""A mailbox that is opened when it is first used, and anew after it turned out to be wrong.

What is wrong with one mailbox is then said by that mailbox, and stops no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from desk.errors import Misconfigured
from mail.provider import NOWHERE, Origin, Page, Provider, Ready, at_once

Open = Callable[[], AbstractAsyncContextManager[Provider]]


class _Opened:
    """A provider, and how many use it now: the last one closes it once it is ``stale``."""

    def __init__(self, provider: Provider, stack: AsyncExitStack) -> None:
        self.provider = provider
        self.users = 0
        self.is_stale = False
        self._stack = stack

    async def leave(self) -> None:
        self.users -= 1
        if self.is_stale and not self.users:
            await self._stack.aclose()

    async def end(self) -> None:
        self.is_stale = True
        if not self.users:
            await self._stack.aclose()


class ReopeningMailbox:
    """mail.provider.Provider. ``is_read_anew``: what opens it (a password) is read when it is
    opened, so a mailbox that refused us is opened anew the next time."""

    def __init__(self, open: Open, *, is_read_anew: bool = False) -> None:
        self._open = open
        self._is_read_anew = is_read_anew
        self._turn = asyncio.Lock()
        self._opened: _Opened | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.end()

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        async with self._used() as provider:
            return await provider.fetch(checkpoint, limit)

    async def wait(self, seconds: float) -> bool:
        async with self._used() as provider:
            return await provider.wait(seconds)

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        async with self._used() as provider:
            await provider.send(mime, sender, recipients, origin, ready)

    async def find_sent(self, message_id: str) -> bool:
        async with self._used() as provider:
            return await provider.find_sent(message_id)

    @asynccontextmanager
    async def _used(self) -> AsyncIterator[Provider]:
        opened = await self._entered()
        try:
            yield opened.provider
        except Misconfigured:
            if self._is_read_anew and self._opened is opened:
                self._opened = None
                opened.is_stale = True
            raise
        finally:
            await opened.leave()

    async def _entered(self) -> _Opened:
        async with self._turn:
            if self._opened is None:
                async with AsyncExitStack() as stack:
                    provider = await stack.enter_async_context(self._open())
                    self._opened = _Opened(provider, stack.pop_all())
            self._opened.users += 1
            return self._opened
