"""What people do in Teams, read from its activities into our words. Nonsense is empty, never an
error.

https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

from __future__ import annotations

import hashlib
import html
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from bot.payload import Payload, part, text_at

Json = dict[str, Any]

CARD_ACTION = "adaptiveCard/action"
THREAD = ";messageid="


class Doing(StrEnum):
    """What an activity is about."""

    TYPED = "typed"  # a line
    PRESSED = "pressed"  # Action.Execute, answered at once
    SUBMITTED = "submitted"  # Action.Submit of older clients, answered by messages
    ADDED = "added"  # Maildesk was put into a team or chat
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Turn:
    """``person`` identifies somebody in the organisation, ``account`` in conversations;
    ``message`` is the card that was pressed, ``reference`` all that posting by oneself needs."""

    doing: Doing
    key: str
    channel: str
    person: str
    account: str
    is_private: bool
    text: str
    data: Payload
    message: str
    reference: Json


def read_turn(activity: Payload) -> Turn:
    channel, sender = text_at(activity, "conversation", "id"), part(activity, "from")
    kind = text_at(activity, "conversation", "conversationType")
    return Turn(
        doing=_doing(activity),
        key=_key(activity, channel),
        channel=channel,
        person=text_at(sender, "aadObjectId") or text_at(sender, "id"),
        account=text_at(sender, "id"),
        is_private=kind == "personal",
        text=_line(activity),
        data=_data(activity),
        message=text_at(activity, "replyToId"),
        reference=reference(activity),
    )


def _doing(activity: Payload) -> Doing:
    match activity.get("type"):
        case "message" if isinstance(activity.get("value"), Mapping):
            return Doing.SUBMITTED
        case "message":
            return Doing.TYPED
        case "invoke" if activity.get("name") == CARD_ACTION:
            return Doing.PRESSED
        case "installationUpdate" if activity.get("action") in ("add", "add-upgrade"):
            return Doing.ADDED
    return Doing.OTHER


def _key(activity: Payload, channel: str) -> str:
    """The same for the same activity; ids are unique in a conversation."""
    id = text_at(activity, "id")
    if not id:
        return f"teams:{uuid.uuid4().hex}"
    name = f"{channel}\n{text_at(activity, 'from', 'id')}\n{id}"
    return f"teams:{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def _line(activity: Payload) -> str:
    """What was typed, without the mention of ourselves."""
    text = text_at(activity, "text")
    ours = text_at(activity, "recipient", "id")
    entities = activity.get("entities")
    for entity in entities if isinstance(entities, list) else []:
        if text_at(entity, "mentioned", "id") == ours:
            text = text.replace(text_at(entity, "text") or "\0", " ")
    return html.unescape(text).strip()


def _data(activity: Payload) -> Payload:
    """Of the pressed button: in ``value.action.data`` of an invoke, else in ``value``."""
    if activity.get("type") == "invoke":
        return part(part(part(activity, "value"), "action"), "data")
    return part(activity, "value")


def reference(activity: Payload) -> Json:
    """Without the person: the conversation, and the bot's account in it."""
    conversation, bot = part(activity, "conversation"), part(activity, "recipient")
    kept = {name: conversation.get(name) for name in ("id", "tenantId", "conversationType")}
    if not kept["tenantId"]:
        kept["tenantId"] = text_at(activity, "channelData", "tenant", "id")
    return {
        "serviceUrl": text_at(activity, "serviceUrl"),
        "bot": {"id": text_at(bot, "id"), "name": text_at(bot, "name")},
        "conversation": {name: value for name, value in kept.items() if value},
    }


def channel_id(channel: str) -> str:
    """The id of a channel that is given by its id or by its link ("Get link to channel").

    >>> channel_id("https://teams.microsoft.com/l/channel/19%3Aab%40thread.tacv2/Support?groupId=1")
    '19:ab@thread.tacv2'
    """
    _, is_link, rest = channel.partition("/l/channel/")
    return unquote(rest.split("/")[0]) if is_link else channel


def root(channel: str) -> str:
    """The channel of a thread.

    >>> root("19:ab@thread.tacv2;messageid=1"), root("a:1")
    ('19:ab@thread.tacv2', 'a:1')
    """
    return channel.partition(THREAD)[0]
