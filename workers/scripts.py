"""Lua scripts on Redis, and the border at which its errors become ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.commands.core import AsyncScript
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from desk.errors import Transient
from desk.redis_line import close_redis, opened_redis

PREFIX = "{desk:q}"
_LUA = Path(__file__).with_name("lua")
PATIENCE = 2.0  # seconds for an answer before Redis counts as away


class Scripts:
    """A connection to Redis with the scripts of a folder below ``lua/``, each behind a prelude."""

    def __init__(self, url: str, prefix: str, folder: str = ".") -> None:
        """``url`` as in desk.redis_line; ``prefix`` needs a {hash tag}."""
        self.redis: Any = opened_redis(url)  # its types are those of the blocking client
        self.prefix = prefix
        files = {path.stem: path.read_text() for path in (_LUA / folder).glob("*.lua")}
        prelude = files.pop("prelude")
        self._scripts: dict[str, AsyncScript] = {
            name: self.redis.register_script(prelude + text) for name, text in files.items()
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        async with self.border():
            await close_redis(self.redis)

    async def ping(self) -> None:
        """Raises Transient when Redis is away."""
        async with self.border():
            await self.redis.ping()

    async def run(self, script: str, *args: str | int) -> Any:
        async with self.border():
            return await self._scripts[script](keys=[self.prefix], args=args)

    @asynccontextmanager
    async def border(self, seconds: float = PATIENCE) -> AsyncIterator[None]:
        # Not redis-py's socket_timeout: it goes through asyncio.wait_for, and before Python 3.12
        # that may swallow a cancellation (https://bugs.python.org/issue37658).
        try:
            async with asyncio.timeout(seconds):
                yield
        except (RedisError, OSError) as error:
            # It is a replica now, and the next line asks for its master. What a script answers is
            # no ReadOnlyError before Redis 7.
            if isinstance(error, ReadOnlyError) or "READONLY" in str(error):
                await self.redis.connection_pool.disconnect(inuse_connections=False)
            # The library's text may hold an address; the first word of Redis's (OOM, NOAUTH) helps.
            word = " " + str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
            raise Transient(
                f"Redis did not answer ({type(error).__name__}{word}); jobs wait until it does."
            ) from error
