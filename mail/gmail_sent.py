"""Looking a reply up in Gmail's sent mail, by its Message-ID."""

from __future__ import annotations

from typing import Any

from mail.gmail_api import GmailApi, Gone

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

    async def _is_among(self, listed: dict[str, Any], wanted: str) -> bool:
        ids = [str(one["id"]) for one in listed.get("messages", ())][:RECENT]
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
            headers = message.get("payload", {}).get("headers", ())
            names = {name.lower() for name in ID_HEADERS}
            if len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[id] = frozenset(
                str(one["value"]).strip() for one in headers if one["name"].lower() in names
            )
        return self._known[id]
