"""IMAP mailboxes as tests open them: short patience, numbered mails."""

from __future__ import annotations

from typing import Any

from mail.imap import ImapProvider
from mail.imap_account import ImapAccount
from mail.provider import Page, Provider
from mail.smtp import SmtpSender
from tests.doubles.dovecot import PASSWORD, Dovecot
from tests.doubles.imapd import Imapd
from tests.doubles.smtpd import Smtpd


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


async def read_all(box: Provider, checkpoint: str = "", limit: int = 50) -> tuple[list[str], str]:
    keys: list[str] = []
    while True:
        page = await box.fetch(checkpoint, limit)
        keys += [arrival.key for arrival in page.arrivals]
        checkpoint = page.checkpoint
        if not page.more:
            return keys, checkpoint
