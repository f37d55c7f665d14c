"""Reads one IMAP folder in the order of its UIDs, past whatever a server cannot hand over."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from desk.errors import DeskError, Misconfigured, Permanent, Transient
from mail.imap_client import ImapClient, Selected
from mail.imap_large import read_large
from mail.imap_session import Expunged
from mail.imap_wire import Fetched, spell_date, spell_uids
from mail.place import Found
from mail.provider import PAGE_BYTES, Arrival, Lack, never_handed_over

log = logging.getLogger(__name__)

SEARCH_SPAN = 200_000  # UIDs asked for at once in a larger folder: the answer is one line
MOST_MAILS = 500  # asked for in one command, whose line stays below 8 kB (RFC 7162 §4)
SMALL_BYTES = PAGE_BYTES // 64  # a mail that is not larger needs no look at its size
LARGE_BYTES = 25 * 1024 * 1024  # of a larger mail only its texts are read
TRIES = 5  # of a mail that breaks the connection, until we ask for less of it
DAY = timedelta(days=1)


class Folder:
    """``name`` is in the server's spelling. Positions are ``uidvalidity:uid`` (RFC 9051 §2.3.1.1).

    When the server renumbers a folder it is read from its start, with new keys.
    """

    def __init__(self, name: str, is_sent: bool = False) -> None:
        self.name = name
        self.is_sent = is_sent
        self.reached = ("", 0)  # uidvalidity, and the highest UID read so far
        self._ahead: tuple[str, list[int], bool] = ("", [], False)  # what a search found after it
        self._sizes: dict[int, int] = {}  # of mails ahead
        self._tries: Counter[str] = Counter()
        self._looks = 0

    async def end(self, client: ImapClient) -> str:
        """The position behind all that it holds now."""
        opened = await open_folder(client, self.name)
        return f"{opened.uidvalidity}:{max(opened.uidnext - 1, 0)}"

    async def read(self, client: ImapClient, position: str, since: datetime, limit: int) -> Found:
        """At most ``limit`` mails after ``position`` that arrived ``since`` then."""
        if not await self._has_news(client, position):
            return Found((), position, False)
        validity = str(client.opened.uidvalidity)
        known, _, last = position.partition(":")
        after = int(last) if known == validity and last.isdecimal() else 0
        uids, is_cut = await self._new_uids(client, f"{validity}:{after}", after, since)
        if uids and not limit:
            return Found((), position, True)
        await self._weigh(client, uids, limit)
        arrivals, settled = await self._arrivals(client, validity, uids[:limit], since)
        more = is_cut or len(uids) > settled
        reached = uids[settled - 1] if settled else after
        if not more:  # older mails and gaps at the end need no second look
            reached = max(reached, client.opened.uidnext - 1)
        self._ahead = (f"{validity}:{reached}", uids[settled:], is_cut)
        self.reached = (validity, reached)
        return Found(arrivals, f"{validity}:{reached}", more)

    async def _has_news(self, client: ImapClient, position: str) -> bool:
        """Whether there may be something after ``position``; the folder is open then."""
        if client.folder == self.name:
            known, uids, _ = self._ahead
            if known != position or not uids or self._tries:
                await client.noop()  # some servers tell a session of news only when it asks
            return True
        try:
            now = await client.status(self.name)
        except Permanent as error:
            raise not_there(self.name, error) from error
        if now.uidnext and position == f"{now.uidvalidity}:{now.uidnext - 1}":
            return False
        await open_folder(client, self.name)
        return True

    async def _new_uids(
        self, client: ImapClient, position: str, after: int, since: datetime
    ) -> tuple[list[int], bool]:
        """UIDs above ``after``, and whether the folder may have more than these."""
        known, uids, more = self._ahead
        if known == position and uids:
            return uids, more
        # A server compares days of whatever time zone (RFC 9051 §6.4.4): the rest is done here.
        days = b"SINCE " + spell_date(since - DAY)
        first = after + 1
        if client.opened.exists > SEARCH_SPAN:
            while first + SEARCH_SPAN < client.opened.uidnext:
                last = first + SEARCH_SPAN - 1
                if uids := await client.uid_search(b"UID %d:%d" % (first, last), days):
                    return uids, True
                first += SEARCH_SPAN
        # n:* names the last mail even when its UID is below n (RFC 9051 §9, seq-range).
        found = await client.uid_search(b"UID %d:*" % first, days)
        return [uid for uid in found if uid > after], False

    async def _weigh(self, client: ImapClient, uids: Sequence[int], limit: int) -> None:
        """Learn the sizes of the next mails, of several pages at once; small ones count alike."""
        if all(uid in self._sizes for uid in uids[:limit]):
            return
        span = uids[:MOST_MAILS]
        self._sizes = dict.fromkeys(span, SMALL_BYTES)
        bulky = await client.uid_search(b"UID " + spell_uids(span), b"LARGER %d" % SMALL_BYTES)
        for uid, mail in (await collect(client, bulky, b"(UID RFC822.SIZE)", {})).items():
            self._sizes[uid] = mail.size or SMALL_BYTES

    async def _arrivals(
        self, client: ImapClient, validity: str, uids: Sequence[int], since: datetime
    ) -> tuple[tuple[Arrival, ...], int]:
        """The mails of these successive UIDs, and how many UIDs that settles, gone ones too."""
        sizes = [self._sizes[uid] for uid in uids if uid in self._sizes]
        if not sizes:
            return (), 0
        several = uids[: self._together(validity, uids[: len(sizes)], sizes)]
        found, settled = await self._bodies(client, validity, several, sizes[0] > LARGE_BYTES)
        now = datetime.now(UTC)
        return tuple(
            Arrival(self._key(validity, uid), mail.body, when, "", self.is_sent, mail.is_answered)
            for uid in several[:settled]
            if (mail := found.get(uid)) is not None
            and mail.body is not None
            and (when := mail.internaldate or now) >= since
        ), settled

    def _together(self, validity: str, uids: Sequence[int], sizes: Sequence[int]) -> int:
        """How many are asked for at once: one that failed is alone."""
        failed = [n for n, uid in enumerate(uids) if self._tries[f"{validity}:{uid}"]]
        return max(min([fitting(sizes), *failed]), 1)

    def _key(self, validity: str, uid: int) -> str:
        return f"{self.name}:{validity}:{uid}"

    async def _bodies(
        self, client: ImapClient, validity: str, uids: Sequence[int], is_large: bool
    ) -> tuple[Mapping[int, Fetched], int]:
        """What these mails hold, and how many of them, from the first, that settles.

        A mail that the server cannot hand over must not stop the ones behind it. It is asked for
        alone, then only for its header, then replaced by a note that sends a person to it; but
        only failures count at a time when another mail is handed over.
        """
        key = f"{validity}:{uids[0]}"
        tries = self._tries[key]
        if tries >= 2 * TRIES:
            del self._tries[key]
            log.error("The mail server does not hand over mail %s.", key)
            note = never_handed_over("The mail server", key)
            return {uids[0]: Fetched(uids[0], body=note)}, 1
        counts = not tries or await self._hands_over_another(client, uids[0])
        found: dict[int, Fetched] = {}
        try:
            if is_large and tries < TRIES:
                await read_large(client, uids[0], found)
            else:
                await (_collect_heads if tries >= TRIES else _collect_mails)(client, uids, found)
        except (DeskError, asyncio.CancelledError) as error:
            settled = next((n for n, uid in enumerate(uids) if uid not in found), len(uids))
            if settled < len(uids) and (counts or settled):
                self._count(f"{validity}:{uids[settled]}", error)
            if isinstance(error, DeskError) and settled:
                return found, settled
            if isinstance(error, Permanent):
                raise Transient(f"The mail server did not hand over mail {key}: {error}") from error
            raise
        del self._tries[key]
        return found, len(uids)

    def _count(self, key: str, error: BaseException) -> None:
        """One refused in words (or too long) is asked for in the next way, which is more useful
        than the same again."""
        tries = self._tries[key]
        is_refused = isinstance(error, Permanent) and tries > 0
        self._tries[key] = (tries // TRIES + 1) * TRIES if is_refused else tries + 1

    async def _hands_over_another(self, client: ImapClient, uid: int) -> bool:
        """Where no mail is handed over the trouble is the server's, and passes. Each time it is
        another mail, for that one may be broken too."""
        first = max(client.opened.uidnext - SEARCH_SPAN, 1)
        small = await client.uid_search(b"UID %d:*" % first, b"SMALLER %d" % SMALL_BYTES)
        others = [one for one in small if one != uid]
        if not others:
            return False
        self._looks += 1
        other = others[-self._looks % len(others)]
        found: dict[int, Fetched] = {}
        try:
            await _collect_mails(client, [other], found)
        except Permanent as error:
            raise Transient(f"The mail server hands over no mail: {error}") from error
        return other in found


async def open_folder(client: ImapClient, folder: str) -> Selected:
    try:
        return await client.select(folder)
    except Permanent as error:
        raise not_there(folder, error) from error


def not_there(folder: str, error: Permanent) -> Misconfigured:
    return Misconfigured(f"The folder {folder} cannot be opened: {error}")


async def _collect_mails(
    client: ImapClient, uids: Sequence[int], found: dict[int, Fetched]
) -> None:
    await collect(client, uids, b"(UID FLAGS INTERNALDATE BODY.PEEK[])", found)


async def _collect_heads(
    client: ImapClient, uids: Sequence[int], found: dict[int, Fetched]
) -> None:
    await collect(client, uids, b"(UID FLAGS INTERNALDATE BODY.PEEK[HEADER])", found)
    for uid, mail in found.items():
        found[uid] = replace(mail, body=Lack.TEXT.header + (mail.body or b""))


async def collect(
    client: ImapClient, uids: Sequence[int], items: bytes, found: dict[int, Fetched]
) -> dict[int, Fetched]:
    """Fill ``found`` with the mails among these UIDs."""
    try:
        await _collect(client, uids, items, found)
    except Expunged:  # RFC 5530 §3: the server waits for a NOOP to tell which ones are gone
        await client.noop()
        await _collect(client, [uid for uid in uids if uid not in found], items, found)
    return found


async def _collect(
    client: ImapClient, uids: Sequence[int], items: bytes, found: dict[int, Fetched]
) -> None:
    wanted = set(uids)
    if uids:
        async with aclosing(client.uid_fetch(spell_uids(uids), items)) as mails:
            async for mail in mails:
                if mail.uid in wanted and (mail.size is not None or mail.body is not None):
                    found[mail.uid] = mail


def fitting(sizes: Sequence[int]) -> int:
    """How many of the first mails fit into a page; one always does, and a large one is alone."""
    weight = 0
    for number, size in enumerate(sizes):
        weight += size
        if number and (weight > PAGE_BYTES or max(size, sizes[0]) > LARGE_BYTES):
            return number
    return len(sizes)
