"""The periodic jobs, hosted by arq on a queue of its own: fetch, sweep, watch.

arq gives each tick to one of all workers. Its loop ends when Redis is away for longer than its
retries; it is started again then, however it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.cron import cron
from arq.worker import Worker
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from desk.errors import Transient
from desk.faults import caught, kind, trace
from desk.redis_line import close_redis, opened_as

log = structlog.get_logger()

QUEUE = "desk:cron"
PAUSE = 1.0
CONNECTING = 1.0
CLOSING = 1.0  # seconds; arq says good-bye to a Redis that may be away


@dataclass(frozen=True, slots=True)
class Tick:
    """``run`` every ``seconds`` (a divisor of 60)."""

    name: str
    seconds: int
    run: Callable[[], Awaitable[object]]


def line(url: str, retries: int) -> ArqRedis:
    """For arq, patient: without retries it exits when Redis restarts."""
    return opened_as(
        ArqRedis,
        url,
        encoding="utf8",
        socket_connect_timeout=CONNECTING,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), retries),
        retry_on_timeout=True,
        retry_on_error=[ConnectionError, TimeoutError],
    )


async def run_schedule(url: str, ticks: Sequence[Tick], retries: int = 12) -> None:
    """Until cancelled."""
    while True:
        pool = line(url, retries)
        worker = Worker(
            cron_jobs=[_cron(tick) for tick in ticks],
            redis_pool=pool,
            queue_name=QUEUE,
            handle_signals=False,
            health_check_interval=60,
        )
        try:
            ended = await caught(worker.async_run())
        finally:
            await caught(_close(worker, pool))
        reason = kind(ended) if isinstance(ended, Exception) else "it ended"
        log.warning("schedule stopped, started again", error=reason)
        await asyncio.sleep(PAUSE)


async def _close(worker: Worker, pool: ArqRedis) -> None:
    try:
        async with asyncio.timeout(CLOSING):
            await worker.close()
    finally:
        await close_redis(pool)  # arq may not have come so far


def _cron(tick: Tick) -> Any:
    is_running = asyncio.Lock()

    async def run(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
        if is_running.locked():  # one that takes long must not take the places of the others
            return
        async with is_running:
            _report(tick.name, await caught(tick.run()))

    seconds = set(range(0, 60, tick.seconds))
    return cron(run, name=tick.name, second=seconds, run_at_startup=True, keep_result=0)


def _report(job: str, ended: object) -> None:
    """What arq would log of an error may quote a mail."""
    if isinstance(ended, Transient):
        log.warning("periodic job failed", job=job, error=str(ended))
    elif isinstance(ended, Exception):
        log.error("periodic job failed", job=job, error=kind(ended), at=trace(ended))
