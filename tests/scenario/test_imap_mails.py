"""Mails that an IMAP server cannot, or should not, hand over whole."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

from desk.errors import Permanent, Transient
from mail.imap_client import ImapClient
from mail.imap_folder import TRIES
from mail.parse import parse
from tests.doubles.dovecot import dovecot
from tests.doubles.imap_box import mail, numbers, provider
from tests.doubles.imapd import HANG_UP, Imapd, imapd, uids_of

BROKEN = b"TAG NO [SERVERBUG] Internal error occurred\r\n"


async def poison(server: Imapd) -> tuple[list[bytes], int]:
    """Read past mail 3 of 5; what came, and how often we failed."""
    server.mails = {uid: mail(uid) for uid in range(1, 6)}
    raws: list[bytes] = []
    failures = 0
    async with provider(server) as box:
        checkpoint, more = "", True
        while more:
            try:
                page = await box.fetch(checkpoint)
            except Transient:
                failures += 1
                assert failures < 5 * TRIES
                continue
            raws += [arrival.raw for arrival in page.arrivals]
            checkpoint, more = page.checkpoint, page.more
    return raws, failures


def breaks(uid: int, items: str, how: bytes) -> Any:
    def answer(command: str) -> bytes | None:
        return how if uid in uids_of(command.split()[2]) and items in command else None

    return answer


async def test_a_mail_the_server_refuses_is_replaced_by_a_note_and_the_rest_comes() -> None:
    async with imapd() as server:
        server.answers["UID FETCH"] = breaks(3, "BODY", b"TAG NO this mail is damaged\r\n")
        raws, failures = await poison(server)
    assert [raw for raw in raws if b"does not hand over" not in raw] == [
        mail(n) for n in (1, 2, 4, 5)
    ]
    assert len(raws) == 5
    assert failures < 20


async def test_a_mail_that_breaks_the_connection_comes_as_its_header() -> None:
    async with imapd() as server:
        server.answers["UID FETCH"] = breaks(3, "BODY.PEEK[]", HANG_UP)
        raws, _ = await poison(server)
    lack = b"X-Maildesk-Left-Out: text\r\n"
    assert raws == [lack * (number == 3) + mail(number) for number in range(1, 6)]
    assert [parse(raw).truncated for raw in raws] == [False, False, True, False, False]


async def test_a_mail_that_the_server_only_works_on_comes_as_its_header() -> None:
    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in (1, 2, 3)}
        server.endless = r"UID FETCH (\d:3|2) .*BODY\.PEEK\[\]"
        raws = await patiently(server, 20, page_seconds=0.1)
    assert raws == [b"X-Maildesk-Left-Out: text\r\n" * (n == 2) + mail(n) for n in (1, 2, 3)]


@pytest.mark.parametrize("uids", [(1,), (1, 2, 3)])
@pytest.mark.parametrize("how", [BROKEN, b"TAG NO the storage is away\r\n"])
async def test_while_the_server_hands_over_no_mail_none_is_given_up(
    how: bytes, uids: tuple[int, ...]
) -> None:
    outage = 3 * TRIES

    def answer(command: str) -> bytes | None:
        nonlocal outage
        outage -= "BODY" in command
        return how if "BODY" in command and outage > 0 else None

    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in uids}
        server.answers["UID FETCH"] = answer
        raws = await patiently(server, 4 * TRIES)
    assert outage <= 0
    assert raws == [mail(uid) for uid in uids]


async def test_several_mails_that_the_server_cannot_hand_over_hold_up_no_other() -> None:
    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in range(1, 6)}
        broken = {2, 3, 5}

        def answer(command: str) -> bytes | None:
            is_whole = "BODY.PEEK[]" in command
            return BROKEN if is_whole and broken & uids_of(command.split()[2]) else None

        server.answers["UID FETCH"] = answer
        raws = await patiently(server, 60)
    assert [parse(raw).truncated for raw in raws] == [n in broken for n in range(1, 6)]


async def patiently(server: Imapd, rounds: int, **settings: Any) -> list[bytes]:
    """What comes, where each failure is followed by another try."""
    raws: list[bytes] = []
    async with provider(server, **settings) as box:
        checkpoint = ""
        for _ in range(rounds):
            with suppress(Transient):
                page = await box.fetch(checkpoint)
                raws += [arrival.raw for arrival in page.arrivals]
                checkpoint = page.checkpoint
                if not page.more:
                    return raws
    return raws


async def test_mails_that_came_before_a_breaking_one_are_kept() -> None:
    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in (1, 2, 3)}

        def half(command: str) -> bytes | None:
            if "1:3 (UID FLAGS INTERNALDATE BODY" not in command:
                return None
            whole = b"".join(
                b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (n, n, len(mail(n)), mail(n))
                for n in (1, 2)
            )
            return whole + b"* 3 FETCH (UID 3 BODY[] {500}\r\nabcHANGUP"

        server.answers["UID FETCH"] = half
        async with provider(server) as box:
            page = await box.fetch("")
            assert (numbers(page), page.more) == ([1, 2], True)
            assert numbers(await box.fetch(page.checkpoint)) == [3]


async def test_mails_deleted_while_we_read_are_skipped() -> None:
    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in (1, 2, 3, 4)}

        def fetched(command: str) -> bytes | None:
            if "BODY" not in command:
                return None
            body = b"* 3 FETCH (UID 3 BODY[] {%d}\r\n%s)\r\n" % (len(mail(3)), mail(3))
            nil = b"* 2 FETCH (UID 2 BODY[] NIL)\r\n* 9 FETCH (FLAGS (\\Seen) UID 1)\r\n"
            flags = b"* 3 FETCH (UID 3 FLAGS (\\Seen))\r\n"
            return nil + body + flags + b"* 1 EXPUNGE\r\nTAG OK\r\n"

        server.answers["UID FETCH"] = fetched
        async with provider(server) as box:
            page = await box.fetch("")
            assert (numbers(page), page.more) == ([3], False)
            assert (await box.fetch(page.checkpoint)).arrivals == ()


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 FETCH (UID 1 BODY[] {9999999999}\r\nxHANGUP",
        b"* 1 FETCH (UID 1 BODY[] {100}\r\nshortHANGUP",
        b"* 1 FETCH (UID 1 BODY[] {100}\r\nshort",
        b"* " + b"x" * 9_000_000 + b"\r\n",
        HANG_UP,
        b"* BYE out of memory\r\n",
        b"no line end",
    ],
)
async def test_whatever_breaks_an_answer_off_is_transient_and_in_time(answer: bytes) -> None:
    async with imapd() as server:
        server.mails = {1: mail(1)}
        server.answers["UID FETCH 1 (UID FLAGS INTERNALDATE BODY"] = answer
        async with provider(server, silence=0.3) as box:
            started = time.monotonic()
            with pytest.raises(Transient):
                await box.fetch("")
            assert time.monotonic() - started < 3
            server.answers.clear()
            assert numbers(await box.fetch("")) == [1]


async def test_a_string_longer_than_agreed_is_not_read_into_memory() -> None:
    async with imapd() as server:
        server.mails = {1: mail(1, size=2000)}
        client = await ImapClient.connect("127.0.0.1", server.port, "none", literal_bytes=1000)
        with pytest.raises(Permanent, match="more than was asked"):
            async for _ in client.uid_fetch(b"1", b"(UID BODY.PEEK[])"):
                pass
        assert not client.is_open


async def test_a_page_of_heavy_mails_ends_early() -> None:
    with dovecot() as server:
        server.fill([mail(number, size=9_000_000) for number in range(5)])
        async with provider(server) as box:
            first = await box.fetch("")
            assert (numbers(first), first.more) == ([0, 1, 2], True)
            assert numbers(await box.fetch(first.checkpoint)) == [3, 4]


async def test_a_server_that_waits_for_a_noop_to_tell_what_was_deleted_gets_it() -> None:
    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in (1, 2, 3)}

        def expunged(command: str) -> bytes | None:
            if "BODY" not in command or "NOOP" in server.commands:
                return None
            del server.mails[2]
            found = server.answer("UID FETCH 1 (UID FLAGS INTERNALDATE BODY.PEEK[]) again NOOP")
            return found.replace(b"TAG OK", b"TAG NO [EXPUNGEISSUED] some are gone")

        server.answers["UID FETCH 1:3"] = expunged
        async with provider(server) as box:
            page = await box.fetch("")
            assert (numbers(page), page.more) == ([1, 3], False)
