"""A mailbox in Outlook (Exchange Online), through Microsoft Graph.

Reading follows "Get incremental changes to messages in a folder" (learn.microsoft.com/graph), one
folder at a time: what was received, and what was sent by whichever client.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from desk.errors import DeskError, Misconfigured, Throttled, Transient
from desk.ports import Clock, SystemClock
from mail.graph import Gone, Graph, SyncLost
from mail.outlook_answered import told
from mail.outlook_place import INBOX, SENT, Place, Spot, Waiting, moment, read_place, stamp
from mail.outlook_sending import LOOKS, Outbox
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
from mail.quota import GRAPH
from mail.record import Record, any_text_in, flag_in, records_in, text_in

log = logging.getLogger(__name__)

NEXT, DELTA = "@odata.nextLink", "@odata.deltaLink"
SELECT = "id,receivedDateTime,conversationId,isDraft"
FIRST = "/mailFolders/{folder}/messages/delta?changeType=created&$select=" + SELECT
SOME = 50
PAGES = 20
"""Of a folder in one fetch: old mails and empty pages give nothing to hand over."""
TRIES, OTHERS = 3, 5
"""So often must a mail have failed, and so many others been read since, before it is given up."""
BACKFILL = timedelta(days=14)


@dataclass(slots=True)
class _Failure:
    """How often a mail could not be read, and how many others were since the first time."""

    tries: int = 0
    others: int = 0

    @property
    def is_final(self) -> bool:
        return self.tries >= TRIES and self.others >= OTHERS


class OutlookProvider:
    """Checkpoints are those of mail.outlook_place. The first time, mail of the last ``backfill``
    counts as new; sent mail counts from now on."""

    def __init__(
        self,
        graph: Graph,
        clock: Clock | None = None,
        *,
        poll: float = 20.0,
        backfill: timedelta = BACKFILL,
        looks: Sequence[float] = LOOKS,
    ) -> None:
        self._graph = graph
        self._clock = clock or SystemClock()
        self._outbox = Outbox(graph, looks)
        self._poll = poll
        self._backfill = backfill
        self._seen: dict[str, str] = {}  # by folder: where to look for news
        self._failing: dict[str, _Failure] = {}  # by mail

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def fetch(self, checkpoint: str, limit: int = 50) -> Page:
        place = self._place(checkpoint)
        arrivals: list[Arrival] = []
        for folder, spot in place.folders.items():
            try:
                spot = await self._filled(folder, spot, limit)
                found, spot = await self._handed_over(folder, spot, limit - len(arrivals))
                if folder == INBOX:
                    found = await told(self._graph, folder, found, place.connected)
            except DeskError:
                if not arrivals:
                    raise
                return Page(tuple(arrivals), place.text(), more=True, is_partial=True)
            arrivals += found
            place = place.moved(folder, spot)
            if spot.is_round_over:
                self._seen[folder] = spot.link
        more = any(spot.rest or not spot.is_round_over for spot in place.folders.values())
        return Page(tuple(arrivals), place.text(), more)

    async def wait(self, seconds: float) -> bool:
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        while True:
            if await self._has_news():
                return True
            left = deadline - clock.time()
            if left <= 0:
                return not self._seen  # nobody fetched here yet: then there may be
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - so that mailboxes spread
            await asyncio.sleep(min(left, self._poll * jitter))

    async def _has_news(self) -> bool:
        """Looks from where ``fetch`` last was, or from where it was told last."""
        for folder, link in tuple(self._seen.items()):
            try:
                page = await self._graph.read(link, SOME)
            except SyncLost:
                self._seen.pop(folder, None)
                return True
            if records_in(page, "value"):
                self._seen[folder] = any_text_in(page, NEXT) or text_in(page, DELTA)
                if _waiting(page, "", is_first=False):
                    return True
        return False

    async def send(
        self,
        mime: bytes,
        sender: str,
        recipients: Sequence[str],
        origin: Origin = NOWHERE,
        ready: Ready = at_once,
    ) -> None:
        await self._outbox.send(mime, recipients, origin, ready)

    async def find_sent(self, message_id: str) -> bool:
        return await self._outbox.has_sent(message_id)

    # -- where we are

    def _place(self, checkpoint: str) -> Place:
        place = read_place(checkpoint)
        if place is not None and place.mailbox == self._graph.root:
            links = [spot.link for spot in place.folders.values() if spot.link]
            if {INBOX, SENT} == set(place.folders) and all(map(self._graph.owns, links)):
                return place
        now = self._clock.now()
        return Place(
            self._graph.root,
            {INBOX: Spot(stamp(now - self._backfill)), SENT: Spot(stamp(now))},
        )

    async def _filled(self, folder: str, spot: Spot, size: int) -> Spot:
        """Turn pages until more than ``size`` mails wait, or nothing is left; what came during a
        round of several pages is in the round after it."""
        for _ in range(PAGES):
            was_over = spot.is_round_over
            if len(spot.rest) <= size:
                spot = await self._turned(folder, spot, size)
            if len(spot.rest) > size or (was_over and spot.is_round_over):
                break
        return spot

    async def _turned(self, folder: str, spot: Spot, size: int) -> Spot:
        try:
            page = await self._graph.read(spot.link or FIRST.format(folder=folder), size)
        except SyncLost:
            if not spot.link:
                raise
            return spot.restarted()
        found = _waiting(page, spot.since, is_first=not spot.synced)
        rest = tuple({mail.id: mail for mail in (*spot.rest, *found)}.values())
        if link := any_text_in(page, NEXT):
            return replace(spot, link=link, is_round_over=False, rest=rest)
        if not records_in(page, "value") and spot.is_round_over:
            return spot  # the place is kept: a new link would say the same
        return replace(
            spot,
            link=text_in(page, DELTA),
            is_round_over=True,
            synced=stamp(self._clock.now()),
            rest=rest,
        )

    # -- mails

    async def _handed_over(
        self, folder: str, spot: Spot, room: int
    ) -> tuple[Sequence[Arrival], Spot]:
        """The first ``room`` mails that wait, fewer when they are heavy or one cannot be read. What
        could not be read before comes last: it holds up no other."""
        waiting = sorted(spot.rest, key=lambda mail: mail.id in self._failing)
        arrivals: list[Arrival] = []
        while waiting and len(arrivals) < room and weight(arrivals) <= PAGE_BYTES:
            some = waiting[: min(GRAPH.slots, room - len(arrivals))]
            del waiting[: len(some)]
            reading = (self._arrival(folder, one, spot.since) for one in some)
            failure: DeskError | None = None
            for mail, read in zip(some, await _all(reading), strict=True):
                if isinstance(read, DeskError):
                    failure = read
                    waiting.append(mail)
                elif read is not None:
                    arrivals.append(read)
            if failure is not None and not arrivals:
                raise failure
            if failure is not None:
                break
        return arrivals, replace(spot, rest=tuple(waiting))

    async def _arrival(self, folder: str, mail: Waiting, since: str) -> Arrival | None:
        """None when the mail is gone for good, or old; one that was moved still has its id."""
        path = f"/messages/{quote(mail.id)}"
        try:
            if not mail.received:
                again = _waiting({"value": [await self._graph.read(path)]}, since, is_first=False)
                if not again:
                    return None
                mail = again[0]
            raw = await self._raw(mail.id, f"{path}/$value")
        except Gone:
            return None
        return Arrival(mail.id, raw, self._time(mail), mail.conversation, is_sent=folder == SENT)

    def _time(self, mail: Waiting) -> datetime:
        """Now, where Outlook does not say when it came."""
        try:
            return moment(mail.received)
        except ValueError:
            return self._clock.now()

    async def _raw(self, id: str, path: str) -> bytes:
        """Exchange makes the MIME anew at each call, and may fail for one mail every time, though
        others are read: then whoever reads the ticket is told, and the mailbox goes on."""
        try:
            raw = await self._graph.read_raw(path, MAIL_BYTES)
        except (Gone, Misconfigured, Throttled):  # a pause says nothing of this mail
            raise
        except DeskError as error:
            failure = self._failing.setdefault(id, _Failure())
            failure.tries += 1
            if isinstance(error, Transient) and not failure.is_final:
                raise
            log.warning("a mail cannot be read: %s", error)
            return never_handed_over("Outlook", id)
        self._failing.pop(id, None)
        for failure in self._failing.values():
            failure.others += 1
        return raw


async def _all(
    reading: Iterable[Coroutine[Any, Any, Arrival | None]],
) -> list[Arrival | DeskError | None]:
    """Each outcome: none outlives the failure of another."""
    outcomes = await asyncio.gather(*reading, return_exceptions=True)
    found: list[Arrival | DeskError | None] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, DeskError):
            raise outcome
        found.append(outcome)
    return found


def weight(arrivals: Iterable[Arrival]) -> int:
    return sum(len(arrival.raw) for arrival in arrivals)


def _waiting(page: Record, since: str, is_first: bool) -> tuple[Waiting, ...]:
    """The mails of a page, each once, in the order of their arrival: Graph promises neither.

    What is only updated may come with its id alone ("at least the properties that have been
    updated"), then with an empty time. Times are whole seconds: in the first round, mail of the
    very second ``since`` was there before us.
    """
    found: dict[str, Waiting] = {}
    for item in records_in(page, "value"):
        received = any_text_in(item, "receivedDateTime")
        is_old = bool(received) and (received < since or (is_first and received == since))
        is_draft = "isDraft" in item and flag_in(item, "isDraft")
        if "@removed" not in item and not is_draft and not is_old:
            id = text_in(item, "id")
            found[id] = Waiting(id, received, any_text_in(item, "conversationId"))
    return tuple(sorted(found.values(), key=lambda mail: mail.received or "9"))
