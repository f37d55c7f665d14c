"""Sending through Outlook: a draft is made and looked at, and only then sent.

"message: send" answers 202 and nothing more, so what became of a mail is read off its draft and
off the sent mail ("Obtain immutable identifiers": the sent copy appears once it has left).
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Collection, Sequence
from urllib.parse import quote

from desk.errors import Ambiguous, DeskError, Permanent, Transient
from mail.graph import Gone, Graph
from mail.outlook_files import Files, parted
from mail.provider import Origin, Ready, at_once, message_id_of
from mail.record import Record, any_records_in, flag_in, record_in, records_in, text_in

log = logging.getLogger(__name__)

LOOKS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each look at what became of a draft."""


class Outbox:
    """``looks`` are the pauses before each look after an answer that did not come."""

    def __init__(self, graph: Graph, looks: Sequence[float] = LOOKS) -> None:
        self._graph = graph
        self._looks = looks
        self._files = Files(graph)

    async def send(
        self,
        mime: bytes,
        recipients: Sequence[str],
        origin: Origin,
        ready: Ready = at_once,
    ) -> None:
        """As ``Provider.send`` says. A repeat of a mail that has left changes nothing."""
        message_id = message_id_of(mime)
        if await self._was_sent_before(message_id):
            return
        draft = await self._drafted(mime, message_id, recipients, origin)
        try:
            await self._graph.create(f"{_path(draft)}/send", ready=ready)
        except Ambiguous as error:
            await self._settle(draft, message_id, error)
        except DeskError:
            await self._tidy(draft)
            raise

    async def has_sent(self, message_id: str) -> bool:
        return any(not flag_in(one, "isDraft") for one in await self._having(message_id))

    async def _was_sent_before(self, message_id: str) -> bool:
        """Drafts that an earlier try left behind are removed: their text may be another by now."""
        for one in await self._having(message_id):
            if not flag_in(one, "isDraft"):
                return True
            await self._discard(text_in(one, "id"))
        return False

    async def _having(self, message_id: str) -> Sequence[Record]:
        if not message_id:
            return ()
        wanted = quote(message_id.replace("'", "''"), safe="")
        page = await self._graph.read(
            f"/messages?$filter=internetMessageId%20eq%20'{wanted}'&$select=id,isDraft"
        )
        return records_in(page, "value")

    # -- the draft

    async def _drafted(
        self, mime: bytes, message_id: str, recipients: Sequence[str], origin: Origin
    ) -> str:
        """The id of a draft that says what was approved."""
        letter, files = await asyncio.to_thread(parted, mime)
        draft = await self._created(base64.b64encode(letter), origin)
        id = text_in(draft, "id")
        try:
            _require_recipients(draft, recipients)
            await self._keep_message_id(id, draft, message_id)
            await self._files.add(id, files)
        except DeskError:
            await self._tidy(id)
            raise
        return id

    async def _created(self, body: bytes, origin: Origin) -> Record:
        """In the conversation that it answers, when that mail is still there."""
        try:
            if origin.key:
                try:
                    path = f"{_path(origin.key)}/createReply"
                    return await self._graph.create(path, body)
                except Gone:
                    log.info("the answered mail is gone from the mailbox")
            return await self._graph.create("/messages", body)
        except Ambiguous as error:  # at most a draft was made, which the next try removes
            raise Transient(str(error)) from error

    async def _keep_message_id(self, id: str, draft: Record, message_id: str) -> None:
        """ "Update message": internetMessageId is updatable as long as isDraft is true."""
        if draft.get("internetMessageId") == message_id:
            return
        changed = await self._graph.change("PATCH", _path(id), {"internetMessageId": message_id})
        if changed.get("internetMessageId") != message_id:
            log.warning("Outlook gave the mail a Message-ID of its own; it is found by its draft")

    async def _discard(self, id: str) -> bool:
        """Whether the draft was there, and is not any more."""
        try:
            await self._graph.change("DELETE", _path(id))
        except Gone:
            return False
        return True

    async def _tidy(self, id: str) -> None:
        try:
            await self._discard(id)
        except DeskError as error:  # the next try removes it
            log.warning("a draft is left in the mailbox: %s", error)

    # -- no answer to "send"

    async def _settle(self, draft: str, message_id: str, error: Ambiguous) -> None:
        """Returns when it left. A draft that stays one was not sent: it is removed, so that it
        cannot leave any more, and the mail may be tried again."""
        state: bool | None = None
        for pause in self._looks:
            await asyncio.sleep(pause)
            state = await self._is_sent(draft, message_id)
            if state:
                return
        if state is False and await self._is_withdrawn(draft):
            raise Transient(f"{error}. The mail was not sent")
        raise error

    async def _is_sent(self, draft: str, message_id: str) -> bool | None:
        """None while nobody can tell."""
        try:
            record = await self._graph.read(f"{_path(draft)}?$select=id,isDraft")
            return not flag_in(record, "isDraft")
        except Gone:
            pass
        except DeskError:
            return None
        try:
            return await self.has_sent(message_id) or None
        except DeskError:
            return None

    async def _is_withdrawn(self, draft: str) -> bool:
        try:
            return await self._discard(draft)
        except DeskError:
            return False


def _path(id: str) -> str:
    return f"/messages/{quote(id)}"


def _require_recipients(draft: Record, recipients: Collection[str]) -> None:
    wanted = {address.casefold() for address in recipients}
    fields = ("toRecipients", "ccRecipients", "bccRecipients")
    given = {
        text_in(record_in(one, "emailAddress"), "address").casefold()
        for name in fields
        for one in any_records_in(draft, name)
    }
    if given != wanted:
        raise Permanent(
            f"Outlook would send this to {', '.join(sorted(given)) or 'nobody'} and not to"
            f" {', '.join(sorted(wanted))}: nothing was sent. Correct the addresses."
        )
