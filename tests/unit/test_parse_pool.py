"""mail.parse_pool with real child processes: what they read, and what may happen to them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

import pytest

from desk.email import Address
from mail.parse import parse
from mail.parse_pool import ParsePool
from mail.quarantine import quarantined

MAIL = (
    b"From: =?utf-8?q?J=C3=BCrg?= <jurg@example.com>\nTo: a@shop.example, b@shop.example\n"
    b"Subject: Kettle %d\nMessage-ID: <%d@example.com>\nIn-Reply-To: <0@shop.example>\n"
    b"Date: Mon, 5 Oct 2026 14:03:00 +0200\n\nIt leaks.\n\nOn Sun, 4 Oct 2026 at 10:00, A <a@b.c>"
    b" wrote:\n> hello\n"
)


def mail(number: int, body: bytes = b"") -> bytes:
    return MAIL % (number, number) + body


HARD = b"Content-Type: text/html\n" + mail(0, b"<li>x" * 59_000)
"""Takes some hundred milliseconds."""
LIMIT = 0.1


@pytest.fixture(scope="module")
def hard_enough() -> None:
    began = time.perf_counter()
    parse(HARD)
    assert time.perf_counter() - began > 2 * LIMIT


async def test_the_pool_reads_as_parse_does_and_each_gets_its_own() -> None:
    raws = [mail(n) for n in range(100)] + [b"", mail(100, b"x" * 3_000_000)]
    async with ParsePool() as pool:
        found = await asyncio.gather(*map(pool.parse, raws))
        assert len(pool.processes) == 2
        pids = pool.processes
    assert found == [parse(raw) for raw in raws]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_mail_that_takes_too_long_is_quarantined_and_no_other(hard_enough: None) -> None:
    raws = [mail(1), mail(2), HARD, mail(3), mail(4)]
    async with ParsePool(workers=1, seconds=LIMIT) as pool:
        found = await asyncio.gather(*map(pool.parse, raws))
    assert [one.quarantine for one in found] == [
        *("", ""),
        "reading it took longer than 0.1 s.",
        *("", ""),
    ]
    caught = found[2]
    assert caught.defects == ("quarantined: reading it took longer than 0.1 s.",)
    assert caught.sender == Address("Jürg", "jurg@example.com")
    assert (caught.subject, caught.message_id) == ("Kettle 0", "<0@example.com>")
    assert caught.in_reply_to == "<0@shop.example>"
    assert caught.truncated
    assert caught.text == ""


async def test_a_mail_that_takes_too_much_memory_is_quarantined_and_no_other() -> None:
    letter = mail(2, b"word " * 400_000)
    async with ParsePool(workers=1, memory=1_000_000) as pool:
        found = await asyncio.gather(pool.parse(letter))
    assert found[0].quarantine == "reading it took too much memory."
    async with ParsePool(workers=1) as pool:
        assert not (await pool.parse(letter)).quarantine


async def test_a_child_that_is_killed_costs_no_mail(hard_enough: None) -> None:
    async with ParsePool(workers=1) as pool:
        await pool.parse(mail(1))
        reading = asyncio.gather(pool.parse(HARD), pool.parse(mail(2)))
        await asyncio.sleep(0.01)
        [first] = pool.processes
        os.kill(first, signal.SIGKILL)
        found = await reading
        assert pool.processes != (first,)
    assert not any(one.quarantine for one in found)
    assert [one.subject for one in found] == ["Kettle 0", "Kettle 2"]


async def test_the_second_death_is_the_mails_fault(hard_enough: None) -> None:
    async with ParsePool(workers=1) as pool:
        reading = asyncio.create_task(pool.parse(HARD))
        while not reading.done():
            for pid in pool.processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.001)
        assert (await reading).quarantine == "reading it stopped the parser."
        assert (await pool.parse(mail(1))).subject == "Kettle 1"


async def test_a_caller_that_goes_away_leaves_the_others_their_answers(hard_enough: None) -> None:
    async with ParsePool(workers=1) as pool:
        gone = asyncio.create_task(pool.parse(HARD))
        also_gone = asyncio.create_task(pool.parse(mail(1)))
        await asyncio.sleep(0.01)
        gone.cancel()
        also_gone.cancel()
        assert (await pool.parse(mail(2))).subject == "Kettle 2"


async def test_a_child_is_renewed_before_what_libraries_leak_adds_up() -> None:
    async with ParsePool(workers=1, renew_after=2) as pool:
        seen: list[int] = []
        for number in range(3):
            assert (await pool.parse(mail(number))).subject == f"Kettle {number}"
            seen += pool.processes
    assert seen[0] == seen[1] != seen[2]


def test_quarantine_reads_only_short_lines_near_the_top() -> None:
    found = quarantined(b"Subject: " + b"a" * 5_000 + b"\nFrom: " + b'"(<' * 90_000, "why.")
    assert found.subject == "a" * 999
    assert found.sender.address == ""
    assert found.message_id.endswith("@maildesk.invalid>")
