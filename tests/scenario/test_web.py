"""What an operator watches: healthz, readyz, metrics."""

from __future__ import annotations

import asyncio

from aiohttp.test_utils import TestClient, TestServer

from bot.web import web_app
from desk.errors import Transient
from desk.metrics import Metrics
from desk.steps import Step


async def fine() -> None:
    """Answers."""


async def away() -> None:
    raise Transient("Redis did not answer")


async def hangs() -> None:
    await asyncio.sleep(60)


async def test_ready_only_when_every_part_answers() -> None:
    app = web_app([], Metrics(), {"database": fine, "redis": away}, fine)
    async with TestClient(TestServer(app)) as client:
        ready = await client.get("/readyz")
        assert ready.status == 503
        assert await ready.json() == {"ok": False, "database": "", "redis": "Redis did not answer"}
        assert (await client.get("/healthz")).status == 200


async def test_a_part_that_hangs_does_not_hold_up_the_answer() -> None:
    app = web_app([], Metrics(), {"database": hangs}, fine)
    async with TestClient(TestServer(app)) as client, asyncio.timeout(4):
        assert "no answer within" in (await (await client.get("/readyz")).json())["database"]


async def test_metrics_count_steps_and_survive_a_redis_that_is_away() -> None:
    metrics = Metrics()
    with metrics.timed(Step.TRIAGE):
        pass
    async with TestClient(TestServer(web_app([], metrics, {}, away))) as client:
        text = await (await client.get("/metrics")).text()
    assert 'maildesk_step_seconds_count{step="triage"} 1.0' in text
