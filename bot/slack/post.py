"""Posting to Slack: cards, lines for a channel, words for one person alone. What Slack answers with
is translated here and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import aiohttp
import structlog

from bot.card import Card
from bot.chat import Gone
from bot.slack.draw import Message, draw
from bot.slack.read_action import Asker
from bot.slack.text import mrkdwn
from desk.errors import DeskError, Permanent, Throttled, Transient
from desk.ids import TicketId

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.async_client import AsyncWebClient

log = structlog.get_logger()

PAGES = 5
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
BUSY = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
TO_DO: Mapping[str, str] = MappingProxyType(
    {
        "channel_not_found": "Slack knows no channel {channel}: correct slack.channel, or invite"
        " Maildesk to the channel if it is private",
        "not_in_channel": "Maildesk is not in the Slack channel {channel}: write /invite @Maildesk"
        " there",
        "is_archived": "The Slack channel {channel} is archived: choose another in slack.channel",
        "restricted_action": "Slack's administrator does not let Maildesk post in {channel}",
        "invalid_auth": "Slack refuses the bot token: copy it anew into slack.bot_token",
        "not_authed": "There is no bot token: copy it from Slack into slack.bot_token",
        "token_revoked": "Slack's bot token was revoked: install the app again and copy the new one"
        " into slack.bot_token",
        "account_inactive": "The Slack app was removed from the workspace: install it again",
        "missing_scope": "The Slack app lacks the right {needed}: install it again with the scopes"
        " of deploy/slack/manifest.yaml",
        "expired_trigger_id": "Slack gave up waiting: press the button once more, please",
    }
)


@contextmanager
def translated(channel: str = "") -> Iterator[None]:
    """Slack's answers and a broken line to it as our errors."""
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        yield
    except SlackApiError as error:
        raise _translation(error, channel) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Transient(f"Slack cannot be reached: {type(error).__name__}") from error
    except SlackClientError as error:
        raise Transient(f"Slack's answer makes no sense: {type(error).__name__}") from error


def _translation(error: SlackApiError, channel: str) -> DeskError:
    response = error.response
    code = str(response.get("error") or "") if hasattr(response, "get") else ""
    status = int(getattr(response, "status_code", 200))
    if status == 429 or code in ("ratelimited", "rate_limited"):
        wait = _seconds(getattr(response, "headers", {}))
        return Throttled(f"Slack asks for a pause of {wait:.0f} s", wait)
    if code in GONE:
        return Gone("The Slack message was deleted, or is not ours any more")
    if status >= 500 or code in BUSY or not code:
        return Transient(f"Slack is out of order ({code or status})")
    sentence = TO_DO.get(code, "Slack refuses this: {code}")
    needed = str(response.get("needed") or "")
    return Permanent(sentence.format(channel=channel or "you chose", needed=needed, code=code))


def _seconds(headers: Mapping[str, str]) -> float:
    # https://docs.slack.dev/apis/web-api/rate-limits: Retry-After, in whole seconds
    found = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    return float(found) if found.isdigit() else 30.0


def unseen(mark: str) -> Message:
    """What nobody sees on a message, and we know it by
    (https://docs.slack.dev/messaging/message-metadata)."""
    return {"event_type": "maildesk_card", "event_payload": {"mark": mark}}


@dataclass(frozen=True, slots=True)
class SlackChat:
    """The Chat of Slack. A message is named ``channel id|timestamp``; ``shown`` hears of each card
    that was drawn, to keep the mail in its thread."""

    client: AsyncWebClient
    shown: Callable[[str, TicketId], None]
    zone: ZoneInfo

    async def post(self, channel: str, card: Card) -> str:
        with translated(channel):
            answer = await self.client.chat_postMessage(
                channel=channel,
                unfurl_links=False,
                unfurl_media=False,
                metadata=unseen(card.mark),
                **draw(card, self.zone),
            )
        # a channel may be set by its name, but is updated by its id
        message = f"{answer['channel']}|{answer['ts']}"
        self._follow(message, card)
        return message

    async def find(self, channel: str, mark: str, since: datetime, thread: str = "") -> str:
        """Among ``PAGES`` of messages."""
        id, _, ts = thread.partition("|")
        name = id or channel
        read = (
            partial(self.client.conversations_replies, channel=name, ts=ts)
            if ts
            else partial(self.client.conversations_history, channel=name)
        )
        cursor = None
        for _ in range(PAGES):
            with translated(channel):
                answer = await read(
                    oldest=f"{since.timestamp():.6f}",
                    include_all_metadata=True,
                    limit=200,
                    cursor=cursor,
                )
            for message in answer["messages"]:
                if message.get("metadata") == unseen(mark):
                    return f"{name}|{message['ts']}"
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return ""

    async def update(self, channel: str, message: str, card: Card) -> None:
        id, _, ts = message.partition("|")
        with translated(channel):
            await self.client.chat_update(channel=id, ts=ts, **draw(card, self.zone))
        self._follow(message, card)

    def _follow(self, message: str, card: Card) -> None:
        """The mail is in the thread of the ticket's own card."""
        if card.is_own:
            self.shown(message, card.ticket_id)

    async def tell(
        self,
        channel: str,
        text: str,
        thread: str = "",
        *,
        is_broadcast: bool = False,
        mark: str = "",
    ) -> None:
        id, _, ts = thread.partition("|")
        below: dict[str, Any] = {"thread_ts": ts, "reply_broadcast": is_broadcast} if ts else {}
        if mark:
            below["metadata"] = unseen(mark)
        words = mrkdwn(text)
        with translated(channel):
            await self.client.chat_postMessage(
                channel=id or channel, text=words, unfurl_links=False, unfurl_media=False, **below
            )

    async def whisper(self, asker: Asker, message: Message) -> None:
        """To this person alone. What cannot be said is logged; nothing depends on it."""
        try:
            await self._whisper(asker, message)
        except DeskError as error:
            log.warning("not told in Slack", user=asker.user, error=str(error))

    async def _whisper(self, asker: Asker, message: Message) -> None:
        try:
            with translated(asker.channel):
                await self.client.chat_postEphemeral(
                    channel=asker.channel, user=asker.user, **message
                )
        except Permanent:
            # in channels that we are not a member of, only the click's own address reaches them
            if not asker.response_url:
                raise
            await self.respond(asker, {"response_type": "ephemeral", **message})

    async def respond(self, asker: Asker, body: Message) -> None:
        """Answer at the address that came with a click: for a message only that person sees."""
        if not asker.response_url:
            return
        timeout = aiohttp.ClientTimeout(total=10)
        with translated(asker.channel):
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(asker.response_url, json=body) as answer,
            ):
                if answer.status >= 400:
                    log.warning("not answered in Slack", status=answer.status)


async def pause(error: Transient, tries: int) -> None:
    """Before the next try: what Slack asks for, else longer each time."""
    await asyncio.sleep(error.seconds if isinstance(error, Throttled) else min(2.0**tries, 60.0))
