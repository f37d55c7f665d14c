"""A mailbox at Gmail: what is new comes from its history, the first time from a list.

https://developers.google.com/gmail/api/guides/sync
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import SystemRandom
from types import TracebackType

from desk.errors import DeskError, Throttled, Transient
from mail.gmail_answered import AnsweredThreads
from mail.gmail_api import Bulky, GmailApi, Gone
from mail.gmail_checkpoint import Checkpoint
from mail.gmail_history import Found, after, before, named
from mail.gmail_message import raw_of
from mail.gmail_sent import SentMail
from mail.provider import (
    MAIL_BYTES,
    NOWHERE,
    PAGE_BYTES,
    Arrival,
    Origin,
    Page,
    Ready,
    at_once,
    never_handed_over,
)
from mail.quota import OneItem
from mail.record import (
    Record,
    any_records_in,
    any_text_in,
    any_words_in,
    millisecond_in,
    number_in,
    text_in,
)

AT_ONCE = 5
GROUP_BYTES = 40 * 1024 * 1024
"""Of the answers that come at once: whichever is longer than its share is read again, alone."""

TRIES = 5
"""So many times must another mail have been read before one that cannot be read is given up."""

SLACK = timedelta(days=1)

IGNORED = {"DRAFT", "CHAT", "SPAM", "TRASH"}

_chance = SystemRandom().random


class GmailProvider:
    """Keys are Gmail's message ids, which stay for as long as the message does."""

    def __init__(
        self, api: GmailApi, backfill: timedelta = timedelta(days=14), poll: float = 15.0
    ) -> None:
        self._api = api
        self._backfill = backfill
        self._poll = poll
        self._heard = ""  # the history id up to which news were told
        self._listed: tuple[Checkpoint | None, list[Found]] = (None, [])
        self._failing: dict[str, int] = {}  # by mail: how often another was read since
        self._slow: set[str] = set()  # of these, what was cut or took too long: read alone
        self._sent = SentMail(api)
        self._answered = AnsweredThreads(api)

    async def __aenter__(self) -> GmailProvider:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    # Reading

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        known = Checkpoint.read(checkpoint) or await self._beginning()
        if not known.listing:
            try:
                return await self._follow(known, limit)
            except Gone:  # the history does not reach back so far
                known = await self._restart(known)
        return await self._list(known, limit)

    async def _beginning(self) -> Checkpoint:
        """First the place in the history, then the list: what comes in between is in both."""
        history = number_in(await self._api.profile(), "historyId")
        now = self._api.clock.now().replace(microsecond=0)  # as its text keeps it
        floor = now - self._backfill
        listing = "inbox" if self._backfill else ""
        return Checkpoint(history, seen=now, floor=floor, since=floor, listing=listing)

    async def _restart(self, known: Checkpoint) -> Checkpoint:
        """All mail since the history was read last, sent mail too, each where it belongs in time;
        what was read before has its key."""
        fresh = await self._beginning()
        since = max(known.floor, known.seen - SLACK)
        return replace(fresh, floor=known.floor, since=since, listing="all")

    async def _list(self, known: Checkpoint, limit: int) -> Page:
        found = await self._in_order(known)
        start = after(found, known.after)
        arrivals, count = await self._read(found[start : start + limit], known.floor)
        if known.listing == "inbox":  # the history was read first, so ``seen`` is when we came
            arrivals = await self._answered.told(arrivals, known.since, known.seen)
        if start + count < len(found):
            last = found[start + count - 1].id if count else known.after
            return Page(arrivals, replace(known, after=last).text(), more=True)
        self._listed = (None, [])
        self._answered.forget()
        self._heard = known.history
        return Page(arrivals, replace(known, after="", listing="").text(), more=False)

    async def _in_order(self, known: Checkpoint) -> list[Found]:
        """What the list holds, oldest first; kept until its last page was read."""
        key = replace(known, after="")
        if self._listed[0] != key:
            # Gmail takes seconds since 1970 as a date: https://developers.google.com/gmail/api/guides/filtering
            since = int(known.since.timestamp())
            wanted = [("q", f"after:{since}")]
            if known.listing == "inbox":
                wanted.append(("labelIds", "INBOX"))
            ids = {text_in(one, "id"): None async for one in self._api.all_listed(wanted)}
            self._listed = (key, [Found(id) for id in reversed(ids)])  # newest came first
        return self._listed[1]

    async def _follow(self, known: Checkpoint, limit: int) -> Page:
        now = self._api.clock.now()
        found, end = await self._changes(known, limit)
        start = after(found, known.after)
        arrivals, count = await self._read(found[start : start + limit], known.floor)
        if end and start + count == len(found):
            self._heard = end
            if end == known.history and not known.after:
                return Page(arrivals, known.text(), more=False)
            reached = replace(known, history=end, seen=now, after="")
            return Page(arrivals, reached.text(), more=False)
        last = found[start + count - 1]
        earlier = before(found, last, known.history)
        return Page(arrivals, replace(known, history=earlier, after=last.id).text(), more=True)

    async def _changes(self, known: Checkpoint, limit: int) -> tuple[list[Found], str]:
        """What came after the checkpoint, each once, and the history id that this reaches: "" when
        there is more than we need now."""
        found: dict[str, Found] = {}
        page = ""
        while True:
            answer = await self._api.history(known.history, page)
            for one in named(answer):
                found.setdefault(one.id, one)
            page = any_text_in(answer, "nextPageToken")
            if not page:
                return list(found.values()), number_in(answer, "historyId")
            if len(found) - after(list(found.values()), known.after) > limit:
                return list(found.values()), ""

    async def _read(
        self, found: Sequence[Found], floor: datetime
    ) -> tuple[tuple[Arrival, ...], int]:
        """The mails of ``found`` that concern us, and how many of ``found`` were read. Fewer when
        they weigh much, or when a later one cannot be read now."""
        arrivals: list[Arrival] = []
        count = weight = 0
        if any(one.id in self._failing for one in found[:AT_ONCE]):
            await self._probe()
        while count < len(found) and weight < PAGE_BYTES:
            group = found[count : count + (1 if found[count].id in self._slow else AT_ONCE)]
            read = await asyncio.gather(
                *(self._arrival(one, floor) for one in group), return_exceptions=True
            )
            for target, one in zip(group, read, strict=True):
                if isinstance(one, Bulky) and weight < PAGE_BYTES:
                    one = await self._bulky(target, floor)
                if isinstance(one, BaseException):
                    if not count or not isinstance(one, Transient | Bulky):
                        raise one
                    return tuple(arrivals), count
                count += 1
                if one is not None:
                    arrivals.append(one)
                    weight += len(one.raw)
        return tuple(arrivals), count

    async def _bulky(self, found: Found, floor: datetime) -> Arrival | Transient | None:
        """One that is large, while no other is read."""
        try:
            return await self._arrival(found, floor, length=0)
        except Transient as error:
            return error

    async def _probe(self) -> None:
        """Whether Gmail hands over others, while there are mails that it did not."""
        with suppress(DeskError):
            newest = await self._api.listed([("maxResults", "20")])
            ids = [text_in(one, "id") for one in any_records_in(newest, "messages")]
            other = next((id for id in ids if id not in self._failing), "")
            if other:
                await self._api.message(other, "raw")
                for failing in self._failing:
                    self._failing[failing] += 1

    async def _arrival(
        self, found: Found, floor: datetime, length: int = GROUP_BYTES // AT_ONCE
    ) -> Arrival | None:
        """None for what is no mail to us, or is gone."""
        try:
            message = await self._message(found.id, length)
        except Gone:
            return None
        now = any_words_in(message, "labelIds")
        received = millisecond_in(message, "internalDate")
        is_sent = "SENT" in now
        is_ours = is_sent or "INBOX" in now | found.labels
        if now & IGNORED or not is_ours or received < floor - SLACK:
            return None
        whole = raw_of(message)[:MAIL_BYTES]
        raw = whole or never_handed_over("Gmail", found.id)
        return Arrival(found.id, raw, received, any_text_in(message, "threadId"), is_sent)

    async def _message(self, id: str, length: int) -> Record:
        """One that Gmail fails to hand over again and again, though it knows it and hands over
        others, is shown without its text: it must not hold up those behind it."""
        if self._failing.get(id, 0) >= TRIES:
            return await self._api.message(id, "minimal")
        try:
            message = await self._api.message(id, "raw", length=length)
            text_in(message, "raw")
        except Throttled:
            raise
        except Transient as error:
            self._failing.setdefault(id, 0)
            if not isinstance(error, OneItem):
                self._slow.add(id)
            raise
        self._failing.pop(id, None)
        self._slow.discard(id)
        return message

    # Waiting

    async def wait(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not await self._has_news():
            left = deadline - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, self._poll * (0.8 + 0.4 * _chance())))
        return True

    async def _has_news(self) -> bool:
        """Since the last fetch, or the last time that it said so."""
        if not self._heard:
            self._heard = number_in(await self._api.profile(), "historyId")
            return True
        try:
            answer = await self._api.history(self._heard)
        except Gone:
            self._heard = ""
            return True
        self._heard = number_in(answer, "historyId")
        return bool(any_text_in(answer, "nextPageToken")) or any(True for _ in named(answer))

    # Sending

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        """Gmail takes the recipients from the mail's headers."""
        try:
            await self._api.send(mime, origin.thread, ready)
        except Gone:  # somebody deleted the conversation: the reply is sent outside of it
            await self._api.send(mime, "", ready)

    async def find_sent(self, message_id: str) -> bool:
        return await self._sent.holds(message_id)
