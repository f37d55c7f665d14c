"""IMAP servers that die, renumber or fall silent; long readings."""

from __future__ import annotations

import asyncio
import time

import pytest

from desk.errors import Transient
from mail.imap_account import ImapAccount
from mail.imap_client import ImapClient
from mail.imap_login import log_in
from tests.doubles.dovecot import PASSWORD, dovecot
from tests.doubles.imap_box import mail, numbers, provider, read_all
from tests.doubles.imapd import imapd
from tests.doubles.smtpd import smtpd


def usual_pulse() -> float:
    """Seconds after which the server would be asked for a sign of life: at once is much sooner."""
    return ImapAccount("host", 993, "alice").pulse


async def test_a_server_killed_while_we_wait_is_noticed_at_once_and_used_when_it_is_back() -> None:
    with dovecot() as server:
        async with provider(server) as box:
            page = await box.fetch("")
            while await box.wait(0.2):
                pass
            waiting = asyncio.create_task(box.wait(60))
            await asyncio.sleep(0.3)
            started = time.monotonic()
            server.kill()
            with pytest.raises(Transient):
                await waiting
            assert time.monotonic() - started < usual_pulse() / 3
            with pytest.raises(Transient):
                await box.fetch(page.checkpoint)
            server.start()
            server.deliver(mail(1))
            assert await box.wait(5)
            assert numbers(await box.fetch(page.checkpoint)) == [1]


@pytest.mark.parametrize("end", [b"* BYE shutting down\r\n", b"* OK still here\r\nHANGUP"])
async def test_a_server_that_says_goodbye_while_we_wait_is_noticed_at_once(end: bytes) -> None:
    async with imapd() as server:
        server.answers["IDLE"] = b"+ idling\r\n" + end
        async with provider(server) as box:
            await box.fetch("")
            await box.wait(0)
            with pytest.raises(Transient):
                await asyncio.wait_for(box.wait(60), usual_pulse() / 3)


async def test_a_connection_that_went_silent_while_we_waited_is_replaced() -> None:
    async with imapd() as server:
        server.answers["IDLE"] = b"+ idling\r\n"
        async with provider(server, silence=0.3) as box:
            await box.fetch("")
            await box.wait(0)
            server.mails[1] = mail(1)  # and nobody tells us
            assert await asyncio.wait_for(box.wait(0.2), usual_pulse() / 3)
        assert server.sessions == 3


async def test_a_connection_that_died_of_old_age_is_replaced_without_an_error() -> None:
    with dovecot() as server:
        async with provider(server) as box:
            server.deliver(mail(1))
            page = await box.fetch("")
            server.kill()
            server.start()
            server.deliver(mail(2))
            assert numbers(await box.fetch(page.checkpoint)) == [2]


@pytest.mark.slow
async def test_kills_at_any_moment_of_a_long_reading_lose_and_double_nothing() -> None:
    with dovecot() as server:
        server.fill([mail(number, size=20_000) for number in range(600)])
        async with provider(server) as box:
            keys: list[str] = []
            bodies: list[int] = []
            checkpoint, more, deaths = "", True, 0
            while more:
                reading = asyncio.create_task(box.fetch(checkpoint, 60))
                if deaths < 12:
                    await asyncio.sleep(0.004 * deaths)
                    deaths += 1
                    server.kill()
                    await asyncio.wait([reading])
                    server.start()
                try:
                    page = await reading
                except Transient:
                    continue
                keys += [arrival.key for arrival in page.arrivals]
                bodies += numbers(page)
                checkpoint, more = page.checkpoint, page.more
    assert len(keys) == len(set(keys))
    assert sorted(bodies) == list(range(600))


async def test_after_renumbering_everything_comes_again_under_new_keys() -> None:
    with dovecot() as server:
        server.fill([mail(1), mail(2)])
        async with provider(server) as box:
            keys, checkpoint = await read_all(box)
            server.renumber()
            again, _ = await read_all(box, checkpoint)
    assert len(keys) == len(again) == 2
    assert not set(keys) & set(again)


async def test_an_imaplib_session_sees_the_same_mails_unread() -> None:
    with dovecot() as server:
        server.fill([mail(number) for number in range(3)])
        async with provider(server) as box:
            await read_all(box)
        client = await ImapClient.connect("127.0.0.1", server.imap, "none")
        await log_in(client, "alice", PASSWORD)
        selected = await client.select("INBOX", read_only=False)
        assert (selected.exists, selected.uidnext) == (3, 4)
        assert await client.uid_search(b"UNSEEN") == [1, 2, 3]
        await client.logout()


async def test_five_thousand_mails_are_read_in_pages() -> None:
    with dovecot() as server:
        server.fill([mail(number, size=2000) for number in range(5000)])
        async with provider(server, silence=30.0) as box:
            started = time.process_time()
            keys, _ = await read_all(box, limit=200)
            assert time.process_time() - started < 5
    assert len(set(keys)) == 5000


async def test_a_server_that_falls_silent_while_we_listen_is_noticed_within_a_minute() -> None:
    usual = ImapAccount("host", 993, "alice")
    assert usual.pulse + usual.answer <= 60
    with dovecot() as server:
        async with provider(server, silence=30.0, pulse=0.2, answer=0.3) as box:
            page = await box.fetch("")
            while await box.wait(0.5):
                pass
            waiting = asyncio.create_task(box.wait(20))
            await asyncio.sleep(0.3)
            server.freeze()
            server.deliver(mail(1))  # and nobody tells us
            started = time.monotonic()
            assert await waiting  # on a new connection
            assert time.monotonic() - started < 10
            async with provider(server) as another:
                assert numbers(await another.fetch(page.checkpoint)) == [1]


@pytest.mark.parametrize("step", ["EXAMINE", "UID SEARCH", "UID FETCH"])
async def test_a_server_that_only_says_that_it_is_there_is_given_up(step: str) -> None:
    async with imapd() as server:
        server.mails = {1: mail(1)}
        server.endless = step
        async with provider(server, page_seconds=0.3) as box:
            for _ in range(2):
                with pytest.raises(Transient, match=r"0\.3 seconds"):
                    await asyncio.wait_for(box.fetch(""), 5)
            server.endless = ""
            assert numbers(await box.fetch("")) == [1]


async def test_a_server_that_never_ends_a_search_of_the_sent_mail_is_given_up() -> None:
    async with imapd() as server:
        server.answers["LIST"] = b'* LIST (\\Sent) "/" Sent\r\nTAG OK\r\n'
        server.endless = "UID SEARCH HEADER"
        async with provider(server, page_seconds=0.3) as box:
            with pytest.raises(Transient, match=r"0\.3 seconds"):
                await asyncio.wait_for(box.find_sent("<1@example.org>"), 10)


async def test_a_server_that_never_files_a_copy_holds_up_no_reply_that_left() -> None:
    async with imapd() as server, smtpd() as outgoing:
        server.answers["LIST"] = b'* LIST (\\Sent) "/" Sent\r\nTAG OK\r\n'
        server.endless = "UID SEARCH HEADER"
        async with provider(server, outgoing, filing_seconds=0.3) as box:
            left = box.send(mail(1), "alice@example.org", ["customer@example.org"])
            await asyncio.wait_for(left, 10)
    assert len(outgoing.taken) == 1


async def test_a_copy_that_waits_for_a_long_page_holds_up_no_reply_that_left() -> None:
    async with imapd() as server, smtpd() as outgoing:
        server.mails = {1: mail(1)}
        server.endless = "UID FETCH"
        async with provider(server, outgoing, filing_seconds=0.3) as box:
            reading = asyncio.create_task(box.fetch(""))
            await box.send(mail(1), "alice@example.org", ["customer@example.org"])
            assert not reading.done()
            reading.cancel()
            await asyncio.wait([reading])
    assert len(outgoing.taken) == 1


async def test_a_server_that_only_says_that_it_is_there_is_not_listened_to_for_ever() -> None:
    async with imapd() as server, provider(server, page_seconds=0.3) as box:
        await box.fetch("")
        server.endless = "EXAMINE"
        with pytest.raises(Transient, match=r"seconds"):
            await asyncio.wait_for(box.wait(0.1), 10)
        server.endless = ""
        await box.wait(0.1)
