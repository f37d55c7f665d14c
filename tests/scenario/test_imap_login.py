"""Signing in to IMAP and SMTP, and encryption."""

from __future__ import annotations

import time

import pytest

from desk.errors import Misconfigured, Transient
from mail.imap import ImapProvider
from mail.smtp import SmtpSender
from tests.doubles.certificate import trusting
from tests.doubles.dovecot import dovecot
from tests.doubles.imap_box import account, mail, numbers, provider, read_all
from tests.doubles.imapd import HANG_UP, imapd
from tests.doubles.smtpd import smtpd
from tests.doubles.tokens import TokenList, introspection


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


@pytest.mark.parametrize("mechanisms", ["xoauth2", "oauthbearer"])
async def test_a_token_that_was_revoked_is_renewed_once_and_a_bad_one_refused_quickly(
    mechanisms: str,
) -> None:
    good = {"first"}
    async with introspection(good) as url:
        with dovecot(introspection=url, mechanisms=mechanisms) as server:
            server.fill([mail(number) for number in range(4)])
            tokens = TokenList(["first", "second"])
            async with provider(server, token=tokens) as box:
                page = await box.fetch("", 2)
                assert numbers(page) == [0, 1]
                good.clear()
                good.add("second")
                server.kill()  # in the middle of the pages
                server.start()
                keys, _ = await read_all(box, page.checkpoint, 2)
                assert len(keys) == 2
            assert tokens.refused == ["first"]
            expired = TokenList(["expired", "revoked too"])
            started = time.monotonic()
            with pytest.raises(Misconfigured, match="refused the login of alice"):
                await provider(server, token=expired, silence=30.0).fetch("")
            assert (expired.refused, time.monotonic() - started < 5) == (["expired"], True)


async def test_a_token_that_was_revoked_is_renewed_once_for_sending() -> None:
    async with smtpd() as server:
        server.tokens = {"second"}
        tokens = TokenList(["first", "second"])
        given = SmtpSender("127.0.0.1", server.port, "alice", tls="none", timeout=2, token=tokens)
        await given.send(mail(1), "us@example.org", ["ann@example.org"])
        assert (server.logins, len(server.taken)) == (["first", "second"], 1)
        server.tokens = set()
        with pytest.raises(Misconfigured, match="refused the login of alice"):
            await given.send(mail(2), "us@example.org", ["ann@example.org"])
        assert len(server.taken) == 1
