"""What an operator watches: healthz, readyz, metrics."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from bot.web import listen, web_app
from cli.doors import address, hosts
from desk.errors import Misconfigured, Transient
from desk.metrics import Metrics
from desk.settings import Settings
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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_address_that_is_told_is_where_the_page_is(host: str) -> None:
    settings = Settings(host=host, port=0)
    try:
        runner = await listen(web.Application(), settings.host, settings.port)
    except Misconfigured:
        if host == "127.0.0.1":
            raise
        pytest.skip(f"this machine has no {host}")
    try:
        async with ClientSession() as browser, browser.get(address(settings, runner)) as answer:
            assert answer.status == 404
            assert answer.url.raw_host == host
    finally:
        await runner.cleanup()


def test_a_browser_may_ask_for_an_address_of_another_machine() -> None:
    assert "[2001:db8::1]" in hosts(Settings(host="2001:db8::1"))
