"""The customer's whole mails in the thread of their card, each once.

What a thread holds is kept in the records, so that a mail that could not be posted comes with the
next change of its card.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from bot.board import POST_INTERVAL
from bot.slack.draw import Block, Message, beside, block_of, context, literal
from bot.slack.post import pause, translated
from bot.slack.text import PIECE, mrkdwn, pieces, plain
from bot.words import amount, clean
from desk.email import Attachment, Email
from desk.errors import Permanent, Transient
from desk.ids import EmailId, TicketId
from desk.places import Network
from desk.standing import when
from desk.store import Store

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = structlog.get_logger()

PER_MESSAGE = 3
MAX_MESSAGES = 8
TRIES = 6
FINISH = 5.0


def draw_mail(email: Email) -> list[Message]:
    """A whole mail: who and when, its text as it is, its attachments."""
    parsed = email.parsed
    who = clean(str(parsed.sender))
    head = beside(mrkdwn(when(email.received_at)), plain(who, 300))
    text = plain(clean(parsed.text).strip(), len(parsed.text)) or "(the mail has no text)"
    parts = [block_of(literal(part)) for part, _ in pieces(text, PIECE) if part]
    room = PER_MESSAGE * MAX_MESSAGES
    foot = list(_foot(parsed.attachments, len(text) if len(parts) > room else 0))
    blocks = [head, *parts[:room], *foot]
    short = mrkdwn(f"Mail from {who}", 300)
    return [{"text": short, "blocks": part} for part in _messages(blocks)]


def _messages(blocks: list[Block]) -> Iterator[list[Block]]:
    size = PER_MESSAGE + 1
    for start in range(0, len(blocks), size):
        yield blocks[start : start + size]


def _foot(attachments: tuple[Attachment, ...], whole: int) -> Iterator[Block]:
    if whole:
        yield context(
            f"The mail goes on: it is {whole:,} characters long. The rest is in the mailbox"
        )
    if attachments:
        named = ", ".join(f"{clean(a.name)} ({amount(a.size)})" for a in attachments)
        yield beside(":paperclip:", plain(named, 1500))


@dataclass(slots=True)
class Threads:
    """``put`` only notes; ``run`` posts, one message a second at most."""

    client: AsyncWebClient
    store: Store
    _last_post: float = 0.0
    _due: dict[str, TicketId] = field(default_factory=dict)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: str, id: TicketId) -> None:
        self._due[message] = id
        self._bell.set()

    async def run(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            while self._due:
                message = next(iter(self._due))
                await self._whole(self._bring(message, self._due.pop(message)))

    async def _whole(self, work: Coroutine[None, None, None]) -> None:
        """Not broken off between a mail and the note that it was posted."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=FINISH)
            task.cancel()
            raise

    async def _bring(self, message: str, id: TicketId) -> None:
        for tries in range(TRIES):
            try:
                return await self.bring(message, id)
            except Transient as error:
                await pause(error, tries)
            except Permanent as error:
                log.warning("mail not put in its thread", ticket=id, error=str(error))
                return
        log.warning("mail not put in its thread yet", ticket=id)

    async def bring(self, message: str, id: TicketId) -> None:
        """Post the mails that the thread of this card does not hold yet."""
        known = int(await self.store.conversation_reference(Network.SLACK, message) or 0)
        for email in await self.store.conversation(id):
            if email.id > known:
                await self._post(message, email)
                await self._save(message, email.id)

    async def _post(self, message: str, email: Email) -> None:
        channel, _, ts = message.partition("|")
        for part in draw_mail(email):
            await self._wait_for_turn()
            with translated(channel):
                await self.client.chat_postMessage(
                    channel=channel, thread_ts=ts, unfurl_links=False, unfurl_media=False, **part
                )

    async def _wait_for_turn(self) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._last_post + POST_INTERVAL)
        self._last_post = turn
        await asyncio.sleep(turn - now)

    async def _save(self, message: str, email: EmailId) -> None:
        async with self.store.change() as change:
            await change.save_conversation(Network.SLACK, message, str(email))
