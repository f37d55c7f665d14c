"""What was answered at Gmail before the mailbox was connected, and what that costs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from desk.store import Store
from mail.provider import Page
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import gmail_house, mail, numbers
from tests.doubles.google import Google, gmail_provider, refusal

HOUR = 3600.0
SENT = r"/messages\?\S*labelIds=SENT"
THREADS = "/threads/"


@pytest.fixture
async def google(store: Store, gmail_emulator: str) -> AsyncIterator[Google]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house.google


def ask(google: Google, number: int, hours: float, more: str = "") -> None:
    """A customer's mail of so many ``hours`` ago."""
    raw = mail(number).replace(b"To:", f"{more}To:".encode(), 1)
    google.deliver(raw, "INBOX", at=time.time() - hours * HOUR)


def say(google: Google, number: int, to: str, hours: float, more: str = "") -> None:
    """A mail from the mailbox, in the thread of the customer's."""
    head = f"Message-ID: <s{number}-{hours}@lanewright.example>\r\n{more}"
    head += f"In-Reply-To: <m{number}@customer{number}.example>\r\n"
    raw = f"{head}From: support@lanewright.example\r\nTo: {to}\r\n\r\nHere you are.\r\n"
    google.deliver(raw.encode(), "SENT", at=time.time() - hours * HOUR)


def customer(number: int) -> str:
    return f"Customer <SOMEBODY@customer{number}.example>"


def answered(page: Page) -> list[int]:
    told = zip(numbers(page), page.arrivals, strict=True)
    return [number for number, one in told if one.is_answered]


async def test_only_a_later_mail_of_ours_to_whoever_wrote_is_an_answer(google: Google) -> None:
    for number in range(6):
        ask(google, number, 5)
    ask(google, 6, 5, "Reply-To: boss@elsewhere.example\r\n")
    say(google, 1, customer(1), 4)
    say(google, 2, "colleague@lanewright.example", 4)  # forwarded
    say(google, 3, customer(3), 6)  # they answered us
    say(google, 4, customer(4), 4, "Auto-Submitted: auto-replied\r\n")
    say(google, 5, "x@y.example", 4, f"Cc: z@y.example, {customer(5)}\r\n")
    say(google, 6, "boss@elsewhere.example", 4)
    ask(google, 7, 5, "Reply-To: visitor@elsewhere.example\r\n")  # from the form of a web site
    say(google, 7, f"{customer(7)}, someone.else@elsewhere.example", 4)
    async with gmail_provider(google) as provider:
        page = await provider.fetch("")
    assert answered(page) == [1, 5, 6]
    assert numbers(page) == list(range(8))


async def test_it_costs_one_list_and_one_request_a_thread_of_ours(google: Google) -> None:
    for number in range(6):
        ask(google, number, 5 - number / 10)
    say(google, 1, customer(1), 4)
    say(google, 4, customer(4), 4)
    async with gmail_provider(google) as provider:
        checkpoint, more, found = "", True, []
        while more:
            page = await provider.fetch(checkpoint, 2)
            checkpoint, more = page.checkpoint, page.more
            found += answered(page)
    assert found == [1, 4]
    assert len(google.proxy.lines(SENT)) == 1
    assert len(google.proxy.lines(THREADS)) == 2


async def test_what_is_answered_after_we_came_is_told_by_the_sent_mail_alone(
    google: Google,
) -> None:
    async with gmail_provider(google) as provider:
        page = await provider.fetch("")
        google.deliver(mail(1), "INBOX")
        say(google, 1, customer(1), 0)
        page = await provider.fetch(page.checkpoint)
    assert [(one.is_sent, one.is_answered) for one in page.arrivals] == [
        (False, False),
        (True, False),
    ]
    assert google.proxy.lines(THREADS) == []


@pytest.mark.parametrize("status", [404, 500])
async def test_a_thread_that_gmail_does_not_hand_over_comes_as_work(
    google: Google, status: int
) -> None:
    """A ticket too many is better than none."""
    for number in range(2):
        ask(google, number, 5)
    say(google, 1, customer(1), 4)
    google.proxy.faults = [Fault(THREADS, refusal(status, "backendError", "Backend error"))]
    async with gmail_provider(google, tries=2) as provider:
        page = await provider.fetch("")
    assert (numbers(page), answered(page)) == ([0, 1], [])
