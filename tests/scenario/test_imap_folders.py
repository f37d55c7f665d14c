"""Several folders, old mail, and mail that left by other clients, on a real Dovecot."""

from __future__ import annotations

import asyncio
import imaplib
import os
import time
from datetime import timedelta

import pytest

from desk.errors import Misconfigured, Transient
from mail.provider import Arrival
from tests.doubles.dovecot import PASSWORD, Dovecot, dovecot
from tests.doubles.imap_box import mail, numbers, provider, read_all
from tests.doubles.imapd import imapd
from tests.doubles.smtpd import smtpd

DAY = 86_400


def client(server: Dovecot) -> imaplib.IMAP4:
    """Another mail client, signed in."""
    other = imaplib.IMAP4("127.0.0.1", server.imap)
    other.login("alice", PASSWORD)
    return other


def file(server: Dovecot, folder: str, raw: bytes, days_ago: float = 0) -> None:
    """Another mail client puts a mail into a folder, which it makes when it is not there."""
    other = client(server)
    other.create(f'"{folder}"')
    date = imaplib.Time2Internaldate(time.time() - days_ago * DAY)
    assert other.append(f'"{folder}"', "(\\Seen)", date, raw)[0] == "OK"
    other.logout()


def told(arrivals: tuple[Arrival, ...]) -> list[tuple[bool, bytes]]:
    return [(a.is_sent, a.raw.split(b"Subject: ")[1].split(b"\r\n")[0]) for a in arrivals]


async def test_several_folders_are_read_each_from_where_it_was_left() -> None:
    with dovecot() as server:
        server.fill([mail(number) for number in range(3)])
        for number in range(3, 6):
            file(server, "Überläufer/Büro".encode("ascii", "ignore").decode(), mail(number))
        folders = ("INBOX", "berlufer/Bro")
        async with provider(server, folders=folders) as box:
            first = await box.fetch("", 2)
            keys, checkpoint = await read_all(box, first.checkpoint, 2)
            assert len({*keys, *(a.key for a in first.arrivals)}) == 6
            file(server, "berlufer/Bro", mail(6))
            server.deliver(mail(7))
            page = await box.fetch(checkpoint)
            assert (sorted(numbers(page)), page.more) == ([6, 7], False)
            assert (await box.fetch(page.checkpoint)).arrivals == ()


async def test_a_folder_that_is_not_there_is_a_matter_of_settings() -> None:
    with dovecot() as server:
        async with provider(server, folders=("INBOX", "Nowhere")) as box:
            with pytest.raises(Misconfigured, match="The folder Nowhere cannot be opened"):
                await box.fetch("")


async def test_old_mail_is_left_alone_also_when_the_server_renumbers() -> None:
    with dovecot() as server:
        server.fill([mail(number) for number in range(40)])
        for number, path in enumerate(sorted(server.maildir().glob("new/*"))):
            when = time.time() - number * DAY + 60
            os.utime(path, (when, when))
        async with provider(server, backfill=timedelta(days=7)) as box:
            page = await box.fetch("")
            assert (sorted(numbers(page)), page.more) == ([*range(8)], False)
            file(server, "INBOX", mail(50), days_ago=8)
            file(server, "INBOX", mail(51), days_ago=6)
            later = await box.fetch(page.checkpoint)
            assert numbers(later) == [51]
            server.renumber()
            keys, _ = await read_all(box, later.checkpoint)
            assert len(keys) == 9


async def test_forty_thousand_old_mails_cost_one_page() -> None:
    async with imapd() as server:
        server.mails = {uid: b"" for uid in range(1, 40_001)}
        server.answers["UID SEARCH"] = b"* SEARCH\r\nTAG OK\r\n"
        async with provider(server) as box:
            page = await box.fetch("")
            assert (page.arrivals, page.more) == ((), False)
            await box.fetch(page.checkpoint)
        searches = [command for command in server.commands if "SEARCH" in command]
        assert "SINCE" in searches[0]
        assert searches[1].startswith("UID SEARCH UID 40001:*")


async def test_what_another_client_sends_comes_as_sent_once() -> None:
    with dovecot(special_sent=True) as server:
        sent = "Gesendete Elemente"
        file(server, sent, mail(1))  # before we were there
        server.deliver(mail(2))
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            page = await box.fetch("")
            assert told(page.arrivals) == [(False, b"mail 2")]
            file(server, sent, mail(3))
            await box.send(mail(4), "us@example.org", ["ann@example.org"])
            server.deliver(mail(5))
            page = await box.fetch(page.checkpoint)
            assert told(page.arrivals) == [(False, b"mail 5"), (True, b"mail 3"), (True, b"mail 4")]
            assert (await box.fetch(page.checkpoint)).arrivals == ()


async def test_a_sent_folder_that_appears_later_is_read_from_its_start() -> None:
    with dovecot() as server:
        async with provider(server) as box:
            page = await box.fetch("")
            file(server, "Sent Items", mail(1), days_ago=2)
            file(server, "Sent Items", mail(2))
        async with provider(server) as box:
            assert told((await box.fetch(page.checkpoint)).arrivals) == [(True, b"mail 2")]


async def test_a_sent_folder_that_is_gone_does_not_stop_the_inbox() -> None:
    with dovecot() as server:
        file(server, "Sent", mail(1))
        async with provider(server) as box:
            page = await box.fetch("")
            other = client(server)
            other.delete("Sent")
            other.logout()
            server.deliver(mail(2))
            assert numbers(await box.fetch(page.checkpoint)) == [2]


@pytest.mark.parametrize(("capability", "copies"), [(b"", 1), (b" X-GM-EXT-1", 0)])
async def test_no_copy_is_filed_where_the_server_does_so(capability: bytes, copies: int) -> None:
    async with imapd() as server, smtpd() as outgoing:
        server.capabilities += capability
        async with provider(server, outgoing) as box:
            await box.send(mail(1), "us@example.org", ["ann@example.org"])
        assert sum(command.startswith("APPEND") for command in server.commands) == copies


@pytest.mark.parametrize(("save_sent", "copies"), [("always", 1), ("never", 0), ("auto", 1)])
async def test_whether_a_copy_is_filed_can_be_set(save_sent: str, copies: int) -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing, save_sent=save_sent) as box:
            for _ in range(2):
                await box.send(mail(1), "us@example.org", ["ann@example.org"])
        assert len(list(server.maildir().glob(".Sent/cur/*"))) == copies


async def test_mails_that_others_delete_while_we_read_leave_no_trace() -> None:
    with dovecot() as server:
        server.fill([mail(number) for number in range(30)])
        async with provider(server) as box:
            page = await box.fetch("", 10)
            other = client(server)
            other.select("INBOX")
            other.uid("STORE", "11:14,20,25:30", "+FLAGS.SILENT", "(\\Deleted)")
            other.expunge()
            other.logout()
            found = numbers(page)
            while page.more:
                page = await box.fetch(page.checkpoint, 10)
                assert b"does not hand over" not in b"".join(a.raw for a in page.arrivals)
                found += numbers(page)
    assert found == [*range(10), 14, 15, 16, 17, 18, *range(20, 24)]


async def test_what_was_answered_before_we_came_is_told_and_what_is_answered_later_not() -> None:
    with dovecot() as server:
        server.fill([mail(number) for number in range(3)])
        other = client(server)
        other.select("INBOX")
        other.store("2", "+FLAGS", "(\\Answered \\Flagged custom)")
        async with provider(server) as box:
            page = await box.fetch("")
            await asyncio.sleep(1.1)  # the server's dates are whole seconds
            server.deliver(mail(3))
            other.noop()
            other.store("4", "+FLAGS", "\\Answered")
            later = await box.fetch(page.checkpoint)
        other.logout()
    arrivals = (*page.arrivals, *later.arrivals)
    assert [one.is_answered for one in arrivals] == [False, True, False, False]


async def test_a_folder_that_cannot_be_read_holds_up_no_other() -> None:
    async with imapd() as server:
        server.mails = {1: mail(1)}
        server.answers['EXAMINE "broken"'] = b"TAG NO [UNAVAILABLE] its disk is away\r\n"
        async with provider(server, folders=("broken", "INBOX")) as box:
            with pytest.raises(Transient, match="its disk is away"):
                await box.fetch("")
            page = await box.fetch("")
            assert (numbers(page), page.more, page.is_partial) == ([1], True, True)
            with pytest.raises(Transient, match="its disk is away"):
                await box.fetch(page.checkpoint)
            server.mails |= {2: mail(2), 3: mail(3)}
            for number, more in ((2, "of this folder"), (3, "of the broken one")):
                page = await box.fetch(page.checkpoint, 1)
                assert (numbers(page), page.more, page.is_partial) == ([number], True, True), more
            server.answers.clear()
            page = await box.fetch(page.checkpoint)
            assert (numbers(page), page.more, page.is_partial) == ([1, 2, 3], False, False)
