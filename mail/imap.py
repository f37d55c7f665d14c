"""A mailbox behind IMAP, whose mail leaves by SMTP: one connection to read, one to listen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType

from desk.errors import DeskError, Permanent, Transient
from desk.failpoints import failpoint
from desk.ports import Clock, Limits, SystemClock
from mail.bucket import LocalLimits
from mail.imap_account import ImapAccount
from mail.imap_client import ImapClient
from mail.imap_folder import Folder, open_folder
from mail.imap_gate import ImapGate
from mail.imap_line import Line
from mail.imap_seat import Occupied, Seats
from mail.imap_sent import SentFolder
from mail.imap_wire import encode_folder
from mail.place import Found, Place
from mail.provider import NOWHERE, PAGE_BYTES, Arrival, Origin, Page, Ready, at_once
from mail.smtp import SmtpSender

log = logging.getLogger(__name__)


class ImapProvider:
    """Reads the account's folders and, for what left by any mail program, that of sent mail.

    Keys are ``folder:uidvalidity:uid``. Mail older than the account's backfill, counted from the
    first fetch of all, is left alone; of sent mail all that was there before.
    """

    def __init__(
        self,
        account: ImapAccount,
        sender: SmtpSender,
        clock: Clock | None = None,
        limits: Limits | None = None,
        gate: ImapGate | None = None,
    ) -> None:
        """``gate`` is the mailbox's own, and outlives this."""
        self._account = account
        self._sender = sender
        self._clock = clock or SystemClock()
        key = f"imap:{account.user}@{account.host}"
        open = (gate or ImapGate(key, limits or LocalLimits(), self._clock)).open
        self._reading = Line(account, Seats(f"{key}:read", account.connections - 1, limits), open)
        self._listening = Line(account, Seats(f"{key}:listen", 1, limits), open)
        self._folders = [Folder(encode_folder(name)) for name in account.folders]
        self._sent = SentFolder(account)
        self._sent_mail = Folder("", is_sent=True)
        self._failing: set[str] = set()  # folders that could not be read the last time

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
        place = Place.read(checkpoint, self._clock.now())
        async with self._no_longer_than(self._account.page_seconds):
            return await self._reading.use(lambda client: self._fetch(client, place, limit))

    async def wait(self, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with self._no_longer_than(seconds + self._account.page_seconds):
                return await self._listening.use(
                    lambda client: self._listen(client, deadline), seconds
                )
        except Occupied:  # another process listens
            return False

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        await self._sender.send(mime, sender, recipients, ready)
        await failpoint("mail.accepted")
        try:
            async with self._no_longer_than(self._account.filing_seconds):
                await self._reading.use(lambda client: self._sent.keep(client, mime))
        except DeskError as error:
            # The mail has left: a missing copy must not look like a mail to send again.
            log.warning("A sent mail could not be filed in the sent folder: %s", error)

    async def find_sent(self, message_id: str) -> bool:
        async with self._no_longer_than(self._account.page_seconds):
            return await self._reading.use(lambda client: self._sent.holds(client, message_id))

    @asynccontextmanager
    async def _no_longer_than(self, seconds: float) -> AsyncIterator[None]:
        """A server may say for ever that it is still there (Dovecot does, while its disk is not),
        which is no silence. The time counts also while another uses the connection."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            host = self._account.host
            raise Transient(
                f"{host} did not do what it was asked in {seconds:g} seconds."
            ) from error

    # Reading

    async def _fetch(self, client: ImapClient, place: Place, limit: int) -> Page:
        """One page out of all folders, each from where it was left. One that could not be read
        comes last, and after others that had nothing: it holds up none."""
        folders = await self._open_folders(client)
        if not place.folders:
            place = await _begun(client, folders, place)
        arrivals: list[Arrival] = []
        weight = 0
        for folder in sorted(folders, key=lambda one: one.name in self._failing):
            if arrivals and folder.name in self._failing:
                return Page(tuple(arrivals), place.written(), True, is_partial=True)
            self._failing.add(folder.name)
            found = await self._read(
                client, folder, place, 0 if weight > PAGE_BYTES else limit - len(arrivals)
            )
            self._failing.discard(folder.name)
            arrivals += place.told(found.arrivals)
            weight += sum(len(arrival.raw) for arrival in found.arrivals)
            place = place.moved(folder.name, found.position)
            if found.more:
                is_partial = any(one.name in self._failing for one in folders)
                return Page(tuple(arrivals), place.written(), True, is_partial=is_partial)
        return Page(tuple(arrivals), place.written(), False)

    async def _open_folders(self, client: ImapClient) -> list[Folder]:
        name = await self._sent.name(client)
        if not name or any(name == folder.name for folder in self._folders):
            return self._folders
        if name != self._sent_mail.name:
            self._sent_mail = Folder(name, is_sent=True)
        return [*self._folders, self._sent_mail]

    async def _read(self, client: ImapClient, folder: Folder, place: Place, limit: int) -> Found:
        position = place.at(folder.name)
        if not folder.is_sent:
            since = place.connected - self._account.backfill
            return await folder.read(client, position, since, limit)
        try:
            return await folder.read(client, position, place.sent_since, limit)
        except Permanent as error:
            log.warning("The sent mail is not read: %s", error)
            self._sent.forget()
            return Found((), position, False)

    # Listening

    async def _listen(self, client: ImapClient, deadline: float) -> bool:
        clock = asyncio.get_running_loop()
        folder = self._folders[0]
        if client.folder != folder.name:
            opened = await open_folder(client, folder.name)
            validity, reached = folder.reached
            if validity != str(opened.uidvalidity) or opened.uidnext != reached + 1:
                return True  # it may have come before we listened
        while not client.has_news and (left := deadline - clock.time()) > 0:
            if "IDLE" in client.capabilities:
                await client.idle(min(left, self._account.pulse), self._account.answer)
            else:
                await asyncio.sleep(min(left, self._account.poll))
                await client.noop()
        news, client.has_news = client.has_news, False
        return news


async def _begun(client: ImapClient, folders: Sequence[Folder], place: Place) -> Place:
    """Mail that was sent before we were there concerns nobody."""
    for folder in folders:
        if folder.is_sent:
            place = place.moved(folder.name, await folder.end(client))
    return place
