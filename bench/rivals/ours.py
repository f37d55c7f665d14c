"""Our queue and runner: leases that are renewed, tokens, tries, dead letters, reserved slots."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from sqlalchemy import Column, Integer, MetaData, Table, insert

from bench.rivals.meter import Meter
from desk.engine import upgrade
from desk.rules import Job
from desk.steps import Failure, Step
from desk.store import Store
from desk.vault import create_key_file, open_vault
from workers.lanes import BatchHandler, Service
from workers.queue import RedisQueue
from workers.runner import Runner

STEP = Step.TRIAGE
GROUP = 50
EFFECTS = Table("bench_effects", MetaData(), Column("id", Integer, primary_key=True))


class Dead:
    """No job of this measurement fails."""

    async def remember(self, step: Step, id: int, failure: Failure) -> None:
        raise AssertionError(failure)

    async def bury(self, step: Step, id: int, failure: Failure, tries: int) -> None:
        raise AssertionError(failure)


async def fill(url: str, n: int, seed: int = 0) -> dict[int, float]:
    """``n`` jobs, due within a week in any order; their scores by id."""
    scores = [random.Random(seed + id).random() * 604_800_000 for id in range(n)]
    async with RedisQueue(url) as queue:
        await queue.put(*(Job(STEP, id, at, is_urgent=False) for id, at in enumerate(scores)))
    return dict(enumerate(scores))


async def serve(url: str, mode: str, n: int) -> None:
    """Modes: noop, slow (20 ms a job, ten at once), single and grouped (a row in SQLite)."""
    meter = Meter(n)

    async def noop(id: int) -> None:
        meter.start(id)

    async def slow(id: int) -> None:
        meter.start(id)
        await asyncio.sleep(0.02)

    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(RedisQueue(url))
        match mode:
            case "noop":
                service = Service(noop, slots=100)
            case "slow":
                service = Service(slow, slots=10)
            case _:
                store = await stack.enter_async_context(await opened_store(Path(sys.argv[4])))
                is_grouped = mode == "grouped"
                batch = GROUP if is_grouped else 1
                service = Service(durable(store, meter, is_grouped), slots=4, batch=batch)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, meter.end)
        meter.ready()
        await Runner(queue, {STEP: service}, Dead()).run()


async def opened_store(folder: Path) -> Store:
    url = f"sqlite+aiosqlite:///{folder / 'desk.db'}"
    await upgrade(url)
    create_key_file(folder / "key")
    store = Store.open(url, open_vault(folder / "key"))
    async with store.change() as change:
        await change.connection.run_sync(EFFECTS.create)
    return store


def durable(store: Store, meter: Meter, is_grouped: bool) -> BatchHandler:
    """Steps whose effect is a row, committed before the job is acknowledged: one a transaction,
    or as many as were claimed together."""

    async def many(ids: Sequence[int]) -> Mapping[int, Exception]:
        async with store.change() as change:
            await change.connection.execute(insert(EFFECTS), [{"id": id} for id in ids])
        for id in ids:
            meter.start(id)
        return {}

    async def one(id: int) -> None:
        await many([id])

    return many if is_grouped else one  # type: ignore[return-value]


if __name__ == "__main__":
    logger = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(
        wrapper_class=logger, logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
