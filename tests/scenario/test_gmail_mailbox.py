"""A Gmail mailbox that changes while it is read: mails go, come back and get other labels, and its
history ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from desk.store import Store
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import House, encoded, gmail_house, mail, numbers, subject
from tests.doubles.google import gmail_provider

DAY = 24 * 3600.0
LISTS = r"GET \S+/(messages|history)\?"


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


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
