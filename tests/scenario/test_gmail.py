"""A Gmail mailbox through Intake into the records, while Google and the line to it misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from desk.ports import SystemClock
from desk.store import Store
from mail.http import Http
from mail.oauth import SignIn
from mail.sign_in import sign_in
from mail.tokens import StoredTokens
from tests.doubles.desk import ListQueue
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import House, gmail_house, mail, numbers
from tests.doubles.google import gmail_provider, refusal
from tests.doubles.mailbox import parse_here
from tests.doubles.oauth import HeldTokens
from tests.doubles.redis import RealRedis
from workers.intake import Intake
from workers.limits import RedisLimits

RATE = "userRateLimitExceeded"
API = "GET /gmail/v1"
LISTS = r"GET \S+/(messages|history)\?"
ONE = r"GET \S+/messages/"


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


TROUBLE = {
    "a storm of 429": [Fault(API, refusal(429, RATE, "Too many requests"), every=3)],
    "429 with Retry-After": [Fault(API, refusal(429, RATE, "Wait", Retry_After="1"), times=3)],
    "403 for the rate": [Fault(API, refusal(403, RATE, "User-rate limit exceeded"), every=3)],
    "500 and 503": [
        Fault(API, refusal(500, "backendError", "Backend error"), every=5),
        Fault(API, refusal(503, "backendError", "Unavailable"), every=7),
    ],
    "resets": [Fault(API, deed="reset", every=4), Fault(API, deed="lose", every=6)],
    "answers cut short": [Fault(API, deed="truncate", every=4), Fault(API, deed="garble", every=6)],
    "pages that repeat": [Fault(LISTS, deed="double")],
    "slow answers": [
        Fault(ONE, deed="drip", seconds=0.2, every=9),
        Fault(LISTS, deed="stall", seconds=1.2, every=4),
    ],
    "an away token service": [
        Fault("POST /oauth2/token", refusal(503, "backendError", "Unavailable"), times=3)
    ],
    "tokens refused": [Fault(API, refusal(401, "authError", "Invalid Credentials"), every=9)],
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_whatever_happens_on_the_way_each_mail_is_taken_in_once(
    house: House, trouble: str
) -> None:
    google = house.google
    google.page_size = 4
    for number in range(11):
        google.deliver(mail(number))
    google.proxy.faults = [replace(fault) for fault in TROUBLE[trouble]]
    async with gmail_provider(google, seconds=1.0 if "slow" in trouble else 10.0) as provider:
        await house.take_in(provider)
        assert await house.taken() == list(range(11))
        for number in range(11, 18):
            google.deliver(mail(number))
        await house.take_in(provider)
    assert await house.taken() == list(range(18))
    assert google.most_a_minute() <= 15_000


async def test_an_access_token_that_ends_in_the_middle_of_a_page_is_renewed(house: House) -> None:
    google = house.google
    for number in range(12):
        google.deliver(mail(number))
    google.proxy.faults = [Fault(ONE, deed="stall", seconds=0.05)]
    async with gmail_provider(google) as provider:
        reading = asyncio.create_task(house.take_in(provider))
        await google.proxy.until(ONE)
        google.end_access()
        await reading
    assert await house.taken() == list(range(12))
    assert len(google.issued) == 2  # though several calls were refused at once
    assert house.problems == []


async def test_two_workers_renew_the_tokens_of_a_mailbox_at_every_call(
    house: House, real_redis: RealRedis
) -> None:
    """Each refresh token is good once: any second flight would end the sign-in."""
    google = house.google
    google.lifetime = 120  # due at once
    tokens = StoredTokens(house.store, house.id)
    await tokens.replace(SignIn(refresh=google.refresh_token()))
    for number in range(6):
        google.deliver(mail(number))
    async with (
        RedisLimits(real_redis.url) as limits,
        gmail_provider(google, limits=limits, tokens=tokens, clock=house.store.clock) as one,
        gmail_provider(google, limits=limits, tokens=tokens, clock=house.store.clock) as two,
    ):
        pages = await asyncio.gather(*(worker.fetch("") for worker in (one, two)))
    assert [len(page.arrivals) for page in pages] == [6, 6]
    # how often is chance: who waits for a renewal takes its token
    assert len(google.issued) > 1
    assert sum(google.live.values()) == 1
    kept = await tokens.load()
    assert kept is not None
    assert google.live[kept.refresh]


async def test_a_sign_in_that_has_ended_is_told_on_the_mailbox(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        google.live.clear()
        intake = Intake(house.store, ListQueue(), {house.id: provider}, parse_here)
        await intake(house.id)
    problem = (await house.store.mailbox(house.id)).problem
    assert "needs sign-in" in problem
    assert "mailbox add" in problem


# -- signing in


async def test_a_person_signs_in_at_google_and_mail_is_read(house: House) -> None:
    """On the emulator's own pages, which check the PKCE proof."""
    google = house.google
    google.deliver(mail(1))
    shown: asyncio.Queue[str] = asyncio.Queue()
    clock = SystemClock()
    async with Http() as http, aiohttp.ClientSession() as browser:
        signing = asyncio.create_task(sign_in(google.client, http, clock, shown.put_nowait))
        page = urlsplit(await shown.get())
        form = {**dict(parse_qsl(page.query)), "email": google.address}
        async with browser.post(f"{google.proxy.url}{page.path}/callback", data=form) as answer:
            assert "You are signed in" in await answer.text()
        signed = await signing
    async with gmail_provider(google, tokens=HeldTokens(replace(signed, version=1))) as provider:
        assert numbers(await provider.fetch("")) == [1]
    assert google.issued[0] == signed.access
