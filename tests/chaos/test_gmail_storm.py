"""A backlog at Gmail, read by workers that come and go while everything goes wrong at random."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator

import pytest

from desk.errors import Transient
from desk.store import Store
from mail.gmail import GmailProvider
from mail.oauth import SignIn
from mail.tokens import StoredTokens
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import House, gmail_house, mail
from tests.doubles.google import gmail_provider, refusal
from tests.doubles.redis import RealRedis
from workers.limits import RedisLimits

IS_FULL = os.environ.get("MAILDESK_CHAOS") == "full"
MAILS = 1000 if IS_FULL else 40
PATIENCE = 400.0 if IS_FULL else 40.0
SEED = int(os.environ.get("MAILDESK_SEED", "20261122"))

API = "GET /gmail/v1"
RATE = "userRateLimitExceeded"


def storm(chance: random.Random) -> list[Fault]:
    """Each kind now and then; about one call in four."""
    kinds = [
        Fault(API, refusal(429, RATE, "Too many requests")),
        Fault(API, refusal(429, RATE, "Wait", Retry_After="1"), times=20 if IS_FULL else 1),
        Fault(API, refusal(403, RATE, "User-rate limit exceeded")),
        Fault(API, refusal(500, "backendError", "Backend error")),
        Fault(API, refusal(401, "authError", "Invalid Credentials")),
        Fault(API, deed="reset"),
        Fault(API, deed="lose"),
        Fault(API, deed="truncate"),
        Fault(API, deed="garble"),
        Fault(r"GET \S+/(messages|history)\?", deed="double"),
        Fault("POST /oauth2/token", refusal(503, "backendError", "Unavailable"), times=3),
    ]
    for fault in kinds:
        fault.every = chance.randint(25, 50) if fault.path == API else 2
    return kinds


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


@pytest.mark.slow
@pytest.mark.timeout(900 if IS_FULL else 60)
async def test_a_backlog_is_taken_in_once_through_a_storm_of_faults(
    house: House, real_redis: RealRedis
) -> None:
    """Some mail is there, some comes in between; pages get lost with the worker that read them,
    messages vanish, the history expires."""
    chance = random.Random(SEED)  # noqa: S311
    google = house.google
    google.page_size = 100 if IS_FULL else 20
    tokens = StoredTokens(house.store, house.id)
    await tokens.replace(SignIn(refresh=google.refresh_token()))
    for number in range(MAILS * 3 // 4):
        google.deliver(mail(number))
    google.proxy.faults = storm(chance)
    async with RedisLimits(real_redis.url) as limits:
        coming = list(range(MAILS * 3 // 4, MAILS))
        while coming:
            async with gmail_provider(google, limits=limits, tokens=tokens, seconds=20) as worker:
                await lose_a_page(house, worker)
                await house.take_in(worker, pages=chance.randint(1, 4), seconds=PATIENCE)
            count = max(1, MAILS // 20)
            for number in coming[:count]:
                google.deliver(mail(number))
            google.delete(google.deliver(mail(MAILS + len(coming))))
            del coming[:count]
            if chance.random() < (0.1 if IS_FULL else 0.3):
                google.forget_history()
        async with gmail_provider(google, limits=limits, tokens=tokens, seconds=20) as worker:
            await house.take_in(worker, seconds=PATIENCE)
    print(f"{MAILS} mails, {google.most_a_minute()} units in the fullest minute, seed {SEED}")
    assert await house.taken() == list(range(MAILS))
    assert google.most_a_minute() <= 15_000


async def lose_a_page(house: House, worker: GmailProvider) -> None:
    """It was read, and the worker died before it was stored."""
    checkpoint = (await house.store.mailbox(house.id)).checkpoint
    try:
        await worker.fetch(checkpoint, 10)
    except Transient:
        return
