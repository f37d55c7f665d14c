"""Replies through Gmail: in their conversation, and never twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desk.errors import Ambiguous, Misconfigured, Permanent, Throttled, Transient
from desk.store import Store
from mail.provider import Origin
from tests.doubles.fault_proxy import Fault, Reply
from tests.doubles.gmail_house import House, encoded, gmail_house, mail, numbers, origin_of
from tests.doubles.google import gmail_provider, refusal
from workers.limits import RedisLimits

RATE = "userRateLimitExceeded"


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


async def test_a_reply_is_sent_in_its_conversation_as_it_was_written(house: House) -> None:
    google = house.google
    async with gmail_provider(google) as provider:
        google.deliver(mail(1))
        [question] = (await provider.fetch("")).arrivals
        await provider.send(mail(2), google.address, ["c@d.example"], origin_of(question))
        assert google.sent() == [mail(2)]
        [sent] = google.ask("GET", "messages", labelIds="SENT")["messages"]
        assert sent["threadId"] == question.thread
        assert await provider.find_sent("<m2@customer2.example>")


async def test_a_pause_until_a_time_is_read_out_of_gmails_sentence(house: House) -> None:
    """https://developers.google.com/gmail/api/guides/handle-errors: "Retry after <timestamp>" """
    until = (datetime.now(UTC) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    said = f"User-rate limit exceeded.  Retry after {until}"
    google = house.google
    google.proxy.faults = [Fault(SENDING, refusal(429, "rateLimitExceeded", said))]
    async with gmail_provider(google) as provider:
        with pytest.raises(Throttled) as caught:
            await provider.send(mail(2), google.address, ["c@d.example"])
    assert 1700 < caught.value.seconds <= 1800
    assert google.sent() == []


async def test_a_time_in_gmails_sentence_that_is_none_is_no_pause(house: House) -> None:
    said = "User-rate limit exceeded.  Retry after 2026-13-32T25:00:00.000Z"
    google = house.google
    google.proxy.faults = [Fault(SENDING, refusal(429, "rateLimitExceeded", said), times=1)]
    async with gmail_provider(google) as provider:
        await provider.send(mail(2), google.address, ["c@d.example"])
    assert google.sent() == [mail(2)]


SENDING = "POST .*/messages/send"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(SENDING, refusal(400, "invalidArgument", "Invalid To header")), Permanent),
        (Fault(SENDING, refusal(403, "insufficientPermissions", "No")), Misconfigured),
        (Fault(SENDING, refusal(403, "dailyLimitExceeded", "Tomorrow")), Throttled),
        (Fault(SENDING, refusal(500, "backendError", "Backend error")), Ambiguous),
        (Fault(SENDING, deed="reset"), Ambiguous),
        (Fault(SENDING, deed="stall", seconds=1.0), Ambiguous),
    ],
)
async def test_a_reply_that_did_not_leave_says_how_sure_that_is(
    house: House, fault: Fault, error: type[Exception]
) -> None:
    google = house.google
    google.proxy.faults = [replace(fault)]
    async with gmail_provider(google, seconds=0.5 if fault.deed == "stall" else 5) as provider:
        with pytest.raises(error):
            await provider.send(mail(2), google.address, ["c@d.example"], Origin("", ""))
    assert len(google.proxy.lines(SENDING)) <= 1


async def test_a_reply_whose_answer_was_lost_is_found_in_the_sent_mail(house: House) -> None:
    google = house.google
    google.proxy.faults = [Fault(SENDING, deed="lose")]
    async with gmail_provider(google) as provider:
        with pytest.raises(Ambiguous):
            await provider.send(mail(2), google.address, ["c@d.example"], Origin("", ""))
        assert await provider.find_sent("<m2@customer2.example>")
    assert google.sent() == [mail(2)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(SENDING, refusal(429, RATE, "Wait", Retry_After="1"), times=1),
        Fault(SENDING, refusal(401, "authError", "Invalid Credentials"), times=1),
        Fault(SENDING, refusal(404, "notFound", "Requested entity was not found: thread"), times=1),
    ],
)
async def test_a_reply_that_was_surely_not_taken_is_sent_once_after_all(
    house: House, fault: Fault
) -> None:
    google = house.google
    google.proxy.faults = [replace(fault)]
    async with gmail_provider(google) as provider:
        await provider.send(mail(2), google.address, ["c@d.example"], Origin("", "thread-9"))
    assert google.sent() == [mail(2)]


async def test_a_sent_mail_that_the_search_does_not_know_is_found_among_the_newest(
    house: House,
) -> None:
    google = house.google
    nothing = Reply.of(200, {"resultSizeEstimate": 0})
    google.proxy.faults = [Fault("rfc822msgid", nothing)]
    async with gmail_provider(google) as provider:
        for number in range(4):
            google.ask("POST", "messages/send", {"raw": encoded(mail(number))})
        renamed = b"X-Google-Original-Message-ID: <ours@lanewright.example>\r\n" + mail(9)
        google.ask("POST", "messages/send", {"raw": encoded(renamed)})
        assert await provider.find_sent("<m2@customer2.example>")
        assert await provider.find_sent("<ours@lanewright.example>")
        assert not await provider.find_sent("<m7@customer7.example>")
        asked = len(google.proxy.lines("format=metadata"))
        assert not await provider.find_sent("<m8@customer8.example>")
        assert len(google.proxy.lines("format=metadata")) == asked  # each is looked at once


async def test_without_redis_a_reply_waits_and_mail_is_read(house: House) -> None:
    google = house.google
    google.deliver(mail(1))
    limits = RedisLimits("unix:///nowhere/redis.sock")
    async with limits, gmail_provider(google, limits=limits) as provider:
        assert numbers(await provider.fetch("")) == [1]
        with pytest.raises(Transient, match="Redis"):
            await provider.send(mail(2), google.address, ["c@d.example"], Origin("", ""))
    assert google.sent() == []
