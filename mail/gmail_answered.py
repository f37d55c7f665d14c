"""Which mails at Gmail were answered before we came: by a later mail of their thread, from us to
whoever wrote them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from desk.errors import Misconfigured, Permanent
from mail.addresses import addresses
from mail.gmail_api import GmailApi
from mail.gmail_message import headers_of
from mail.provider import Arrival
from mail.quota import OneItem
from mail.record import Record, Unclear, any_records_in, any_words_in, millisecond_in, text_in

log = logging.getLogger(__name__)

FROM, REPLY_TO, TO = ("From",), ("Reply-To",), ("To", "Cc", "Bcc")
AUTO = "Auto-Submitted"  # RFC 3834 §5: a mail without it, or with "no", was sent by a person


@dataclass(frozen=True, slots=True)
class _Message:
    """One of a thread. ``people`` are whom it went to when it ``is_sent``, else whom to answer."""

    at: datetime
    is_sent: bool
    people: frozenset[str]


Thread = Mapping[str, _Message]


class AnsweredThreads:
    """For as long as the list of a mailbox is read that was just connected."""

    def __init__(self, api: GmailApi) -> None:
        self._api = api
        self._since: datetime | None = None
        self._sent: frozenset[str] = frozenset()  # threads with mail of ours ``_since`` then

    async def told(
        self, arrivals: Iterable[Arrival], since: datetime, connected: datetime
    ) -> tuple[Arrival, ...]:
        """The same, those marked that came ``since`` then and were answered before we came."""
        arrivals = tuple(arrivals)
        sent = await self._sent_threads(since)
        ours = {a.thread for a in arrivals if a.thread in sent and a.received_at < connected}
        read = await asyncio.gather(*map(self._thread, ours), return_exceptions=True)
        threads: dict[str, Thread] = {}
        for id, thread in zip(ours, read, strict=True):
            if isinstance(thread, BaseException):
                raise thread
            threads[id] = thread
        return tuple(
            replace(a, is_answered=_is_answered(threads.get(a.thread, {}), a.key)) for a in arrivals
        )

    def forget(self) -> None:
        self._since, self._sent = None, frozenset()

    async def _sent_threads(self, since: datetime) -> frozenset[str]:
        """A list holds 500 for what reading one mail costs."""
        if self._since != since:
            wanted = [("labelIds", "SENT"), ("q", f"after:{int(since.timestamp())}")]
            found = [one async for one in self._api.all_listed(wanted)]
            self._since, self._sent = since, frozenset(text_in(one, "threadId") for one in found)
        return self._sent

    async def _thread(self, id: str) -> Thread:
        """Empty when Gmail does not hand it over: a ticket too many is better than none."""
        try:
            thread = await self._api.thread(id, *FROM, *REPLY_TO, *TO, AUTO)
            return {text_in(one, "id"): _message(one) for one in any_records_in(thread, "messages")}
        except Misconfigured:
            raise
        except (OneItem, Unclear, Permanent) as error:
            log.warning("whether a thread was answered is not known: %s", error)
            return {}


def _is_answered(thread: Thread, id: str) -> bool:
    mail = thread.get(id)
    return (
        mail is not None
        and not mail.is_sent
        and any(
            one.is_sent and one.at >= mail.at and one.people & mail.people
            for one in thread.values()
        )
    )


def _message(record: Record) -> _Message:
    given = headers_of(record)
    is_automatic = any(
        name == AUTO.lower() and value.strip().lower() != "no" for name, value in given
    )
    is_sent = "SENT" in any_words_in(record, "labelIds") and not is_automatic
    people = _people(given, TO) if is_sent else _people(given, REPLY_TO) or _people(given, FROM)
    return _Message(millisecond_in(record, "internalDate"), is_sent, people)


def _people(headers: Iterable[tuple[str, str]], names: Sequence[str]) -> frozenset[str]:
    wanted = {name.lower() for name in names}
    found = [one for name, value in headers if name in wanted for one in addresses(value)]
    return frozenset(one.address.casefold() for one in found if one.address)
