"""Waiting for what another task or process does, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

WAITS = 30.0


async def happens(is_so: Callable[[], object]) -> None:
    async def ask() -> object:
        return is_so()

    await until_so(ask)


async def until_so(is_so: Callable[[], Awaitable[object]], seconds: float = WAITS) -> None:
    deadline = time.monotonic() + seconds
    while not await is_so():
        assert time.monotonic() < deadline, "it does not happen"
        await asyncio.sleep(0.02)
