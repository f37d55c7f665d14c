"""IMAP on its bad days: servers that die, renumber, refuse, lie or never answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from desk.errors import Ambiguous, Misconfigured, Permanent, Transient
from mail.imap import ImapProvider
from mail.imap_client import ImapClient
from mail.imap_folder import TRIES
from mail.imap_line import ImapAccount
from mail.provider import Page
from mail.smtp import SmtpSender
from tests.doubles.certificate import trusting
from tests.doubles.dovecot import PASSWORD, Dovecot, dovecot
from tests.doubles.imapd import HANG_UP, Imapd, imapd, uids_of
from tests.doubles.smtpd import Smtpd, smtpd

SENT = b"Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nhello\r\n"


def account(port: int, **settings: Any) -> ImapAccount:
    given: dict[str, Any] = {
        "password": PASSWORD,
        "tls": "none",
        "silence": 2.0,
        "poll": 0.1,
    } | settings
    return ImapAccount("127.0.0.1", port, "alice", **given)


def provider(
    server: Dovecot | Imapd, outgoing: Smtpd | None = None, **settings: Any
) -> ImapProvider:
    port = server.imap if isinstance(server, Dovecot) else server.port
    sender = SmtpSender("127.0.0.1", outgoing.port if outgoing else 9, tls="none", timeout=2)
    return ImapProvider(account(port, **settings), sender)


def mail(number: int, size: int = 0) -> bytes:
    head = f"Message-ID: <{number}@example.org>\r\nSubject: mail {number}\r\n\r\n"
    return head.encode() + b"x" * size + b"\r\n"


def numbers(page: Page) -> list[int]:
    return [int(a.raw.split(b"Subject: mail ")[1].split()[0]) for a in page.arrivals]


async def read_all(
    box: ImapProvider, checkpoint: str = "", limit: int = 50
) -> tuple[list[str], str]:
    keys: list[str] = []
    while True:
        page = await box.fetch(checkpoint, limit)
        keys += [arrival.key for arrival in page.arrivals]
        checkpoint = page.checkpoint
        if not page.more:
            return keys, checkpoint


# A real server that dies


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
            assert time.monotonic() - started < 1
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
                await asyncio.wait_for(box.wait(60), 1)


async def test_a_connection_that_went_silent_while_we_waited_is_replaced() -> None:
    async with imapd() as server:
        server.answers["IDLE"] = b"+ idling\r\n"
        async with provider(server, silence=0.3) as box:
            await box.fetch("")
            await box.wait(0)
            server.mails[1] = mail(1)  # and nobody tells us
            assert await asyncio.wait_for(box.wait(0.2), 3)
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
            server.kill()
            for path in server.maildir().glob("dovecot*"):
                path.unlink()
            await asyncio.sleep(1.1)  # Dovecot takes the second as UIDVALIDITY
            server.start()
            again, _ = await read_all(box, checkpoint)
    assert len(keys) == len(again) == 2
    assert not set(keys) & set(again)


async def test_an_imaplib_session_sees_the_same_mails_unread() -> None:
    with dovecot() as server:
        server.fill([mail(number) for number in range(3)])
        async with provider(server) as box:
            await read_all(box)
        client = await ImapClient.connect("127.0.0.1", server.imap, "none")
        await client.login("alice", PASSWORD)
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


# Signing in, and encryption


async def test_a_wrong_password_is_a_matter_of_settings() -> None:
    with dovecot() as server:
        box = provider(server, password="wrong")
        with pytest.raises(Misconfigured, match="refused the login of alice"):
            await box.fetch("")


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_encrypted_connections_trust_only_known_certificates(tls: str) -> None:
    with dovecot() as server:
        server.deliver(mail(1, size=300_000))
        port = server.imaps if tls == "tls" else server.imap
        trusted = trusting(server.home / "certificate.pem")
        sender = SmtpSender("127.0.0.1", 9)
        async with ImapProvider(account(port, tls=tls, tls_context=trusted), sender) as box:
            assert len((await box.fetch("")).arrivals[0].raw) > 300_000
            await box.wait(0.2)
        with pytest.raises(Misconfigured, match=r"certificate of 127\.0\.0\.1 is not valid"):
            await ImapProvider(account(port, tls=tls), sender).fetch("")


async def test_an_oauth_token_is_checked_by_the_server_and_a_bad_one_is_refused_quickly() -> None:
    async with introspection(good="let-me-in") as url:
        with dovecot(introspection=url) as server:
            server.deliver(mail(1))

            async def token() -> str:
                return "let-me-in"

            async def expired() -> str:
                return "expired"

            async with provider(server, token=token) as box:
                assert numbers(await box.fetch("")) == [1]
            with pytest.raises(Misconfigured, match="refused the login"):
                await provider(server, token=expired, silence=5.0).fetch("")


@asynccontextmanager
async def introspection(good: str) -> AsyncIterator[str]:
    async def judge(request: web.Request) -> web.Response:
        active = request.query.get("token") == good
        return web.json_response(
            {"active": active, "email": "alice"} if active else {"active": False}
        )

    application = web.Application()
    application.router.add_get("/introspect", judge)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/introspect?token="
    finally:
        await runner.cleanup()


async def test_login_is_used_where_plain_is_not_offered() -> None:
    async with imapd() as server:
        server.capabilities = b"IMAP4rev1"
        async with provider(server, password='se"cret') as box:
            await box.fetch("")
        assert 'LOGIN "alice" "se\\"cret"' in server.commands


@pytest.mark.parametrize(
    ("capabilities", "answer", "error"),
    [
        (b"IMAP4rev1 LOGINDISABLED", b"", Misconfigured),
        (b"IMAP4rev1", b"TAG NO [AUTHENTICATIONFAILED] no\r\n", Misconfigured),
        (b"IMAP4rev1", b"TAG NO [UNAVAILABLE] directory is down\r\n", Transient),
        (b"IMAP4rev1", b"TAG NO [ALERT] Too many simultaneous connections.\r\n", Transient),
        (b"IMAP4rev1", b"* BYE overloaded\r\nHANGUP", Transient),
        (b"IMAP4rev1", HANG_UP, Transient),
    ],
)
async def test_who_is_not_let_in_learns_whether_to_try_again(
    capabilities: bytes, answer: bytes, error: type[Exception]
) -> None:
    async with imapd() as server:
        server.capabilities = capabilities
        server.answers["LOGIN"] = answer
        with pytest.raises(error):
            await provider(server).fetch("")


@pytest.mark.parametrize(
    ("greeting", "capabilities", "starttls"),
    [
        (b"* OK ready\r\n", b"IMAP4rev1", b"TAG OK\r\n"),  # not offered
        (b"* PREAUTH hello\r\n", b"IMAP4rev1 STARTTLS", b"TAG OK\r\n"),
        (b"* OK ready\r\n", b"IMAP4rev1 STARTTLS", b"TAG OK\r\n* CAPABILITY EVIL\r\n"),
        (b"SSH-2.0-OpenSSH\r\n", b"IMAP4rev1 STARTTLS", b"TAG OK\r\n"),
    ],
)
async def test_encryption_cannot_be_argued_away(
    greeting: bytes, capabilities: bytes, starttls: bytes
) -> None:
    async with imapd() as server:
        server.greeting, server.capabilities = greeting, capabilities
        server.answers["STARTTLS"] = starttls
        with pytest.raises(Misconfigured):
            await provider(server, tls="starttls").fetch("")
        assert not [c for c in server.commands if c.startswith(("LOGIN", "AUTHENTICATE"))]


# Mails that make trouble


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
    assert raws == [mail(number) for number in range(1, 6)]


async def test_mails_that_came_before_a_breaking_one_are_kept() -> None:
    async with imapd() as server:
        server.mails = {uid: mail(uid) for uid in (1, 2, 3)}

        def half(command: str) -> bytes | None:
            if "1:3 (UID BODY" not in command:
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
        server.answers["UID FETCH 1 (UID BODY"] = answer
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


# Sending


async def test_the_copy_goes_to_the_folder_that_the_server_marks_as_sent() -> None:
    with dovecot(special_sent=True) as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            await box.send(SENT, "us@example.org", ["ann@example.org"])
            assert await box.find_sent("<1@example.org>")
        folder = server.maildir() / ".Gesendete Elemente"
        copies = [path.read_bytes() for path in folder.glob("cur/*")]
        assert copies == [SENT.replace(b"\r\n", b"\n")]


async def test_the_configured_sent_folder_is_used_and_must_exist() -> None:
    with dovecot(special_sent=True) as server:
        async with smtpd() as outgoing:
            async with provider(server, outgoing, sent_folder="Gesendete Elemente") as box:
                await box.send(SENT, "us@example.org", ["ann@example.org"])
                assert await box.find_sent("<1@example.org>")
            async with provider(server, outgoing, sent_folder="Envoyés") as box:
                with pytest.raises(Misconfigured, match="cannot be opened"):
                    await box.find_sent("<1@example.org>")


async def test_a_copy_that_is_there_already_is_not_filed_twice() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            for _ in range(2):
                await box.send(SENT, "us@example.org", ["ann@example.org"])
        assert len(list(server.maildir().glob(".Sent/*/*.*"))) == 1


async def test_a_copy_that_cannot_be_filed_does_not_make_a_sent_mail_fail() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            server.kill()
            await box.send(SENT, "us@example.org", ["ann@example.org"])
        assert len(outgoing.taken) == 1


@pytest.mark.parametrize("answer", [b"TAG NO [OVERQUOTA] full\r\n", b"TAG BAD what?\r\n", HANG_UP])
async def test_a_refused_copy_does_not_make_a_sent_mail_fail(answer: bytes) -> None:
    async with imapd() as server, smtpd() as outgoing, provider(server, outgoing) as box:
        server.answers["APPEND"] = answer
        await box.send(SENT, "us@example.org", ["ann@example.org"])
        assert len(outgoing.taken) == 1
        assert any(command.startswith("APPEND") for command in server.commands)
        assert not await box.find_sent("<2@example.org>")


async def test_a_mail_that_did_not_surely_leave_is_not_filed_as_sent() -> None:
    with dovecot() as server:
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            outgoing.dot = "drop"
            with pytest.raises(Ambiguous):
                await box.send(SENT, "us@example.org", ["ann@example.org"])
            outgoing.dot = "554 no"
            with pytest.raises(Permanent):
                await box.send(SENT, "us@example.org", ["ann@example.org"])
            assert not await box.find_sent("<1@example.org>")


async def test_a_message_id_cannot_smuggle_commands() -> None:
    with dovecot() as server:
        server.deliver(mail(1))
        async with smtpd() as outgoing, provider(server, outgoing) as box:
            await box.send(SENT, "us@example.org", ["ann@example.org"])
            assert not await box.find_sent('<x>"\r\nd99 LOGOUT\r\n')
            assert await box.find_sent("<1@example.org>")
