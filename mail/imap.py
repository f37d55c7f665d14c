"""A mailbox behind IMAP, whose mail leaves by SMTP: one connection to read, one to listen."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeVar

from desk.errors import DeskError, Misconfigured, Permanent, Transient
from desk.failpoints import failpoint
from mail.imap_client import ImapClient, Selected
from mail.imap_connection import Tls
from mail.imap_wire import Fetched, encode_folder
from mail.provider import MAIL_BYTES, NOWHERE, PAGE_BYTES, Arrival, Origin, Page, message_id_of
from mail.smtp import SmtpSender, Token

log = logging.getLogger(__name__)
T = TypeVar("T")

IDLE_SECONDS = 24 * 60.0  # RFC 2177: a server may drop who idles for 30 minutes
SEARCH_SPAN = 200_000  # UIDs asked for at once in a larger folder: the answer is one line
TRIES = 5  # of a mail that breaks the connection, until we ask for less of it
SENT_NAMES = ("sent", "sent items", "sent mail", "sent messages")

UNREADABLE = b"""\
Subject: (The mail server does not hand over this mail)\r
\r
The mail server does not hand over this mail. Open it in the mailbox itself.\r
"""


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """Where and as whom to read. ``token`` yields an OAuth access token, for the password."""

    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    tls: Tls = "tls"
    folder: str = "INBOX"
    sent_folder: str = ""  # "" = the one that the server marks as sent, else "Sent"
    silence: float = 60.0
    poll: float = 15.0  # where the server has no IDLE
    token: Token | None = field(default=None, repr=False)
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)


class Line:
    """A signed-in connection that is opened when it is needed, and again when it broke."""

    def __init__(self, account: ImapAccount) -> None:
        self._account = account
        self._client: ImapClient | None = None
        self._turn = asyncio.Lock()

    async def use(self, work: Callable[[ImapClient], Awaitable[T]]) -> T:
        """``work`` on a connection; once more on a new one when an old one proves dead."""
        async with self._turn:
            if self._client is not None and self._client.is_open:
                try:
                    return await work(self._client)
                except Transient:
                    if self._client.is_open:
                        raise
            await self.close()
            self._client = await self._sign_in()
            return await work(self._client)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.logout()
            self._client = None

    async def _sign_in(self) -> ImapClient:
        account = self._account
        client = await ImapClient.connect(
            account.host,
            account.port,
            account.tls,
            silence=account.silence,
            tls_context=account.tls_context,
        )
        try:
            if account.token:
                await client.xoauth2(account.user, await account.token())
            else:
                await client.login(account.user, account.password)
        except BaseException:
            await client.logout()
            raise
        return client


class ImapProvider:
    """Checkpoint and keys are ``uidvalidity:uid`` (RFC 9051 §2.3.1.1).

    When the server renumbers its folder the next fetch starts over, with new keys.
    """

    def __init__(self, account: ImapAccount, sender: SmtpSender) -> None:
        self._account = account
        self._inbox = encode_folder(account.folder)
        self._sender = sender
        self._reading = Line(account)
        self._listening = Line(account)
        self._opened = Selected()
        self._ahead: tuple[str, list[int], bool] = ("", [], False)  # what a search found after it
        self._reached = ("", 0)  # uidvalidity, and the highest UID of a page so far
        self._tries: Counter[str] = Counter()
        self._sent = ""

    async def __aenter__(self) -> ImapProvider:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._listening.close()
        await self._reading.close()

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        return await self._reading.use(lambda client: self._fetch(client, checkpoint, limit))

    async def wait(self, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        return await self._listening.use(lambda client: self._listen(client, deadline))

    async def send(
        self, mime: bytes, sender: str, recipients: Sequence[str], origin: Origin = NOWHERE
    ) -> None:
        await self._sender.send(mime, sender, recipients)
        await failpoint("mail.accepted")
        try:
            await self._reading.use(lambda client: self._keep(client, mime))
        except DeskError as error:
            # The mail has left: a missing copy must not look like a mail to send again.
            log.warning("A sent mail could not be filed in the sent folder: %s", error)

    async def find_sent(self, message_id: str) -> bool:
        return await self._reading.use(lambda client: self._holds(client, message_id))

    # Reading

    async def _fetch(self, client: ImapClient, checkpoint: str, limit: int) -> Page:
        if client.folder == self._inbox:
            await client.noop()  # some servers tell a session of new mail only when it asks
        else:
            self._opened = await _open(client, self._inbox)
        validity = str(self._opened.uidvalidity)
        known, _, last = checkpoint.partition(":")
        after = int(last) if known == validity and last.isdecimal() else 0
        uids, more = await self._new_uids(client, f"{validity}:{after}", after)
        arrivals, taken = await self._arrivals(client, validity, uids[:limit])
        reached = uids[taken - 1] if taken else after
        self._ahead = (f"{validity}:{reached}", uids[taken:], more)
        self._reached = (validity, reached)
        return Page(arrivals, f"{validity}:{reached}", more or len(uids) > taken)

    async def _new_uids(
        self, client: ImapClient, checkpoint: str, after: int
    ) -> tuple[list[int], bool]:
        """UIDs above ``after``, and whether the folder may have more than these."""
        known, uids, more = self._ahead
        if known == checkpoint and uids:
            return uids, more
        first = after + 1
        if self._opened.exists > SEARCH_SPAN:
            while first + SEARCH_SPAN < self._opened.uidnext:
                last = first + SEARCH_SPAN - 1
                if uids := await client.uid_search(b"UID %d:%d" % (first, last)):
                    return uids, True
                first += SEARCH_SPAN
        # n:* names the last mail even when its UID is below n (RFC 9051 §9, seq-range).
        return [u for u in await client.uid_search(b"UID %d:*" % first) if u > after], False

    async def _arrivals(
        self, client: ImapClient, validity: str, uids: Sequence[int]
    ) -> tuple[tuple[Arrival, ...], int]:
        """The mails of these successive UIDs, and how many UIDs that settles, gone ones too."""
        heads = await _collect(client, uids, b"(UID RFC822.SIZE INTERNALDATE)", {})
        living = [uid for uid in uids if uid in heads]
        if not living:
            return (), len(uids)
        alone = self._tries[f"{validity}:{living[0]}"] > 0
        living = living[: 1 if alone else _fitting([heads[uid].size or 0 for uid in living])]
        whole = not alone and (heads[living[0]].size or 0) <= MAIL_BYTES
        found, settled = await self._bodies(client, validity, living, whole)
        return tuple(
            Arrival(f"{validity}:{uid}", body, heads[uid].internaldate or datetime.now(UTC))
            for uid in living[:settled]
            if uid in found and (body := found[uid].body) is not None
        ), uids.index(living[settled - 1]) + 1

    async def _bodies(
        self, client: ImapClient, validity: str, uids: Sequence[int], whole: bool
    ) -> tuple[Mapping[int, Fetched], int]:
        """What these mails hold, and how many of them, from the first, that settles.

        A mail that the server cannot hand over must not stop the ones behind it. It is asked for
        alone, then only for its header, then replaced by a note that sends a person to it.
        """
        key = f"{validity}:{uids[0]}"
        tries = self._tries.pop(key, 0)
        if tries >= 2 * TRIES:
            log.error("The mail server does not hand over mail %s.", key)
            return {uids[0]: Fetched(uids[0], body=UNREADABLE)}, 1
        part = b"[HEADER]" if tries >= TRIES else b"[]" if whole else b"[]<0.%d>" % MAIL_BYTES
        found: dict[int, Fetched] = {}
        try:
            await _collect(client, uids, b"(UID BODY.PEEK%s)" % part, found)
        except DeskError as error:
            settled = next((n for n, uid in enumerate(uids) if uid not in found), len(uids))
            if settled == 0:
                # Refused in words (or too long): the next way is more useful than the same again.
                skip = isinstance(error, Permanent) and tries > 0
                self._tries[key] = (tries // TRIES + 1) * TRIES if skip else tries + 1
                if isinstance(error, Transient):
                    raise
                raise Transient(f"The mail server did not hand over mail {key}: {error}") from error
            return found, settled
        return found, len(uids)

    # Listening

    async def _listen(self, client: ImapClient, deadline: float) -> bool:
        clock = asyncio.get_running_loop()
        if client.folder != self._inbox:
            opened = await _open(client, self._inbox)
            validity, reached = self._reached
            if validity != str(opened.uidvalidity) or opened.uidnext != reached + 1:
                return True  # it may have come before we listened
        while not client.has_news and (left := deadline - clock.time()) > 0:
            if "IDLE" in client.capabilities:
                await client.idle(min(left, IDLE_SECONDS))
            else:
                await asyncio.sleep(min(left, self._account.poll))
                await client.noop()
        news, client.has_news = client.has_news, False
        return news

    # The sent folder

    async def _keep(self, client: ImapClient, mime: bytes) -> None:
        """File a copy, unless the server did so itself (as Gmail and Exchange do)."""
        if await self._holds(client, message_id_of(mime)):
            return
        folder = await self._sent_folder(client) or await _create_sent(client)
        await client.append(folder, mime)

    async def _holds(self, client: ImapClient, message_id: str) -> bool:
        folder = await self._sent_folder(client)
        if not folder or not message_id:
            return False
        await _open(client, folder)
        return bool(await client.uid_search(b"HEADER Message-ID", message_id))

    async def _sent_folder(self, client: ImapClient) -> str:
        """Its name, "" while there is none."""
        if not self._sent:
            wanted = self._account.sent_folder
            self._sent = encode_folder(wanted) if wanted else await _find_sent_folder(client)
        return self._sent


async def _open(client: ImapClient, folder: str) -> Selected:
    try:
        return await client.select(folder)
    except Permanent as error:
        raise Misconfigured(f"The folder {folder} cannot be opened: {error}") from error


async def _collect(
    client: ImapClient, uids: Sequence[int], items: bytes, found: dict[int, Fetched]
) -> dict[int, Fetched]:
    """Fill ``found`` with the mails among these UIDs, which follow each other in the folder."""
    if uids:
        async with aclosing(client.uid_fetch(f"{uids[0]}:{uids[-1]}", items)) as mails:
            async for mail in mails:
                if mail.uid in uids and (mail.size is not None or mail.body is not None):
                    found[mail.uid] = mail
    return found


def _fitting(sizes: Sequence[int]) -> int:
    """How many of the first mails fit into a page; one always does."""
    weight = 0
    for number, size in enumerate(sizes):
        weight += size
        if weight > PAGE_BYTES and number:
            return number
    return len(sizes)


async def _find_sent_folder(client: ImapClient) -> str:
    folders = [f for f in await client.list_folders() if "\\noselect" not in f.attributes]
    for folder in folders:
        if "\\sent" in folder.attributes:
            return folder.name
    for folder in folders:
        parts = folder.name.split(folder.delimiter) if folder.delimiter else [folder.name]
        if parts[-1].casefold() in SENT_NAMES:
            return folder.name
    return ""


async def _create_sent(client: ImapClient) -> str:
    """A new folder; some servers (Courier, Cyrus) keep all folders below INBOX."""
    try:
        await client.create("Sent")
    except Permanent:
        delimiter = next((f.delimiter for f in await client.list_folders() if f.delimiter), ".")
        await client.create(f"INBOX{delimiter}Sent")
        return f"INBOX{delimiter}Sent"
    return "Sent"
