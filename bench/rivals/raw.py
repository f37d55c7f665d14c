"""What nobody can beat: a score in, the lowest one out, one call each, from one asyncio client."""

from __future__ import annotations

import asyncio
import sys

import redis.asyncio

from bench.rivals.meter import Meter


async def fill(url: str, n: int) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.zadd("raw", {str(id): id for id in range(n)})


async def serve(url: str, n: int) -> None:
    meter = Meter(n)
    meter.ready()
    async with redis.asyncio.Redis.from_url(url) as client:
        while True:
            for id, _ in await client.zpopmin("raw"):
                meter.start(int(id))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[3])))
