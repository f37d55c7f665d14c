"""arq as it comes: its defaults, and with what its settings allow."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from bench.rivals.meter import Meter

MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "tuned": {"max_jobs": 100, "poll_delay": 0.005, "keep_result": 0},
}


async def fill(url: str, n: int) -> None:
    pool = await create_pool(RedisSettings.from_dsn(url))
    for start in range(0, n, 50):
        jobs = (pool.enqueue_job("work", id) for id in range(start, min(n, start + 50)))
        await asyncio.gather(*jobs)
    await pool.aclose()


async def serve(url: str, mode: str, n: int) -> None:
    meter = Meter(n)

    async def work(ctx: dict[Any, Any], id: int) -> None:
        meter.start(id)

    settings = RedisSettings.from_dsn(url)
    jobs = [func(work, name="work")]
    worker = Worker(jobs, redis_settings=settings, handle_signals=False, **MODES[mode])
    meter.ready()
    await worker.main()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
