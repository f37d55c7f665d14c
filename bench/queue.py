"""Our queue beside arq, dramatiq and bare Redis, taken in turns in one run (``python -m
bench.queue``): processor time a job, idle latency, durable steps a second, and order.

Ratios count: they hold on a busy machine, where seconds do not. Needs the extra ``bench``.
"""

from __future__ import annotations

import sys

sys.path[0] = __file__.rpartition("bench")[0]  # in this folder, queue.py hides the standard one

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from arq import create_pool
from arq.connections import RedisSettings

from bench.rivals import ours, raw, stock_arq, threads
from desk.rules import Job
from workers.queue import RedisQueue
from workers.redis_server import RedisServer

ROUNDS = 3
PINGS = 100
DEADLINES = 10_000
SLOTS = 2 * 10
DURABLE = 3_000


@dataclass(frozen=True, slots=True)
class Rival:
    """``jobs`` are as many as take it a second or two."""

    name: str
    module: str
    mode: str
    jobs: int
    fill: Callable[[str, int], Awaitable[object]]


async def fill_threads(url: str, n: int) -> None:
    await asyncio.to_thread(threads.fill, url, n)


RIVALS = (
    Rival("ours", "ours", "noop", 20_000, ours.fill),
    Rival("arq tuned", "stock_arq", "tuned", 800, stock_arq.fill),
    Rival("arq", "stock_arq", "default", 200, stock_arq.fill),
    Rival("dramatiq", "threads", "-", 2_000, fill_threads),
    Rival("bare Redis", "raw", "-", 5_000, raw.fill),
)


class Running:
    """A worker process that serves ``jobs`` jobs and then says how it went."""

    def __init__(self, module: str, url: str, mode: str, jobs: int, *more: str) -> None:
        command = ("-m", f"bench.rivals.{module}", url, mode, str(jobs), *more)
        self._start = asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE
        )

    async def ready(self) -> None:
        self._process = await self._start
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    async def figures(self) -> dict[str, Any]:
        out, _ = await asyncio.wait_for(self._process.communicate(), 90)
        return dict(json.loads(out))

    def terminate(self) -> None:
        with suppress(ProcessLookupError):  # it has ended by itself: it did all jobs
            self._process.terminate()


async def cleared(url: str) -> None:
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.flushall()


async def plumbing(url: str) -> dict[str, list[tuple[float, float]]]:
    """Processor µs a job and jobs a second of each rival, round by round."""
    found: dict[str, list[tuple[float, float]]] = {rival.name: [] for rival in RIVALS}
    for _ in range(ROUNDS):
        for rival in RIVALS:
            await cleared(url)
            await rival.fill(url, rival.jobs)
            worker = Running(rival.module, url, rival.mode, rival.jobs)
            await worker.ready()
            figures = await worker.figures()
            starts = [at for _, at in figures["starts"]]
            seconds = max(starts) - min(starts)
            found[rival.name].append((figures["cpu"] / rival.jobs * 1e6, rival.jobs / seconds))
    return found


async def latency(
    url: str, rival: Rival, pings: int, send: Callable[[int], Awaitable[object]]
) -> list[float]:
    """Seconds from just before a job is queued until an idle worker starts it."""
    worker = Running(rival.module, url, rival.mode, pings)
    await worker.ready()
    await asyncio.sleep(0.5)
    sent = {}
    for id in range(pings):
        sent[id] = time.monotonic()
        await send(id)
        await asyncio.sleep(0.015)
    figures = await worker.figures()
    return sorted(at - sent[id] for id, at in figures["starts"])


async def latencies(url: str) -> dict[str, list[float]]:
    await cleared(url)
    pool = await create_pool(RedisSettings.from_dsn(url))
    found = {}
    async with RedisQueue(url) as queue:
        await queue.ping()
        sends: dict[str, Callable[[int], Awaitable[object]]] = {
            "ours": lambda id: queue.put(Job(ours.STEP, id, id, is_urgent=False)),
            "arq tuned": lambda id: pool.enqueue_job("work", id),
            "arq": lambda id: pool.enqueue_job("work", id),
        }
        for rival in RIVALS[:3]:
            pings = 40 if rival.name == "arq" else PINGS
            found[rival.name] = await latency(url, rival, pings, sends[rival.name])
    await pool.aclose()
    return found


async def durable(url: str, mode: str, folder: Path) -> float:
    """Steps a second whose effect is a row in SQLite, committed and then acknowledged."""
    await cleared(url)
    await asyncio.to_thread(folder.mkdir)
    await ours.fill(url, DURABLE)
    worker = Running("ours", url, mode, DURABLE, str(folder))
    await worker.ready()
    starts = [at for _, at in (await worker.figures())["starts"]]
    return float(DURABLE / (max(starts) - min(starts)))


async def displacement(url: str) -> tuple[int, int]:
    """How far from its place the worst of the jobs started, and how many never or twice did."""
    await cleared(url)
    scores = await ours.fill(url, DEADLINES)
    workers = [Running("ours", url, "slow", DEADLINES) for _ in range(2)]
    for worker in workers:
        await worker.ready()
    async with RedisQueue(url) as queue:
        depth = await queue.depth()
        while depth[ours.STEP].ready or depth[ours.STEP].leased:
            await asyncio.sleep(0.2)
            depth = await queue.depth()
    for worker in workers:
        worker.terminate()
    figures = await asyncio.gather(*(worker.figures() for worker in workers))
    starts = sorted((at, id) for found in figures for id, at in found["starts"])
    place = {id: n for n, id in enumerate(sorted(scores, key=scores.__getitem__))}
    worst = max(abs(place[id] - n) for n, (_, id) in enumerate(starts))
    return worst, abs(len(starts) - DEADLINES) + DEADLINES - len({id for _, id in starts})


def percentile(sorted_values: Sequence[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, round(share * len(sorted_values)))]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure must be: at least or at most so much."""

    what: str
    figure: float
    limit: float
    is_most: bool
    unit: str = ""

    @property
    def is_kept(self) -> bool:
        return self.figure <= self.limit if self.is_most else self.figure >= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.is_kept else "MISSED"
        side = "at most" if self.is_most else "at least"
        said = f"{self.figure:.1f}{self.unit}, {side} {self.limit:g}{self.unit}"
        return f"{verdict:7} {self.what}: {said}"


async def costs(url: str) -> list[Limit]:
    found = await plumbing(url)
    cost = {name: statistics.median(cpu for cpu, _ in f) for name, f in found.items()}
    print(f"{'':12}{'µs of CPU a job':>16}{'× ours':>8}{'jobs a second':>15}")
    for name, figures in found.items():
        speed = statistics.median(rate for _, rate in figures)
        print(f"{name:12}{cost[name]:16.0f}{cost[name] / cost['ours']:8.1f}{speed:15.0f}")
    less = [("arq tuned", 10), ("dramatiq", 2.5)]
    what = "processor time a job, {} by ours"
    return [Limit(what.format(name), cost[name] / cost["ours"], n, False) for name, n in less]


async def idle(url: str) -> list[Limit]:
    print(f"\nidle, until a job starts: {'p50':>8}{'p95':>10}")
    found = await latencies(url)
    waits = {
        name: [percentile(waits, share) * 1000 for share in (0.5, 0.95)]
        for name, waits in found.items()
    }
    for name, (p50, p95) in waits.items():
        print(f"{name:24}{p50:8.1f} ms{p95:7.1f} ms")
    limits = zip(("p50", "p95"), waits["ours"], (3, 10), strict=True)
    return [
        Limit(f"idle, until a job starts, {share}", wait, most, True, " ms")
        for share, wait, most in limits
    ]


async def committed(url: str, folder: Path) -> list[Limit]:
    print()
    for mode in ("single", "grouped"):
        rate = await durable(url, mode, folder / mode)
        print(f"durable, {mode:8} {rate:7.0f} a second")
    return [Limit("durable steps a second, grouped", rate, 1000, False)]


async def order(url: str) -> list[Limit]:
    worst, missed = await displacement(url)
    what = f"places away from its own, of {DEADLINES} deadlines with two workers"
    return [
        Limit(f"most {what}", worst, SLOTS, True),
        Limit("started not exactly once", missed, 0, True),
    ]


async def main() -> bool:
    """Whether every limit was kept."""
    with tempfile.TemporaryDirectory() as name:
        async with RedisServer(Path(name) / "redis") as server:
            limits = [
                *await costs(server.url),
                *await idle(server.url),
                *await committed(server.url, Path(name)),
                *await order(server.url),
            ]
    print()
    for limit in limits:
        print(limit)
    return all(limit.is_kept for limit in limits)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
