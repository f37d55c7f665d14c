"""Files that somebody shares in a card's thread, with a mention of the app: they are attached to
the ticket's reply.

https://docs.slack.dev/reference/objects/file-object
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from bot.payload import Payload, part, text_at
from bot.slack.post import translated
from desk import access
from desk.action import ActionRequest, Result, Seen
from desk.actions import Actions
from desk.errors import Misconfigured, Refused, Transient
from desk.files import MAX_BYTES, NewFile
from desk.ids import TicketId
from desk.moves import Verb
from desk.people import User
from desk.places import Network
from desk.store import Store

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

SECONDS = aiohttp.ClientTimeout(total=60)
NO_CARD = "Share files in the thread below a ticket's card, and mention me there."


@dataclass(frozen=True, slots=True)
class Shared:
    """``message`` is that of the card in whose thread it was."""

    key: str
    message: str
    files: Sequence[str]


def read_shared(body: Payload) -> Shared | None:
    """From an ``app_mention`` event; None when no file came with it."""
    event = part(body, "event")
    given = event.get("files")
    ids = [text_at(one, "id") for one in given] if isinstance(given, list) else []
    message = f"{text_at(event, 'channel')}|{text_at(event, 'thread_ts')}"
    return Shared(f"slack:{text_at(body, 'event_id')}", message, ids) if ids else None


@dataclass(frozen=True, slots=True)
class Attaching:
    client: AsyncWebClient
    token: str = field(repr=False)
    store: Store
    actions: Actions

    async def attach(self, user: User, shared: Shared) -> tuple[TicketId, str]:
        """The ticket, and what its reply has now. Raises Refused with what to do."""
        id = await self.store.ticket_at(Network.SLACK, shared.message)
        if id is None:
            raise Refused(NO_CARD)
        names = []
        for file in shared.files:
            found = await self._fetched(file)
            view = await access.ticket(self.store, user, id)
            seen = Seen(r.id, r.version, r.hash) if (r := view.response) else None
            key = f"{shared.key}:{file}"
            outcome = await self.actions.act(
                ActionRequest(key, user, Verb.ATTACH, id, seen, file=found)
            )
            if outcome.result is Result.REFUSED:
                raise Refused(f"{found.attachment.name} is not attached: {outcome.note}")
            names.append(found.attachment.name)
        return id, f"Attached to the reply of #{id}: {', '.join(names)}"

    async def _fetched(self, id: str) -> NewFile:
        with translated():
            answer = await self.client.api_call("files.info", data={"file": id})
        about: dict[str, Any] = answer.get("file") or {}
        name, type = str(about.get("name") or "file"), str(about.get("mimetype") or "")
        if int(about.get("size") or 0) > MAX_BYTES:
            raise Refused(f"{name} is larger than {MAX_BYTES // 1024**2} MB: send a link instead")
        address = str(about.get("url_private_download") or about.get("url_private") or "")
        self._require_slack(name, address)
        return NewFile(name, type, await self._downloaded(name, type, address))

    def _require_slack(self, name: str, address: str) -> None:
        """Our token goes to Slack alone; files may also lie elsewhere (Google Drive)."""
        asked, ours = urlsplit(address), urlsplit(self.client.base_url)
        host = asked.hostname or ""
        is_slacks = host == ours.hostname or host.endswith(".slack.com")
        if asked.scheme != ours.scheme or not is_slacks:
            raise Refused(f"{name} does not lie in Slack: download it and share it as a file")

    async def _downloaded(self, name: str, type: str, address: str) -> bytes:
        """Whoever lacks the scope files:read is shown a page to sign in, with status 200."""
        headers = {"Authorization": f"Bearer {self.token}"}
        with translated():
            async with (
                aiohttp.ClientSession(timeout=SECONDS) as session,
                session.get(address, headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status >= 500 or answer.status == 429:
                    raise Transient(f"Slack does not hand over {name} now")
                is_page = answer.content_type == "text/html" and type != "text/html"
                if answer.status != 200 or is_page:
                    raise Misconfigured(
                        f"Slack does not hand over {name}: install the app again with the scope"
                        " files:read of deploy/slack/manifest.yaml"
                    )
                return await _read(answer.content)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """One byte more than a reply takes, at most."""
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > MAX_BYTES:
            break
    return bytes(data)
