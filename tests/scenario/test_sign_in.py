"""Signing in a mailbox with a browser, at an OAuth server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from desk.errors import Misconfigured, Refused
from mail.http import Http
from mail.oauth import Client
from mail.sign_in import sign_in
from tests.doubles.desk import FastClock
from tests.doubles.oauth import OAuthServer, oauth_server


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with oauth_server() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(timeout=5) as http:
        yield http


async def browse(address: str, **changed: str) -> int:
    """A browser that follows where it is sent."""
    async with aiohttp.ClientSession() as browser:
        async with browser.get(address, allow_redirects=False) as answer:
            back = answer.headers["Location"]
        parts = urlsplit(back)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
        async with browser.get(back.partition("?")[0], params=query) as answer:
            return answer.status


async def test_a_person_signs_in_with_the_browser(
    server: OAuthServer, http: Http, clock: FastClock
) -> None:
    shown: asyncio.Queue[str] = asyncio.Queue()
    signing = asyncio.create_task(sign_in(server.client, http, clock, shown.put_nowait, "a@b.c"))
    address = await shown.get()
    asked = parse_qs(urlsplit(address).query)
    assert asked["redirect_uri"][0].startswith("http://127.0.0.1:")
    assert (asked["scope"], asked["login_hint"]) == (["mail"], ["a@b.c"])
    assert await browse(address) == 200
    signed = await signing
    assert signed.access == server.access[-1]
    assert server.live[signed.refresh]
    assert signed.expires_at == clock.now() + timedelta(hours=1)
    with pytest.raises(aiohttp.ClientConnectorError):  # the listener is gone
        await browse(address)


async def test_whoever_does_not_know_the_state_is_not_listened_to(
    server: OAuthServer, http: Http, clock: FastClock
) -> None:
    shown: asyncio.Queue[str] = asyncio.Queue()
    signing = asyncio.create_task(sign_in(server.client, http, clock, shown.put_nowait))
    address = await shown.get()
    assert await browse(address, state="guessed") == 400
    assert not signing.done()
    assert await browse(address) == 200
    assert (await signing).access


async def test_a_person_may_say_no_or_not_come(
    server: OAuthServer, http: Http, clock: FastClock
) -> None:
    shown: asyncio.Queue[str] = asyncio.Queue()
    signing = asyncio.create_task(sign_in(server.client, http, clock, shown.put_nowait))
    asked = parse_qs(urlsplit(await shown.get()).query)
    query = {"error": "access_denied", "state": asked["state"][0]}
    async with (
        aiohttp.ClientSession() as browser,
        browser.get(asked["redirect_uri"][0], params=query) as answer,
    ):
        assert answer.status == 200
    with pytest.raises(Refused, match="access_denied"):
        await signing
    with pytest.raises(Refused, match="Nobody signed in"):
        await sign_in(server.client, http, clock, shown.put_nowait, seconds=0.05)


async def test_a_wrong_client_secret_is_told(
    server: OAuthServer, http: Http, clock: FastClock
) -> None:
    shown: asyncio.Queue[str] = asyncio.Queue()
    client = Client(server.client.service, "maildesk", "wrong")
    signing = asyncio.create_task(sign_in(client, http, clock, shown.put_nowait))
    await browse(await shown.get())
    with pytest.raises(Misconfigured, match="check client_id and client_secret"):
        await signing
