"""Mails that Gmail cannot hand over, or not at once: they hold up no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from desk.errors import Transient
from desk.store import Store
from tests.doubles.desk import FastClock
from tests.doubles.fault_proxy import Fault
from tests.doubles.gmail_house import House, gmail_house, mail, numbers, subject
from tests.doubles.google import gmail_provider, refusal


@pytest.fixture
async def house(store: Store, gmail_emulator: str) -> AsyncIterator[House]:
    async with gmail_house(store, gmail_emulator) as house:
        yield house


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
