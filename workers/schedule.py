"""The periodic jobs, hosted by arq on a queue of its own: fetch, sweep, watch.

arq gives each tick to one of all workers. Its loop ends when Redis is away for longer than its
retries; it is started again then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from arq.connections import RedisSettings
from arq.cron import cron
from arq.worker import Worker
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from desk.errors import Transient

log = structlog.get_logger()

QUEUE = "desk:cron"
PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """``run`` every ``seconds`` (a divisor of 60)."""

    name: str
    seconds: int
    run: Callable[[], Awaitable[object]]


def redis_settings(url: str) -> RedisSettings:
    """For arq, patient: without retries it exits when Redis restarts."""
    settings = RedisSettings.from_dsn(url)
    settings.retry = Retry(ExponentialBackoff(cap=1, base=0.05), 12)
    settings.retry_on_timeout = True
    settings.retry_on_error = [ConnectionError, TimeoutError]
    return settings


async def run_schedule(url: str, jobs: Sequence[Job]) -> None:
    """Until cancelled."""
    while True:
        worker = Worker(
            cron_jobs=[_cron(job) for job in jobs],
            redis_settings=redis_settings(url),
            queue_name=QUEUE,
            handle_signals=False,
            health_check_interval=60,
        )
        try:
            await worker.async_run()
        except (RedisError, ConnectionError, OSError) as error:
            log.warning("schedule stopped, started again", error=type(error).__name__)
            await asyncio.sleep(PAUSE)
        finally:
            await worker.close()


def _cron(job: Job) -> Any:
    async def run(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
        try:
            await job.run()
        except Transient as error:
            log.warning("periodic job failed", job=job.name, error=str(error))

    seconds = set(range(0, 60, job.seconds))
    return cron(run, name=job.name, second=seconds, run_at_startup=True, keep_result=0)
