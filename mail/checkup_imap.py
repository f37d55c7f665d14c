"""What works at an IMAP server and at the SMTP server beside it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from desk.errors import Misconfigured, Permanent, Refused
from mail.checkup import Try, encrypted, reaching
from mail.imap_account import ImapAccount
from mail.imap_client import ImapClient
from mail.imap_line import Line
from mail.imap_sent import SentFolder
from mail.imap_wire import encode_folder
from mail.smtp import SmtpSender

STORAGE = re.compile(rb"STORAGE (\d+) (\d+)", re.I)
FULL = 0.95


def imap_tries(account: ImapAccount, sender: SmtpSender, address: str) -> list[Try]:
    """The mail that is tried goes from ``address`` to itself, up to its body."""
    line = Line(account)

    def asked(work: Callable[[ImapClient], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
        async def run() -> str:
            try:
                return await line.use(work)
            finally:
                await line.close()

        return run

    sent = SentFolder(account)
    return [
        *reaching("", account.host, account.port),
        Try("tls", lambda: _greeted(account), ("connect",)),
        Try("sign-in", asked(_signed_in), ("tls",)),
        Try("read", asked(lambda client: _counted(client, account)), ("sign-in",)),
        Try("news", asked(_told), ("sign-in",)),
        Try("sent folder", asked(lambda client: _sent(client, account, sent)), ("sign-in",)),
        Try("quota", asked(_storage), ("sign-in",)),
        *reaching("smtp ", sender.host, sender.port),
        Try("send", lambda: _may_send(sender, address), ("smtp connect",)),
    ]


async def _greeted(account: ImapAccount) -> str:
    if account.tls == "tls":
        said = await encrypted(account.host, account.port, account.tls_context)
    client = await ImapClient.connect(
        account.host, account.port, account.tls, tls_context=account.tls_context
    )
    await client.logout()
    if account.tls == "tls":
        return said
    if account.tls == "none":
        raise Refused("not encrypted, as tls = none says: passwords can be read on the way")
    return "encrypted after STARTTLS, the certificate is valid"


async def _signed_in(client: ImapClient) -> str:
    return "the server lets us in"


async def _counted(client: ImapClient, account: ImapAccount) -> str:
    counts = []
    for folder in account.folders:
        try:
            found = await client.select(encode_folder(folder))
        except Permanent as error:
            raise Misconfigured(f"{error} Correct read_folders: {folder}") from error
        counts.append(f"{folder}: {found.exists} mails")
    return ", ".join(counts)


async def _told(client: ImapClient) -> str:
    if "IDLE" in client.capabilities:
        return "the server tells new mail at once (IDLE)"
    raise Refused("the server has no IDLE: new mail is looked for every few seconds")


async def _sent(client: ImapClient, account: ImapAccount, sent: SentFolder) -> str:
    name = await sent.name(client)
    if not name:
        raise Refused("there is none yet: Sent is made for the first reply")
    try:
        found = await client.select(name)
    except Permanent as error:
        raise Misconfigured(f"{error} Correct sent_folder") from error
    return f"{account.sent_folder or name}: {found.exists} mails"


async def _storage(client: ImapClient) -> str:
    """RFC 9208: usage and limit in units of 1,024 bytes."""
    if not any(one.split("=")[0] == "QUOTA" for one in client.capabilities):
        raise Refused("the server does not say how full the mailbox is")
    for reply in await client.command(b"GETQUOTAROOT", "INBOX"):
        if reply.word == b"QUOTA" and (found := STORAGE.search(_text(reply.parts))):
            used, limit = int(found[1]), int(found[2])
            said = f"{used / 1024:.0f} of {limit / 1024:.0f} MB are used"
            if limit and used > FULL * limit:
                raise Misconfigured(f"The mailbox is nearly full: {said}. Make room in it")
            return said
    return "no limit"


def _text(parts: object) -> bytes:
    if isinstance(parts, bytes):
        return parts
    if isinstance(parts, list | tuple):
        return b" ".join(_text(part) for part in parts)
    return str(parts).encode()


async def _may_send(sender: SmtpSender, address: str) -> str:
    await sender.try_out(address)
    return f"{sender.host} would take mail from {address}"
