"""Handing on: what comes next is queued. A Redis that is away holds nobody up."""

from __future__ import annotations

import structlog

from desk.errors import Transient
from desk.ports import Queue
from desk.rules import Job

log = structlog.get_logger()


async def hand_on(queue: Queue, *jobs: Job) -> None:
    """Queue these, or leave them to the sweep, which finds them by their records."""
    try:
        await queue.put(*jobs)
    except Transient as error:
        names = [f"{job.step}:{job.id}" for job in jobs]
        log.warning("not queued, left to the sweep", jobs=names, error=str(error))
