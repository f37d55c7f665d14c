"""What every kind of mailbox does the same: a Maildir, Dovecot with SMTP, Gmail's emulator, and
Outlook on a strict loopback Graph."""

from __future__ import annotations

import asyncio
import imaplib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desk.errors import Conflict
from mail.imap import ImapProvider
from mail.imap_account import ImapAccount
from mail.maildir import MaildirProvider, deliver
from mail.provider import NOWHERE, Arrival, Provider
from mail.smtp import SmtpSender
from tests.doubles.dovecot import PASSWORD, dovecot
from tests.doubles.google import gmail_provider
from tests.doubles.google_account import gmail_account
from tests.doubles.graph import graph
from tests.doubles.smtpd import smtpd

CUSTOMER = "customer@example.org"


@dataclass
class Mailbox:
    """A provider under test, and the world's side of it."""

    provider: Provider
    deliver: Callable[[bytes], object]
    reopen: Callable[[], AbstractAsyncContextManager[Provider]]
    past: Callable[[int, bool], object]  # a mail of an hour ago, which somebody may have answered


@asynccontextmanager
async def maildir_box(root: Path) -> AsyncIterator[Mailbox]:
    for folder in ("tmp", "new", "cur"):
        (root / folder).mkdir(parents=True)
    async with MaildirProvider(root, poll=0.1) as provider:

        def past(number: int, is_answered: bool) -> None:
            path = root / "cur" / f"{number}.host:2,{'RS' if is_answered else 'S'}"
            path.write_bytes(mail(number))
            os.utime(path, (time.time() - 3600,) * 2)

        yield Mailbox(provider, lambda raw: deliver(root, raw), lambda: MaildirProvider(root), past)


@asynccontextmanager
async def imap_box(idle: bool) -> AsyncIterator[Mailbox]:
    with dovecot(idle=idle) as server:
        account = ImapAccount(
            "127.0.0.1", server.imap, "alice", PASSWORD, tls="none", silence=5, poll=0.2
        )
        async with smtpd() as outgoing:
            sender = SmtpSender("127.0.0.1", outgoing.port, tls="none", timeout=5)

            def past(number: int, is_answered: bool) -> None:
                with imaplib.IMAP4("127.0.0.1", server.imap) as other:
                    other.login("alice", PASSWORD)
                    flags = "(\\Answered \\Seen)" if is_answered else "(\\Seen)"
                    other.append(
                        "INBOX", flags, imaplib.Time2Internaldate(time.time() - 3600), mail(number)
                    )

            async with ImapProvider(account, sender) as provider:
                yield Mailbox(provider, server.deliver, lambda: ImapProvider(account, sender), past)


@asynccontextmanager
async def outlook_box() -> AsyncIterator[Mailbox]:
    async with graph() as service, service.opened() as provider:

        def past(number: int, is_answered: bool) -> None:
            message = service.box.deliver(mail(number), age=timedelta(hours=1))
            if is_answered:
                service.box.act(message, 102)

        yield Mailbox(provider, service.box.deliver, service.opened, past)


@asynccontextmanager
async def gmail_box(emulator: str) -> AsyncIterator[Mailbox]:
    """Gmail's emulator, behind a proxy that knows what it does not."""
    async with gmail_account(emulator) as google, gmail_provider(google) as provider:

        def past(number: int, is_answered: bool) -> None:
            google.deliver(mail(number), "INBOX", at=time.time() - 3600)
            if is_answered:
                answer = mail(100 + number, CUSTOMER, f"<{number}@example.org>")
                google.deliver(answer, "SENT", at=time.time() - 1800)

        yield Mailbox(provider, google.deliver, lambda: gmail_provider(google), past)


@pytest.fixture(params=["maildir", "imap", "imap without IDLE", "gmail", "outlook"])
async def mailbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mailbox]:
    if request.param == "outlook":
        async with outlook_box() as box:
            yield box
    elif request.param == "maildir":
        async with maildir_box(tmp_path / "box") as box:
            yield box
    elif request.param == "gmail":
        async with gmail_box(request.getfixturevalue("gmail_emulator")) as box:
            yield box
    else:
        async with imap_box(idle=request.param == "imap") as box:
            yield box


def mail(number: int, to: str = "alice@example.org", answers: str = "") -> bytes:
    lines = [
        f"Message-ID: <{number}@example.org>",
        *([f"In-Reply-To: {answers}"] if answers else []),
        "From: customer@example.org",
        f"To: {to}",
        f"Subject: mail {number}",
        "",
        f"body {number} \u00e4",
        "",
    ]
    return "\r\n".join(lines).encode()


def numbers(arrivals: list[Arrival]) -> list[int]:
    return [int(a.raw.split(b"Subject: mail ")[1].split()[0]) for a in arrivals]


async def read_all(provider: Provider, checkpoint: str, limit: int) -> tuple[list[Arrival], str]:
    arrivals: list[Arrival] = []
    while True:
        page = await provider.fetch(checkpoint, limit)
        assert len(page.arrivals) <= limit
        arrivals += page.arrivals
        checkpoint = page.checkpoint
        if not page.more:
            return arrivals, checkpoint


async def test_pages_hold_every_mail_once_in_order(mailbox: Mailbox) -> None:
    for number in range(12):
        mailbox.deliver(mail(number))
    arrivals, _ = await read_all(mailbox.provider, "", 5)
    assert numbers(arrivals) == list(range(12))
    assert len({arrival.key for arrival in arrivals}) == 12


async def test_a_page_says_that_there_is_more_until_there_is_not(mailbox: Mailbox) -> None:
    for number in range(4):
        mailbox.deliver(mail(number))
    first = await mailbox.provider.fetch("", 2)
    assert first.more
    second = await mailbox.provider.fetch(first.checkpoint, 2)
    assert numbers([*first.arrivals, *second.arrivals]) == [0, 1, 2, 3]
    assert not second.more


async def test_a_mail_arrives_unchanged_with_the_time_of_its_arrival(mailbox: Mailbox) -> None:
    mailbox.deliver(mail(1))
    [arrival] = (await mailbox.provider.fetch("")).arrivals
    assert arrival.raw.endswith(mail(1))  # LMTP puts trace headers before it
    assert abs(arrival.received_at - datetime.now(UTC)) < timedelta(seconds=60)


async def test_an_empty_mailbox_gives_an_empty_page_and_later_its_first_mail(
    mailbox: Mailbox,
) -> None:
    empty = await mailbox.provider.fetch("")
    assert (empty.arrivals, empty.more) == ((), False)
    mailbox.deliver(mail(1))
    assert numbers([*(await mailbox.provider.fetch(empty.checkpoint)).arrivals]) == [1]


async def test_nothing_new_gives_an_empty_page_and_keeps_the_place(mailbox: Mailbox) -> None:
    mailbox.deliver(mail(1))
    first = await mailbox.provider.fetch("")
    again = await mailbox.provider.fetch(first.checkpoint)
    assert (again.arrivals, again.checkpoint, again.more) == ((), first.checkpoint, False)


async def test_a_new_process_goes_on_from_the_stored_checkpoint(mailbox: Mailbox) -> None:
    for number in range(5):
        mailbox.deliver(mail(number))
    page = await mailbox.provider.fetch("", 3)
    mailbox.deliver(mail(5))
    async with mailbox.reopen() as provider:
        arrivals, _ = await read_all(provider, page.checkpoint, 2)
    assert numbers(arrivals) == [3, 4, 5]


async def test_a_crash_before_the_commit_reads_the_same_keys_again(mailbox: Mailbox) -> None:
    for number in range(5):
        mailbox.deliver(mail(number))
    start = await mailbox.provider.fetch("", 1)
    lost = await mailbox.provider.fetch(start.checkpoint, 10)
    async with mailbox.reopen() as provider:
        again = await provider.fetch(start.checkpoint, 10)
    assert [a.key for a in again.arrivals] == [a.key for a in lost.arrivals]
    assert [a.raw for a in again.arrivals] == [a.raw for a in lost.arrivals]
    everything = await mailbox.provider.fetch("", 10)
    assert [a.key for a in everything.arrivals][1:] == [a.key for a in lost.arrivals]


@pytest.mark.parametrize("checkpoint", ["1:99999", "nonsense", ":", "12:x", "-5:-5", "0"])
async def test_a_checkpoint_of_another_mailbox_starts_from_the_beginning(
    mailbox: Mailbox, checkpoint: str
) -> None:
    mailbox.deliver(mail(1))
    assert numbers([*(await mailbox.provider.fetch(checkpoint)).arrivals]) == [1]


async def test_wait_tells_new_mail_at_once(mailbox: Mailbox) -> None:
    mailbox.deliver(mail(1))
    page = await mailbox.provider.fetch("")
    while await mailbox.provider.wait(0.3):  # the first answers may be on suspicion
        page = await mailbox.provider.fetch(page.checkpoint)
    waiting = asyncio.create_task(mailbox.provider.wait(10))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    started = time.monotonic()
    mailbox.deliver(mail(2))
    assert await waiting
    assert time.monotonic() - started < 5, "at once, and not when the wait ends"
    assert numbers([*(await mailbox.provider.fetch(page.checkpoint)).arrivals]) == [2]
    assert not all([await mailbox.provider.wait(0.2) for _ in range(8)])  # told once is enough


async def test_mail_that_comes_between_fetch_and_wait_is_told(mailbox: Mailbox) -> None:
    page = await mailbox.provider.fetch("")
    for number in range(3):
        mailbox.deliver(mail(number))
        started = time.monotonic()
        assert await mailbox.provider.wait(10)
        assert time.monotonic() - started < 5
        page = await mailbox.provider.fetch(page.checkpoint)
        assert numbers([*page.arrivals]) == [number]


async def test_wait_without_mail_ends_in_time(mailbox: Mailbox) -> None:
    page = await mailbox.provider.fetch("")
    while await mailbox.provider.wait(0.2):
        page = await mailbox.provider.fetch(page.checkpoint)
    started = time.monotonic()
    assert not await mailbox.provider.wait(0.5)
    assert 0.4 < time.monotonic() - started < 5


async def test_sent_mail_is_found_by_its_message_id_and_no_other(mailbox: Mailbox) -> None:
    assert not await mailbox.provider.find_sent("<7@example.org>")
    await mailbox.provider.send(mail(7, CUSTOMER), "alice@example.org", [CUSTOMER])
    assert await mailbox.provider.find_sent("<7@example.org>")
    assert not await mailbox.provider.find_sent("<77@example.org>")
    assert not await mailbox.provider.find_sent("<@example.org>")
    assert not await mailbox.provider.find_sent("")
    async with mailbox.reopen() as provider:
        assert await provider.find_sent("<7@example.org>")


async def test_sent_mail_comes_back_once_and_marked_as_sent(mailbox: Mailbox) -> None:
    mailbox.deliver(mail(1))
    page = await mailbox.provider.fetch("")
    assert [(arrival.is_sent, numbers([arrival])) for arrival in page.arrivals] == [(False, [1])]
    await mailbox.provider.send(mail(7, CUSTOMER), "alice@example.org", [CUSTOMER])
    assert await mailbox.provider.find_sent("<7@example.org>")
    mailbox.deliver(mail(2))
    arrivals, checkpoint = await read_all(mailbox.provider, page.checkpoint, 5)
    assert {(a.is_sent, *numbers([a])) for a in arrivals} == {(False, 2), (True, 7)}
    assert await read_all(mailbox.provider, checkpoint, 5) == ([], checkpoint)
    async with mailbox.reopen() as provider:
        assert await read_all(provider, checkpoint, 5) == ([], checkpoint)


async def test_what_was_sent_before_the_mailbox_was_connected_does_not_come(
    mailbox: Mailbox,
) -> None:
    await mailbox.provider.send(mail(7, CUSTOMER), "alice@example.org", [CUSTOMER])
    async with mailbox.reopen() as provider:
        arrivals, checkpoint = await read_all(provider, "", 5)
        assert arrivals == []
        await provider.send(mail(8, CUSTOMER), "alice@example.org", [CUSTOMER])
        [sent] = (await provider.fetch(checkpoint)).arrivals
        assert (sent.is_sent, numbers([sent])) == (True, [8])


async def test_what_was_answered_before_the_mailbox_was_connected_is_told(
    mailbox: Mailbox,
) -> None:
    for number in range(4):
        mailbox.past(number, number in (1, 2))
    mailbox.deliver(mail(4))
    async with mailbox.reopen() as provider:
        arrivals, _ = await read_all(provider, "", 2)
    told = {numbers([one])[0]: one.is_answered for one in arrivals}
    assert told == {0: False, 1: True, 2: True, 3: False, 4: False}
    assert not any(one.is_sent for one in arrivals)


async def test_what_may_not_leave_at_the_last_moment_does_not_leave(mailbox: Mailbox) -> None:
    asked = []

    async def not_any_more() -> None:
        asked.append(1)
        raise Conflict("Somebody else took it over")

    reply = mail(7, CUSTOMER)
    with pytest.raises(Conflict):
        await mailbox.provider.send(reply, "alice@example.org", [CUSTOMER], NOWHERE, not_any_more)
    assert asked == [1]
    assert not await mailbox.provider.find_sent("<7@example.org>")
    await mailbox.provider.send(reply, "alice@example.org", [CUSTOMER])
    assert await mailbox.provider.find_sent("<7@example.org>")
