"""A worker process of the fault tests: the real queue, runner and sweep around a ledger."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from desk.errors import Transient
from desk.steps import Step
from tests.chaos.ledger import Ledger
from workers.lanes import Service
from workers.queue import RedisQueue
from workers.runner import Runner
from workers.sweep import Sweep


@dataclass(frozen=True)
class Plan:
    """How a worker works: ``seconds`` a job, ``slots`` at once, of which some are ``reserved``."""

    url: str
    folder: str
    seconds: float = 0.03
    slots: int = 4
    reserved: int = 0
    lease: float = 1.0
    grace: float = 0.2


class Work:
    """The step. The kind of a job says what goes wrong in it."""

    def __init__(self, ledger: Ledger, plan: Plan) -> None:
        self._ledger, self._plan = ledger, plan

    async def __call__(self, id: int) -> None:
        kind = self._ledger.begin(id)
        match kind:
            case "poison":
                await asyncio.sleep(self._plan.seconds)
                os.kill(os.getpid(), signal.SIGKILL)
            case "blocking":  # the first time the whole process stands still
                self._ledger.change(id, "slow")
                time.sleep(3 * self._plan.lease)  # noqa: ASYNC251 - that is the fault
            case "slow":
                await asyncio.sleep(4 * self._plan.lease)
            case "endless":
                while self._ledger.kind(id) == "endless":  # noqa: ASYNC110 - told by another process
                    await asyncio.sleep(0.05)
            case _:
                await asyncio.sleep(self._plan.seconds)
        self._ledger.finish(id)


async def work(plan: Plan) -> None:
    ledger = Ledger(Path(plan.folder, "ledger.db"), os.getpid())
    async with RedisQueue(plan.url) as queue:
        handler = Work(ledger, plan)
        service = Service(handler, plan.slots, lease=plan.lease, reserved=plan.reserved)
        runner = Runner(queue, {Step.TRIAGE: service}, ledger, grace=plan.grace)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, runner.stop)
        sweep = Sweep(ledger, queue)
        sweeping = [asyncio.create_task(work) for work in (sweep.heal(), scheduled(sweep))]
        await runner.run()
        for task in sweeping:
            task.cancel()


async def scheduled(sweep: Sweep) -> None:
    """As the schedule does."""
    while True:
        await asyncio.sleep(10)
        with suppress(Transient):
            await sweep()


def run(plan: Plan) -> None:
    with Path(plan.folder, f"worker-{os.getpid()}.log").open("w", buffering=1) as log:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(log),
            processors=[
                structlog.processors.TimeStamper(),
                structlog.processors.KeyValueRenderer(),
            ],
        )
        asyncio.run(work(plan))
