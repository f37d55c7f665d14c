"""A Gmail mailbox through Intake into the records, while Google and the line to it misbehave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from desk.errors import Transient
from desk.ports import SystemClock
from desk.store import Store
from mail.http import Http
from mail.oauth import SignIn
from mail.sign_in import sign_in
from mail.tokens import StoredTokens
from tests.doubles.desk import FastClock, ListQueue
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import House, encoded, gmail_house, mail, numbers, subject
from tests.doubles.google import gmail_provider, refusal
from tests.doubles.mailbox import parse_here
from tests.doubles.oauth import HeldTokens
from tests.doubles.redis import RealRedis
from workers.intake import Intake
from workers.limits import RedisLimits

RATE = "userRateLimitExceeded"
API = "GET /gmail/v1"
DAY = 24 * 3600.0
LISTS = r"GET \S+/(messages|history)\?"
ONE = r"GET \S+/messages/"


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


# -- trouble on the way: the final set is the same


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
    assert len(google.issued) > 6
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


# -- the mailbox itself changes while it is read


@pytest.mark.parametrize("when", ["while the list is read", "later"])
async def test_a_history_that_has_expired_loses_and_doubles_nothing(
    house: House, when: str
) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        for number in range(7):
            google.deliver(mail(number))
        if when == "later":
            await house.take_in(provider)
        else:
            page = await provider.fetch("", 3)
            assert page.more
        for number in range(7, 10):
            google.deliver(mail(number), at=time.time() - 3600)
        google.forget_history()
        for number in range(10, 12):
            google.deliver(mail(number))
        await house.take_in(provider)
        google.deliver(mail(12))
        await house.take_in(provider)
    assert await house.taken() == list(range(13))


async def test_after_an_expired_history_sent_mail_comes_where_it_belongs_in_time(
    house: House,
) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        google.deliver(mail(0), at=time.time() - 120)
        page = await provider.fetch("")
        google.deliver(mail(1), at=time.time() - 60)
        google.ask("POST", "messages/send", {"raw": encoded(mail(2))})
        google.deliver(mail(3), at=time.time() + 60)
        google.forget_history()
        again = await provider.fetch(page.checkpoint)
    found = [(subject(one.raw), one.is_sent) for one in again.arrivals]
    assert found[-3:] == [("Question 1", False), ("Question 2", True), ("Question 3", False)]


async def test_messages_that_vanish_before_they_are_read_are_passed_over(house: House) -> None:
    google = house.google
    ids = [google.deliver(mail(number)) for number in range(10)]
    async with gmail_provider(google) as provider:
        first = await provider.fetch("", 3)
        google.delete(ids[2], ids[4], ids[9])
        rest = await provider.fetch(first.checkpoint, 20)
        assert numbers(rest) == [3, 5, 6, 7, 8]
        # both lists, of the inbox and of the sent mail, are kept between pages
        assert len(google.proxy.lines(r"/messages\?")) == 2
        google.deliver(mail(10))
        gone = google.deliver(mail(11))
        google.delete(gone)
        news = await provider.fetch(rest.checkpoint)
        assert numbers(news) == [10]


async def test_a_list_goes_on_in_another_worker_although_its_last_mail_is_gone(
    house: House,
) -> None:
    google = house.google
    ids = [google.deliver(mail(number)) for number in range(6)]
    async with gmail_provider(google) as provider:
        first = await provider.fetch("", 3)
    google.delete(ids[2])
    async with gmail_provider(google) as provider:
        rest = await provider.fetch(first.checkpoint, 20)
    assert set(numbers(rest)) >= {3, 4, 5}


async def test_drafts_spam_and_archived_mail_are_none_of_ours(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        page = await provider.fetch("")
        google.deliver(mail(0), "DRAFT")
        spam = google.deliver(mail(1), "SPAM")
        google.deliver(mail(2), "STARRED")
        archived = google.deliver(mail(3), "INBOX")
        page = await provider.fetch(page.checkpoint)
        assert numbers(page) == [3]
        google.label(spam, add=("INBOX",), remove=("SPAM",))  # it was none
        google.label(archived, remove=("INBOX",))
        page = await provider.fetch(page.checkpoint)
    assert numbers(page) == [1]


async def test_what_somebody_sends_from_gmail_itself_arrives_as_sent(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        question = google.deliver(mail(1))
        page = await provider.fetch("")
        thread = page.arrivals[0].thread
        google.ask("POST", "messages/send", {"raw": encoded(mail(2)), "threadId": thread})
        page = await provider.fetch(page.checkpoint)
    [answer] = page.arrivals
    assert (answer.is_sent, answer.thread) == (True, thread)
    assert answer.key != question


@pytest.mark.parametrize(("days", "expected"), [(14, [1, 2]), (0, [])])
async def test_old_mail_does_not_come_when_a_mailbox_is_connected(
    house: House, days: float, expected: list[int]
) -> None:
    google = house.google
    now = time.time()
    google.deliver(mail(0), at=now - 30 * DAY)
    google.deliver(mail(1), at=now - 10 * DAY)
    google.deliver(mail(2), at=now - 10)
    async with gmail_provider(google, backfill_days=days) as provider:
        page = await provider.fetch("")
        assert numbers(page) == expected
        google.deliver(mail(3))
        google.deliver(mail(4), at=now - 400 * DAY)  # somebody moves an archive into the account
        assert numbers(await provider.fetch(page.checkpoint)) == [3]


async def test_one_mail_that_gmail_cannot_hand_over_does_not_hold_up_the_others(
    house: House,
) -> None:
    google = house.google
    ids = [google.deliver(mail(number)) for number in range(3)]
    broken = refusal(500, "backendError", "Backend error")
    google.proxy.faults = [Fault(rf"messages/{ids[1]}\?format=raw", broken)]
    found: list[str] = []
    async with gmail_provider(google, tries=2) as provider:
        checkpoint, more = "", True
        for _ in range(20):
            try:
                page = await provider.fetch(checkpoint)
            except Transient:
                continue
            found += [subject(one.raw) for one in page.arrivals]
            checkpoint, more = page.checkpoint, page.more
            if not more:
                break
    assert found == ["Question 0", f"(Gmail does not hand over mail {ids[1]})", "Question 2"]


async def test_one_mail_that_is_too_slow_for_the_line_does_not_hold_up_the_others(
    house: House,
) -> None:
    google = house.google
    ids = [google.deliver(mail(number)) for number in range(3)]
    google.proxy.faults = [Fault(rf"messages/{ids[1]}\?format=raw", deed="stall", seconds=1)]
    async with gmail_provider(google, tries=1, seconds=0.3) as provider:
        await house.take_in(provider)
    taken = await house.taken_subjects()
    assert taken == ["Question 0", f"(Gmail does not hand over mail {ids[1]})", "Question 2"]


async def test_a_row_of_mails_that_gmail_cannot_hand_over_holds_up_no_others(
    house: House,
) -> None:
    google = house.google
    ids = [google.deliver(mail(number)) for number in range(8)]
    broken = refusal(500, "backendError", "Backend error")
    google.proxy.faults = [Fault(rf"messages/{id}\?format=raw", broken) for id in ids[:6]]
    clock = FastClock(datetime.now(UTC))
    async with gmail_provider(google, tries=6, fast=clock) as provider:
        await house.take_in(provider)
    taken = await house.taken_subjects()
    assert taken[:2] == [f"(Gmail does not hand over mail {id})" for id in ids[:2]]
    assert taken[-2:] == ["Question 6", "Question 7"]
    assert len(taken) == 8


async def test_after_an_expired_history_what_never_was_in_the_inbox_stays_away(
    house: House,
) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        page = await provider.fetch("")
        google.deliver(mail(1), "STARRED")  # a filter keeps it out of the inbox
        google.deliver(mail(2))
        google.forget_history()
        assert numbers(await provider.fetch(page.checkpoint)) == [2]


async def test_what_the_history_names_again_and_again_comes_once_a_page(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        page = await provider.fetch("")
        for number in range(3):
            google.label(google.deliver(mail(number)), add=("STARRED",))
        google.proxy.faults = [Fault(LISTS, deed="double")]
        assert numbers(await provider.fetch(page.checkpoint)) == [0, 1, 2]


async def test_a_large_mail_is_read_again_while_no_other_is(house: House) -> None:
    google = house.google
    ids = [google.deliver(mail(n) + b"x" * (6_400_000 if n == 2 else 0)) for n in range(5)]
    async with gmail_provider(google, seconds=20) as provider:
        page = await provider.fetch("")
    assert numbers(page) == [0, 1, 2, 3, 4]
    assert [len(one.raw) > 6_400_000 for one in page.arrivals] == [False, False, True, False, False]
    asked = [len(google.proxy.lines(f"messages/{id}")) for id in ids]
    assert asked == [1, 1, 2, 1, 1]


async def test_while_gmail_hands_over_no_mail_none_is_given_up(house: House) -> None:
    google = house.google
    for number in range(3):
        google.deliver(mail(number))
    google.proxy.faults = [Fault("format=raw", refusal(500, "backendError", "Backend error"))]
    async with gmail_provider(google, tries=1) as provider:
        for _ in range(8):
            with pytest.raises(Transient):
                await provider.fetch("")
        google.proxy.faults = []
        assert numbers(await provider.fetch("")) == [0, 1, 2]


# -- waiting


async def test_news_behind_a_page_of_others_changes_is_told(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        await provider.fetch("")
        google.page_size = 2
        for number in range(3):
            google.deliver(mail(number), "STARRED")
        google.deliver(mail(3))
        assert await provider.wait(5)


async def test_waiting_costs_little_and_an_expired_history_is_news(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        page = await provider.fetch("")
        before = len(google.units)
        assert not await provider.wait(0.35)
        assert sum(cost for _, cost in google.units[before:]) <= 2 * 6
        google.deliver(mail(1))
        google.forget_history()
        assert await provider.wait(5)
        assert numbers(await provider.fetch(page.checkpoint)) == [1]


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
