"""Reading Outlook through a strict loopback Graph: whatever Graph's documentation allows, every
mail comes once under one key, and none is missing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from mail.outlook_place import OVERLAP
from mail.provider import MAIL_BYTES
from tests.doubles.desk import FastClock
from tests.doubles.graph import Fault, Graph
from tests.doubles.graph_reader import Reader, expected, fill, mail

QUIRKS = ["shuffled", "empty_pages", "duplicates", "replays", "sparse"]


@pytest.mark.parametrize("quirk", [*QUIRKS, "all of them"])
async def test_every_mail_comes_once_whatever_the_pages_are_like(
    service: Graph, reader: Reader, quirk: str
) -> None:
    for name in QUIRKS if quirk == "all of them" else [quirk]:
        setattr(service.box.quirks, name, True)
    old = fill(service, range(12))
    await reader.read(5)
    assert reader.received == expected(range(12))
    service.box.mark_read(old[3])
    fill(service, range(12, 19))
    await reader.read(5)
    assert reader.received == expected(range(19))
    assert len(reader.kept) == 19


async def test_pages_larger_than_asked_for_are_handed_over_in_parts(
    service: Graph, reader: Reader
) -> None:
    service.box.quirks.page_size = 40
    fill(service, range(30))
    await reader.read(7)
    assert reader.received == expected(range(30))
    assert len(reader.handed_over) == 30


async def test_a_change_that_is_reported_late_is_not_missed(service: Graph, reader: Reader) -> None:
    service.box.quirks.lag = 60
    fill(service, range(3))
    await reader.read()
    assert reader.received == []
    service.box.quirks.lag = 0
    await reader.read()
    assert reader.received == expected(range(3))


async def test_what_was_removed_before_it_was_read_is_passed_over(
    service: Graph, reader: Reader
) -> None:
    gone, stays = fill(service, range(2))
    page = await reader.provider.fetch("", 50)
    service.box.delete(gone)
    fill(service, [2])
    reader.checkpoint = page.checkpoint
    await reader.read()
    assert reader.received == expected([2])
    assert stays.id in {arrival.key for arrival in page.arrivals}


async def test_a_mail_that_is_gone_when_its_text_is_asked_for_is_passed_over(
    service: Graph, reader: Reader
) -> None:
    fill(service, range(3))
    service.faults.append(Fault("$value", 404, "ErrorItemNotFound"))
    await reader.read()
    assert len(reader.kept) == 2


async def test_a_mail_that_was_moved_away_and_back_keeps_its_key(
    service: Graph, reader: Reader
) -> None:
    [message] = fill(service, [1])
    await reader.read()
    service.box.move(message, "archive")
    service.box.move(message, "inbox")
    await reader.read()
    assert reader.handed_over == [message.id, message.id]
    assert len(reader.kept) == 1


async def test_read_flags_cost_nothing(service: Graph, reader: Reader) -> None:
    for message in fill(service, range(5)):
        service.box.mark_read(message)
    await reader.read()
    for message in service.box.messages:
        service.box.mark_read(message)
    service.requests.clear()
    await reader.read()
    assert all("delta" in one for one in service.requests)


@pytest.mark.parametrize("expiry", ["410", "400", "404"])
async def test_a_forgotten_place_begins_anew_and_loses_and_doubles_nothing(
    service: Graph, reader: Reader, expiry: str
) -> None:
    service.expiry = expiry
    fill(service, range(6))
    page = await reader.provider.fetch("", 2)
    reader.checkpoint = page.checkpoint  # in the middle of a round
    reader.kept = {arrival.key: arrival for arrival in page.arrivals}
    service.box.forget_tokens()
    fill(service, range(6, 9))
    await reader.read(2)
    assert reader.received == expected(range(9))
    service.box.forget_tokens()  # at the end of one
    fill(service, range(9, 11))
    await reader.read(2)
    assert reader.received == expected(range(11))
    assert len(reader.kept) == 11


async def test_after_a_forgotten_place_only_mail_of_the_last_weeks_comes_again(
    service: Graph,
) -> None:
    clock = FastClock(datetime.now(UTC) - timedelta(days=90))
    async with service.opened(clock=clock) as provider:
        reader = Reader(provider)
        service.box.deliver(mail(1), age=timedelta(days=89))
        await reader.read()
        clock.forward(days=90)
        service.box.deliver(mail(2), age=timedelta(days=2))
        await reader.read()
        service.box.forget_tokens()
        service.box.deliver(mail(3), age=OVERLAP - timedelta(days=1))
        service.requests.clear()
        await reader.read()
    assert reader.received == expected([1, 2, 3])
    assert len([one for one in service.requests if "$value" in one]) == 2  # not the first


async def test_the_first_time_only_recent_mail_counts(service: Graph, reader: Reader) -> None:
    service.box.deliver(mail(1), age=timedelta(days=40))
    service.box.deliver(mail(2), age=timedelta(days=13))
    service.box.deliver(mail(3))
    service.box.deliver(mail(4), folder="sentitems", age=timedelta(hours=1))
    await reader.read()
    assert [arrival.raw for arrival in reader.kept.values()] == [mail(2), mail(3)]
    assert len([one for one in service.requests if "$value" in one]) == 2


async def test_mail_sent_from_any_client_comes_as_sent_with_its_conversation(
    service: Graph, reader: Reader
) -> None:
    [question] = fill(service, [1])
    await reader.read()
    answer = service.box.deliver(mail(2, answers="<1@example.org>"), folder="sentitems")
    await reader.read()
    sent = reader.kept[answer.id]
    assert sent.is_sent
    assert not reader.kept[question.id].is_sent
    assert sent.thread == reader.kept[question.id].thread == question.conversation


async def test_waiting_where_nobody_fetches_asks_for_a_fetch_now_and_then(
    service: Graph, reader: Reader
) -> None:
    started = time.monotonic()
    assert await reader.provider.wait(0.2)
    assert time.monotonic() - started >= 0.2


async def test_news_in_the_sent_mail_is_told_too(service: Graph, reader: Reader) -> None:
    await reader.read()
    assert not await reader.provider.wait(0.2)
    service.box.deliver(mail(1), folder="sentitems")
    assert await reader.provider.wait(5)
    assert not await reader.provider.wait(0.2)  # told once, though nobody fetched
    service.box.forget_tokens()
    assert await reader.provider.wait(5)


async def test_of_a_huge_mail_the_beginning_is_handed_over(service: Graph, reader: Reader) -> None:
    service.box.deliver(mail(1) + b"x" * MAIL_BYTES)
    fill(service, [2])
    await reader.read()
    lengths = sorted(len(arrival.raw) for arrival in reader.kept.values())
    assert lengths == [len(mail(2)), MAIL_BYTES]
