"""Looking a reply up in Gmail's sent mail, by its Message-ID."""

from __future__ import annotations

from mail.gmail_api import GmailApi, Gone
from mail.gmail_message import headers_of
from mail.record import Record, any_records_in, text_in

RECENT = 30  # sent mails that are looked through where the search does not know one yet
KEPT = 20 * RECENT
ID_HEADERS = ("Message-ID", "X-Google-Original-Message-ID")


class SentMail:
    """Gmail may file a mail under an id of its own; it keeps ours beside it."""

    def __init__(self, api: GmailApi) -> None:
        self._api = api
        self._known: dict[str, frozenset[str]] = {}  # Message-IDs of the last that were looked at

    async def holds(self, message_id: str) -> bool:
        """By the search, and where that does not know it (yet) in the newest sent mails."""
        wanted = message_id.strip()
        if len(wanted) < 3:
            return False
        sent = [("labelIds", "SENT"), ("includeSpamTrash", "true")]
        if not any(sign.isspace() for sign in wanted):
            query = ("q", f"rfc822msgid:{wanted.strip('<>')}")
            if await self._is_among(await self._api.listed([*sent, query]), wanted):
                return True
        recent = await self._api.listed([*sent, ("maxResults", str(RECENT))])
        return await self._is_among(recent, wanted)

    async def _is_among(self, listed: Record, wanted: str) -> bool:
        ids = [text_in(one, "id") for one in any_records_in(listed, "messages")][:RECENT]
        for id in ids:
            if wanted in await self._message_ids(id):
                return True
        return False

    async def _message_ids(self, id: str) -> frozenset[str]:
        if id not in self._known:
            try:
                message = await self._api.message(id, "metadata", *ID_HEADERS)
            except Gone:
                return frozenset()
            names = {name.lower() for name in ID_HEADERS}
            if len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[id] = frozenset(
                value.strip() for name, value in headers_of(message) if name in names
            )
        return self._known[id]
