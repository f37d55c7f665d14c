"""Reading Outlook through a strict loopback Graph: whatever Graph's documentation allows, every
mail comes once under one key, and none is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from desk.errors import Misconfigured, Throttled, Transient
from mail.graph import GraphAccount, LocalGate
from mail.outlook import OutlookProvider
from mail.outlook_place import OVERLAP
from mail.provider import Arrival
from tests.doubles.desk import FastClock
from tests.doubles.graph import Fault, Graph, graph
from tests.doubles.graph_mailbox import Message
from tests.services import free_port


@dataclass
class Reader:
    """What a store keeps of a mailbox: the checkpoint, and each key once."""

    provider: OutlookProvider
    checkpoint: str = ""
    kept: dict[str, Arrival] = field(default_factory=dict)
    handed_over: list[str] = field(default_factory=list)

    async def read(self, limit: int = 50) -> None:
        more = True
        while more:
            page = await self.provider.fetch(self.checkpoint, limit)
            assert len(page.arrivals) <= limit
            for arrival in page.arrivals:
                self.handed_over.append(arrival.key)
                self.kept.setdefault(arrival.key, arrival)
            self.checkpoint, more = page.checkpoint, page.more

    @property
    def received(self) -> list[bytes]:
        return sorted(a.raw for a in self.kept.values() if not a.is_sent)


@pytest.fixture
async def service() -> AsyncIterator[Graph]:
    async with graph() as opened:
        yield opened


@pytest.fixture
async def reader(service: Graph) -> AsyncIterator[Reader]:
    async with opened(service) as provider:
        yield Reader(provider)


def opened(service: Graph, poll: float = 0.1, clock: FastClock | None = None) -> OutlookProvider:
    account = GraphAccount(service.token, url=f"{service.url}/v1.0", timeout=5)
    return OutlookProvider(account, LocalGate(pause=0.01), poll=poll, clock=clock)


def mail(number: int, answers: str = "") -> bytes:
    head = f"Message-ID: <{number}@example.org>\r\nFrom: customer@example.org\r\n"
    head += f"In-Reply-To: {answers}\r\n" if answers else ""
    return f"{head}To: desk@contoso.example\r\nSubject: mail {number}\r\n\r\nbody\r\n".encode()


def fill(service: Graph, numbers: Sequence[int]) -> list[Message]:
    return [service.box.deliver(mail(number)) for number in numbers]


def expected(numbers: Sequence[int]) -> list[bytes]:
    return sorted(mail(number) for number in numbers)


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
    service.box.quirks.lag = 0.3
    fill(service, range(3))
    await reader.read()
    assert reader.received == []
    time.sleep(0.3)  # noqa: ASYNC251 - the service's clock
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
    async with opened(service, clock=clock) as provider:
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


FAULTS = {
    "429 with Retry-After": Fault("/v1.0/me", 429, "ApplicationThrottled", retry_after="0"),
    "429 without": Fault("/v1.0/me", 429, "ApplicationThrottled"),
    "503": Fault("/v1.0/me", 503, retry_after="0"),
    "504": Fault("/v1.0/me", 504),
    "a reset": Fault("/v1.0/me", reset=True),
    "half a page": Fault("delta", cut=True),
    "half a mail": Fault("$value", cut=True),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_under_faults_the_final_set_is_the_same(
    service: Graph, reader: Reader, name: str
) -> None:
    fill(service, range(20))
    service.faults.extend([FAULTS[name]] * 12)
    for _ in range(20):
        try:
            await reader.read(6)
        except Transient:
            continue
        if not service.faults:
            break
    assert not service.faults
    assert reader.received == expected(range(20))
    assert len(reader.kept) == 20


async def test_a_pause_that_outlook_asks_for_is_kept(service: Graph, reader: Reader) -> None:
    service.faults.append(Fault("delta", 429, "ApplicationThrottled", retry_after="1"))
    started = time.monotonic()
    await reader.read()
    assert time.monotonic() - started >= 1


async def test_a_long_pause_is_left_to_whoever_asked(service: Graph, reader: Reader) -> None:
    service.faults.append(Fault("delta", 429, "ApplicationThrottled", retry_after="600"))
    with pytest.raises(Throttled) as caught:
        await reader.read()
    assert caught.value.seconds == 600


async def test_no_more_than_four_requests_run_at_a_time(service: Graph, reader: Reader) -> None:
    service.slow = 0.02
    fill(service, range(24))
    await asyncio.gather(reader.read(), *(reader.provider.find_sent(f"<{n}@x>") for n in range(20)))
    assert reader.received == expected(range(24))
    assert service.peak == 4  # a fifth would have been answered by 429


async def test_a_token_that_expires_in_the_middle_is_renewed_once(
    service: Graph, reader: Reader
) -> None:
    fill(service, range(10))
    page = await reader.provider.fetch("", 4)
    reader.checkpoint = page.checkpoint
    reader.kept = {arrival.key: arrival for arrival in page.arrivals}
    service.expire_tokens()
    await reader.read(4)
    assert reader.received == expected(range(10))


async def test_who_is_not_let_in_is_told_to_sign_in_again(service: Graph) -> None:
    async def stale() -> str:
        return "stale"

    account = GraphAccount(stale, url=f"{service.url}/v1.0")
    async with OutlookProvider(account) as provider:
        with pytest.raises(Misconfigured, match="sign in again"):
            await provider.fetch("")
    assert len(service.requests) == 2  # asked for a new one once


async def test_what_is_not_allowed_says_which_right_is_missing(
    service: Graph, reader: Reader
) -> None:
    service.faults.append(Fault("delta", 403, "ErrorAccessDenied"))
    with pytest.raises(Misconfigured, match=r"Mail\.ReadWrite"):
        await reader.read()


async def test_an_outlook_that_cannot_be_reached_is_tried_again_later() -> None:
    async def token() -> str:
        return "token"

    account = GraphAccount(token, url=f"http://127.0.0.1:{free_port()}/v1.0")
    async with OutlookProvider(account, LocalGate(pause=0.01)) as provider:
        with pytest.raises(Transient, match="cannot be reached"):
            await provider.fetch("")


async def test_our_token_goes_to_nobody_else(service: Graph, reader: Reader) -> None:
    fill(service, [1])
    async with graph() as stranger:
        page = await reader.provider.fetch("")
        reader.checkpoint = page.checkpoint.replace(service.url, stranger.url)
        await reader.read()
        assert stranger.requests == []
    assert reader.received == expected([1])


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
